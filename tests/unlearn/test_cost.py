import pytest

from graphrec.unlearn.cost import cost
from graphrec.unlearn.report import ForgetReport


def run(steps, **seconds):
    return ForgetReport(request='', method='mmrecun', guarantee='A', steps=steps, seconds=seconds)


def test_cost_by_hand():
    golds = [run(100, repair=9.0, rebuild=1.0, evaluation=50.0), run(200, repair=11.0, rebuild=1.0)]
    found = cost(run(10, repair=1.0, rebuild=1.0, evaluation=99.0, preparation=5.0), golds)
    assert found.seconds == 2.0  # Neither evaluation nor what is prepared once.
    assert (found.gold_steps, found.gold_seconds) == (150, 11.0)
    assert found.speed_up == pytest.approx(5.5)
    assert found.speed_up_without_rebuild == pytest.approx(10.0)
    document = found.to_dict()
    assert document['preparation'] == 5.0
    assert document['gold_seconds_with_rebuild'] == 11.0  # Both absolute numbers.
    assert document['seconds_with_rebuild'] == 2.0


def test_without_golds_there_is_no_ratio():
    found = cost(run(10, repair=1.0))
    assert found.speed_up is None
    assert found.gold_seconds is None
