"""The pairwise ranking loss of models that score by dot products."""

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.graphs.sampling import BPRBatch


def batch_nodes(batch: BPRBatch, num_users: int) -> Tensor:
    """Numbers of the nodes of a batch in a table of users, then items: its users, its
    positives, and the negatives of one triple after the other."""
    user, pos, neg = batch
    return torch.cat([user, pos + num_users, neg.reshape(-1) + num_users])


def pairwise_loss(z: Tensor, e: Tensor, batch: BPRBatch, reg: float) -> Tensor:
    r"""BPR with squared norms, over the rows of :func:`batch_nodes`,

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i, j)} \Big[ -\ln \sigma \big( \mathbf{z}_u^{\top}
        (\mathbf{z}_i - \mathbf{z}_j) \big) + \frac{\lambda}{2} \big( \|\mathbf{e}_u\|^2 +
        \|\mathbf{e}_i\|^2 + \|\mathbf{e}_j\|^2 \big) \Big]

    the terms of several negatives of a positive averaged.

    Args:
        z: Rows that score.
        e: Rows that are kept short, the same or those before propagation.
        batch: The triples.
        reg: :math:`\lambda`.
    """
    size = batch.user.numel()
    user, pos, neg = z[:size], z[size : 2 * size], z[2 * size :].view(size, -1, z.size(1))
    margin = torch.einsum('bnd,bd->bn', neg, user) - (user * pos).sum(1, keepdim=True)
    squared = e[: 2 * size].square().sum() + e[2 * size :].square().sum() / neg.size(1)
    return F.softplus(margin).mean() + reg * 0.5 * squared / size
