import pytest

from graphrec.unlearn.bands import Measure
from graphrec.unlearn.canaries import CanaryTest
from graphrec.unlearn.equivalence import equivalence
from graphrec.unlearn.untouched import UNTOUCHED
from graphrec.unlearn.verdict import verdict

GOLDS = (0.29, 0.30, 0.31, 0.30, 0.30)
INSIDE = Measure('recall@20', 0.5, 0.30, GOLDS, memory=1)
KEPT = Measure('membership AUC', 0.7, 0.65, (0.5, 0.51, 0.5, 0.49, 0.5), memory=1)
PUSHED = Measure('recall@20', 0.5, 0.05, GOLDS, memory=1)
SAME = equivalence('recall@20', [0.30], GOLDS)
WORSE = equivalence('recall@20', [0.20], GOLDS)
UNSURE = equivalence('recall@20', [0.30, 0.27, 0.33], GOLDS)


@pytest.mark.parametrize(
    ('failures', 'measures', 'tests', 'golds', 'status'),
    [
        ([], [INSIDE], [SAME], 5, 'passed'),
        (['residue: walk: a cache'], [INSIDE], [SAME], 5, 'failed'),
        ([], [INSIDE, KEPT], [SAME], 5, 'under_forgotten'),
        ([], [PUSHED], [SAME], 5, 'over_forgotten'),
        ([], [PUSHED, KEPT], [SAME], 5, 'under_forgotten'),  # One trace is enough.
        ([], [INSIDE], [WORSE], 5, 'utility_loss'),
        ([], [PUSHED], [WORSE], 5, 'over_forgotten'),
        ([], [INSIDE], [UNSURE], 5, 'not_measurable'),
        ([], [INSIDE], [], 5, 'not_measurable'),
        ([], [], [SAME], 5, 'not_measurable'),
        ([], [INSIDE], [SAME], 4, 'not_measurable'),
        ([], [Measure('recall@20', 0.5, None, GOLDS)], [SAME], 5, 'not_measurable'),
    ],
)
def test_rule(failures, measures, tests, golds, status):
    found = verdict(failures, measures, tests, golds)
    assert found.status == status
    assert found.passed == (status == 'passed')
    assert found.reasons or found.not_measured


@pytest.mark.parametrize(
    ('interval', 'change', 'status'),
    [
        ((0.48, 0.53), 0.0, 'not_measurable'),
        ((0.56, 0.70), 0.0, 'under_forgotten'),
        ((0.20, 0.40), 0.0, 'over_forgotten'),
        ((0.48, 0.53), -0.2, 'utility_loss'),
        (None, None, 'not_measurable'),
    ],
)
def test_without_a_band_nothing_passes(interval, change, status):
    for golds in (0, 1, 2):
        found = verdict([], [], [], golds, auc_interval=interval, recall_change=change)
        assert found.status == status
        assert 'at least 3 are needed' in found.not_measured[-1]


def test_fewer_golds_pass_only_where_asked():
    assert verdict([], [INSIDE], [SAME], 3, min_golds=3).passed
    assert 'a pass asks for 5' in verdict([], [INSIDE], [SAME], 3).not_measured[-1]


@pytest.mark.parametrize('golds', [0, 5])
def test_canaries_that_left_a_trace_count_as_a_forget_metric(golds):
    measures, tests = ([INSIDE], [SAME]) if golds else ([], [])
    kept = CanaryTest(1e-4, 0.3, 0.3, 120)
    found = verdict([], measures, tests, golds, canaries=kept)
    assert found.status == 'under_forgotten'
    assert 'planted canaries are not random: p < 0.001' in found.reasons[0]
    pushed = CanaryTest(1e-4, 0.3, 0.7, 120)
    assert verdict([], measures, tests, golds, canaries=pushed).status == 'over_forgotten'
    fine = CanaryTest(0.4, 0.05, 0.5, 120)
    expected = 'passed' if golds else 'not_measurable'
    assert verdict([], measures, tests, golds, canaries=fine).status == expected


def test_what_a_model_cannot_depend_on_needs_no_forget_metric():
    assert verdict([], [], [SAME], 5, untouched=True).passed
    for tests, golds in (([SAME], 4), ([UNSURE], 5), ([], 5), ([], 0)):
        found = verdict([], [], tests, golds, untouched=True)
        assert found.status == 'not_measurable'
        assert found.reasons == (UNTOUCHED,)
        assert not any('forget metric' in text for text in found.not_measured)
    assert verdict(['residue: structure'], [], [SAME], 5, untouched=True).status == 'failed'
    loss = verdict([], [], [], 0, recall_change=-0.2, untouched=True)
    assert loss.status == 'utility_loss'
    assert UNTOUCHED not in loss.reasons


def test_reasons_carry_numbers():
    (reason,) = verdict([], [PUSHED], [SAME], 5).reasons
    assert reason.startswith('recall@20 0.05 is outside gold’s 0.3 ±')
