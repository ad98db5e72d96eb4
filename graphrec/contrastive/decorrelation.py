"""The redundancy-reduction objective."""

import torch
from torch import Tensor

from graphrec.errors import GraphError


def decorrelation(
    z1: Tensor, z2: Tensor, ids: Tensor | None = None, *, off_diagonal: float = 5e-3
) -> Tensor:
    r"""The objective of `"Barlow Twins: Self-Supervised Learning via Redundancy Reduction"
    <https://arxiv.org/abs/2103.03230>`_ (Eq. 1): the cross-correlation of the features of
    two views is to be the identity,

    .. math::
        \mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \neq j} C_{ij}^2, \qquad
        \mathbf{C} = \frac{1}{B} \hat{\mathbf{Z}}^{\top} \hat{\mathbf{Z}}^{\prime}

    with columns :math:`\hat{\mathbf{Z}}` of mean 0 and variance 1 over the rows. Cost
    :math:`O(B d^2)`, linear in the batch; there are no negatives.

    Args:
        z1: View :math:`(B, d)`; with :obj:`ids`, of all nodes.
        z2: View :math:`(B, d)`.
        ids: Nodes to take, each once; every row if omitted.
        off_diagonal: :math:`\lambda \geq 0`.

    Raises:
        GraphError: If shapes differ, or there are fewer than two rows to correlate over.
    """
    if z1.shape != z2.shape:
        raise GraphError(
            f"'z1' and 'z2' need the same shape (got {list(z1.shape)} and {list(z2.shape)})"
        )
    if not off_diagonal >= 0:
        raise GraphError(f"'off_diagonal' must not be negative (got {off_diagonal})")
    if ids is not None:
        ids = ids.unique()
        z1, z2 = z1[ids], z2[ids]
    if z1.size(0) < 2:
        raise GraphError(f'a correlation needs at least two rows (got {z1.size(0)})')
    correlation = _standardize(z1).t() @ _standardize(z2) / z1.size(0)
    diagonal = correlation.diagonal()
    others = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal * others


def _standardize(z: Tensor) -> Tensor:
    z = z - z.mean(0)
    # A constant column stays zero: it correlates with nothing.
    variance = z.square().mean(0)
    return z * torch.where(variance > 0, variance, 1.0).rsqrt()
