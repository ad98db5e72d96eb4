r"""Can an attacker tell forgotten pairs from pairs that no model ever saw?

Members are the forgotten pairs. Non-members are *held-out positives of the same users*, of
about the same item degree: pairs of the same kind that were never trained on. Random pairs are
no non-members: a model that never saw the forgotten pairs still scores them far above random
ones, because it generalises, and what that measures is reported as ``generalisation``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from graphrec.unlearn.attacks import auc, auc_interval, likelihood_ratio, tpr_at
from graphrec.unlearn.bands import Measure
from graphrec.unlearn.matching import Matches
from graphrec.unlearn.standing import Standing

FPRS = (0.01, 0.001)
# Golds from which a likelihood ratio with one gold left out has a spread.
_SHADOWS = 3


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
