import pytest
import torch

from graphrec.contrastive import Bipartite, LowRankAdjacency, SVDView, truncated_svd
from graphrec.errors import GraphError
from graphrec.graphs.operators import Sparse, bipartite_adjacency

USERS, ITEMS = 30, 20


@pytest.fixture
def graph():
    dense = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(4)) < 0.2
    dense[3] = False
    return Bipartite(dense.nonzero().t().contiguous(), USERS, ITEMS)


def operator(graph, rank, seed=0, iterations=4):
    return SVDView(rank, iterations).operators(graph, 2, torch.Generator().manual_seed(seed))[0]


def test_full_rank_is_the_adjacency_and_singular_values_are_at_most_one(graph):
    for rank in (ITEMS, 1000):
        op = operator(graph, rank)
        exact = bipartite_adjacency(*graph).to_dense()
        assert float((op.to_dense() - exact).abs().max()) < 1e-4
        assert op.s.numel() == ITEMS
        assert float(op.s.max()) <= 1 + 1e-6
        assert bool((op.s[1:] <= op.s[:-1]).all())


def test_low_rank_is_the_best_approximation(graph):
    block = bipartite_adjacency(*graph).to_dense()[:USERS, USERS:]
    u, s, v = torch.linalg.svd(block, full_matrices=False)
    best = u[:, :3] @ s[:3].diag() @ v[:3]
    approximation = operator(graph, 3, iterations=40).to_dense()  # A flat spectrum.
    torch.testing.assert_close(approximation[:USERS, USERS:], best, atol=1e-4, rtol=0)
    torch.testing.assert_close(approximation, approximation.t())
    assert not approximation[:USERS, :USERS].any()
    torch.testing.assert_close(
        operator(graph, 3, seed=9, iterations=40).to_dense(), approximation, atol=1e-4, rtol=0
    )


def test_factors_are_orthonormal(graph):
    edge_index = graph.edge_index
    svd = truncated_svd(
        Sparse.from_edges(edge_index, shape=(USERS, ITEMS)), 4, torch.Generator().manual_seed(0)
    )
    eye = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(svd.u.t() @ svd.u, eye, atol=1e-9, rtol=0)
    torch.testing.assert_close(svd.v.t() @ svd.v, eye, atol=1e-9, rtol=0)


def test_gradient(graph):
    op = operator(graph, 3).to(dtype=torch.float64)
    x = torch.randn(USERS + ITEMS, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: op @ x, x)
    assert isinstance(op, LowRankAdjacency)


def test_range():
    with pytest.raises(GraphError, match='rank'):
        SVDView(0)
