"""InfoNCE of nodes against anchors: structural neighbours and prototypes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.blockwise_info_nce import blockwise_info_nce
from graphrec.contrastive.info_nce import Reduction, info_nce
from graphrec.errors import GraphError


def structural_info_nce(
    context: Tensor,
    own: Tensor,
    ids: Tensor | None = None,
    *,
    temperature: float = 0.1,
    count_repeats: bool = False,
    reduction: Reduction = 'mean',
    bf16: bool = False,
) -> Tensor:
    r"""The structure-contrastive objective of `"Improving Graph Collaborative Filtering
    with Neighborhood-enriched Contrastive Learning" <https://arxiv.org/abs/2202.06200>`_
    (NCL, Eq. 8): a node against what it has around it at an even distance, which are nodes of
    its own type,

    .. math::
        \mathcal{L} = -\frac{1}{|B|} \sum_{b \in B} \log \frac{\exp(\cos(
        \mathbf{h}^{(2k)}_b, \mathbf{h}^{(0)}_b) / \tau)}{\sum_{c} \exp(\cos(
        \mathbf{h}^{(2k)}_b, \mathbf{h}^{(0)}_c) / \tau)}

    with all nodes of the type as candidates.

    Args:
        context: Layer :math:`2k` of all nodes of a type :math:`(N, d)`.
        own: Layer 0 :math:`(N, d)`.
        ids: Anchors; all nodes if omitted.
        temperature: :math:`\tau`.
        count_repeats: Whether an anchor counts as often as it is named (official code).
        reduction: ``'mean'`` or ``'sum'`` (official code) over the anchors.
        bf16: Multiply in bfloat16.
    """
    return info_nce(
        context,
        own,
        ids,
        'all',
        temperature=temperature,
        count_repeats=count_repeats,
        reduction=reduction,
        bf16=bf16,
    )


def prototype_info_nce(
    z: Tensor,
    prototypes: Tensor,
    assignment: Tensor,
    ids: Tensor | None = None,
    *,
    temperature: float = 0.1,
    count_repeats: bool = False,
    reduction: Reduction = 'mean',
) -> Tensor:
    r"""The prototype-contrastive objective of NCL (Eq. 11): a node against the centroid of
    its cluster among all centroids,

    .. math::
        \mathcal{L} = -\frac{1}{|B|} \sum_{b \in B} \log \frac{\exp(\cos(\mathbf{e}_b,
        \mathbf{c}_{k_b}) / \tau)}{\sum_{k=1}^{K} \exp(\cos(\mathbf{e}_b, \mathbf{c}_k) / \tau)}

    No gradient reaches the prototypes.

    Args:
        z: All nodes of a type :math:`(N, d)`.
        prototypes: :math:`\mathbf{c}`, shape :math:`(K, d)`.
        assignment: The cluster :math:`k` of every node :math:`(N)`.
        ids: Anchors; all nodes if omitted.
        temperature: :math:`\tau`.
        count_repeats: Whether an anchor counts as often as it is named (official code).
        reduction: ``'mean'`` or ``'sum'`` (official code) over the anchors.

    Raises:
        GraphError: If there is not one cluster number a node.
    """
    if assignment.shape != z.shape[:1]:
        raise GraphError(f"'assignment' has shape {list(assignment.shape)}, expected [{z.size(0)}]")
    if reduction not in ('mean', 'sum'):
        raise GraphError(f"'reduction' must be 'mean' or 'sum' (got {reduction!r})")
    if ids is None:
        rows, weight = z, z.new_ones(z.size(0))
    else:
        ids, count = ids.unique(return_counts=True)
        rows, assignment = z[ids], assignment[ids]
        weight = count.to(z.dtype) if count_repeats else torch.ones_like(count, dtype=z.dtype)
    return blockwise_info_nce(
        F.normalize(rows, dim=1),
        F.normalize(prototypes.detach(), dim=1),
        assignment,
        temperature=temperature,
        weight=weight if reduction == 'sum' else weight / weight.sum(),
    )
