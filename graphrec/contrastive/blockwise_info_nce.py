"""InfoNCE against any number of candidates, without the matrix of their similarities."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphrec.contrastive.blockwise_logsumexp import ExpBlocks, check_tables
from graphrec.contrastive.fused_softmax import fused_softmax_fits, softmax_mean
from graphrec.errors import GraphError

# Above it, exp is a normal float32 number with room to spare.
_LOG_TINY = -60.0
# A candidate of more weight is left to the sweep, which keeps it out of every difference.
_LARGE_WEIGHT = 0.5
_LOG_LARGE = -0.7

Gradients = tuple[Tensor, Tensor | None, Tensor | None]


def blockwise_info_nce(
    z1: Tensor,
    z2: Tensor,
    positive: Tensor | None,
    *,
    temperature: float = 0.2,
    weight: Tensor | None = None,
    exclude: Tensor | None = None,
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

    with the softmax :math:`\mathbf{P}` and the positives' indicator :math:`\mathbf{Y}`. As the
    loss is a scalar, value and gradient are found in one go and the backward pass only
    scales. On the CPU, :math:`\mathbf{P} \mathbf{Z}` and :math:`\mathbf{P}^{\top} \mathbf{W}
    \mathbf{A}` are two calls of torch's attention kernel (four products, none of which
    leaves the cache). Elsewhere, and where one candidate holds most of an anchor's weight,
    a block of rows of :math:`\mathbf{P}` lives in one buffer and is used up before the
    next one (three products). Memory :math:`O(\text{block} + (B + C) d)`.

    Args:
        z1: Anchors :math:`(B, d)`.
        z2: Candidates :math:`(C, d)`.
        positive: Row :math:`p_b` of each anchor's positive in :obj:`z2` :math:`(B)`;
            :obj:`None` leaves that term out.
        temperature: :math:`\tau > 0`.
        weight: :math:`w` :math:`(B)`, without gradient; :math:`1 / B` if omitted.
        exclude: Row :math:`x_b` that each anchor leaves out :math:`(B)`; -1 for none.
        bf16: Multiply in bfloat16: half the bytes, and faster where the processor has such
            products. Sums are in float32. The gradient is off by about half a percent.
        block_bytes: Size of the buffer of the sweep by blocks, which is taken in any case if
            it is given; 16 MiB on the CPU and 256 MiB on a GPU if omitted.

    Returns:
        A scalar, in nats.

    Raises:
        GraphError: If a shape or the temperature does not fit.
    """
    check_tables(z1, z2)
    check_temperature(temperature)
    for name, value in (('positive', positive), ('weight', weight), ('exclude', exclude)):
        if value is not None and value.shape != z1.shape[:1]:
            raise GraphError(f"'{name}' has shape {list(value.shape)}, expected [{z1.size(0)}]")
    if weight is None:
        weight = z1.new_full((z1.size(0),), 1 / z1.size(0))
    if torch.is_grad_enabled() and (z1.requires_grad or z2.requires_grad):
        return _InfoNCE.apply(z1, z2, positive, weight, exclude, 1 / temperature, bf16, block_bytes)
    none = (False, False)
    return _value_and_gradients(
        z1, z2, positive, weight, exclude, 1 / temperature, bf16, block_bytes, none
    )[0]


def check_temperature(temperature: float) -> None:
    """Raises :class:`GraphError` unless it is above 0."""
    if not temperature > 0:
        raise GraphError(f"'temperature' needs to be above 0 (got {temperature})")


class _InfoNCE(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        z1: Tensor,
        z2: Tensor,
        positive: Tensor | None,
        weight: Tensor,
        exclude: Tensor | None,
        scale: float,
        bf16: bool,
        block_bytes: int | None,
    ) -> Tensor:
        needed = ctx.needs_input_grad[:2]
        loss, *grads = _value_and_gradients(
            z1, z2, positive, weight, exclude, scale, bf16, block_bytes, needed
        )
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        grads = [None if g is None else g * grad for g in ctx.saved_tensors]
        return (*grads, None, None, None, None, None, None)


def _value_and_gradients(
    z1: Tensor,
    z2: Tensor,
    positive: Tensor | None,
    weight: Tensor,
    exclude: Tensor | None,
    scale: float,
    bf16: bool,
    block_bytes: int | None,
    needed: tuple[bool, bool],
) -> Gradients:
    """The loss and its gradients by both tables, where needed."""
    if block_bytes is None and fused_softmax_fits(z1, z2):
        found = _fused(z1, z2, positive, weight, exclude, scale, bf16, needed)
        if found is not None:
            return found
    return _sweep(z1, z2, positive, weight, exclude, scale, bf16, block_bytes, needed)


def _fused(
    z1: Tensor,
    z2: Tensor,
    positive: Tensor | None,
    weight: Tensor,
    exclude: Tensor | None,
    scale: float,
    bf16: bool,
    needed: tuple[bool, bool],
) -> Gradients | None:
    """By softmax averages over all candidates, from which an anchor's excluded one is taken
    out again; None where a candidate is too heavy for that."""
    a, b = z1.detach(), z2.detach()
    low_a, low_b = (a.bfloat16(), b.bfloat16()) if bf16 else (a, b)
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
        offset = -total.float() if bf16 else -total
        low = pulled.bfloat16() if bf16 else pulled
        mean, total = softmax_mean(low_b, low_a, low, scale, offset)
        grad_b = mean.to(b.dtype) * total.to(b.dtype).exp().unsqueeze(1)
        if positive is not None:
            grad_b.index_add_(0, positive, pulled, alpha=-1)
        if exclude is not None and out is not None:
            grad_b.index_add_(0, exclude.clamp(min=0), pulled * out, alpha=-1)
    return loss, grad_a, grad_b


def _sweep(
    z1: Tensor,
    z2: Tensor,
    positive: Tensor | None,
    weight: Tensor,
    exclude: Tensor | None,
    scale: float,
    bf16: bool,
    block_bytes: int | None,
    needed: tuple[bool, bool],
) -> Gradients:
    """By blocks of rows of the matrix of similarities."""
    a, b = z1.detach() * scale, z2.detach()
    low_a, low_b = (a.bfloat16(), b.bfloat16()) if bf16 else (a, b)
    blocks = ExpBlocks(low_a, low_b, exclude, block_bytes)
    loss = z1.new_zeros(())
    grad_a = torch.empty_like(a) if needed[0] else None
    grad_b = torch.zeros_like(b) if needed[1] else None
    for rows in blocks.slices():
        block, shift = blocks.logits(rows)
        block.exp_()
        rest = own_row = None
        if positive is None:
            total = block.sum(1, keepdim=True, dtype=a.dtype)
            term = total.log() if shift is None else total.log() + shift
            factor = weight[rows].unsqueeze(1) / total
        else:
            own_row = positive[rows]
            own = (a[rows] * b[own_row]).sum(1, keepdim=True)
            own = own if shift is None else own - shift
            # The positive stays out of the block: its weight, nearly one at the end of
            # training, would lose its digits in bfloat16 and in a difference.
            block.scatter_(1, own_row.unsqueeze(1), 0.0)
            others = block.sum(1, keepdim=True, dtype=a.dtype)
            total = others + own.exp()
            term = torch.where(own > _LOG_TINY, (others / own.exp()).log1p(), total.log() - own)
            factor = weight[rows].unsqueeze(1) / total
            rest = others * factor
        loss += weight[rows] @ term.squeeze(1)
        if grad_a is not None:
            grad = torch.mm(block, low_b).to(a.dtype) * factor
            if rest is not None and own_row is not None:
                grad -= rest * b[own_row]
            grad_a[rows] = grad * scale
        if grad_b is not None:
            weighted = a[rows] * factor
            if bf16:
                grad_b += torch.mm(block.t(), weighted.bfloat16())
            else:
                grad_b.addmm_(block.t(), weighted)
            if rest is not None and own_row is not None:
                grad_b.index_add_(0, own_row, a[rows] * rest, alpha=-1)
    return loss, grad_a, grad_b
