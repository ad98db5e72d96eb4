"""Sums and products of the exponentials within one view, each pair of rows visited once."""

from collections.abc import Iterator

import torch
from torch import Tensor

from graphrec.contrastive.blockwise_logsumexp import rows_of_block


class SymmetricExp:
    r""":math:`\mathbf{S} = \exp(s \mathbf{A} \mathbf{A}^{\top})` without its diagonal. As
    :math:`\mathbf{S}` is symmetric, a block of rows begins at its diagonal and serves its
    columns too: half the products and exponentials. Blocks share one buffer; logits have to
    be small enough for exp as they are.

    Args:
        a: :math:`s \mathbf{A}`, shape :math:`(N, d)`.
        b: :math:`\mathbf{A}`, shape :math:`(N, d)`.
        block_bytes: Size of the buffer.
    """

    def __init__(self, a: Tensor, b: Tensor, block_bytes: int | None) -> None:
        self.a, self.b = a, b
        self.rows = rows_of_block(a, b, block_bytes)
        self._buffer = a.new_empty(self.rows * a.size(0))

    def row_sums(self) -> Tensor:
        r""":math:`\mathbf{S} \mathbf{1}`, shape :math:`(N)`."""
        total = self.a.new_zeros(self.a.size(0))
        for rows, block in self._blocks():
            total[rows] += block.sum(1)
            total[rows.stop :] += block[:, len(block) :].sum(0)
        return total

    def product(self, factor: Tensor) -> Tensor:
        r""":math:`(\mathbf{F} \mathbf{S} + \mathbf{S} \mathbf{F}) \mathbf{A}` with
        :math:`\mathbf{F} = \mathrm{diag}(\mathbf{f})`, shape :math:`(N, d)`: the gradient of
        sums whose derivative by row sum :math:`i` is :math:`f_i`."""
        out = torch.zeros_like(self.b)
        both = torch.empty_like(self._buffer)
        for rows, block in self._blocks():
            pair = both[: block.numel()].view_as(block)
            torch.add(factor[rows].unsqueeze(1), factor[rows.start :], out=pair)
            block.mul_(pair)
            out[rows] += torch.mm(block, self.b[rows.start :])
            out[rows.stop :] += torch.mm(block[:, len(block) :].t(), self.b[rows])
        return out

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        r"""Rows :math:`i` and their part :math:`j \geq i_0` of :math:`\\mathbf{S}`, valid
        until the next."""
        size = self.a.size(0)
        for low in range(0, size, self.rows):
            rows = slice(low, min(low + self.rows, size))
            width = size - low
            block = self._buffer[: (rows.stop - low) * width].view(-1, width)
            torch.mm(self.a[rows], self.b[low:].t(), out=block).exp_()
            block.diagonal().zero_()
            yield rows, block
