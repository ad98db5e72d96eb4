import math

import pytest
import torch
from scipy import stats

from graphrec.unlearn.utility import (
    Served,
    active_gap,
    mean_popularity,
    per_user_metrics,
    score_drift,
    utility,
)


def test_per_user_metrics_leave_out_users_without_rows():
    lists = torch.tensor([[4, 1, 2], [0, 1, 2], [3, -1, -1]])
    truth = torch.tensor([[0, 0, 2], [1, 9, 3]])
    found = per_user_metrics(lists, truth, 10)
    assert found['recall@20'].tolist() == [0.5, 1.0]
    ideal = 1 + 1 / math.log2(3)
    assert found['ndcg@20'].tolist() == pytest.approx([1 / math.log2(3) / ideal, 1.0])


def test_active_gap_and_popularity_by_hand():
    values, degree = torch.arange(40.0), torch.arange(40)
    assert active_gap(values, degree) == pytest.approx(38.5 - 18.5)
    assert math.isnan(active_gap(values[:1], degree[:1]))
    assert mean_popularity(torch.tensor([[0, 2], [2, -1]]), torch.tensor([6, 0, 3])) == 4


def test_drift_is_one_minus_a_correlation():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(50, 3, generator=generator) for _ in range(2))
    expected = [1 - stats.pearsonr(a[:, n], b[:, n]).statistic for n in range(3)]
    assert score_drift(a, b).tolist() == pytest.approx(expected, abs=1e-5)
    assert score_drift(a, 2 * a + 1).abs().max() < 1e-6


def served(lists, scores=None):
    scores = (
        torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) if scores is None else scores
    )
    return Served(torch.tensor(lists), scores)


def run(after, golds, groups=None):
    truth = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]])
    before = served([[0, 5], [1, 5], [2, 5], [3, 5]])
    return utility(
        truth,
        'test',
        before,
        after,
        golds,
        (),
        torch.tensor([9, 1, 1, 1]),
        torch.tensor([4, 3, 2, 1, 0, 0]),
        torch.tensor([0, 1, 1, 2, 3, -1]),
        6,
        groups,
    )


def test_utility_by_hand():
    perfect = served([[0, 5], [1, 5], [2, 5], [3, 5]])
    half = served([[0, 5], [1, 5], [4, 5], [4, 5]])
    found = run(half, [perfect] * 3, {'group 1': torch.tensor([True, False, False, False])})
    assert found.quality[0].unlearned == 0.5
    assert found.quality[0].gold == 1.0
    assert found.relative_change == -0.5
    assert found.equivalence[0].outcome == 'worse'
    assert found.change['recall@20']['mean'] == -0.5
    assert found.change['recall@20']['mean_of_the_worst_5_percent'] == -1
    assert found.change['recall@20']['share_of_users_worse'] == 0.5
    others = {m.name: m for m in found.others}
    assert others['coverage@20'].unlearned == 4 / 6
    assert others['active 5 % minus the rest'].unlearned == pytest.approx(1 - 1 / 3)
    assert found.groups['group 1'].unlearned == 1.0
    assert [m.name for m in found.drift] == [
        'drift from gold, touched items',
        'drift from gold, items 1 step away',
        'drift from gold, items 2 steps away',
        'drift from gold, other items',
    ]
    assert all(abs(m.unlearned) < 1e-9 for m in found.drift)


def test_without_gold_the_original_is_the_reference():
    found = run(served([[4, 5]] * 4), [])
    assert found.equivalence == []
    assert found.change['recall@20']['mean'] == -1
    assert found.drift[0].name == 'drift from the original, touched items'
