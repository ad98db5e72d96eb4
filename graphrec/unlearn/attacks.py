r"""What an attacker computes from the scores of pairs, and how well it tells them apart."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_BOOTSTRAP = 400
_CHUNK = 50


def auc(member: Tensor, other: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Probability that a member scores above a non-member, ties by half:
    :math:`P(s_+ > s_-) + \frac{1}{2} P(s_+ = s_-)`.

    Args:
        member: Scores :math:`(m)`.
        other: Scores :math:`(n)`.
        weight: Weights :math:`(B, m + n)` of both, for as many resamples; ones if omitted.

    Returns:
        A scalar, or :math:`(B)`.
    """
    count = member.numel()
    scores = torch.cat([member, other]).double()
    _, level = scores.unique(return_inverse=True)
    flat = torch.ones(1, scores.numel(), dtype=torch.float64) if weight is None else weight.double()
    levels = int(level.max()) + 1 if level.numel() else 0
    mass = [
        torch.zeros(flat.size(0), levels, dtype=torch.float64).index_add_(
            1, level[part], flat[:, part]
        )
        for part in (slice(0, count), slice(count, None))
    ]
    below = mass[1].cumsum(1) - mass[1] / 2
    value = (mass[0] * below).sum(1) / (mass[0].sum(1) * mass[1].sum(1))
    return value[0] if weight is None else value


def auc_interval(
    member: Tensor,
    other: Tensor,
    member_user: Tensor,
    other_user: Tensor,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Bootstrap interval of the AUC, resampling whole users; :obj:`None` with fewer than two
    users of members."""
    users, index = torch.cat([member_user, other_user]).unique(return_inverse=True)
    if member_user.unique().numel() < 2:
        return None
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(_BOOTSTRAP // _CHUNK):
        drawn = torch.randint(users.numel(), (_CHUNK, users.numel()), generator=generator)
        weight = torch.zeros(_CHUNK, users.numel(), dtype=torch.float64)
        weight.scatter_add_(1, drawn, torch.ones_like(weight))
        values.append(auc(member, other, weight[:, index]))
    found = torch.cat(values)
    found = found[found.isfinite()]
    if not found.numel():
        return None
    low, high = np.quantile(found.numpy(), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def tpr_at(member: Tensor, other: Tensor, fpr: float) -> float | None:
    """Largest share of members found while at most the share :obj:`fpr` of the non-members is
    taken for members; :obj:`None` with fewer than ``1 / fpr`` non-members."""
    allowed = int(np.floor(fpr * other.numel() + 1e-9))
    if allowed < 1 or not member.numel():
        return None
    threshold = other.double().sort(descending=True).values
    limit = threshold[allowed] if allowed < other.numel() else -torch.inf
    return float((member > limit).double().mean())


def likelihood_ratio(z: Tensor, golds: Sequence[Tensor]) -> Tensor:
    r"""The likelihood-ratio attack with golds as shadow models that never saw a pair
    (`"LiRA" <https://arxiv.org/abs/2112.03570>`_, offline form): how far above its scores
    without membership a pair scores,

    .. math::
        \Lambda = (z - \bar z_g) / s_g

    with the standard deviation :math:`s_g` over golds, shrunk halfway to its mean over pairs
    (RECONSTRUCTED: a handful of golds gives no variance for one pair).

    Args:
        z: Standardised scores :math:`(P)` of the model attacked.
        golds: Those of at least two golds, the model attacked not among them.
    """
    table = torch.stack(list(golds))
    variance = table.var(0)
    shrunk = (variance + variance.mean()) / 2
    return (z - table.mean(0)) / shrunk.clamp(min=1e-12).sqrt()
