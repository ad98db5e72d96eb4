import pytest
import torch

from graphrec.contrastive.symmetric_exp import SymmetricExp


@pytest.mark.parametrize('size', [1, 16, 50])
def test_sums_and_product_are_those_of_the_matrix(size):
    generator = torch.Generator().manual_seed(size)
    a = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    factor = torch.rand(size, generator=generator, dtype=torch.float64)
    whole = torch.exp(2 * a @ a.t()).fill_diagonal_(0)
    ours = SymmetricExp(2 * a, a, block_bytes=16 * size * 8)  # Blocks of 16 rows.
    torch.testing.assert_close(ours.row_sums(), whole.sum(1))
    wanted = factor.diag() @ whole @ a + whole @ factor.diag() @ a
    torch.testing.assert_close(ours.product(factor), wanted)
    assert torch.equal(ours.row_sums(), ours.row_sums())
