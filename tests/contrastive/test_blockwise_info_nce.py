import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import blockwise_info_nce
from graphrec.errors import GraphError


def tables(rows, cols, dim=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(rows + cols)
    a, b = (torch.randn(n, dim, generator=generator, dtype=dtype) for n in (rows, cols))
    return [F.normalize(z, dim=1).requires_grad_() for z in (a, b)]


def dense(a, b, positive, temperature, weight=None, exclude=None):
    logits = a @ b.t() / temperature
    if exclude is not None:
        logits = logits.scatter(1, exclude.unsqueeze(1), -torch.inf)
    terms = logits.logsumexp(1)
    if positive is not None:
        terms = terms - logits.gather(1, positive.unsqueeze(1)).squeeze(1)
    return terms.mean() if weight is None else weight @ terms


def both(a, b, *args, **options):
    expected = dense(a, b, *args, **options)
    ours = blockwise_info_nce(
        a, b, args[0], temperature=args[1], block_bytes=17 * b.size(0) * 4, **options
    )
    yield ours, expected
    yield from zip(
        torch.autograd.grad(ours, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True
    )


@pytest.mark.parametrize(
    ('temperature', 'dtype'),
    [(0.2, torch.float32), (0.2, torch.float64), (0.01, torch.float64)],  # The last: a maximum.
)
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('excluding', [False, True])
def test_equals_dense_in_value_and_gradient(temperature, dtype, weighted, excluding):
    a, b = tables(90, 70, dtype=dtype)
    positive = torch.arange(90) % 70
    exclude = (positive + 1) % 70 if excluding else None
    weight = torch.linspace(0, 2, 90, dtype=dtype) if weighted else None
    value, *grads = both(a, b, positive, temperature, weight=weight, exclude=exclude)
    torch.testing.assert_close(*value, atol=1e-6, rtol=1e-6)
    for ours, expected in grads:
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_without_positives():
    a, b = tables(40, 30)
    for ours, expected in both(a, b, None, 0.2):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    for ours, expected in both(a, b, None, 0.005):
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ('temperature', 'dtype'),
    [(0.2, torch.float32), (0.2, torch.float64), (0.01, torch.float64)],  # The last: a maximum.
)
@pytest.mark.parametrize('block_bytes', [17 * 90 * 4, None])
def test_both_views_equal_the_dense_form_of_the_joined_table(temperature, dtype, block_bytes):
    a, b = tables(90, 70, dtype=dtype)
    positive = torch.arange(90) % 70
    weight = torch.linspace(0, 2, 90, dtype=dtype)
    exclude = torch.arange(70, 160)
    expected = dense(a, torch.cat([b, a]), positive, temperature, weight, exclude)
    options = {'temperature': temperature, 'weight': weight, 'block_bytes': block_bytes}
    ours = blockwise_info_nce(a, b, positive, both_views=True, **options)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        assert torch.equal(blockwise_info_nce(a, b, positive, both_views=True, **options), ours)
    pairs = zip(
        torch.autograd.grad(ours, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True
    )
    for grad, wanted in pairs:
        torch.testing.assert_close(grad, wanted, atol=1e-5, rtol=1e-5)


def test_gradcheck():
    a, b = tables(6, 4, 3, torch.float64)
    positive, weight = torch.tensor([0, 3, 1, 2, 1, 0]), torch.rand(6).double()
    exclude = torch.tensor([1, -1, 3, 0, 0, 2])

    def loss(a, b):
        return blockwise_info_nce(a, b, positive, temperature=0.5, weight=weight, exclude=exclude)

    assert torch.autograd.gradcheck(loss, (a, b))
    assert torch.autograd.gradcheck(lambda a: loss(a, a[:4]), a)
    for wanted in (positive, None):

        def joined(a, b, wanted=wanted):
            return blockwise_info_nce(a, b, wanted, weight=weight, both_views=True)

        assert torch.autograd.gradcheck(joined, (a, b))
    assert torch.autograd.gradcheck(lambda a: loss(a, b.detach()), a)
    assert torch.autograd.gradcheck(lambda b: loss(a.detach(), b), b)


def test_scales_with_the_gradient_that_comes_in_and_serves_twice():
    a, b = tables(6, 6)
    loss = blockwise_info_nce(a, b, torch.arange(6))
    (once,) = torch.autograd.grad(loss, a, retain_graph=True)
    (thrice,) = torch.autograd.grad(3 * loss, a)
    torch.testing.assert_close(thrice, 3 * once)


def test_without_gradient_the_value_is_the_same():
    a, b = tables(50, 40)
    positive = torch.arange(50) % 40
    loss = blockwise_info_nce(a, b, positive)
    with torch.no_grad():
        assert torch.equal(blockwise_info_nce(a, b, positive), loss)
    assert not blockwise_info_nce(a.detach(), b.detach(), positive).requires_grad


def test_never_negative_and_zero_for_one_candidate():
    a, b = tables(64, 64)
    assert blockwise_info_nce(b, b, torch.arange(64), temperature=0.01) >= 0
    assert blockwise_info_nce(a[:1], b[:1], torch.tensor([0])) == 0


def test_a_positive_far_below_the_others_stays_exact():
    a = torch.tensor([[1.0, 0.0]], requires_grad=True)
    b = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    loss = blockwise_info_nce(a, b, torch.tensor([0]), temperature=0.001)
    assert float(loss.detach()) == pytest.approx(2000)
    (grad,) = torch.autograd.grad(loss, a)
    torch.testing.assert_close(grad, torch.tensor([[2000.0, 0.0]]))


@pytest.mark.parametrize('temperature', [0.2, 0.05])
def test_bf16_is_close(temperature):
    a, _ = tables(512, 1, 64)
    noise = torch.randn(512, 64, generator=torch.Generator().manual_seed(5))
    b = F.normalize(a.detach() + 0.05 * noise, dim=1).requires_grad_()
    positive = torch.arange(512)
    found = []
    for bf16 in (False, True):
        loss = blockwise_info_nce(a, b, positive, temperature=temperature, bf16=bf16)
        found.append((loss, *torch.autograd.grad(loss, (a, b))))
    exact, low = found
    assert float(((low[0] - exact[0]).abs() / exact[0]).detach()) < 5e-3
    for ours, expected in zip(low[1:], exact[1:], strict=True):
        error = float((ours - expected).norm() / expected.norm())
        # Zero where the processor has no such products.
        assert error < 0.01


def test_memory_is_a_block_and_not_the_matrix(monkeypatch):
    largest = 0
    plain = torch.mm

    def watched(*args, **options):
        nonlocal largest
        product = plain(*args, **options)
        largest = max(largest, product.numel())
        return product

    monkeypatch.setattr(torch, 'mm', watched)
    a, b = tables(2000, 3000)
    loss = blockwise_info_nce(a, b, torch.arange(2000), block_bytes=2**19)
    loss.backward()
    assert 0 < largest <= 2**19 // 4


def test_errors():
    a, b = tables(3, 4)
    positive = torch.arange(3)
    with pytest.raises(GraphError, match=r"'temperature' needs to be above 0 \(got 0\)"):
        blockwise_info_nce(a, b, positive, temperature=0)
    with pytest.raises(GraphError, match="'positive'"):
        blockwise_info_nce(a, b, positive[:2])
    with pytest.raises(GraphError, match='shapes'):
        blockwise_info_nce(a, b[:, :2], positive)
    with pytest.raises(GraphError, match="either 'exclude' or 'both_views'"):
        blockwise_info_nce(a, b, positive, exclude=positive, both_views=True)
