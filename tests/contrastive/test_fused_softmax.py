import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import blockwise_info_nce, blockwise_logsumexp
from graphrec.contrastive.fused_softmax import fold_offset, fused_softmax_fits, softmax_mean


def tables(rows, cols, dim=16, dtype=torch.float32):
    generator = torch.Generator().manual_seed(rows + cols)
    a, b = (torch.randn(n, dim, generator=generator, dtype=dtype) for n in (rows, cols))
    return [F.normalize(z, dim=1).requires_grad_() for z in (a, b)]


def test_equals_a_softmax():
    query, key = (z.detach() for z in tables(30, 50, dtype=torch.float64))
    value, offset = torch.rand(50, 16).double(), torch.rand(50).double()
    mean, total = softmax_mean(query, key, value, 2.0, offset)
    logits = 2.0 * query @ key.t() + offset
    torch.testing.assert_close(total, logits.logsumexp(1))
    torch.testing.assert_close(mean, logits.softmax(1) @ value)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_an_offset_folded_into_the_tables_is_exact(dtype):
    query, key = (z.detach().to(dtype) for z in tables(30, 50))
    offset = 40 * torch.rand(50) - 50
    wide_query, wide_key = fold_offset(query, key, 3.0, offset)
    assert wide_query.dtype == wide_key.dtype == dtype
    expected = 3.0 * query.double() @ key.double().t() + offset.double()
    found = 3.0 * wide_query.double() @ wide_key.double().t()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-6)


def test_serves_large_tables_on_the_cpu():
    assert fused_softmax_fits(*tables(600, 600))
    assert not fused_softmax_fits(*tables(20, 20))
    assert not fused_softmax_fits(*(z.to(torch.float16) for z in tables(600, 600)))


@pytest.mark.parametrize('excluding', [False, True])
@pytest.mark.parametrize('positives', [False, True])
def test_info_nce_in_bf16_is_close_to_the_sweep(excluding, positives):
    a, b = tables(700, 650, 64)
    positive = torch.arange(700) % 650 if positives else None
    options = {
        'temperature': 0.2,
        'weight': torch.linspace(-1, 2, 700),
        'exclude': torch.where(torch.arange(700) % 3 > 0, (torch.arange(700) + 1) % 650, -1)
        if excluding
        else None,
    }
    fused = blockwise_info_nce(a, b, positive, bf16=True, **options)
    swept = blockwise_info_nce(a, b, positive, block_bytes=2**18, **options)
    torch.testing.assert_close(fused, swept, atol=1e-3, rtol=1e-4)
    for ours, expected in zip(
        torch.autograd.grad(fused, (a, b)), torch.autograd.grad(swept, (a, b)), strict=True
    ):
        assert 0 < float((ours - expected).norm() / expected.norm()) < 5e-3


def test_both_views_in_bf16_are_close():
    a, b = tables(700, 700, 64)
    found = []
    for bf16 in (True, False):
        loss = blockwise_info_nce(a, b, torch.arange(700), both_views=True, bf16=bf16)
        found.append(torch.autograd.grad(loss, (a, b)))
    for ours, expected in zip(*found, strict=True):
        assert 0 < float((ours - expected).norm() / expected.norm()) < 5e-3


@pytest.mark.parametrize('heavy', ['positive', 'excluded'])
def test_a_heavy_candidate_is_left_to_the_sweep(heavy):
    a, _ = tables(600, 600)
    own, other = torch.arange(600), (torch.arange(600) + 1) % 600
    positive, exclude = (own, other) if heavy == 'positive' else (other, own)
    found = [
        blockwise_info_nce(
            a, a, positive, temperature=0.02, exclude=exclude, bf16=True, block_bytes=size
        )
        for size in (None, 16 * 2**20)
    ]
    assert torch.equal(*found)


def test_logsumexp_equals_the_sweep():
    a, b = tables(600, 700, dtype=torch.float64)
    weight = torch.linspace(0, 1, 600, dtype=torch.float64)
    found = [
        torch.autograd.grad(weight @ blockwise_logsumexp(a, b, 3.0, block_bytes=size), (a, b))
        for size in (None, 2**20)
    ]
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(blockwise_logsumexp(a, b, 3.0), (3.0 * a @ b.t()).logsumexp(1))


def test_logsumexp_in_bf16_is_close():
    a, b = tables(600, 700, 64)
    weight = torch.linspace(0, 1, 600)
    exact, low = (
        torch.autograd.grad(weight @ blockwise_logsumexp(a, b, 3.0, bf16=bf16), (a, b))
        for bf16 in (False, True)
    )
    for ours, expected in zip(low, exact, strict=True):
        assert 0 < float((ours - expected).norm() / expected.norm()) < 5e-3


def test_gradient_by_finite_differences():
    a, b = tables(520, 520, 2, torch.float64)
    positive, step = torch.arange(520), 1e-6
    for loss in (
        lambda x, y: blockwise_info_nce(x, y, positive, temperature=0.5),
        lambda x, y: blockwise_logsumexp(x, y, 2.0).sum(),
    ):
        grads = torch.autograd.grad(loss(a, b), (a, b))
        direction = [torch.rand_like(z) for z in (a, b)]
        with torch.no_grad():
            up, down = (
                loss(*(z + sign * step * d for z, d in zip((a, b), direction, strict=True)))
                for sign in (1, -1)
            )
        slope = sum((g * d).sum() for g, d in zip(grads, direction, strict=True))
        torch.testing.assert_close((up - down) / (2 * step), slope, rtol=1e-6, atol=1e-8)
