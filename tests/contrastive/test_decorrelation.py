import numpy as np
import pytest
import torch

from graphrec.contrastive import decorrelation
from graphrec.errors import GraphError


def table(n, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator, dtype=torch.float64).requires_grad_()


def test_equals_numpys_correlations():
    z1, z2 = table(30), table(30, seed=1)
    c = np.corrcoef(z1.detach().numpy().T, z2.detach().numpy().T)[:4, 4:]
    off = c - np.diag(np.diag(c))
    expected = ((1 - np.diag(c)) ** 2).sum() + 0.1 * (off**2).sum()
    assert float(decorrelation(z1, z2, off_diagonal=0.1)) == pytest.approx(expected)
    assert torch.autograd.gradcheck(decorrelation, (z1, z2))


def test_zero_for_equal_views_of_uncorrelated_features():
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert float(decorrelation(z, 3 * z + 5)) == pytest.approx(0, abs=1e-6)
    assert decorrelation(z, z.flip(1)) > 1


def test_repeated_nodes_constant_columns_and_order_do_not_matter():
    z1, z2 = table(9), table(9, seed=1)
    ids = torch.tensor([3, 5, 3, 8])
    expected = decorrelation(z1[[8, 3, 5]], z2[[8, 3, 5]])
    torch.testing.assert_close(decorrelation(z1, z2, ids), expected)
    flat = z1.detach().clone()
    flat[:, 0] = 2.0
    assert bool(torch.isfinite(decorrelation(flat, z2)))


def test_errors():
    with pytest.raises(GraphError, match='two rows'):
        decorrelation(table(1), table(1))
    with pytest.raises(GraphError, match='same shape'):
        decorrelation(table(3), table(4))
    with pytest.raises(GraphError, match='off_diagonal'):
        decorrelation(table(3), table(3), off_diagonal=-1.0)
