"""InfoNCE of several semantic views against one anchor."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.blockwise_logsumexp import blockwise_logsumexp
from graphrec.errors import GraphError


def semantic_info_nce(
    anchor: Tensor,
    views: Sequence[Tensor],
    *,
    temperature: float = 0.2,
    positive: Literal['sum', 'mean'] = 'sum',
    detach: bool = True,
    bf16: bool = False,
) -> Tensor:
    r"""Aligns :math:`M` semantic views of nodes with their behaviour :math:`\mathbf{b}`, the
    anchor, with :math:`s(\mathbf{a}, \mathbf{b}) = \cos(\mathbf{a}, \mathbf{b}) / \tau`,

    .. math::
        \mathcal{L}_a = -\frac{1}{N} \sum_n \log \frac{\sum_m e^{s(\mathbf{b}_n,
        \mathbf{h}^m_n)}}{\sum_m \sum_j e^{s(\mathbf{b}_n, \mathbf{h}^m_j)}}

    of `"Semantic Item Graph Enhancement for Multimodal Recommendation"
    <https://arxiv.org/abs/2508.06154>`_. **Reconstructed**: the abstract names an anchor-based
    InfoNCE and not its form. With the sum one good view satisfies the loss; ``'mean'``
    averages separate InfoNCEs, which forces each. Both are equal for one view.

    Args:
        anchor: :math:`\mathbf{b}`, distinct nodes :math:`(N, d)`.
        views: :math:`\mathbf{h}^m`, row by row the same nodes :math:`(N, d)` each.
        temperature: :math:`\tau > 0`.
        positive: ``'sum'`` or ``'mean'``.
        detach: Keep the gradient from the anchor, so that semantics move to behaviour.
        bf16: Multiply in bfloat16.

    Returns:
        A scalar, in nats.

    Raises:
        GraphError: If there is no view, shapes differ or an argument is unknown.
    """
    check_temperature(temperature)
    if not views or any(view.shape != anchor.shape for view in views):
        raise GraphError(
            f"'views' has shapes {[list(view.shape) for view in views]}, expected at least one "
            f'of {list(anchor.shape)}'
        )
    if positive not in ('sum', 'mean'):
        raise GraphError(f"'positive' must be 'sum' or 'mean' (got {positive!r})")
    own = F.normalize(anchor.detach() if detach else anchor, dim=1)
    tables = [F.normalize(view, dim=1) for view in views]
    near = torch.stack([(own * table).sum(1) / temperature for table in tables])
    if positive == 'sum':
        total = blockwise_logsumexp(own, torch.cat(tables), 1 / temperature, bf16=bf16)
        return (total - near.logsumexp(0)).mean()
    totals = [blockwise_logsumexp(own, table, 1 / temperature, bf16=bf16) for table in tables]
    return (torch.stack(totals) - near).mean()
