r"""Can an attacker tell forgotten pairs from pairs that no model ever saw?

Members are the forgotten pairs. Non-members are *held-out positives of the same users*, of
about the same item degree: pairs of the same kind that were never trained on. Random pairs are
no non-members: a model that never saw the forgotten pairs still scores them far above random
ones, because it generalises, and what that measures is reported as ``generalisation``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.unlearn.bands import Measure
from graphrec.unlearn.standing import Standing

#: Largest difference of :math:`\log_2(1 + d)` between a pair and its match.
CALIPER = 1.0
# Added to logarithms of degrees, so that about equal ones are chosen by chance.
_NOISE = 0.1
FPRS = (0.01, 0.001)
_BOOTSTRAP = 400
_CHUNK = 50
# Golds from which a likelihood ratio with one gold left out has a spread.
_SHADOWS = 3


@dataclass(frozen=True)
class Matches:
    """For every matched member the number of its non-member.

    Attributes:
        member: Numbers of the matched members :math:`(m)`.
        other: Numbers of their non-members :math:`(m)`; one may serve several members.
        same_user: Bool :math:`(m)`, whether both are of one user.
        num_unmatched: Members without a match within the caliper, left out.
    """

    member: Tensor
    other: Tensor
    same_user: Tensor
    num_unmatched: int

    def to_dict(self) -> dict[str, Any]:
        """Counts, ready for JSON."""
        return {
            'matched': self.member.numel(),
            'distinct_non_members': int(self.other.unique().numel()),
            'of_the_same_user': int(self.same_user.sum()),
            'unmatched': self.num_unmatched,
        }


def match_non_members(
    members: Tensor, heldout: Tensor, user_degree: Tensor, item_degree: Tensor, seed: int = 0
) -> Matches:
    r"""Gives every member the held-out positive that is nearest in item degree, of the same
    user where there is one within :data:`CALIPER`, else of the user and item nearest in both
    degrees; distances are of :math:`\log_2 (1 + d)`.

    Args:
        members: Forgotten pairs :math:`(2, F)`.
        heldout: Held-out positives :math:`(2, H)`, no forgotten pair among them.
        user_degree: Retained interactions of every user :math:`(U)`.
        item_degree: Of every item :math:`(I)`.
        seed: Of the choice among held-out pairs of about the same degree, so that not all
            members of a user have the same match.

    Raises:
        GraphError: If a held-out pair is also a member.
    """
    stride = item_degree.numel()
    if torch.isin(heldout[0] * stride + heldout[1], members[0] * stride + members[1]).any():
        raise GraphError("'heldout' holds forgotten pairs, which are members; leave them out")
    user_log = (1 + user_degree.double()).log2()
    item_log = (1 + item_degree.double()).log2()
    generator = torch.Generator().manual_seed(seed)
    place, distance = _nearest_of_user(members, heldout, item_log, generator)
    far = (distance > CALIPER).nonzero().squeeze(1)
    if far.numel() and heldout.size(1):
        tree = cKDTree(torch.stack([user_log[heldout[0]], item_log[heldout[1]]], 1).numpy())
        wanted = torch.stack([user_log[members[0, far]], item_log[members[1, far]]], 1).numpy()
        gap, found = tree.query(wanted)
        place[far], distance[far] = torch.from_numpy(found).long(), torch.from_numpy(gap)
    matched = distance <= CALIPER
    member = matched.nonzero().squeeze(1)
    other = place[matched]
    same = members[0][member] == heldout[0][other]
    return Matches(member, other, same, int((~matched).sum()))


def _nearest_of_user(
    members: Tensor, heldout: Tensor, log: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The held-out pair of the same user with the nearest item degree, but for a little noise,
    and the distance."""
    place = torch.zeros(members.size(1), dtype=torch.long)
    distance = torch.full((members.size(1),), torch.inf, dtype=torch.float64)
    if not heldout.size(1):
        return place, distance
    # Logarithms of degrees are below 64, so that users do not overlap.
    known, asked = (
        log[pairs[1]] + _NOISE * torch.rand(pairs.size(1), generator=generator)
        for pairs in (heldout, members)
    )
    key, order = (heldout[0].double() * 64 + known).sort()
    wanted = members[0].double() * 64 + asked
    right = torch.searchsorted(key, wanted)
    for side in (right - 1, right):
        inside = (side >= 0) & (side < key.numel())
        at = order[side.clamp(0, key.numel() - 1)]
        same = inside & (heldout[0][at] == members[0])
        gap = torch.where(same, (known[at] - asked).abs(), torch.inf)
        closer = gap < distance
        place, distance = torch.where(closer, at, place), torch.where(closer, gap, distance)
    exact = (log[heldout[1][place]] - log[members[1]]).abs()
    return place, torch.where(distance.isfinite(), exact, torch.inf)


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


@dataclass(frozen=True)
class Membership:
    """What :func:`membership` found.

    Attributes:
        auc: AUC of attack (a), by user-standardised score.
        likelihood: AUC of attack (b); :obj:`None` with fewer than three golds.
        two_models: AUC of attack (c), by the change of score between both models.
        interval: 95 % bootstrap interval over users of (a) on the unlearned model.
        generalisation: AUC against random unobserved pairs. No measure of membership.
        tpr: True positive rate at false positive rates by name, for every kind of model.
        strata: AUC (a) by group of users or items.
        matches: Counts of the matching.
    """

    auc: Measure | None
    likelihood: Measure | None
    two_models: Measure | None
    interval: tuple[float, float] | None
    generalisation: Measure | None
    tpr: dict[str, dict[str, float | None]] = field(default_factory=dict)
    strata: dict[str, Measure] = field(default_factory=dict)
    matches: dict[str, Any] = field(default_factory=dict)

    @property
    def advantage(self) -> float | None:
        r"""Two-sided advantage :math:`|\mathrm{AUC} - 0.5|` of attack (a)."""
        if self.auc is None or self.auc.unlearned is None:
            return None
        return abs(self.auc.unlearned - 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        attacks = {
            'score_threshold': self.auc,
            'likelihood_ratio': self.likelihood,
            'two_models': self.two_models,
        }
        return {
            'non_members': 'held-out positives matched on item and user degree',
            'matching': self.matches,
            'auc': {name: m.to_dict() if m else None for name, m in attacks.items()},
            'auc_interval_95': self.interval,
            'two_sided_advantage': self.advantage,
            'tpr': self.tpr,
            'strata': {name: m.to_dict() for name, m in self.strata.items()},
            'generalisation': {
                'what': 'AUC against random unobserved pairs; it measures generalisation, not '
                'membership, and is high for gold as well',
                **(self.generalisation.to_dict() if self.generalisation else {}),
            },
        }


@dataclass(frozen=True)
class Attacked:
    """Standings under one model: of forgotten pairs, of held-out positives, of random pairs."""

    forgotten: Standing
    heldout: Standing
    random: Standing


def membership(
    members: Tensor,
    heldout: Tensor,
    matches: Matches,
    original: Attacked,
    unlearned: Attacked,
    golds: Sequence[Attacked],
    strata: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Membership:
    r"""Attacks every model with the same pairs.

    Args:
        members: Forgotten pairs :math:`(2, F)`.
        heldout: Held-out positives :math:`(2, H)`.
        matches: Which of them are compared.
        original: Standings under the model before.
        unlearned: Under the model of the audit.
        golds: Under the golds.
        strata: Bool over the members :math:`(F)` by name.
        seed: Of the bootstrap.
    """
    # Attack (c) on the original would compare it with itself.
    count = matches.to_dict()
    everyone = [original, unlearned, *golds]
    general = _measure('AUC against random pairs', [_general(m) for m in everyone])
    if not matches.member.numel():
        return Membership(None, None, None, None, general, matches=count)
    scores = [(m.forgotten.z[matches.member], m.heldout.z[matches.other]) for m in everyone]
    users = members[0][matches.member], heldout[0][matches.other]
    groups = {}
    for name, chosen in (strata or {}).items():
        keep = chosen[matches.member]
        if keep.any():
            values = [float(auc(a[keep], b[keep])) for a, b in scores]
            groups[name] = _measure(f'AUC, {name}', values)
    names = ['original', 'unlearned', *(f'gold {n + 1}' for n in range(len(golds)))]
    return Membership(
        auc=_measure('membership AUC', [float(auc(a, b)) for a, b in scores]),
        likelihood=_shadow_attack(scores),
        two_models=_change_attack(scores),
        interval=auc_interval(*scores[1], *users, seed=seed),
        generalisation=general,
        tpr={
            name: {f'at {fpr:.1%} FPR': tpr_at(*pair, fpr) for fpr in FPRS}
            for name, pair in zip(names, scores, strict=True)
        },
        strata=groups,
        matches=count,
    )


def _measure(name: str, values: Sequence[float]) -> Measure:
    return Measure(name, values[0], values[1], tuple(values[2:]), memory=1)


def _general(model: Attacked) -> float:
    if not model.random.z.numel():
        return float('nan')
    return float(auc(model.forgotten.z, model.random.z))


def _shadow_attack(scores: Sequence[tuple[Tensor, Tensor]]) -> Measure | None:
    golds = scores[2:]
    if len(golds) < _SHADOWS:
        return None

    def attack(target: int, shadows: Sequence[int]) -> float:
        sides = [
            likelihood_ratio(scores[target][side], [scores[n][side] for n in shadows])
            for side in (0, 1)
        ]
        return float(auc(*sides))

    everyone = range(2, len(scores))
    values = [attack(target, list(everyone)) for target in (0, 1)]
    values += [attack(target, [n for n in everyone if n != target]) for target in everyone]
    return _measure('likelihood-ratio AUC', values)


def _change_attack(scores: Sequence[tuple[Tensor, Tensor]]) -> Measure:
    before = scores[0]
    values = [float(auc(before[0] - a, before[1] - b)) for a, b in scores[1:]]
    note = 'gold fails this attack too; publish deletions in batches'
    return Measure('two-model AUC', None, values[0], tuple(values[1:]), memory=-1, note=note)
