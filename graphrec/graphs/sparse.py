"""The sparse operator: every product of message passing ends here."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.linear import Operator

_INT32_MAX = 2**31 - 1
# Rows are multiplied in blocks of such outputs, which stay in the cache until they are
# added up, and whose memory the allocator keeps.
_BLOCK_BYTES = 4 * 2**20


class _RowBlock(NamedTuple):
    rows: slice
    rowptr: Tensor
    col: Tensor
    weight: Tensor


class Sparse(Operator):
    r"""A sparse matrix :math:`(n, m)` in compressed rows.

    On the CPU the product is one ``embedding_bag`` over the rows, which is exact and
    keeps no intermediate; empty rows give zeros. On CUDA it is cuSPARSE's product.

    Args:
        rowptr: Row pointers :math:`(n + 1)`.
        col: Column of every entry :math:`(E)`, sorted by row.
        weight: Value of every entry :math:`(E)`; ones if omitted. Entries of the same
            row and column add up.
        num_cols: :math:`m`.
        symmetric: States that the matrix equals its transpose, which then costs no
            second copy.
        transpose: The transpose, where it is at hand; sorted out when needed if omitted.
    """

    def __init__(
        self,
        rowptr: Tensor,
        col: Tensor,
        weight: Tensor | None = None,
        *,
        num_cols: int,
        symmetric: bool = False,
        transpose: Sparse | None = None,
    ) -> None:
        if rowptr.dim() != 1 or rowptr.numel() == 0 or int(rowptr[-1]) != col.numel():
            raise GraphError(
                f"'rowptr' has shape {list(rowptr.shape)} and must end at the "
                f'{col.numel()} entries of col'
            )
        if weight is None:
            weight = torch.ones(col.numel(), device=col.device)
        if weight.shape != col.shape:
            raise GraphError(f"'weight' has {weight.numel()} entries for {col.numel()} of col")
        # Half the index bytes wherever the numbers allow it.
        index = torch.int32 if max(col.numel(), num_cols) <= _INT32_MAX else torch.int64
        self.rowptr = rowptr.to(index)
        self.col = col.to(index)
        self.weight = weight
        self.shape = (rowptr.numel() - 1, num_cols)
        self.symmetric = symmetric
        self._transpose = transpose
        if transpose is not None:
            transpose._transpose = self
        self._cuda_matrix: Tensor | None = None
        self._blocks: list[_RowBlock] = []

    @classmethod
    def from_edges(
        cls,
        edge_index: Tensor,
        weight: Tensor | None = None,
        *,
        shape: tuple[int, int],
        symmetric: bool = False,
    ) -> Sparse:
        r"""From edges :math:`(2, E)` with rows in ``edge_index[0]``; any order.

        Raises:
            GraphError: If an edge lies outside the shape.
        """
        row, col = edge_index
        for name, index, size in (('row', row, shape[0]), ('column', col, shape[1])):
            if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < size:
                raise GraphError(
                    f"'edge_index' has {name}s from {int(index.min())} to {int(index.max())}, "
                    f'but the matrix has {size}'
                )
        order = torch.argsort(row * shape[1] + col)
        rowptr = row_pointers(row, shape[0])
        weight = None if weight is None else weight[order]
        return cls(rowptr, col[order], weight, num_cols=shape[1], symmetric=symmetric)

    @classmethod
    def from_scipy(cls, matrix: scipy.sparse.spmatrix, symmetric: bool = False) -> Sparse:
        """From any scipy sparse matrix, as float32."""
        csr = scipy.sparse.csr_matrix(matrix)
        return cls(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.indices.astype(np.int64)),
            torch.from_numpy(csr.data.astype(np.float32)),
            num_cols=csr.shape[1],
            symmetric=symmetric,
        )

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return self.col.numel()

    @property
    def row(self) -> Tensor:
        """Row of every entry :math:`(E)`, int64."""
        counts = self.rowptr.diff().long()
        return torch.repeat_interleave(counts)

    @property
    def nbytes(self) -> int:
        """Bytes held, the transpose included once it was needed."""
        held = sum(t.numel() * t.element_size() for t in (self.rowptr, self.col, self.weight))
        other = self._transpose if not self.symmetric else None
        return held + (0 if other is None else other.rowptr.nbytes + 2 * other.col.nbytes)

    @property
    def T(self) -> Sparse:  # noqa: N802
        if self.symmetric:
            return self
        if self._transpose is None:
            row, col = self.row, self.col.long()
            order = torch.argsort(col, stable=True)
            self._transpose = Sparse(
                row_pointers(col, self.shape[1]),
                row[order],
                self.weight[order],
                num_cols=self.shape[0],
            )
            self._transpose._transpose = self
        return self._transpose

    def apply(self, x: Tensor) -> Tensor:
        n, d = self.shape[0], x.size(1)
        if n == 0 or d == 0 or self.nnz == 0:
            return x.new_zeros(n, d)
        # float32 weights serve a float64 'x' at its own precision.
        dtype = torch.promote_types(self.weight.dtype, x.dtype)
        if self.weight.dtype in (torch.bfloat16, torch.float16):
            dtype = self.weight.dtype
        if x.is_cuda:
            return (self._cuda(dtype) @ x.to(dtype)).to(x.dtype)
        product = _multiply(self.rowptr, self.col, self.weight.to(dtype), x.to(dtype))
        return product.to(x.dtype)

    def multiply_add(self, h: Tensor, x: Tensor, alpha: float, out: Tensor) -> Tensor:
        r"""Writes :math:`\mathbf{A} \mathbf{h} + \alpha \mathbf{x}` into :obj:`out`, outside
        autograd; :obj:`out` may not be :obj:`h`."""
        if h.is_cuda or h.dtype != self.weight.dtype or self.nnz == 0 or h.size(1) == 0:
            return torch.add(self.apply(h), x, alpha=alpha, out=out)
        for rows, rowptr, col, weight in self._row_blocks(out.nbytes):
            product = _multiply(rowptr, col, weight, h)
            torch.add(product, x[rows], alpha=alpha, out=out[rows])
        return out

    def _row_blocks(self, num_bytes: int) -> list[_RowBlock]:
        """Blocks of rows with about equally many entries each."""
        count = -(-num_bytes // _BLOCK_BYTES)
        if len(self._blocks) != count:
            share = torch.arange(1, count, dtype=torch.int64) * self.nnz // count
            inner = torch.searchsorted(self.rowptr.long(), share).tolist()
            bounds = [0, *inner, self.shape[0]]
            pointers = self.rowptr[bounds].tolist()
            self._blocks = [
                _RowBlock(
                    slice(low, high),
                    self.rowptr[low : high + 1] - first,
                    self.col[first:last],
                    self.weight[first:last],
                )
                for low, high, first, last in zip(
                    bounds, bounds[1:], pointers, pointers[1:], strict=False
                )
            ]
        return self._blocks

    def _cuda(self, dtype: torch.dtype) -> Tensor:
        if self._cuda_matrix is None or self._cuda_matrix.dtype != dtype:
            rowptr, col, weight = self.rowptr, self.col, self.weight.to(dtype)
            if self.nnz > self.shape[0] * self.shape[1]:  # More repeats than cuSPARSE takes.
                index = torch.stack([self.row, col.long()])
                once = torch.sparse_coo_tensor(index, weight, self.shape).coalesce()
                rowptr = row_pointers(once.indices()[0], self.shape[0])
                col, weight = once.indices()[1], once.values()
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', 'Sparse (CSR|invariant)')
                self._cuda_matrix = torch.sparse_csr_tensor(rowptr, col, weight, self.shape)
        return self._cuda_matrix

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Sparse:
        return Sparse(
            self.rowptr.to(device),
            self.col.to(device),
            self.weight.to(device=device, dtype=dtype),
            num_cols=self.shape[1],
            symmetric=self.symmetric,
        )

    def scale(self, rows: Tensor | None = None, cols: Tensor | None = None) -> Sparse:
        r""":math:`\mathrm{diag}(\mathbf{r}) \mathbf{A} \, \mathrm{diag}(\mathbf{c})` as one
        sparse matrix, which shares its indices with this one: a diagonal costs as much as
        a product where rows have few entries.

        Args:
            rows: :math:`\mathbf{r}`, shape :math:`(n)`; ones if omitted.
            cols: :math:`\mathbf{c}`, shape :math:`(m)`; ones if omitted.
        """
        scaled, other = self._scaled(rows, cols), self.T._scaled(cols, rows)
        scaled._transpose, other._transpose = other, scaled
        return scaled

    def _scaled(self, rows: Tensor | None, cols: Tensor | None) -> Sparse:
        factor = torch.ones(1, dtype=torch.float64, device=self.weight.device)
        if rows is not None:
            factor = factor * rows.double()[self.row]
        if cols is not None:
            factor = factor * cols.double()[self.col.long()]
        weight = (self.weight * factor).to(self.weight.dtype)
        return Sparse(self.rowptr, self.col, weight, num_cols=self.shape[1])

    def num_entries(self, index: Tensor) -> int:
        """Number of stored entries in the rows :obj:`index`."""
        start = self.rowptr.index_select(0, index)
        return int((self.rowptr.index_select(0, index + 1) - start).sum())

    def select_rows(self, index: Tensor) -> Sparse:
        r"""The rows :obj:`index` :math:`(s)` as an operator :math:`(s, m)`: what a batch
        needs of a last layer."""
        start = self.rowptr.index_select(0, index).long()
        count = self.rowptr.index_select(0, index + 1).long() - start
        rowptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
        shift = torch.repeat_interleave(start - rowptr[:-1], count)
        entry = torch.arange(shift.numel(), device=shift.device) + shift
        col, weight = self.col.index_select(0, entry), self.weight.index_select(0, entry)
        return Sparse(rowptr, col, weight, num_cols=self.shape[1])

    def to_scipy(self) -> scipy.sparse.csr_matrix:
        """The matrix in scipy's compressed rows."""
        return scipy.sparse.csr_matrix(
            (self.weight.float().cpu().numpy(), self.col.cpu().numpy(), self.rowptr.cpu().numpy()),
            shape=self.shape,
        )


def _multiply(rowptr: Tensor, col: Tensor, weight: Tensor, x: Tensor) -> Tensor:
    return torch.nn.functional.embedding_bag(
        col,
        x.detach().contiguous(),
        rowptr,
        mode='sum',
        per_sample_weights=weight,
        include_last_offset=True,
    )


def row_pointers(row: Tensor, num_rows: int) -> Tensor:
    r"""Row pointers :math:`(n + 1)` of entries whose rows are :obj:`row` :math:`(E)`."""
    count = torch.bincount(row, minlength=num_rows)
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
