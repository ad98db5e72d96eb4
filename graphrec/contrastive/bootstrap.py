"""Learning without negatives: an online network chases a target that lags behind."""

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.errors import GraphError


def bootstrap(online: Tensor, target: Tensor, ids: Tensor | None = None) -> Tensor:
    r"""The distance of predictions from targets that no gradient reaches (`"Bootstrap Your
    Own Latent" <https://arxiv.org/abs/2006.07733>`_, Eq. 2),

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_b \big( 2 - 2 \cos(\mathbf{q}_b, \mathrm{sg}[
        \mathbf{t}_b]) \big)

    Args:
        online: Predictions :math:`\mathbf{q}`, shape :math:`(B, d)`; with :obj:`ids`, of
            all nodes.
        target: Targets :math:`\mathbf{t}`, shape :math:`(B, d)`.
        ids: Nodes to take, each once; every row if omitted.
    """
    if online.shape != target.shape:
        raise GraphError(
            f"'online' and 'target' need the same shape (got {list(online.shape)} and "
            f'{list(target.shape)})'
        )
    if ids is not None:
        ids = ids.unique()
        online, target = online[ids], target[ids]
    return 2 - 2 * F.cosine_similarity(online, target.detach(), dim=1).mean()


@torch.no_grad()
def follow(target: Tensor, online: Tensor, momentum: float, ids: Tensor | None = None) -> None:
    r"""Moves a target towards the online values, in place: :math:`\mathbf{t} \leftarrow m
    \mathbf{t} + (1 - m) \mathbf{o}`; a momentum of 0 makes them equal.

    Args:
        target: :math:`\mathbf{t}`, changed.
        online: :math:`\mathbf{o}`, of the same shape.
        momentum: :math:`m \in [0, 1]`.
        ids: Rows to move, each once; all if omitted.

    Raises:
        GraphError: If :obj:`momentum` lies outside its range.
    """
    check_momentum(momentum)
    if ids is None:
        target.lerp_(online, 1 - momentum)
    else:
        ids = ids.unique()
        target[ids] = target[ids].lerp_(online[ids], 1 - momentum)


def check_momentum(momentum: float) -> None:
    """Raises :class:`GraphError` unless it lies in [0, 1]."""
    if not 0 <= momentum <= 1:
        raise GraphError(f"'momentum' needs to lie in [0, 1] (got {momentum})")
