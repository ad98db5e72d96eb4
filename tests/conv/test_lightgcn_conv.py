import torch
from torch_geometric.nn import LGConv

from graphrec.conv import LightGCNConv
from graphrec.graphs.operators import bipartite_adjacency


def test_lightgcn_conv_equals_operator_and_pyg():
    edges = torch.tensor([[0, 0, 2], [0, 1, 0]])  # User 1 and item 2 have no edge.
    both = torch.cat([edges + torch.tensor([[0], [3]])] * 2, 1)
    both[:, 3:] = both[:, 3:].flip(0)
    x = torch.randn(6, 4)
    conv = LightGCNConv()
    out = conv(x, both)
    torch.testing.assert_close(out, conv(x, bipartite_adjacency(edges, 3, 3)))
    torch.testing.assert_close(out, LGConv()(x, both))
    assert torch.equal(out[[1, 5]], torch.zeros(2, 4))


def test_lightgcn_conv_without_normalisation():
    edge_index = torch.tensor([[0, 1, 2], [2, 2, 0]])
    x = torch.tensor([[1.0], [2.0], [4.0]])
    conv = LightGCNConv(normalize=False)
    assert conv(x, edge_index).tolist() == [[4.0], [0.0], [3.0]]
    weight = torch.tensor([1.0, 10.0, 0.5])
    assert conv(x, edge_index, weight).tolist() == [[2.0], [0.0], [21.0]]
    assert str(conv) == 'LightGCNConv(normalize=False)'
