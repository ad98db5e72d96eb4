r"""A small algebra of linear operators with autograd: the heart of the speed.

Message passing with fixed weights is a product with a sparse matrix. An operator
holds that matrix once, multiplies fast, and its gradient is its transpose:

.. math::
    \mathbf{Y} = \mathbf{A} \mathbf{X}, \qquad
    \frac{\partial \mathcal{L}}{\partial \mathbf{X}} =
    \mathbf{A}^{\top} \frac{\partial \mathcal{L}}{\partial \mathbf{Y}}

so that nothing but the operator is kept for the backward pass. Operators compose:
``A @ B`` (product), ``A + B``, ``A - B``, ``2 * A``, ``A.T``, and ``A @ x`` applies
them to a tensor without ever forming a product matrix. A hypergraph stays a product
of incidences; user co-preference :math:`\mathbf{D}^{-1}(\mathbf{R}\mathbf{R}^{\top}
- \mathrm{diag})` is ``Diagonal(1 / d) @ (R @ R.T - Diagonal(c))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import num_items, num_users, train_edges

_INT32_MAX = 2**31 - 1


class Operator:
    r"""A linear map from :math:`\mathbb{R}^{m}` to :math:`\mathbb{R}^{n}`.

    Attributes:
        shape: :math:`(n, m)`.
    """

    shape: tuple[int, int]

    @property
    def T(self) -> Operator:  # noqa: N802
        """The transpose; ``op.T.T`` is ``op``."""
        raise NotImplementedError

    def apply(self, x: Tensor) -> Tensor:
        """The product with :math:`(m, d)`, outside autograd."""
        raise NotImplementedError

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        """A copy on :obj:`device` with weights of :obj:`dtype`. Products are computed
        in that type and come back in the type of ``x``; ``torch.bfloat16`` halves the
        bytes moved, ``torch.float64`` serves ``gradcheck``."""
        raise NotImplementedError

    def to_dense(self) -> Tensor:
        """The matrix :math:`(n, m)`; for tests and small graphs."""
        return self @ torch.eye(self.shape[1], dtype=torch.float64)

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, other: Operator) -> Operator: ...
    def __matmul__(self, other: Tensor | Operator) -> Tensor | Operator:
        if isinstance(other, Operator):
            return Product([self, other])
        if not isinstance(other, Tensor):
            return NotImplemented
        if other.dim() not in (1, 2) or other.size(0) != self.shape[1]:
            raise GraphError(
                f"'x' has shape {list(other.shape)}, expected [{self.shape[1]}, d] to be "
                f'multiplied by an operator of shape {list(self.shape)}'
            )
        if other.dim() == 1:
            return (self @ other.unsqueeze(1)).squeeze(1)
        return _Apply.apply(other, self)

    def __add__(self, other: Operator) -> Operator:
        return Sum([self, other])

    def __sub__(self, other: Operator) -> Operator:
        return Sum([self, -other])

    def __mul__(self, factor: float) -> Operator:
        scale = Diagonal(torch.full((self.shape[0],), float(factor)))
        return Product([scale, self])

    __rmul__ = __mul__

    def __neg__(self) -> Operator:
        return self * -1.0

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.shape[0]}, {self.shape[1]})'


class _Apply(torch.autograd.Function):
    """``op @ x`` whose backward is ``op.T @ grad`` (and can be differentiated again)."""

    @staticmethod
    def forward(ctx, x: Tensor, op: Operator) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.op = op
        return op.apply(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[no-untyped-def]
        return (_Apply.apply(grad, ctx.op.T), None) if ctx.needs_input_grad[0] else (None, None)


class Identity(Operator):
    r""":math:`\mathbf{I}_n`."""

    def __init__(self, size: int) -> None:
        self.shape = (size, size)

    @property
    def T(self) -> Operator:  # noqa: N802
        return self

    def apply(self, x: Tensor) -> Tensor:
        return x.clone()

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return self


class Diagonal(Operator):
    r""":math:`\mathrm{diag}(\mathbf{d})`.

    Args:
        diagonal: :math:`\mathbf{d}`, shape :math:`(n)`.
    """

    def __init__(self, diagonal: Tensor) -> None:
        if diagonal.dim() != 1:
            raise GraphError(f"'diagonal' has shape {list(diagonal.shape)}, expected [n]")
        self.diagonal = diagonal
        self.shape = (diagonal.numel(), diagonal.numel())

    @property
    def T(self) -> Operator:  # noqa: N802
        return self

    def apply(self, x: Tensor) -> Tensor:
        return self.diagonal.to(x.dtype).unsqueeze(1) * x

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Diagonal(self.diagonal.to(device=device, dtype=dtype))


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
    """

    def __init__(
        self,
        rowptr: Tensor,
        col: Tensor,
        weight: Tensor | None = None,
        *,
        num_cols: int,
        symmetric: bool = False,
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
        self._transpose: Sparse | None = None
        self._cuda_matrix: Tensor | None = None

    @classmethod
    def from_edges(
        cls,
        edge_index: Tensor,
        weight: Tensor | None = None,
        *,
        shape: tuple[int, int],
        symmetric: bool = False,
    ) -> Sparse:
        r"""From edges :math:`(2, E)` with rows in ``edge_index[0]``; any order."""
        row, col = edge_index
        order = torch.argsort(row * shape[1] + col)
        rowptr = _row_pointers(row, shape[0])
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
                _row_pointers(col, self.shape[1]),
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
        out = torch.nn.functional.embedding_bag(
            self.col,
            x.detach().to(dtype).contiguous(),
            self.rowptr,
            mode='sum',
            per_sample_weights=self.weight.to(dtype),
            include_last_offset=True,
        )
        return out.to(x.dtype)

    def _cuda(self, dtype: torch.dtype) -> Tensor:
        if self._cuda_matrix is None or self._cuda_matrix.dtype != dtype:
            self._cuda_matrix = torch.sparse_csr_tensor(
                self.rowptr, self.col, self.weight.to(dtype), self.shape
            )
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

    def select_rows(self, index: Tensor) -> Sparse:
        r"""The rows :obj:`index` :math:`(s)` as an operator :math:`(s, m)`: what a batch
        needs of a last layer."""
        start = self.rowptr[index].long()
        count = self.rowptr[index + 1].long() - start
        rowptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
        shift = torch.repeat_interleave(start - rowptr[:-1], count)
        entry = torch.arange(shift.numel(), device=shift.device) + shift
        return Sparse(rowptr, self.col[entry], self.weight[entry], num_cols=self.shape[1])

    def to_scipy(self) -> scipy.sparse.csr_matrix:
        """The matrix in scipy's compressed rows."""
        return scipy.sparse.csr_matrix(
            (self.weight.float().cpu().numpy(), self.col.cpu().numpy(), self.rowptr.cpu().numpy()),
            shape=self.shape,
        )


class Product(Operator):
    r""":math:`\mathbf{A}_1 \mathbf{A}_2 \cdots`, applied from the right; the product
    matrix is never formed."""

    def __init__(self, factors: Sequence[Operator]) -> None:
        self.factors: list[Operator] = []
        for factor in factors:
            self.factors += factor.factors if isinstance(factor, Product) else [factor]
        for left, right in zip(self.factors, self.factors[1:], strict=False):
            if left.shape[1] != right.shape[0]:
                raise GraphError(
                    f'shapes {list(left.shape)} and {list(right.shape)} do not multiply'
                )
        self.shape = (self.factors[0].shape[0], self.factors[-1].shape[1])

    @property
    def T(self) -> Operator:  # noqa: N802
        return Product([factor.T for factor in reversed(self.factors)])

    def apply(self, x: Tensor) -> Tensor:
        for factor in reversed(self.factors):
            x = factor.apply(x)
        return x

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Product([factor.to(device, dtype) for factor in self.factors])


class Sum(Operator):
    r""":math:`\mathbf{A}_1 + \mathbf{A}_2 + \cdots`."""

    def __init__(self, terms: Sequence[Operator]) -> None:
        self.terms = list(terms)
        shapes = {term.shape for term in self.terms}
        if len(shapes) != 1:
            raise GraphError(f'operators of shapes {sorted(shapes)} do not add up')
        self.shape = self.terms[0].shape

    @property
    def T(self) -> Operator:  # noqa: N802
        return Sum([term.T for term in self.terms])

    def apply(self, x: Tensor) -> Tensor:
        out = self.terms[0].apply(x)
        for term in self.terms[1:]:
            out += term.apply(x)
        return out

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Sum([term.to(device, dtype) for term in self.terms])


class Polynomial(Operator):
    r""":math:`p(\mathbf{A}) = \sum_{l=0}^{L} a_l \mathbf{A}^l` by Horner's rule,
    :math:`\mathbf{h} \leftarrow \mathbf{A}\mathbf{h} + a_l \mathbf{x}`: no layer is
    stored, and its backward is the same rule on the gradient.

    Args:
        op: :math:`\mathbf{A}`, square.
        coefficients: :math:`a_0, \ldots, a_L`.
    """

    def __init__(self, op: Operator, coefficients: Sequence[float]) -> None:
        if op.shape[0] != op.shape[1]:
            raise GraphError(f'a polynomial needs a square operator (got shape {list(op.shape)})')
        if not coefficients:
            raise GraphError("'coefficients' is empty; give one a power, from the zeroth on")
        self.op = op
        self.coefficients = [float(a) for a in coefficients]
        self.shape = op.shape

    @property
    def T(self) -> Operator:  # noqa: N802
        return self if self.op.T is self.op else Polynomial(self.op.T, self.coefficients)

    def apply(self, x: Tensor) -> Tensor:
        *lower, last = self.coefficients
        if not lower:
            return x * last
        # The first product takes x itself; its coefficient is carried to the end.
        scale = last if last != 0 else 1.0
        h = self.op.apply(x) if last != 0 else torch.zeros_like(x)
        for position, a in enumerate(reversed(lower)):
            if position:
                h = self.op.apply(h)
            h.add_(x, alpha=a / scale)
        return h.mul_(scale) if scale != 1.0 else h

    def apply_rows(self, x: Tensor, index: Tensor) -> Tensor:
        r"""Rows :obj:`index` :math:`(s)` of the product :math:`(s, d)`. Only those rows of
        the last power are computed, which is most of a step's work saved where a batch
        reaches a small part of the graph."""
        *lower, last = self.coefficients
        if not lower or not isinstance(self.op, Sparse):
            return self.apply(x).index_select(0, index)
        inner = Polynomial(self.op, [*lower[1:], last])
        rows, position = torch.unique(index, return_inverse=True)
        h = self.op.select_rows(rows).apply(inner.apply(x))
        h.add_(x.index_select(0, rows), alpha=lower[0])
        return h.index_select(0, position)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Polynomial(self.op.to(device, dtype), self.coefficients)


def interaction_operator(data: HeteroData) -> Sparse:
    r"""The training interactions :math:`\mathbf{R} \in \{0, 1\}^{U \times I}`."""
    return Sparse.from_edges(train_edges(data), shape=(num_users(data), num_items(data)))


def normalized_adjacency(data: HeteroData) -> Sparse:
    r"""The symmetrically normalised adjacency of the training graph, users first,
    items after: :func:`bipartite_adjacency` of the training edges."""
    return bipartite_adjacency(train_edges(data), num_users(data), num_items(data))


def bipartite_adjacency(edge_index: Tensor, users: int, items: int) -> Sparse:
    r"""The symmetrically normalised adjacency of user-item edges:

    .. math::
        \hat{\mathbf{A}} = \mathbf{D}^{-1/2} \begin{bmatrix} \mathbf{0} & \mathbf{R} \\
        \mathbf{R}^{\top} & \mathbf{0} \end{bmatrix} \mathbf{D}^{-1/2}

    without self-loops; the row of a node without edges is zero.

    Args:
        edge_index: Unique edges :math:`(2, E)`, users in row 0, items in row 1.
        users: Number of users :math:`U`.
        items: Number of items :math:`I`.

    Returns:
        A symmetric operator of shape :math:`(U + I, U + I)`.
    """
    user, item = edge_index
    num_nodes = users + items
    key = user * items + item
    if not bool((key[1:] >= key[:-1]).all()):
        key = key.sort().values
        user, item = key // items, key % items
    by_item = torch.argsort(item, stable=True)
    row = torch.cat([user, item[by_item] + users])
    col = torch.cat([item + users, user[by_item]])
    degree = torch.bincount(row, minlength=num_nodes)
    inv_sqrt = degree.clamp(min=1).double().rsqrt()
    weight = (inv_sqrt[row] * inv_sqrt[col]).float()
    rowptr = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    return Sparse(rowptr, col, weight, num_cols=num_nodes, symmetric=True)


def _row_pointers(row: Tensor, num_rows: int) -> Tensor:
    count = torch.bincount(row, minlength=num_rows)
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
