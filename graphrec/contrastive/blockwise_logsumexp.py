"""Row-wise log-sum-exp of a product, without the matrix."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphrec.contrastive.fused_softmax import fused_softmax_fits, softmax_mean
from graphrec.errors import GraphError

#: Bytes of the block of rows that is held at a time: about what a processor's cache holds.
#: Smaller ones are no faster, and threads wait for each other more often.
BLOCK_BYTES = 16 * 2**20
_CUDA_BLOCK_BYTES = 256 * 2**20
# Logits up to this size are exponentiated as they are: exp(60) times a billion terms, and
# exp(-60), are still normal float32 numbers.
_SAFE_LOGIT = 60.0
_MIN_ROWS = 16


def blockwise_logsumexp(
    a: Tensor,
    b: Tensor,
    scale: float = 1.0,
    exclude: Tensor | None = None,
    block_bytes: int | None = None,
    bf16: bool = False,
) -> Tensor:
    r"""The log-sum-exp of every row of :math:`s \mathbf{A} \mathbf{B}^{\top}`,

    .. math::
        \ell_b = \log \sum_{c \neq x_b} \exp(s \, \mathbf{a}_b^{\top} \mathbf{b}_c), \qquad
        \frac{\partial \ell_b}{\partial (s \, \mathbf{a}_b^{\top} \mathbf{b}_c)} =
        \exp(s \, \mathbf{a}_b^{\top} \mathbf{b}_c - \ell_b)

    By torch's attention kernel, whose average of :math:`\mathbf{B}` is the gradient by
    :math:`\mathbf{A}` already: on the CPU, and in bfloat16 on a GPU. Elsewhere, and where
    columns are left out, blocks of rows pass through one buffer, and the backward pass computes
    them again. Memory is :math:`O(\text{block} + (B + C) d)` and never :math:`B \times C`.

    Args:
        a: :math:`\mathbf{A}`, shape :math:`(B, d)`.
        b: :math:`\mathbf{B}`, shape :math:`(C, d)`, not empty.
        scale: :math:`s`.
        exclude: The column :math:`x_b` that each row leaves out :math:`(B)`; -1 for none.
        block_bytes: Size of the buffer, which is taken in any case if it is given; 16 MiB on
            the CPU and 256 MiB on a GPU if omitted.
        bf16: Multiply in bfloat16 where the attention kernel does it.

    Returns:
        :math:`\ell`, shape :math:`(B)`; :math:`-\infty` where nothing is left to sum.

    Raises:
        GraphError: If the shapes do not fit.
    """
    check_tables(a, b)
    if exclude is not None and exclude.shape != a.shape[:1]:
        raise GraphError(f"'exclude' has shape {list(exclude.shape)}, expected [{a.size(0)}]")
    if exclude is None and block_bytes is None and fused_softmax_fits(a, b, bf16):
        return _FusedLogSumExp.apply(a, b, float(scale), bf16)
    return _LogSumExp.apply(a, b, float(scale), exclude, block_bytes)


def check_tables(a: Tensor, b: Tensor) -> None:
    """Raises :class:`GraphError` unless both are matrices with rows of one length."""
    if a.dim() != 2 or b.dim() != 2 or a.size(1) != b.size(1) or a.size(0) * b.size(0) == 0:
        raise GraphError(
            'views need the shapes [B, d] and [C, d] with B, C of at least 1 (got '
            f'{list(a.shape)} and {list(b.shape)})'
        )


def rows_of_block(a: Tensor, b: Tensor, block_bytes: int | None) -> int:
    r"""Rows that a block of :math:`\mathbf{A} \mathbf{B}^{\top}` may have."""
    if block_bytes is None:
        block_bytes = _CUDA_BLOCK_BYTES if a.is_cuda else BLOCK_BYTES
    rows = block_bytes // (b.size(0) * a.element_size())
    return min(max(rows, _MIN_ROWS), a.size(0))


def logits_are_safe(a: Tensor, b: Tensor) -> bool:
    """Whether lengths keep all logits where exp needs no shift; not so for NaN."""
    largest = a.float().norm(dim=1).amax() * b.float().norm(dim=1).amax()
    return bool(largest < _SAFE_LOGIT)


class ExpBlocks:
    r"""Blocks of rows of :math:`\exp(s \mathbf{A} \mathbf{B}^{\top} - \mathbf{m})`, one after
    the other in the same buffer.

    Args:
        a: :math:`s \mathbf{A}`, shape :math:`(B, d)`.
        b: :math:`\mathbf{B}`, shape :math:`(C, d)`.
        exclude: Columns :math:`(B)` whose entry is zero; -1 for none.
        block_bytes: Size of the buffer.
        plain: Whether :math:`\mathbf{m}` is zero; where logits are safe if omitted.
    """

    def __init__(
        self,
        a: Tensor,
        b: Tensor,
        exclude: Tensor | None,
        block_bytes: int | None,
        plain: bool | None = None,
    ) -> None:
        self.a, self.b, self.exclude = a, b, exclude
        self.rows = rows_of_block(a, b, block_bytes)
        self._buffer = a.new_empty(self.rows, b.size(0))
        self._plain = logits_are_safe(a, b) if plain is None else plain

    def slices(self) -> list[slice]:
        """The rows of each block."""
        count = self.a.size(0)
        return [slice(low, min(low + self.rows, count)) for low in range(0, count, self.rows)]

    def logits(self, rows: slice) -> tuple[Tensor, Tensor | None]:
        r"""The block of :math:`s \mathbf{A} \mathbf{B}^{\top} - \mathbf{m}`, valid until the
        next call, and :math:`\mathbf{m}` :math:`(r, 1)`, :obj:`None` for zero. The excluded
        entries are :math:`-\infty`."""
        block = self._buffer[: rows.stop - rows.start]
        torch.mm(self.a[rows], self.b.t(), out=block)
        if self.exclude is not None:
            column = self.exclude[rows]
            row = (column >= 0).nonzero().squeeze(1)
            block[row, column[row]] = -torch.inf
        if self._plain:
            return block, None
        shift = block.amax(1, keepdim=True).nan_to_num(nan=torch.nan, neginf=0.0)
        return block.sub_(shift), shift


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, a: Tensor, b: Tensor, scale: float, exclude: Tensor | None, block_bytes: int | None
    ) -> Tensor:
        blocks = ExpBlocks(a * scale, b, exclude, block_bytes)
        out = a.new_empty(a.size(0))
        for rows in blocks.slices():
            block, shift = blocks.logits(rows)
            out[rows] = block.exp_().sum(1).log_()
            if shift is not None:
                out[rows] += shift.squeeze(1)
        ctx.scale, ctx.block_bytes, ctx.exclude = scale, block_bytes, exclude
        ctx.save_for_backward(a, b, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        a, b, total = ctx.saved_tensors
        scaled = a * ctx.scale
        blocks = ExpBlocks(scaled, b, ctx.exclude, ctx.block_bytes)
        grad_a = torch.empty_like(a) if ctx.needs_input_grad[0] else None
        grad_b = torch.zeros_like(b) if ctx.needs_input_grad[1] else None
        for rows in blocks.slices():
            block, shift = blocks.logits(rows)
            rest = total[rows].unsqueeze(1)
            block.sub_(rest if shift is None else rest - shift).exp_()
            block.mul_(grad[rows].unsqueeze(1))
            if grad_a is not None:
                torch.mm(block, b, out=grad_a[rows])
            if grad_b is not None:
                grad_b.addmm_(block.t(), scaled[rows])
        if grad_a is not None:
            grad_a.mul_(ctx.scale)
        return grad_a, grad_b, None, None, None


class _FusedLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, a: Tensor, b: Tensor, scale: float, bf16: bool
    ) -> Tensor:
        low_a, low_b = (a.bfloat16(), b.bfloat16()) if bf16 else (a, b)
        mean, total = softmax_mean(low_a, low_b, low_b, scale)
        ctx.scale = scale
        ctx.save_for_backward(a, low_a, low_b, mean, total)
        return total.to(a.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        a, low_a, low_b, mean, total = ctx.saved_tensors
        weight = (grad * ctx.scale).unsqueeze(1)
        grad_b = None
        if ctx.needs_input_grad[1]:
            pulled = (a * weight).to(low_a.dtype)
            grad_b, mass = softmax_mean(low_b, low_a, pulled, ctx.scale, -total)
            grad_b = grad_b.to(a.dtype) * mass.to(a.dtype).exp().unsqueeze(1)
        grad_a = mean.to(a.dtype) * weight if ctx.needs_input_grad[0] else None
        return grad_a, grad_b, None, None
