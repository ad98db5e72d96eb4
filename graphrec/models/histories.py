"""People outside the graph, by the items that they have."""

from collections.abc import Sequence

import torch
from torch import Tensor

from graphrec.graphs.operators import Polynomial, Sparse


def gather_histories(histories: Sequence[Tensor], x: Tensor, power: float) -> Tensor:
    r"""The sums :math:`|H|^{-p} \sum_{i \in H} \mathbf{x}_i` of item rows, shape
    :math:`(n, d)`; zeros for an empty history."""
    rows = [x[items.long()].sum(0) / max(items.numel(), 1) ** power for items in histories]
    return torch.stack(rows) if rows else x.new_zeros(0, x.size(1))


def attach_rows(
    histories: Sequence[Tensor], x: Tensor, adjacency: Sparse, num_users: int
) -> Tensor:
    r"""The rows :math:`\sum_{i \in H} \mathbf{x}_i / \sqrt{|H| d_i}` :math:`(n, d)` of
    :math:`\hat{\mathbf{A}}` for nodes attached to the items of each history, whose degrees
    stay as they are.

    Args:
        histories: Item numbers of each of them.
        x: Rows of the items :math:`(I, d)`.
        adjacency: :math:`\hat{\mathbf{A}}`, users first.
        num_users: :math:`U`.
    """
    degree = adjacency.rowptr.diff()[num_users:].clamp(min=1).to(x.dtype)
    return gather_histories(histories, x * degree.rsqrt().unsqueeze(1), 0.5)


@torch.no_grad()
def attach_histories(
    histories: Sequence[Tensor], x: Tensor, propagation: Polynomial, num_users: int
) -> Tensor:
    r"""Vectors :math:`(n, d)` of people outside the graph, each an item list :math:`H`, once
    their node is attached to a trained graph that stays as it is,

    .. math::
        \mathbf{z}_u = \sum_{l=1}^{L} a_l \sum_{i \in H} \frac{1}{\sqrt{|H| d_i}}
        (\hat{\mathbf{A}}^{l-1} \mathbf{X})_i

    with :math:`\mathbf{x}_u = \mathbf{0}`; without layers the sum takes :math:`a_1 = 1`.

    Args:
        histories: Item numbers of each of them.
        x: :math:`\mathbf{X}`, shape :math:`(U + I, d)`, users first.
        propagation: :math:`\sum_l a_l \hat{\mathbf{A}}^l`.
        num_users: :math:`U`.
    """
    adjacency, weights = propagation.op, propagation.coefficients[1:] or [1.0]
    assert isinstance(adjacency, Sparse)
    table = Polynomial(adjacency, weights) @ x
    return attach_rows(histories, table[num_users:], adjacency, num_users)
