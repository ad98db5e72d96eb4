import math

import pytest
from scipy import stats

from graphrec.unlearn.equivalence import equivalence
from graphrec.unlearn.verdict import verdict

GOLDS = (0.300, 0.302, 0.301, 0.299, 0.298)


def test_equivalence_is_two_one_sided_tests():
    found = equivalence('recall@20', [0.3005], GOLDS, margin=0.05)
    mean, error = 0.3, 0.00158113883 / math.sqrt(5)
    assert found.margin == pytest.approx(0.015)
    reach = stats.t.ppf(0.95, 4) * error
    assert found.interval == pytest.approx((0.3005 - mean - reach, 0.3005 - mean + reach))
    assert found.p_value == pytest.approx(stats.t.sf((0.015 - 0.0005) / error, 4))
    assert found.outcome == 'equivalent'


def test_the_margin_is_the_band_where_that_is_wider():
    found = equivalence('recall@20', [0.3], (0.2, 0.3, 0.4, 0.3, 0.3))
    assert found.margin > 0.1


@pytest.mark.parametrize(
    ('values', 'outcome'),
    [
        ([0.25], 'worse'),
        ([0.35], 'better'),
        ([0.3, 0.3, 0.3], 'equivalent'),
        ([0.25, 0.33, 0.32], 'worse'),  # The mean is fine, the model under audit is not.
        ([0.3, 0.27, 0.33], 'inconclusive'),
    ],
)
def test_outcomes(values, outcome):
    assert equivalence('recall@20', values, GOLDS).outcome == outcome


def test_a_model_that_is_better_than_gold_is_said_to_be():
    # Within the margin of 0.01, but nobody can say that it is not beyond.
    found = equivalence('recall@20', [0.307, 0.312, 0.305], GOLDS, margin=0.035)
    assert found.outcome == 'inconclusive'
    assert found.interval[0] > 0
    for text in (found.in_words, verdict([], [], [found], 5).not_measured[-1]):
        assert 'inconclusive against gold, but better than gold' in text
    assert 'better' not in equivalence('recall@20', [0.3, 0.27, 0.33], GOLDS).in_words
    better = equivalence('recall@20', [0.35], GOLDS)
    assert better.in_words == 'better than gold, by more than the margin'


def test_the_model_under_audit_is_told_apart_from_the_mean():
    found = equivalence('recall@20', [0.25, 0.33, 0.32], GOLDS)
    assert found.difference == pytest.approx(0)
    assert found.audited == pytest.approx(-0.05)
    assert 'of this model alone -0.0500' in verdict([], [], [found], 5).reasons[0]


def test_no_difference_and_too_few_golds():
    assert equivalence('m', [0.3], (0.3, 0.3, 0.3)).outcome == 'equivalent'
    assert equivalence('m', [0.3], (0.3, 0.3)) is None
