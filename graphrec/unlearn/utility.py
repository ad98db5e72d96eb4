r"""What unlearning cost those who stayed: quality, fairness, and drift.

All models are measured on the same rows: the held-out pairs of the edited graph, in which
removed nodes have none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrec.metrics import coverage, hit_matrix, relevance_metrics
from graphrec.unlearn.bands import Measure, distances
from graphrec.unlearn.equivalence import Equivalence, equivalence

METRICS = ('recall@20', 'ndcg@20')
LIST_LENGTH = 20
#: Share of the users who count as active.
ACTIVE = 0.05


def per_user_metrics(lists: Tensor, truth: Tensor, num_items: int) -> dict[str, Tensor]:
    r"""Recall@20 and NDCG@20 of every user with held-out pairs, float64.

    Args:
        lists: Ranked items :math:`(n, k)`, -1 for an empty place.
        truth: Held-out pairs :math:`(2, T)`: a row of :obj:`lists`, an item number.
        num_items: Size of the catalogue.
    """
    count = torch.bincount(truth[0], minlength=lists.size(0))
    hits = hit_matrix(lists, truth, num_items)
    # Short catalogues have shorter lists; the name says at most so many.
    size = min(LIST_LENGTH, lists.size(1))
    table = relevance_metrics(hits, count, [size], ('recall', 'ndcg'))
    named = zip(METRICS, table.values(), strict=True)
    return {name: value[count > 0] for name, value in named}


def active_gap(values: Tensor, degree: Tensor, share: float = ACTIVE) -> float:
    r"""Mean of the most active users minus the mean of the rest; RECONSTRUCTED after A-IGF of
    CURE4Rec, whose gap is of this kind.

    Args:
        values: A metric :math:`(n)`.
        degree: Training interactions :math:`(n)`; equal ones stay in order.
        share: Of the users, in (0, 1).
    """
    count = max(1, round(share * values.numel()))
    if values.numel() <= count:
        return float('nan')
    order = degree.argsort(descending=True, stable=True)
    return float(values[order[:count]].mean() - values[order[count:]].mean())


def mean_popularity(lists: Tensor, degree: Tensor, k: int = LIST_LENGTH) -> float:
    """Mean training interactions of the items shown :math:`(n, k)`."""
    shown = lists[:, :k]
    shown = shown[shown >= 0]
    return float(degree[shown].double().mean()) if shown.numel() else float('nan')


def score_drift(a: Tensor, b: Tensor) -> Tensor:
    r"""One minus the correlation over users of an item's standardised scores under two models,
    both :math:`(n, I)`: how far the item's neighbourhood moved, in [0, 2]; float64 :math:`(I)`.
    It compares models without a common basis of embeddings, as two golds are."""
    first, second = a.double() - a.double().mean(0), b.double() - b.double().mean(0)
    scale = first.square().sum(0).sqrt() * second.square().sum(0).sqrt()
    return 1 - (first * second).sum(0) / scale.clamp(min=1e-12)


def mean_drift(a: 'Served', b: 'Served', chosen: Tensor) -> float:
    """The mean :func:`score_drift` of the chosen items (bool)."""
    return float(score_drift(a.scores[:, chosen], b.scores[:, chosen]).mean())


@dataclass(frozen=True)
class Served:
    """What one model serves to the users of the audit: lists :math:`(n, k)`, and standardised
    scores :math:`(s, I)` of a sample of them."""

    lists: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Utility:
    """What :func:`utility` found; :attr:`original_change` is the mean change of recall@20 a
    user against the original, and its standard error."""

    split: str
    num_users: int
    num_rows: int
    quality: list[Measure]
    equivalence: list[Equivalence]
    change: dict[str, dict[str, float]]
    others: list[Measure]
    drift: list[Measure]
    groups: dict[str, Measure] = field(default_factory=dict)
    original_change: tuple[float, float] | None = None

    @property
    def relative_change(self) -> float | None:
        """Recall@20 against the original's, -0.05 for 5 % less; :obj:`None` without rows."""
        before = self.quality[0].original if self.quality else None
        return (self.quality[0].unlearned or 0.0) / before - 1 if before else None

    @property
    def clear_change(self) -> float | None:
        """:attr:`relative_change` where users agree on it: the mean of their differences from
        the original is more than 1.645 standard errors from 0; else 0."""
        if self.relative_change is None or self.original_change is None:
            return None
        mean, error = self.original_change
        return self.relative_change if abs(mean) > 1.645 * error else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'split': self.split,
            'num_users': self.num_users,
            'num_rows': self.num_rows,
            'quality': {m.name: m.to_dict() for m in self.quality},
            'equivalence_with_gold': [e.to_dict() for e in self.equivalence],
            'relative_change_of_recall': self.relative_change,
            'per_user_change': self.change,
            'others': {m.name: m.to_dict() for m in self.others},
            'drift': {m.name: m.to_dict() for m in self.drift},
            'groups': {name: m.to_dict() for name, m in self.groups.items()},
        }


def utility(
    truth: Tensor,
    split: str,
    original: Served,
    unlearned: Served,
    golds: Sequence[Served],
    more_unlearned: Sequence[Served],
    user_degree: Tensor,
    item_degree: Tensor,
    distance: Tensor,
    num_candidates: int,
    groups: Mapping[str, Tensor] | None = None,
) -> Utility:
    r"""Compares what the models serve.

    Args:
        truth: Held-out pairs :math:`(2, T)` of the edited graph: a row of the lists, an item.
        split: Their name, for the report.
        original: Of the model before.
        unlearned: Of the model under audit.
        golds: Of the golds.
        more_unlearned: Of further unlearned models.
        user_degree: Retained interactions :math:`(n)` of the users of the lists.
        item_degree: Of all items :math:`(I)`.
        distance: Of every item from the edit, see
            :func:`~graphrec.unlearn.hops.hops`; -1 for a removed one.
        num_candidates: Size of the catalogue after the edit.
        groups: Bool :math:`(n)` by name of a protected group.
    """
    items = item_degree.numel()
    everyone = [original, unlearned, *golds]
    rows = torch.bincount(truth[0], minlength=user_degree.numel()) > 0
    quality, tests, change, gaps, by_group = [], [], {}, [], {}
    moved = None
    if truth.numel():
        values = [per_user_metrics(m.lists, truth, items) for m in everyone]
        extra = [per_user_metrics(m.lists, truth, items) for m in more_unlearned]
        for name in METRICS:
            quality.append(_of(name, [float(v[name].mean()) for v in values]))
            tested = [float(v[name].mean()) for v in (values[1], *extra)]
            test = equivalence(name, tested, quality[-1].golds)
            tests += [test] if test else []
            reference = torch.stack([v[name] for v in values[2:] or values[:1]]).mean(0)
            change[name] = _change(values[1][name] - reference)
            change[name]['against_gold'] = float(bool(golds))
        recall = [v[METRICS[0]] for v in values]
        difference = recall[1] - recall[0]
        count = difference.numel()  # One user alone has no spread.
        error = float(difference.std()) / math.sqrt(count) if count > 1 else math.inf
        moved = float(difference.mean()), error
        gaps.append(
            _of('active 5 % minus the rest', [active_gap(v, user_degree[rows]) for v in recall])
        )
        for name, chosen in (groups or {}).items():
            if chosen[rows].any():
                by_group[name] = _of(
                    f'recall@20, {name}', [float(v[chosen[rows]].mean()) for v in recall]
                )
    others = [
        _of('coverage@20', [coverage(m.lists, num_candidates, LIST_LENGTH) for m in everyone]),
        _of('mean popularity', [mean_popularity(m.lists, item_degree) for m in everyone]),
        *gaps,
    ]
    return Utility(
        split=split,
        num_users=int(rows.sum()),
        num_rows=truth.size(1),
        quality=quality,
        equivalence=tests,
        change=change,
        others=others,
        drift=_drift(original, unlearned, golds, distance),
        groups=by_group,
        original_change=moved,
    )


def _of(name: str, values: Sequence[float]) -> Measure:
    return Measure(name, values[0], values[1], tuple(values[2:]), tells=False)


def _change(difference: Tensor) -> dict[str, float]:
    """Mean, 5th percentile, and the mean over the users at and below it."""
    ordered = difference.sort().values
    tail = ordered[: max(1, math.ceil(0.05 * ordered.numel()))]
    return {
        'mean': float(difference.mean()),
        'percentile_5': float(np.quantile(ordered.numpy(), 0.05)),
        'mean_of_the_worst_5_percent': float(tail.mean()),
        'share_of_users_worse': float((difference < 0).double().mean()),
    }


def _drift(
    original: Served, unlearned: Served, golds: Sequence[Served], distance: Tensor
) -> list[Measure]:
    """Drift from gold of items at 0, 1, 2 and more steps; without golds, from the original."""
    found = []
    names = {0: 'touched items', 1: 'items 1 step away', 2: 'items 2 steps away', 3: 'other items'}
    for step, name in names.items():
        chosen = distance == step
        if not chosen.any():
            continue

        def moved(a: Served, b: Served, chosen: Tensor = chosen) -> float:
            return mean_drift(a, b, chosen)

        if golds:
            before, after, between = distances(moved, original, unlearned, golds)
            label = f'drift from gold, {name}'
            found.append(Measure(label, before, after, between, distance=True, tells=False))
        else:
            after = moved(unlearned, original)
            label = f'drift from the original, {name}'
            found.append(Measure(label, None, after, distance=True, tells=False))
    return found
