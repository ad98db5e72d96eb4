import pytest
import torch

from graphrec.contrastive import blockwise_logsumexp
from graphrec.errors import GraphError


def tables(rows, cols, dim=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows * cols)
    a = torch.randn(rows, dim, generator=generator, dtype=dtype)
    return a.requires_grad_(), torch.randn(
        cols, dim, generator=generator, dtype=dtype
    ).requires_grad_()


def dense(a, b, scale, exclude=None):
    logits = scale * a @ b.t()
    if exclude is not None:
        row = (exclude >= 0).nonzero().squeeze(1)
        mask = torch.zeros_like(logits, dtype=torch.bool)
        mask[row, exclude[row]] = True
        logits = logits.masked_fill(mask, -torch.inf)
    return logits.logsumexp(1)


@pytest.mark.parametrize('scale', [0.7, 400.0])  # The second needs the maximum subtracted.
@pytest.mark.parametrize('excluding', [False, True])
def test_equals_dense_in_value_and_gradient(scale, excluding):
    a, b = tables(70, 41)
    exclude = (torch.arange(70) % 43) - 2 if excluding else None  # With -1: none; -2 too.
    weight = torch.linspace(-1, 1, 70, dtype=torch.float64)
    found = []
    for function, options in ((dense, {}), (blockwise_logsumexp, {'block_bytes': 20 * 41 * 8})):
        out = function(a, b, scale, exclude, **options)
        found.append((out, *torch.autograd.grad(weight @ out, (a, b))))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-9, rtol=1e-9)


def test_gradcheck():
    a, b = tables(6, 4, 3)
    exclude = torch.tensor([0, 3, -1, 2, 1, 0])
    assert torch.autograd.gradcheck(lambda a, b: blockwise_logsumexp(a, b, 2.0, exclude), (a, b))
    assert torch.autograd.gradcheck(lambda a: blockwise_logsumexp(a, a, 2.0), a)


def test_nothing_left_is_minus_infinity_and_large_numbers_are_finite():
    one = torch.ones(1, 2)
    assert blockwise_logsumexp(one, one, 1.0, torch.zeros(1, dtype=torch.long)) == -torch.inf
    assert blockwise_logsumexp(one, one, 1e4) == 2e4
    assert blockwise_logsumexp(-one, one, 1e4) == -2e4


def test_errors():
    a, b = tables(3, 4)
    with pytest.raises(GraphError, match='shapes'):
        blockwise_logsumexp(a, b[:0])
    with pytest.raises(GraphError, match="'exclude'"):
        blockwise_logsumexp(a, b, 1.0, torch.zeros(2, dtype=torch.long))
