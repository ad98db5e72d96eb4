"""People outside the graph, by the items that they have."""

import torch
from torch import Tensor

from graphrec.graphs.operators import Polynomial, Sparse


def gather_histories(histories: list[Tensor], x: Tensor, power: float) -> Tensor:
    r"""The sums :math:`|H|^{-p} \sum_{i \in H} \mathbf{x}_i` of item rows, shape
    :math:`(n, d)`; zeros for an empty history."""
    return torch.stack([x[items].sum(0) / max(items.numel(), 1) ** power for items in histories])


def attach_histories(
    histories: list[Tensor], adjacency: Sparse, embedding: Tensor, num_users: int, layers: int
) -> Tensor:
    r"""Embeddings :math:`(n, d)` of people as nodes without an initial embedding, attached to
    the trained graph of a LightGCN with :math:`1 / (L + 1)` for every layer,

    .. math::
        \mathbf{b} = \frac{1}{L + 1} \sum_{l=1}^{L} \sum_{i \in H} \frac{1}{\sqrt{|H| d_i}}
        \mathbf{h}_i^{(l-1)}

    which for :math:`L = 0` is the sum for layer 0 alone."""
    degree = adjacency.rowptr.diff()[num_users:].clamp(min=1).to(embedding.dtype)
    lower = Polynomial(adjacency, [1 / (layers + 1)] * max(layers, 1))
    carried = (lower @ embedding)[num_users:] * degree.rsqrt().unsqueeze(1)
    return gather_histories(histories, carried, 0.5)
