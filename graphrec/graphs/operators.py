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
