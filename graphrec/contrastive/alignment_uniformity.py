"""Alignment of pairs and uniformity on the sphere."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.blockwise_logsumexp import blockwise_logsumexp
from graphrec.errors import GraphError


def alignment(z1: Tensor, z2: Tensor) -> Tensor:
    r"""The mean squared distance of pairs on the unit sphere (`"Understanding Contrastive
    Representation Learning through Alignment and Uniformity on the Hypersphere"
    <https://arxiv.org/abs/2005.10242>`_),

    .. math::
        A = \frac{1}{B} \sum_b \| \tilde{\mathbf{z}}_b - \tilde{\mathbf{z}}^{\prime}_b \|^2
        = \frac{1}{B} \sum_b \big( 2 - 2 \cos(\mathbf{z}_b, \mathbf{z}^{\prime}_b) \big)

    Args:
        z1: One side of the pairs :math:`(B, d)`.
        z2: The other :math:`(B, d)`.
    """
    if z1.shape != z2.shape:
        raise GraphError(
            f"'z1' and 'z2' need the same shape (got {list(z1.shape)} and {list(z2.shape)})"
        )
    return (F.normalize(z1, dim=1) - F.normalize(z2, dim=1)).square().sum(1).mean()


def uniformity(z: Tensor, ids: Tensor | None = None, scale: float = 2.0) -> Tensor:
    r"""How evenly rows spread on the unit sphere: 0 if all are equal, lower the better,

    .. math::
        U = \log \frac{2}{n (n - 1)} \sum_{a < b} e^{-t \| \tilde{\mathbf{z}}_a -
        \tilde{\mathbf{z}}_b \|^2} = \log \sum_{a \neq b} e^{2 t \, \tilde{\mathbf{z}}_a^{\top}
        \tilde{\mathbf{z}}_b} - 2 t - \log n (n - 1)

    in its second form, which needs no matrix of distances.

    Args:
        z: Rows :math:`(n, d)`; with :obj:`ids`, of all nodes.
        ids: Nodes to take, each once: repeated rows would put a floor under it. Every row
            of :obj:`z` if omitted.
        scale: :math:`t`.

    Returns:
        A scalar; 0 for fewer than two rows.
    """
    if ids is not None:
        z = z[ids.unique()]
    count = z.size(0)
    if count < 2:
        return z.sum() * 0.0
    z = F.normalize(z, dim=1)
    own = torch.arange(count, device=z.device)
    total = blockwise_logsumexp(z, z, 2 * scale, own).logsumexp(0)
    return total - 2 * scale - math.log(count * (count - 1))


def alignment_uniformity(
    z1: Tensor,
    z2: Tensor,
    ids: Tensor | None = None,
    ids2: Tensor | None = None,
    *,
    gamma: float = 1.0,
) -> Tensor:
    r"""The loss of `"Towards Representation Alignment and Uniformity in Collaborative
    Filtering" <https://arxiv.org/abs/2206.12811>`_ (DirectAU, Eq. 5), without negatives,

    .. math::
        \mathcal{L} = A(\mathbf{Z}, \mathbf{Z}^{\prime}) + \frac{\gamma}{2} \big(
        U(\mathbf{Z}) + U(\mathbf{Z}^{\prime}) \big)

    Args:
        z1: Rows of one side of the pairs :math:`(B, d)`: users, or a view.
        z2: The other side :math:`(B, d)`: their items, or another view.
        ids: Node of every row of :obj:`z1` :math:`(B)`; repeated ones count once in
            :math:`U`. All rows are different nodes if omitted (official code: so that
            repeated rows put a floor under the loss).
        ids2: The same for :obj:`z2`; :obj:`ids` if omitted.
        gamma: :math:`\gamma \geq 0`.

    Raises:
        GraphError: If shapes differ or :obj:`gamma` is negative.
    """
    if not gamma >= 0:
        raise GraphError(f"'gamma' must not be negative (got {gamma})")
    ids2 = ids if ids2 is None else ids2
    spread = uniformity(_first_rows(z1, ids)) + uniformity(_first_rows(z2, ids2))
    return alignment(z1, z2) + gamma / 2 * spread


def _first_rows(z: Tensor, ids: Tensor | None) -> Tensor:
    """One row for each node."""
    if ids is None:
        return z
    nodes, group = ids.unique(return_inverse=True)
    row = torch.arange(ids.numel(), device=z.device)
    first = torch.full_like(nodes, ids.numel()).scatter_reduce(0, group, row, 'amin')
    return z[first]
