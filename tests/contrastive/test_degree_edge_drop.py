import itertools

import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import Bipartite, DegreeEdgeDrop, drop_edges_by_degree
from graphrec.graphs.operators import bipartite_adjacency


def star():
    """Item 0 has users 0 to 3, item 1 has user 3, item 2 has user 4."""
    return torch.tensor([[0, 1, 2, 3, 3, 4], [0, 0, 0, 0, 1, 2]])


def test_keeps_the_share_once_each_and_in_order():
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        kept = drop_edges_by_degree(star(), 0.3, (5, 3), generator)
        assert kept.size(1) == 4  # floor(4.2).
        key = kept[0] * 3 + kept[1]
        assert bool((key[1:] > key[:-1]).all())


def test_edges_stay_as_often_as_a_draw_without_replacement_says():
    edges, draws = star(), 4_000
    weight = (torch.tensor([4.0, 4, 4, 8, 2, 1])).rsqrt()  # d_u d_i of each edge.
    expected = torch.zeros(6)
    for first, second in itertools.permutations(range(6), 2):
        chance = weight[first] / weight.sum() * weight[second] / (weight.sum() - weight[first])
        expected[[first, second]] += chance
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(6)
    key = edges[0] * 3 + edges[1]
    for _ in range(draws):
        kept = drop_edges_by_degree(edges, 0.6, (5, 3), generator)
        counts[torch.isin(key, kept[0] * 3 + kept[1])] += 1
    sigma = (draws * expected * (1 - expected)).sqrt()
    assert bool(((counts - draws * expected).abs() < 4.5 * sigma).all())
    assert counts[5] > counts[4] > counts[0] > counts[3]


def test_degrees_are_those_of_the_view():
    (op,) = DegreeEdgeDrop(0.5).operators(Bipartite(star(), 5, 3), 2, torch.Generator())
    kept = drop_edges_by_degree(star(), 0.5, (5, 3), torch.Generator())
    torch.testing.assert_close(op.to_dense(), bipartite_adjacency(kept, 5, 3).to_dense())


def test_transform_takes_both_directions():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 5, 3
    data['user', 'interacts', 'item'].edge_index = star()
    rev = ('item', 'rev_interacts', 'user')
    data[rev].edge_index = star().flip(0)
    thin = DegreeEdgeDrop(0.5, rev_edge_type=rev)(data)
    kept = thin['user', 'interacts', 'item'].edge_index
    assert kept.size(1) == 3
    assert torch.equal(thin[rev].edge_index, kept.flip(0))
