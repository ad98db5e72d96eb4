import copy

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn import HypergraphConv

from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import (
    co_preference,
    hypergraph_operator,
    item_hypergraph,
    learned_hyperedges,
    neighbour_incidence,
    pass_through_hyperedges,
    user_hypergraph,
)
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.neighbours import NeighbourGraph
from graphrec.graphs.sparse import Sparse

USERS, ITEMS = 13, 11


def interactions(seed):
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(seed)) < 0.3
    dense[4] = dense[:, 7] = dense[:, 8] = dense[12] = False  # A user without items, two
    dense[12, 8] = True  # items of nobody, and one of a user who has nothing else.
    return dense


def graph(dense):
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = dense.shape
    data['user', 'interacts', 'item'].edge_index = dense.nonzero().t().contiguous()
    return data


def dense_co_preference(dense):
    gram = dense.double() @ dense.double().t()
    gram.fill_diagonal_(0)
    total = gram.sum(1, keepdim=True)
    return torch.where(total > 0, gram / total, 0.0)


def features(seed, d=3):
    x = torch.randn(ITEMS, d, generator=torch.Generator().manual_seed(seed))
    x[2] = 0
    x[9] = x[1]
    return x


def dense_incidence(graphs):
    parts = []
    for one in graphs:
        k = torch.zeros(ITEMS, ITEMS, dtype=torch.float64)
        for i in range(ITEMS):
            for j, value in zip(one.index[i].tolist(), one.similarity[i].tolist(), strict=True):
                if j >= 0 and value > 0:
                    k[i, j] = 1
        parts.append(k)
    return torch.cat(parts, dim=1)


def dense_shared(incidence):
    gram = incidence @ incidence.t()
    scale = gram.sum(1).rsqrt()
    scale[torch.isinf(scale)] = 0
    return scale[:, None] * gram * scale[None]


def equal(op, expected):
    """Value, transpose and gradients against a dense matrix."""
    torch.testing.assert_close(op.to_dense(), expected, atol=1e-6, rtol=0)
    x = torch.randn(expected.shape[1], 3, requires_grad=True)
    y = torch.randn(expected.shape[0], 3)
    (grad,) = torch.autograd.grad((op @ x * y).sum(), x)
    torch.testing.assert_close(grad, expected.t().float() @ y, atol=1e-5, rtol=0)
    x = x.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: op @ t, x)


@pytest.mark.parametrize('seed', range(4))
def test_user_hypergraph_equals_dense(seed):
    dense = interactions(seed)
    op = user_hypergraph(graph(dense))
    equal(op, dense_co_preference(dense))


def test_rows_of_co_preference_sum_to_one_or_zero():
    op = user_hypergraph(graph(interactions(0)))
    sums = op @ torch.ones(USERS, 1, dtype=torch.float64)
    assert bool(((sums - 1).abs() < 1e-6).logical_or(sums.abs() < 1e-6).all())
    assert torch.equal(sums[[4, 12]], torch.zeros(2, 1, dtype=torch.float64))
    assert op.to_dense().diagonal().abs().max() < 1e-7


def test_a_popular_item_counts_with_the_square_of_its_degree():
    # User 0 shares item 0 with three others and item 1 with one.
    dense = torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0], [0, 1]], dtype=torch.bool)
    matrix = user_hypergraph(graph(dense)).to_dense()
    torch.testing.assert_close(
        matrix[0], torch.tensor([0, 0.25, 0.25, 0.25, 0.25], dtype=torch.float64)
    )


def test_co_preference_with_weights():
    dense = interactions(1).double() * torch.rand(USERS, ITEMS, dtype=torch.float64)
    gram = dense @ dense.t()
    gram.fill_diagonal_(0)
    total = gram.sum(1, keepdim=True)
    index = dense.nonzero().t()
    op = co_preference(Sparse.from_edges(index, dense[tuple(index)], shape=(USERS, ITEMS)))
    equal(op, torch.where(total > 0, gram / total, 0.0))


@pytest.mark.parametrize('modalities', [1, 2, 3])
def test_item_hypergraph_equals_dense(modalities):
    graphs = [nearest_neighbours(features(m, 3 + m), 4) for m in range(modalities)]
    op = item_hypergraph(graphs)
    expected = dense_shared(dense_incidence(graphs))
    equal(op, expected)
    matrix = op.to_dense()
    torch.testing.assert_close(matrix, matrix.t(), atol=1e-7, rtol=0)
    assert bool((matrix >= 0).all())
    assert abs(float(torch.linalg.eigvalsh(matrix).max()) - 1) < 1e-6


def test_an_item_alone_is_its_own_neighbour_and_no_more():
    for self_loops, own in ((True, 1.0), (False, 0.0)):
        op = item_hypergraph([nearest_neighbours(features(0), 3, self_loops=self_loops)])
        row = op.to_dense()[2]
        torch.testing.assert_close(row[2], torch.tensor(own, dtype=torch.float64))
        assert row.sum() == row[2]


def test_hyperedge_j_joins_the_items_that_chose_j():
    index = torch.tensor([[0, 3], [1, 3], [2, 3], [3, 0]])
    first = NeighbourGraph(index, torch.ones(4, 2))
    second = NeighbourGraph(index[:, :1], torch.ones(4, 1))
    incidence = neighbour_incidence([first, second])
    assert incidence.shape == (4, 8)
    matrix = incidence.to_dense()
    assert matrix[:, 3].tolist() == [1, 1, 1, 1]
    assert matrix[:, 0].tolist() == [1, 0, 0, 1]
    assert matrix[:, 4:].tolist() == torch.eye(4).tolist()
    assert matrix.sum(1).tolist() == [3, 3, 3, 3]


def test_neighbours_that_are_not_alike_are_left_out():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    graph = nearest_neighbours(x, 3)
    assert neighbour_incidence([graph]).nnz == 5
    assert neighbour_incidence([graph], positive=False).nnz == 9


def test_graphs_of_different_items_are_refused():
    one, other = nearest_neighbours(torch.eye(3), 2), nearest_neighbours(torch.eye(4), 2)
    with pytest.raises(GraphError, match=r'2 graphs of \[3, 4\] nodes'):
        item_hypergraph([one, other])
    with pytest.raises(GraphError, match='0 graphs'):
        item_hypergraph([])


def test_held_out_edges_change_nothing():
    data = graph(interactions(0))
    before = user_hypergraph(data).to_dense()
    data['user', 'holdout_test', 'item'].edge_index = torch.tensor([[4, 4], [0, 7]])
    assert torch.equal(user_hypergraph(data).to_dense(), before)
    assert torch.equal(before[4], torch.zeros(USERS, dtype=torch.float64))


def test_follow_a_permutation():
    dense = interactions(0)
    generator = torch.Generator().manual_seed(3)
    users, items = torch.randperm(USERS, generator=generator), torch.randperm(ITEMS)
    moved = user_hypergraph(graph(dense[users][:, items])).to_dense()
    before = user_hypergraph(graph(dense)).to_dense()
    torch.testing.assert_close(moved, before[users][:, users], atol=1e-7, rtol=0)
    x = torch.randn(ITEMS, 3, generator=generator)
    before = item_hypergraph([nearest_neighbours(x, 4)]).to_dense()
    moved = item_hypergraph([nearest_neighbours(x[items], 4)]).to_dense()
    torch.testing.assert_close(moved, before[items][:, items], atol=1e-7, rtol=0)


def test_no_product_of_nodes_by_nodes_is_formed():
    # Each of 2,000 users has the one item: their product would have 4 million entries.
    dense = torch.ones(2000, 1, dtype=torch.bool)
    op = user_hypergraph(graph(dense))
    parts = [op]
    entries = 0
    while parts:
        part = parts.pop()
        parts += getattr(part, 'factors', []) + getattr(part, 'terms', [])
        entries += getattr(part, 'nnz', 0)
    assert 0 < entries <= 4000
    x = torch.arange(2000.0).unsqueeze(1)
    torch.testing.assert_close(op @ x, (x.sum() - x) / 1999)


@pytest.mark.parametrize('normalisation', ['row', 'symmetric'])
def test_hypergraph_operator_equals_dense(normalisation):
    dense = interactions(2).double()
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(ITEMS, generator=generator, dtype=torch.float64)
    index = dense.nonzero().t()
    incidence = Sparse.from_edges(index, shape=(USERS, ITEMS))
    node, edge = dense @ weight, dense.sum(0)
    node = torch.where(node > 0, 1 / node, 0.0)
    edge = torch.where(edge > 0, 1 / edge, 0.0)
    middle = dense @ torch.diag(weight * edge) @ dense.t()
    if normalisation == 'row':
        expected = torch.diag(node) @ middle
    else:
        expected = torch.diag(node.sqrt()) @ middle @ torch.diag(node.sqrt())
    op = hypergraph_operator(incidence, weight, normalisation)
    equal(op, expected)
    equal(op.T, expected.t())


def test_equals_the_convolution_of_pyg():
    dense = interactions(2)
    index = dense.nonzero().t()
    conv = HypergraphConv(4, 4, bias=False)
    with torch.no_grad():
        conv.lin.weight.copy_(torch.eye(4))
    x = torch.randn(USERS, 4)
    out = hypergraph_operator(Sparse.from_edges(index, shape=(USERS, ITEMS))) @ x
    torch.testing.assert_close(out, conv(x, index, num_edges=ITEMS))


def test_weights_that_do_not_fit_are_refused():
    incidence = Sparse.from_edges(torch.tensor([[0], [0]]), shape=(2, 3))
    with pytest.raises(GraphError, match=r"'weight' has shape \[2\], expected \[3\]"):
        hypergraph_operator(incidence, torch.ones(2))
    with pytest.raises(GraphError, match='without negative'):
        hypergraph_operator(incidence, -torch.ones(3))
    with pytest.raises(GraphError, match="'normalisation'"):
        hypergraph_operator(incidence, normalisation='none')


def test_learned_hyperedges():
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(9, 4, generator=generator), torch.randn(4, 3, generator=generator)
    member = learned_hyperedges(x, weight)
    torch.testing.assert_close(member, x @ weight)
    out = pass_through_hyperedges(member, x)
    torch.testing.assert_close(out, (member @ member.t()) @ x, atol=1e-4, rtol=1e-4)
    leaky = torch.nn.LeakyReLU(0.5)
    expected = leaky(member @ leaky(member.t() @ x))
    torch.testing.assert_close(pass_through_hyperedges(member, x, 0.5), expected)
    args = [t.double().requires_grad_() for t in (x, weight)]
    assert torch.autograd.gradcheck(
        lambda a, b: pass_through_hyperedges(learned_hyperedges(a, b), a), args
    )


def test_memberships_are_dropped_by_the_generator():
    x, weight = torch.ones(200, 2), torch.ones(2, 50)
    draws = [
        learned_hyperedges(x, weight, 0.75, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    torch.testing.assert_close(draws[0].unique(), torch.tensor([0.0, 2 / 0.75]))
    assert abs(float((draws[0] > 0).float().mean()) - 0.75) < 4 * (0.75 * 0.25 / 10_000) ** 0.5
    with pytest.raises(GraphError, match="'keep'"):
        learned_hyperedges(x, weight, 0.0)


def test_edits_reach_everything():
    data = graph(interactions(0))
    edited = copy.copy(data)
    edge_index = data['user', 'interacts', 'item'].edge_index
    edited['user', 'interacts', 'item'].edge_index = edge_index[:, edge_index[0] != 1]
    matrix = user_hypergraph(edited).to_dense()
    assert torch.equal(matrix[1], torch.zeros(USERS, dtype=torch.float64))
    assert torch.equal(matrix[:, 1], torch.zeros(USERS, dtype=torch.float64))
    assert user_hypergraph(data).to_dense()[1].sum() > 0
