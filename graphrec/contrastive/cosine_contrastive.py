"""The cosine contrastive loss."""

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.errors import GraphError


def cosine_contrastive(
    user: Tensor, pos: Tensor, neg: Tensor, *, margin: float = 0.9, weight: float = 150.0
) -> Tensor:
    r"""The loss of `"SimpleX: A Simple and Strong Baseline for Collaborative Filtering"
    <https://arxiv.org/abs/2109.12613>`_ (CCL, Eq. 1),

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i)} \Big[ 1 - \cos(\mathbf{z}_u, \mathbf{z}_i) +
        \frac{w}{n} \sum_{j} \max\big( 0, \cos(\mathbf{z}_u, \mathbf{z}_j) - m \big) \Big]

    zero exactly when every positive is parallel to its user and every negative lies below
    the margin.

    Args:
        user: :math:`\mathbf{z}_u`, shape :math:`(B, d)`.
        pos: :math:`\mathbf{z}_i`, shape :math:`(B, d)`.
        neg: :math:`\mathbf{z}_j`, shape :math:`(B, n, d)`.
        margin: :math:`m \in [-1, 1]`.
        weight: :math:`w \geq 0` (defaults: the paper's for Yelp2018).

    Raises:
        GraphError: If an argument is out of range.
    """
    if not -1 <= margin <= 1:
        raise GraphError(f"'margin' needs to lie in [-1, 1] (got {margin})")
    if not weight >= 0:
        raise GraphError(f"'weight' must not be negative (got {weight})")
    if neg.dim() != 3 or user.shape != pos.shape or neg.shape[::2] != user.shape:
        raise GraphError(
            f"'user', 'pos' and 'neg' need the shapes [B, d], [B, d], [B, n, d] (got "
            f'{list(user.shape)}, {list(pos.shape)}, {list(neg.shape)})'
        )
    user, pos, neg = (F.normalize(z, dim=-1) for z in (user, pos, neg))
    apart = (1 - (user * pos).sum(1)).clamp(min=0)
    close = torch.relu(torch.einsum('bd,bnd->bn', user, neg) - margin)
    return (apart + weight * close.mean(1)).mean()
