import pytest
import torch
from torch_geometric.nn import HypergraphConv

from graphrec.conv import LightHypergraphConv
from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import hypergraph_operator
from graphrec.graphs.sparse import Sparse

# Node 3 has no hyperedge, hyperedge 1 no node.
INDEX = torch.tensor([[0, 1, 1, 2, 4, 4, 0], [0, 0, 2, 2, 2, 3, 3]])


@pytest.mark.parametrize('normalisation', ['row', 'symmetric'])
@pytest.mark.parametrize('weight', [None, torch.tensor([1.0, 0.5, 2.0, 0.25])])
def test_edges_and_operator_agree(normalisation, weight):
    x = torch.randn(5, 3)
    conv = LightHypergraphConv(normalisation)
    out = conv(x, INDEX, weight)
    incidence = Sparse.from_edges(INDEX, shape=(5, 4))
    op = hypergraph_operator(incidence, weight, normalisation)
    torch.testing.assert_close(out, conv(x, op))
    assert torch.equal(out[3], torch.zeros(3))


def test_by_hand():
    x = torch.tensor([[1.0], [3.0], [10.0]])
    index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 1]])  # Means 2 and 6.5 of the hyperedges.
    conv = LightHypergraphConv()
    assert conv(x, index).flatten().tolist() == [2.0, 4.25, 6.5]
    weight = torch.tensor([3.0, 1.0])
    assert conv(x, index, weight).flatten().tolist() == [2.0, 3.125, 6.5]


def test_equals_pyg_for_equal_weights():
    peer = HypergraphConv(3, 3, bias=False)
    with torch.no_grad():
        peer.lin.weight.copy_(torch.eye(3))
    x = torch.randn(5, 3)
    torch.testing.assert_close(LightHypergraphConv()(x, INDEX), peer(x, INDEX))


def test_gradient_and_no_edges():
    conv = LightHypergraphConv('symmetric')
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: conv(t, INDEX), x)
    none = torch.zeros(2, 0, dtype=torch.long)
    assert torch.equal(conv(x, none), torch.zeros(5, 2, dtype=torch.float64))


def test_words():
    assert str(LightHypergraphConv()) == "LightHypergraphConv(normalisation='row')"
    with pytest.raises(GraphError, match="'normalisation' must be one of"):
        LightHypergraphConv('gcn')
