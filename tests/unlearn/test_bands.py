import math

import numpy as np
import pytest
from scipy import stats

from graphrec.unlearn.bands import Measure, distances, prediction_reach


def test_band_is_the_percentile_of_the_differences_where_golds_are_many():
    golds = tuple(float(g) for g in range(20))
    gaps = [abs(a - b) for n, a in enumerate(golds) for b in golds[n + 1 :]]
    assert Measure('m', 0.0, 0.0, golds).band == pytest.approx(np.quantile(gaps, 0.95))


def test_band_of_few_golds_is_the_reach_of_one_gold_more():
    golds = (0.0, 1.0, 2.0)
    reach = stats.t.ppf(0.975, 2) * math.sqrt(1 + 1 / 3)  # Their standard deviation is 1.
    measure = Measure('m', 9.0, 1.0, golds)
    assert prediction_reach(golds) == pytest.approx(reach)
    assert measure.band == pytest.approx(reach)
    assert measure.gold == 1.0


def test_a_gold_lies_within_the_band_of_five_others_about_95_times_in_100():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2000, 6))
    inside = [Measure('m', None, row[5], tuple(row[:5])).inside for row in draws]
    assert 0.93 < np.mean(inside) < 0.97


def test_sides_gap_and_power():
    golds = (0.29, 0.30, 0.31, 0.30, 0.30)
    high = Measure('recall', 0.48, 0.40, golds, memory=1)
    assert (high.inside, high.side, high.powered) == (False, 1, True)
    assert high.gap_closed == pytest.approx((0.48 - 0.40) / (0.48 - 0.30))
    low = Measure('recall', 0.48, 0.10, golds, memory=1)
    assert (low.inside, low.side) == (False, -1)
    assert low.gap_closed > 1  # Past gold.
    rank = Measure('rank', 10.0, 20.0, (70.0, 71.0, 72.0, 71.0, 71.0), memory=-1)
    assert rank.side == 1  # A better rank than gold's remembers.


def test_a_request_too_small_for_the_metric_says_so():
    small = Measure('recall', 0.305, 0.30, (0.29, 0.30, 0.31), memory=1)
    assert small.powered is False
    assert small.gap_closed is None
    assert small.to_dict()['gap_closed'] == 'request too small for this metric'
    assert small.original_inside


def test_a_rank_moves_by_whole_places():
    agreed = (7.0,) * 5
    assert Measure('rank', 3.0, 8.0, agreed, memory=-1, step=1.0).inside
    assert Measure('rank', 3.0, 5.5, agreed, memory=-1, step=1.0).side == 1


def test_without_three_golds_nothing_is_inside():
    assert Measure('m', 0.1, 0.2, (0.2, 0.2)).inside is None
    assert Measure('m', 0.1, 0.2).band is None
    assert Measure('m', 0.1, float('nan'), (0.1, 0.2, 0.3)).inside is None


def test_distances_are_medians_over_golds_and_count_only_if_large():
    assert Measure('KS', 0.1, 0.1, (0.2,), distance=True).band is None  # Two golds.
    before, after, between = distances(lambda a, b: abs(a - b), 10.0, 1.5, [0.0, 1.0, 3.0])
    assert (before, after) == (9.0, 1.5)
    assert between == (1.0, 3.0, 2.0)
    far = Measure('KS', before, after, between, distance=True, lean=-1)
    assert far.inside
    assert far.side == 0
    assert Measure('KS', 9.0, 9.0, between, distance=True, lean=-1).side == -1
    assert distances(lambda a, b: 0.0, 1.0, 1.0, []) == (None, None, ())
