r"""Whether forgotten pairs still score above pairs that the model never saw."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_DRAWS = 200
_Z95 = 1.96


class HeldoutAUC(NamedTuple):
    """The area and half the width of its 95 % interval over users."""

    auc: float
    half_width: float


def heldout_auc(
    z_forgotten: Tensor,
    z_heldout: Tensor,
    weight: Tensor,
    user_forgotten: Tensor,
    user_heldout: Tensor,
    seed: int = 0,
    interval: bool = True,
) -> HeldoutAUC:
    r"""The probability that a forgotten pair scores above a held-out one,

    .. math::
        \mathrm{AUC} = \frac{1}{F \sum_h w_h} \sum_{f, h} w_h \Big( [z_f > z_h] +
        \tfrac{1}{2} [z_f = z_h] \Big)

    with a bootstrap over users, since pairs of one user are not independent.

    Args:
        z_forgotten: Standardised scores :math:`(F)`.
        z_heldout: Standardised scores :math:`(H)`.
        weight: :math:`w` :math:`(H)`, see :func:`~graphrec.unlearn.propensity.odds_weights`.
        user_forgotten: User of each forgotten pair :math:`(F)`.
        user_heldout: User of each held-out pair :math:`(H)`.
        seed: Of the bootstrap.
        interval: Whether to draw it; the half width is NaN otherwise.
    """
    order = z_heldout.argsort()
    z, w = z_heldout[order].contiguous(), weight[order].double()
    low = torch.searchsorted(z, z_forgotten.contiguous())
    high = torch.searchsorted(z, z_forgotten.contiguous(), right=True)
    _, row = torch.unique(torch.cat([user_forgotten, user_heldout[order]]), return_inverse=True)
    num_users = int(row.max()) + 1
    of_forgotten, of_heldout = row[: z_forgotten.numel()], row[z_forgotten.numel() :]

    def area(times: Tensor) -> Tensor:
        below = torch.cat([w.new_zeros(1), (w * times[of_heldout]).cumsum(0)])
        own = times[of_forgotten]
        total = below[-1] * own.sum()
        return (own * (below[low] + below[high])).sum() / 2 / total

    auc = float(area(w.new_ones(num_users)))
    if not interval:
        return HeldoutAUC(auc, math.nan)
    generator = torch.Generator().manual_seed(seed)
    draws = []
    for _ in range(_DRAWS):
        picked = torch.randint(num_users, (num_users,), generator=generator).to(row.device)
        draws.append(area(torch.bincount(picked, minlength=num_users).double()))
    values = torch.stack(draws)
    values = values[torch.isfinite(values)]
    spread = float(values.std()) if values.numel() > 1 else 0.5
    return HeldoutAUC(auc, _Z95 * spread)
