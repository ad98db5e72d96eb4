import pytest
import torch
from torch_geometric.data import HeteroData

from graphrec.contrastive import Bipartite, RandomWalk
from graphrec.errors import GraphError

EDGES = torch.cartesian_prod(torch.arange(6), torch.arange(5)).t().contiguous()


def test_layers_draw_independently():
    graph = Bipartite(EDGES, 6, 5)
    drawn = RandomWalk(0.5).edges(graph, 3, torch.Generator().manual_seed(0))
    assert [edges.size(1) for edges in drawn] == [15, 15, 15]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


def test_a_graph_becomes_one_a_layer():
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = 6, 5
    data['user', 'interacts', 'item'].edge_index = EDGES
    rev = ('item', 'rev_interacts', 'user')
    data[rev].edge_index = EDGES.flip(0)
    generator = torch.Generator().manual_seed(0)
    layers = RandomWalk(0.5, 2, rev_edge_type=rev, generator=generator)(data)
    first, second = (layer['user', 'interacts', 'item'].edge_index for layer in layers)
    assert first.size(1) == second.size(1) == 15
    assert not torch.equal(first, second)
    assert torch.equal(layers[1][rev].edge_index, second.flip(0))


def test_needs_a_layer():
    with pytest.raises(GraphError, match='num_layers'):
        RandomWalk(0.1, 0)
