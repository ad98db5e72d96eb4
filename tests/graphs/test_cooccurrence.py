import copy
import math

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs import cooccurrence
from graphrec.graphs.cooccurrence import cooccurrence_graph

USERS, ITEMS = 25, 15


@pytest.fixture
def data():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = USERS, ITEMS
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.25
    dense[3] = dense[:, 6] = False  # A user without items, nobody's item.
    dense[:, 9] = False
    dense[11] = False
    dense[11, 9] = True  # An item of one user, who has nothing else.
    data['user', 'interacts', 'item'].edge_index = dense.nonzero().t().contiguous()
    return data


def dense_graph(data, k, nodes, score, min_count=1, shrinkage=0.0):
    matrix = np.zeros((USERS, ITEMS))
    matrix[tuple(data['user', 'interacts', 'item'].edge_index.numpy())] = 1
    if nodes == 'user':
        matrix = matrix.T
    counts, degree = matrix.T @ matrix, matrix.sum(0)
    total = int((matrix.sum(1) > 0).sum())
    index = []
    for i in range(len(counts)):
        ranked = []
        for j in range(len(counts)):
            c = counts[i, j]
            if i == j or c < min_count:
                continue
            value = {
                'cosine': lambda c, a, b: c / math.sqrt(a * b),
                'count': lambda c, a, b: c,
                'jaccard': lambda c, a, b: c / (a + b - c),
                'pmi': lambda c, a, b: math.log(c * total / (a * b)),
            }[score](c, degree[i], degree[j])
            value *= c / (c + shrinkage)
            if value > 0:
                ranked.append((-float(np.float32(value)), j))
        index.append(sorted(ranked)[:k])
    return index


@pytest.mark.parametrize('nodes', ['item', 'user'])
@pytest.mark.parametrize('score', ['cosine', 'count', 'jaccard', 'pmi'])
@pytest.mark.parametrize('block', [1, 40, 4_000_000])
def test_equals_the_full_matrix_in_any_blocks(data, nodes, score, block, monkeypatch):
    monkeypatch.setattr(cooccurrence, 'BLOCK_ENTRIES', block)
    for k, limits in ((3, {}), (10, {'min_count': 2, 'shrinkage': 1.5})):
        graph = cooccurrence_graph(data, k, nodes=nodes, score=score, **limits)
        expected = dense_graph(data, k, nodes, score, **limits)
        for i, row in enumerate(expected):
            assert graph.index[i].tolist() == [j for _, j in row] + [-1] * (k - len(row))
            values = graph.similarity[i, : len(row)].tolist()
            assert np.allclose(values, [-value for value, _ in row], rtol=1e-6)


def test_nobody_is_their_own_neighbour_and_loners_have_none(data):
    graph = cooccurrence_graph(data, 14)
    assert not (graph.index == torch.arange(ITEMS).unsqueeze(1)).any()
    assert torch.equal(graph.index[[6, 9]], torch.full((2, 14), -1))
    assert not (graph.index == 6).any()
    op = graph.to_operator(weighted=True, symmetrise='max')
    assert torch.isfinite(op.weight).all()
    assert torch.equal(op.to_dense()[[6, 9]], torch.zeros(2, ITEMS, dtype=torch.float64))
    assert torch.linalg.eigvalsh(op.to_dense()).abs().max() <= 1 + 1e-6


def test_held_out_edges_change_nothing(data):
    before = cooccurrence_graph(data, 5)
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[0, 0], [6, 9]])
    data['user', 'holdout_valid', 'item'].edge_index = torch.tensor([[1, 1], [6, 9]])
    after = cooccurrence_graph(data, 5)
    assert torch.equal(before.index, after.index)
    assert torch.equal(before.similarity, after.similarity)
    moved = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    more = torch.cat([edge_index, torch.tensor([[0, 0], [6, 9]])], dim=1)
    moved['user', 'interacts', 'item'].edge_index = more
    assert (cooccurrence_graph(moved, 5).index == 6).any()  # As training edges they count.


def test_follows_a_permutation_of_items(data):
    order = torch.randperm(ITEMS, generator=torch.Generator().manual_seed(1))
    moved = copy.copy(data)
    user, item = data['user', 'interacts', 'item'].edge_index
    moved['user', 'interacts', 'item'].edge_index = torch.stack([user, order[item]])
    before = cooccurrence_graph(data, 14).to_operator(weighted=True).to_dense()
    after = cooccurrence_graph(moved, 14).to_operator(weighted=True).to_dense()
    torch.testing.assert_close(after[order][:, order], before)


@pytest.mark.parametrize(
    ('wrong', 'word'),
    [
        ({'k': 15}, "'k' needs to lie between 1 and 14"),
        ({'nodes': 'word'}, "'nodes' must be"),
        ({'score': 'dice'}, "'score' must be"),
        ({'min_count': 0}, "'min_count'"),
        ({'shrinkage': -1.0}, "'shrinkage'"),
    ],
)
def test_errors_name_the_argument(data, wrong, word):
    with pytest.raises(GraphError, match=word):
        cooccurrence_graph(data, **wrong)
