import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import EdgeDrop, drop_edges
from graphrec.errors import GraphError
from graphrec.graphs.operators import normalized_adjacency


def graph():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 10, 8
    edge_index = torch.cartesian_prod(torch.arange(10), torch.arange(8)).t().contiguous()
    data['user', 'interacts', 'item'].edge_index = edge_index
    data['item', 'rev_interacts', 'user'].edge_index = edge_index.flip(0)
    return data


def view(data, p, seed=0):
    rev = ('item', 'rev_interacts', 'user')
    generator = torch.Generator().manual_seed(seed)
    return EdgeDrop(p, rev_edge_type=rev, generator=generator)(data)


def test_keeps_the_share_and_both_directions():
    data = graph()
    thin = view(data, 0.3)
    kept = thin['user', 'interacts', 'item'].edge_index
    assert kept.size(1) == 56
    assert torch.equal(thin['item', 'rev_interacts', 'user'].edge_index, kept.flip(0))
    assert data['user', 'interacts', 'item'].edge_index.size(1) == 80


def test_strength_zero_is_the_input_and_seeds_repeat():
    data = graph()
    edge_type = ('user', 'interacts', 'item')
    assert torch.equal(view(data, 0.0)[edge_type].edge_index, data[edge_type].edge_index)
    assert torch.equal(view(data, 0.5)[edge_type].edge_index, view(data, 0.5)[edge_type].edge_index)
    again = view(data, 0.5, seed=1)[edge_type].edge_index
    assert not torch.equal(view(data, 0.5)[edge_type].edge_index, again)


def test_degrees_are_those_of_the_view():
    thin = view(graph(), 0.4)
    edge_index = thin['user', 'interacts', 'item'].edge_index
    degree = torch.cat([edge_index[0].bincount(minlength=10), edge_index[1].bincount(minlength=8)])
    root = degree.double().sqrt()
    torch.testing.assert_close(normalized_adjacency(thin) @ root, root, atol=1e-6, rtol=0)


def test_every_edge_is_kept_equally_often():
    edge_index = torch.arange(40).repeat(2, 1)
    counts = torch.zeros(40)
    for seed in range(1000):
        counts[drop_edges(edge_index, 0.25, torch.Generator().manual_seed(seed))[0]] += 1
    assert bool(((counts - 750).abs() < 4.5 * (1000 * 0.25 * 0.75) ** 0.5).all())


def test_range():
    with pytest.raises(GraphError, match=r"'p' needs to lie in \[0, 1\) \(got 1\)"):
        EdgeDrop(1)


@pytest.mark.parametrize(('size', 'p', 'kept'), [(81, 0.3, 56), (100, 0.43, 57), (10, 0.1, 9)])
def test_the_share_is_rounded_down_as_exact_arithmetic_does(size, p, kept):
    edges = drop_edges(torch.arange(size).repeat(2, 1), p, torch.Generator())
    assert edges.size(1) == kept
