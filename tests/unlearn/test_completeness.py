import math

import pytest
import torch
from scipy import stats

from graphrec.unlearn.completeness import (
    completeness,
    forget_ranking,
    jaccard,
    margin_distance,
    overlaps,
    rank_biased_overlap,
    rank_shift,
    score_distance,
)
from graphrec.unlearn.standing import Standing

PAIRS = torch.tensor([[0, 0, 1], [3, 4, 5]])


def standing_of(z, rank=None):
    z = torch.tensor(z, dtype=torch.float64)
    rank = torch.ones(z.numel(), dtype=torch.long) if rank is None else torch.tensor(rank)
    return Standing(z, z, rank)


def test_forget_ranking_by_hand():
    found = forget_ranking(PAIRS, torch.tensor([1, 30, 3]), torch.ones(3, dtype=torch.bool))
    assert found['recall@10'] == pytest.approx((1 / 2 + 1) / 2)
    assert found['recall@50'] == 1
    ideal = 1 + 1 / math.log2(3)
    assert found['ndcg@10'] == pytest.approx((1 / ideal + 1 / math.log2(4)) / 2)
    assert found['median_rank'] == 3


def test_removed_items_count_in_the_rank_alone():
    found = forget_ranking(PAIRS, torch.tensor([1, 2, 9]), torch.tensor([True, True, False]))
    assert found['recall@10'] == 1
    assert found['median_rank'] == 2
    gone = forget_ranking(PAIRS, torch.tensor([1, 2, 9]), torch.zeros(3, dtype=torch.bool))
    assert set(gone) == {'median_rank'}


def test_rank_shift_is_a_median_of_pairs():
    assert rank_shift(torch.tensor([1, 5, 10]), torch.tensor([4, 5, 100])) == 3


def test_score_distance_is_that_of_scipy():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, generator=generator), torch.randn(40, generator=generator) + 0.4
    first, second = standing_of(a.tolist()), standing_of(b.tolist())
    expected = stats.ks_2samp(a.double().numpy(), b.double().numpy()).statistic
    assert score_distance(first, second) == pytest.approx(expected)
    assert score_distance(first, first) == 0


def test_jaccard_and_rank_biased_overlap_by_hand():
    a, b = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 1, 4]])
    assert jaccard(a, b).tolist() == [2 / 4]
    p, agreement = 0.9, (0 / 1, 2 / 2, 2 / 3)
    expected = agreement[2] * p**3 + (1 - p) / p * sum(
        x * p ** (d + 1) for d, x in enumerate(agreement)
    )
    assert rank_biased_overlap(a, b, p).tolist() == pytest.approx([expected])
    assert rank_biased_overlap(a, a).tolist() == pytest.approx([1.0])
    assert rank_biased_overlap(a, torch.tensor([[7, 8, 9]])).tolist() == [0.0]
    assert jaccard(torch.tensor([[1, -1]]), torch.tensor([[-1, -1]])).tolist() == [0.0]


def test_early_places_weigh_more():
    a, top, end = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 9]]), torch.tensor([[9, 2, 3]])
    assert rank_biased_overlap(a, top) > rank_biased_overlap(a, end)


def test_margins_by_hand_and_the_worst_pair_shows():
    golds = [torch.tensor([0.0, 0.0]), torch.tensor([2.0, 2.0])]  # Mean 1, squares sum to 2.
    found = margin_distance([torch.tensor([1.0, 9.0])], golds)
    assert found.median == pytest.approx((0 + 8 / math.sqrt(2)) / 2)
    assert found.worst == pytest.approx(8 / math.sqrt(2))
    assert found.statistic == 'shift'
    assert margin_distance([golds[0]], golds[:1]) is None


def test_margins_of_many_models_are_a_divergence_of_normal_distributions():
    generator = torch.Generator().manual_seed(0)
    u = [torch.randn(1, generator=generator, dtype=torch.float64) + 1 for _ in range(20)]
    g = [torch.randn(1, generator=generator, dtype=torch.float64) for _ in range(20)]
    mu, mg, su, sg = (f(torch.cat(x)).item() for f in (torch.mean, torch.std) for x in (u, g))
    expected = math.log(sg / su) + (su**2 + (mu - mg) ** 2) / (2 * sg**2) - 0.5
    found = margin_distance(u, g)
    assert (found.statistic, found.num_golds) == ('kl', 20)
    assert found.median == pytest.approx(expected)


def test_overlaps_name_groups_and_need_golds():
    lists = torch.tensor([[1, 2], [3, 4]])
    other = torch.tensor([[1, 9], [3, 4]])
    groups = {'first': torch.tensor([True, False]), 'nobody': torch.zeros(2, dtype=torch.bool)}
    found = overlaps(other, other, [lists, lists], groups)
    assert [m.name for m in found] == ['1 - jaccard@20, first', '1 - rbo@20, first']
    assert found[0].unlearned == pytest.approx(1 - 1 / 3)
    assert overlaps(lists, lists, [], groups) == []


def test_completeness_tells_all_three_apart():
    served = torch.ones(3, dtype=torch.bool)
    golds = [standing_of([0.1 * n, 0, 0], [40 + n, 50, 60]) for n in range(5)]
    before = standing_of([5, 5, 5], [1, 1, 1])
    found = completeness(PAIRS, served, before, golds[2], golds)
    assert all(m.inside for m in found.decisive)
    kept = completeness(PAIRS, served, before, before, golds)
    assert [m.side for m in kept.decisive] == [1, 1, 1]
    pushed = standing_of([-9, -9, -9], [900, 900, 900])
    assert completeness(PAIRS, served, before, pushed, golds).decisive[1].side == -1
    assert completeness(PAIRS, served, before, pushed, golds).decisive[2].side == -1
    assert found.shift['ratio'] == pytest.approx(1.0)
    assert completeness(PAIRS, served, before, pushed, golds).shift['ratio'] > 1
