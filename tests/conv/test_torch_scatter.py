import pytest
import torch

from graphrec.conv import LightGCNConv
from graphrec.graphs.operators import bipartite_adjacency

torch_scatter = pytest.importorskip('torch_scatter', reason='optional: make scatter')


@pytest.fixture
def adjacency():
    generator = torch.Generator().manual_seed(0)
    edges = (torch.rand(30, 20, generator=generator) < 0.2).nonzero().t()
    return bipartite_adjacency(edges, 30, 20)


def test_operator_equals_segment_csr(adjacency):
    x = torch.randn(50, 8)
    message = x[adjacency.col.long()] * adjacency.weight[:, None]
    expected = torch_scatter.segment_csr(message, adjacency.rowptr.long(), reduce='sum')
    torch.testing.assert_close(adjacency @ x, expected)


def test_layer_on_plain_edges_equals_scatter(adjacency):
    x = torch.randn(50, 8, requires_grad=True)
    edge_index = torch.stack([adjacency.col.long(), adjacency.row])
    out = LightGCNConv()(x, edge_index)
    message = x[edge_index[0]] * adjacency.weight[:, None]
    expected = torch_scatter.scatter(message, edge_index[1], dim=0, dim_size=50, reduce='sum')
    torch.testing.assert_close(out, expected)
    grads = [torch.autograd.grad(t.square().sum(), x)[0] for t in (out, expected)]
    torch.testing.assert_close(*grads)
