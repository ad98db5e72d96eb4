import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import metrics as pyg

from graphrec.errors import GraphError
from graphrec.metrics import RELEVANCE, coverage, hit_matrix, novelty, relevance_metrics

PYG = {
    'recall': pyg.LinkPredRecall,
    'precision': pyg.LinkPredPrecision,
    'ndcg': pyg.LinkPredNDCG,
    'hit': pyg.LinkPredHitRatio,
    'mrr': pyg.LinkPredMRR,
    'map': pyg.LinkPredMAP,
}


def test_by_hand():
    # Held out: 3 items, of which ranks 2 and 4 find two.
    hits = torch.tensor([[False, True, False, True]])
    values = relevance_metrics(hits, torch.tensor([3]), [2, 4], RELEVANCE)
    second, fourth = 1 / math.log2(3), 1 / math.log2(5)
    ideal = [1.0, 1.0 + second, 1.0 + second + 0.5]
    expected = {
        'recall@2': 1 / 3,
        'recall@4': 2 / 3,
        'precision@2': 1 / 2,
        'precision@4': 2 / 4,
        'hit@2': 1.0,
        'hit@4': 1.0,
        'mrr@2': 1 / 2,
        'mrr@4': 1 / 2,
        'map@2': (1 / 2) / 2,
        'map@4': (1 / 2 + 2 / 4) / 3,
        'ndcg@2': second / ideal[1],
        'ndcg@4': (second + fourth) / ideal[2],
    }
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(expected)


def test_ideal_over_retrieved_hits():
    hits = torch.tensor([[False, True, False, True], [False] * 4])
    values = relevance_metrics(hits, torch.tensor([3, 2]), [2, 4], ['ndcg'], ideal='retrieved')
    second, fourth = 1 / math.log2(3), 1 / math.log2(5)
    assert values['ndcg@2'].tolist() == pytest.approx([second / (1 + second), 0.0])
    assert values['ndcg@4'].tolist() == pytest.approx([(second + fourth) / (1 + second), 0.0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 9))
def test_means_equal_torch_geometric(seed, num_users, k):
    generator = torch.Generator().manual_seed(seed)
    items = torch.rand(num_users, 12, generator=generator).argsort(dim=1)[:, :9]
    relevant = torch.rand(num_users, 12, generator=generator) < 0.3
    relevant[0, 0] = True
    relevant = relevant[relevant.any(dim=1)]
    items = items[: len(relevant)]
    truth = relevant.nonzero().t()
    hits = hit_matrix(items, truth, 12)
    values = relevance_metrics(hits, relevant.sum(1), [k], RELEVANCE)
    for name, kind in PYG.items():
        other = kind(k)
        other.update(items, truth)
        assert float(values[f'{name}@{k}'].mean()) == pytest.approx(
            float(other.compute()), abs=1e-6
        )


def test_hit_matrix_ignores_empty_places():
    # Item -1 of row 1 must not be mistaken for the last item of row 0.
    items = torch.tensor([[2, 0, 1], [1, -1, -1]])
    truth = torch.tensor([[0, 1], [2, 0]])
    assert hit_matrix(items, truth, 3).tolist() == [[True, False, False], [False] * 3]
    assert not hit_matrix(items, truth[:, :0], 3).any()


def test_coverage_equals_torch_geometric():
    items = torch.tensor([[0, 1], [1, 3], [4, -1]])
    other = pyg.LinkPredCoverage(2, num_dst_nodes=10)
    other.update(items[:2], torch.zeros(2, 0, dtype=torch.long))
    assert coverage(items[:2], 10, 2) == pytest.approx(float(other.compute()))
    assert coverage(items, 10, 2) == pytest.approx(0.4)
    assert coverage(items, 10, 1) == pytest.approx(0.3)


def test_novelty_is_minus_log2_of_the_share():
    count = torch.tensor([4, 2, 2, 0])  # Shares 1/2, 1/4, 1/4; the cold item as 1/8.
    items = torch.tensor([[0, 1], [3, -1], [-1, -1]])
    assert novelty(items, count, 2).tolist() == pytest.approx([1.5, 3.0, 0.0])
    assert novelty(items, count, 1).tolist() == pytest.approx([1.0, 3.0, 0.0])


def test_unknown_metric():
    with pytest.raises(GraphError, match='recal'):
        relevance_metrics(torch.zeros(1, 1, dtype=torch.bool), torch.ones(1), [1], ['recal'])
