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

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.linear import Diagonal, Identity, Operator, Product, Sum
from graphrec.graphs.schema import num_items, num_users, train_edges
from graphrec.graphs.sparse import Sparse

__all__ = [
    'Diagonal',
    'Identity',
    'Operator',
    'Polynomial',
    'Product',
    'Sparse',
    'Sum',
    'bipartite_adjacency',
    'interaction_operator',
    'normalized_adjacency',
]


# Picking out rows that hold half of the entries costs as much as multiplying by all.
_SELECT_BELOW = 0.5


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
        lower = self.coefficients[:]
        while lower[-1] == 0 and len(lower) > 1:
            lower.pop()
        # The highest coefficient is carried to the end, where it costs least.
        self._scale = lower.pop()
        self._lower = [a / self._scale for a in lower]
        # Tables for the powers in between. Memory that goes back to the system after every
        # product costs as much as the product itself, in page faults.
        self._pool: list[Tensor] = []

    @property
    def T(self) -> Operator:  # noqa: N802
        return self if self.op.T is self.op else Polynomial(self.op.T, self.coefficients)

    def apply(self, x: Tensor) -> Tensor:
        if not self._lower:
            return x * self._scale
        h, tables = self._inner(x)
        out = self._step(h, x, self._lower[0], torch.empty_like(x))
        self._pool += tables
        return out.mul_(self._scale)

    def apply_rows(self, x: Tensor, index: Tensor) -> Tensor:
        r"""Rows :obj:`index` :math:`(s)` of the product :math:`(s, d)`. Only those rows of
        the last power are computed, which is most of a product saved where a batch
        reaches a small part of the graph."""
        if not self._lower or not isinstance(self.op, Sparse):
            return self.apply(x).index_select(0, index)
        rows, position = torch.unique(index, return_inverse=True)
        h, tables = self._inner(x)
        if self.op.num_entries(rows) > _SELECT_BELOW * self.op.nnz:
            tables.append(self._take(x, x.size(0)))
            out = self._step(h, x, self._lower[0], tables[-1]).index_select(0, index)
        else:
            chosen = self.op.select_rows(rows).apply(h)
            chosen.add_(x.index_select(0, rows), alpha=self._lower[0])
            out = chosen.index_select(0, position)
        self._pool += tables
        return out.mul_(self._scale)

    def apply_scattered(self, values: Tensor, index: Tensor) -> Tensor:
        r"""The product :math:`(n, d)` with a table that is zero but for its rows
        :obj:`index` :math:`(s)`, the sums of :obj:`values` :math:`(s, d)`: on the
        transpose, the gradient of :meth:`apply_rows`."""
        x = self._take(values, self.shape[1]).zero_().index_add_(0, index, values)
        out = self.apply(x)
        self._pool.append(x)
        return out

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        return Polynomial(self.op.to(device, dtype), self.coefficients)

    def _inner(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """All of Horner's steps but the last, and the tables that they alternate on."""
        tables = [self._take(x, x.size(0)) for _ in self._lower[1:3]]
        h = x
        for place, a in enumerate(reversed(self._lower[1:])):
            h = self._step(h, x, a, tables[place % 2])
        return h, tables

    def _take(self, like: Tensor, num_rows: int) -> Tensor:
        shape, kind = (num_rows, like.size(1)), (like.dtype, like.device)
        while self._pool:
            table = self._pool.pop()
            fits = table.shape == shape and (table.dtype, table.device) == kind
            if fits and table.is_inference() == torch.is_inference_mode_enabled():
                return table
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def _step(self, h: Tensor, x: Tensor, a: float, out: Tensor) -> Tensor:
        if isinstance(self.op, Sparse):
            return self.op.multiply_add(h, x, a, out)
        return torch.add(self.op.apply(h), x, alpha=a, out=out)


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
