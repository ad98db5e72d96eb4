"""InfoNCE against any number of candidates, without the matrix of their similarities."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphrec.contrastive.blockwise_logsumexp import ExpBlocks, check_tables, logits_are_safe
from graphrec.contrastive.fused_softmax import fused_softmax_fits, softmax_mean
from graphrec.contrastive.symmetric_exp import SymmetricExp
from graphrec.errors import GraphError

# Above it, exp is a normal float32 number with room to spare.
_LOG_TINY = -60.0
# A candidate of more weight than a half is left to the sweep, which keeps it out of every
# difference.
_LARGE_WEIGHT = 0.5
_LOG_LARGE = -0.7

Gradients = tuple[Tensor, Tensor | None, Tensor | None]


class _Terms(NamedTuple):
    """What is summed: each anchor's positive and weight, the candidate that it leaves out, and
    the scale of its similarities."""

    positive: Tensor | None
    weight: Tensor
    exclude: Tensor | None
    scale: float


def blockwise_info_nce(
    z1: Tensor,
    z2: Tensor,
    positive: Tensor | None,
    *,
    temperature: float = 0.2,
    weight: Tensor | None = None,
    exclude: Tensor | None = None,
    both_views: bool = False,
    bf16: bool = False,
    block_bytes: int | None = None,
) -> Tensor:
    r"""InfoNCE of anchors :math:`\mathbf{a}_b` (rows of :obj:`z1`) against candidates
    :math:`\mathbf{c}` (rows of :obj:`z2`), rows taken as they are: normalise before,

    .. math::
        \mathcal{L} = \sum_b w_b \Big[ \log \sum_{c \neq x_b} e^{\mathbf{a}_b^{\top}
        \mathbf{z}_c / \tau} - \mathbf{a}_b^{\top} \mathbf{z}_{p_b} / \tau \Big]

    .. math::
        \frac{\partial \mathcal{L}}{\partial \mathbf{A}} = \frac{1}{\tau} \mathbf{W}
        (\mathbf{P} - \mathbf{Y}) \mathbf{Z}, \quad
        \frac{\partial \mathcal{L}}{\partial \mathbf{Z}} = \frac{1}{\tau}
        (\mathbf{P} - \mathbf{Y})^{\top} \mathbf{W} \mathbf{A}

    with the softmax :math:`\mathbf{P}` and the positives' indicator :math:`\mathbf{Y}`. A
    block of rows of :math:`\mathbf{P}` lives in one buffer and is used up, for value and
    gradient, before the next one: as the loss is a scalar, nothing has to be computed twice
    and the backward pass only scales. Memory :math:`O(\text{block} + (B + C) d)`, three
    matrix products; without gradient one. Where the other anchors are candidates too, their
    similarities are symmetric and cost two products in place of three (float32).

    Args:
        z1: Anchors :math:`(B, d)`.
        z2: Candidates :math:`(C, d)`.
        positive: Row :math:`p_b` of each anchor's positive in :obj:`z2` :math:`(B)`;
            :obj:`None` leaves that term out.
        temperature: :math:`\tau > 0`.
        weight: :math:`w` :math:`(B)`, without gradient; :math:`1 / B` if omitted.
        exclude: Row :math:`x_b` that each anchor leaves out :math:`(B)`; -1 for none.
        both_views: Whether the other rows of :obj:`z1` are candidates as well; without
            :obj:`exclude`.
        bf16: Multiply in bfloat16, with sums in float32; the gradient is off by a fraction of
            a percent. :math:`\mathbf{P} \mathbf{Z}` and :math:`\mathbf{P}^{\top} \mathbf{W}
            \mathbf{A}` are then two calls of torch's attention kernel, no block of which
            leaves the cache; where one candidate holds most of an anchor's weight,
            or tables are small, products stay in float32.
        block_bytes: Size of the buffer of the sweep by blocks, which is taken in any case if
            it is given; 16 MiB on the CPU and 256 MiB on a GPU if omitted.

    Returns:
        A scalar, in nats.

    Raises:
        GraphError: If a shape or the temperature does not fit, or :obj:`exclude` and
            :obj:`both_views` come together.
    """
    check_tables(z1, z2)
    check_temperature(temperature)
    for name, value in (('positive', positive), ('weight', weight), ('exclude', exclude)):
        if value is not None and value.shape != z1.shape[:1]:
            raise GraphError(f"'{name}' has shape {list(value.shape)}, expected [{z1.size(0)}]")
    if weight is None:
        weight = z1.new_full((z1.size(0),), 1 / z1.size(0))
    scale = 1 / temperature
    if both_views:
        if exclude is not None:
            raise GraphError("give either 'exclude' or 'both_views', not both")
        scaled = z1.detach() * scale
        safe = logits_are_safe(scaled, z1.detach()) and logits_are_safe(scaled, z2.detach())
        if bf16 or not safe:
            # Shifted by each row's maximum, the exponentials are not symmetric; and products
            # in bfloat16 are cheaper than the passes over a block that symmetry asks for.
            exclude = torch.arange(z2.size(0), z1.size(0) + z2.size(0), device=z1.device)
            z2, both_views = torch.cat([z2, z1]), False
    options = (_Terms(positive, weight, exclude, scale), both_views, bf16, block_bytes)
    if torch.is_grad_enabled() and (z1.requires_grad or z2.requires_grad):
        return _InfoNCE.apply(z1, z2, *options)
    return _value_and_gradients(z1, z2, *options, (False, False))[0]


def check_temperature(temperature: float) -> None:
    """Raises :class:`GraphError` unless it is above 0."""
    if not temperature > 0:
        raise GraphError(f"'temperature' needs to be above 0 (got {temperature})")


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z1: Tensor, z2: Tensor, *options) -> Tensor:  # type: ignore[no-untyped-def]
        arguments = (*options, ctx.needs_input_grad[:2])
        loss, *grads = _value_and_gradients(z1, z2, *arguments)
        ctx.save_for_backward(*grads)
        ctx.rest = (None,) * len(options)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        return (*(None if g is None else g * grad for g in ctx.saved_tensors), *ctx.rest)


def _value_and_gradients(
    z1: Tensor,
    z2: Tensor,
    terms: _Terms,
    both_views: bool,
    bf16: bool,
    block_bytes: int | None,
    needed: tuple[bool, bool],
) -> Gradients:
    """The loss and its gradients by both tables, where needed."""
    if bf16 and block_bytes is None and fused_softmax_fits(z1, z2, bf16):
        found = _fused(z1, z2, terms, needed)
        if found is not None:
            return found
    bf16 = bf16 and z1.is_cuda
    return _sweep(z1, z2, terms, both_views, bf16, block_bytes, needed)


def _fused(
    z1: Tensor,
    z2: Tensor,
    terms: _Terms,
    needed: tuple[bool, bool],
) -> Gradients | None:
    """In bfloat16: softmax averages over all candidates, from which an anchor's excluded one is
    taken out again; None where a candidate is too heavy for that."""
    positive, weight, exclude, scale = terms
    a, b = z1.detach(), z2.detach()
    low_a, low_b = a.bfloat16(), b.bfloat16()
    mean, total = softmax_mean(low_a, low_b, low_b, scale)
    mean, total = mean.to(a.dtype), total.to(a.dtype)
    out: Tensor | None = None
    if exclude is not None:
        there = exclude >= 0
        gone = b[exclude.clamp(min=0)]
        # Of the rounded rows, as the kernel has seen it.
        rounded = (low_a.to(a.dtype) * gone.to(low_b.dtype).to(a.dtype)).sum(1) * scale
        out = torch.where(there, (rounded - total).exp(), 0.0).unsqueeze(1)
        if not bool((out <= _LARGE_WEIGHT).all()):
            return None
        mean = (mean - out * gone) / (1 - out)
        total = total + torch.log1p(-out).squeeze(1)
        out = out / (1 - out)
    own = None
    if positive is not None:
        own = (a * b[positive]).sum(1) * scale
        if not bool((own - total <= _LOG_LARGE).all()):
            return None
    loss = weight @ (total if own is None else total - own)
    grad_a = grad_b = None
    if needed[0]:
        toward = mean if positive is None else mean - b[positive]
        grad_a = toward * (weight * scale).unsqueeze(1)
    if needed[1]:
        pulled = a * (weight * scale).unsqueeze(1)
        mean, total = softmax_mean(low_b, low_a, pulled.bfloat16(), scale, -total.float())
        grad_b = mean.to(b.dtype) * total.to(b.dtype).exp().unsqueeze(1)
        if positive is not None:
            grad_b.index_add_(0, positive, pulled, alpha=-1)
        if exclude is not None and out is not None:
            grad_b.index_add_(0, exclude.clamp(min=0), pulled * out, alpha=-1)
    return loss, grad_a, grad_b


def _sweep(
    z1: Tensor,
    z2: Tensor,
    terms: _Terms,
    both_views: bool,
    bf16: bool,
    block_bytes: int | None,
    needed: tuple[bool, bool],
) -> Gradients:
    """By blocks of rows of the matrix of similarities."""
    positive, weight, exclude, scale = terms
    a, b = z1.detach() * scale, z2.detach()
    low_a, low_b = (a.bfloat16(), b.bfloat16()) if bf16 else (a, b)
    loss = z1.new_zeros(())
    grad_a = torch.empty_like(a) if needed[0] else None
    grad_b = torch.zeros_like(b) if needed[1] else None
    within = within_sums = None
    if both_views:
        within = SymmetricExp(a, z1.detach(), block_bytes)
        within_sums = within.row_sums().unsqueeze(1)
    factors = torch.empty_like(weight)
    blocks = ExpBlocks(low_a, low_b, exclude, block_bytes, plain=both_views or None)
    for rows in blocks.slices():
        block, shift = blocks.logits(rows)
        block.exp_()
        rest = own_row = None
        if positive is not None:
            own_row = positive[rows]
            own = (a[rows] * b[own_row]).sum(1, keepdim=True)
            own = own if shift is None else own - shift
            # The positive stays out of the block: its weight, nearly one at the end of
            # training, would lose its digits in bfloat16 and in a difference.
            block.scatter_(1, own_row.unsqueeze(1), 0.0)
        total = others = block.sum(1, keepdim=True, dtype=a.dtype)
        if within_sums is not None:
            total = others = others + within_sums[rows]
        if positive is not None:
            total = others + own.exp()
            near = (others / own.exp()).log1p()
            term = torch.where(own > _LOG_TINY, near, total.log() - own)
        else:
            term = total.log() if shift is None else total.log() + shift
        factor = weight[rows].unsqueeze(1) / total
        factors[rows] = factor.squeeze(1)
        loss += weight[rows] @ term.squeeze(1)
        if positive is not None:
            rest = others * factor
        if grad_a is not None:
            grad = torch.mm(block, low_b).to(a.dtype) * factor
            if rest is not None and own_row is not None:
                grad -= rest * b[own_row]
            grad_a[rows] = grad
        if grad_b is not None:
            weighted = a[rows] * factor
            if low_b.dtype == b.dtype:
                grad_b.addmm_(block.t(), weighted)
            else:
                grad_b += torch.mm(block.t(), weighted.to(low_b.dtype))
            if rest is not None and own_row is not None:
                grad_b.index_add_(0, own_row, a[rows] * rest, alpha=-1)
    if grad_a is not None:
        if within is not None:
            grad_a += within.product(factors)
        grad_a *= scale
    return loss, grad_a, grad_b
