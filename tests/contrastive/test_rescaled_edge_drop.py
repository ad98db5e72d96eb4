import torch

from graphrec.contrastive import RescaledEdgeDrop
from graphrec.graphs.operators import bipartite_adjacency


def adjacency():
    dense = torch.rand(8, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    return bipartite_adjacency(dense.nonzero().t().contiguous(), 8, 6)


def test_kept_entries_are_rescaled_and_symmetric():
    op = adjacency()
    thin = RescaledEdgeDrop(op, 8)(0.4, torch.Generator().manual_seed(1)).to_dense()
    full = op.to_dense()
    assert torch.equal(thin, thin.t())
    kept = thin != 0
    assert 0 < int(kept.sum()) < op.nnz
    torch.testing.assert_close(thin[kept], full[kept] / 0.6)
    # Not the view with degrees counted anew: there, A sqrt(d) = sqrt(d).
    root = kept.sum(1).double().sqrt()
    assert not torch.allclose(thin @ root, root, atol=1e-2)


def test_expectation_is_the_adjacency():
    op, drop = adjacency(), RescaledEdgeDrop(adjacency(), 8)
    generator = torch.Generator().manual_seed(0)
    mean = sum(drop(0.25, generator).to_dense() for _ in range(2000)) / 2000
    assert float((mean - op.to_dense()).abs().max()) < 0.03
    assert torch.equal(drop(0.0, generator).to_dense(), op.to_dense())
