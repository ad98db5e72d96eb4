import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import NodeDrop, drop_nodes


def full_edges(users, items):
    return torch.cartesian_prod(torch.arange(users), torch.arange(items)).t().contiguous()


def test_drops_the_share_of_both_sides_with_their_edges():
    edge_index = full_edges(10, 8)
    kept = drop_nodes(edge_index, 0.3, (10, 8), torch.Generator().manual_seed(0))
    users, items = kept[0].unique(), kept[1].unique()
    assert (users.numel(), items.numel()) == (7, 5)  # floor(7), floor(5.6).
    expected = torch.cartesian_prod(users, items).t()
    assert torch.equal(kept, expected)  # All edges between nodes that stay, in order.


def test_transform_keeps_nodes_and_both_directions():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 10, 8
    data['user', 'interacts', 'item'].edge_index = full_edges(10, 8)
    data['item', 'rev_interacts', 'user'].edge_index = full_edges(10, 8).flip(0)
    rev = ('item', 'rev_interacts', 'user')
    generator = torch.Generator().manual_seed(0)
    thin = NodeDrop(0.3, rev_edge_type=rev, generator=generator)(data)
    kept = thin['user', 'interacts', 'item'].edge_index
    assert kept.size(1) == 35
    assert torch.equal(thin[rev].edge_index, kept.flip(0))
    assert (thin['user'].num_nodes, thin['item'].num_nodes) == (10, 8)
    assert data['user', 'interacts', 'item'].edge_index.size(1) == 80


def test_every_node_is_kept_equally_often():
    edge_index = full_edges(8, 1)
    counts = torch.zeros(8)
    for seed in range(800):
        kept = drop_nodes(edge_index, 0.25, (8, 1), torch.Generator().manual_seed(seed))
        counts[kept[0]] += 1
    assert not counts.any()  # floor(0.75) of one item is none: it takes every edge along.
    edge_index = full_edges(8, 4)
    for seed in range(800):
        kept = drop_nodes(edge_index, 0.25, (8, 4), torch.Generator().manual_seed(seed))
        counts[kept[0].unique()] += 1
    assert bool(((counts - 600).abs() < 4.5 * (800 * 0.25 * 0.75) ** 0.5).all())
