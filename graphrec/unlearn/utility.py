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
from scipy import stats
from torch import Tensor

from graphrec.metrics import coverage, hit_matrix, relevance_metrics
from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure, distances

METRICS = ('recall@20', 'ndcg@20')
LIST_LENGTH = 20
#: Smallest margin of equivalence, relative to gold.
MARGIN = 0.01
#: Share of the users who count as active.
ACTIVE = 0.05
_ALPHA = 0.05


@dataclass(frozen=True)
class Equivalence:
    r"""Two one-sided tests that a metric differs from gold's by less than a margin.

    Attributes:
        metric: Its name.
        difference: Unlearned minus the mean of the golds.
        margin: :math:`\Delta = \max(Q_M, 1\,\% \cdot \bar M_g)`.
        interval: 90 % interval of the difference, over training seeds; equivalence at the 5 %
            level is that it lies within :math:`\pm \Delta`.
        p_value: The larger one of both tests.
        outcome: ``'equivalent'``, ``'worse'``, ``'better'`` or ``'inconclusive'``.
    """

    metric: str
    difference: float
    margin: float
    interval: tuple[float, float]
    p_value: float
    outcome: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dict(vars(self))


def equivalence(
    metric: str, unlearned: Sequence[float], golds: Sequence[float], margin: float = MARGIN
) -> Equivalence | None:
    r"""Tests equivalence with gold by two one-sided t tests (`"TOST"
    <https://doi.org/10.1007/BF01068419>`_) at the 5 % level, with the margin
    :math:`\Delta = \max(Q_M, m \bar M_g)`.

    The rows are fixed, what varies is the seed of training. One unlearned model is a fixed
    number, tested against the mean of the golds; several are a sample of their own (Welch),
    and then the one under audit has to lie within the margin by itself too.

    Args:
        metric: Its name.
        unlearned: Values of the unlearned models, the one under audit first.
        golds: Values of the golds.
        margin: :math:`m`, relative.

    Returns:
        :obj:`None` with fewer than three golds. ``'worse'`` and ``'better'`` are differences
        beyond the margin; a difference within it that the test does not bound is
        ``'inconclusive'``.
    """
    if len(golds) < MIN_GOLDS_OF_BAND:
        return None
    g, u = np.asarray(golds, dtype=float), np.asarray(unlearned, dtype=float)
    band = Measure(metric, None, None, tuple(golds)).band or 0.0
    delta = max(band, margin * abs(float(g.mean())))
    difference, audited = float(u.mean() - g.mean()), float(u[0] - g.mean())
    parts = [(g.var(ddof=1) / len(g), len(g) - 1)]
    if len(u) > 1:
        parts.append((u.var(ddof=1) / len(u), len(u) - 1))
    variance = sum(v for v, _ in parts)
    if variance == 0:
        low = high = difference
        p_value = 0.0 if abs(difference) <= delta else 1.0
    else:
        error = math.sqrt(variance)
        freedom = variance**2 / sum(v**2 / n for v, n in parts if v)
        reach = float(stats.t.ppf(1 - _ALPHA, freedom)) * error
        low, high = difference - reach, difference + reach
        p_value = float(stats.t.sf((delta - abs(difference)) / error, freedom))
    if max(abs(difference), abs(audited)) > delta:
        outcome = 'worse' if min(difference, audited) < -delta else 'better'
    elif -delta <= low and high <= delta:
        outcome = 'equivalent'
    else:
        outcome = 'inconclusive'
    return Equivalence(metric, difference, delta, (low, high), p_value, outcome)


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


def hops(edges: Tensor, users: Tensor, items: Tensor, most: int = 2) -> Tensor:
    r"""Distance of every item from the touched nodes in the graph of the edges: 0 for touched
    ones, at most :obj:`most`, then ``most + 1``.

    Args:
        edges: Training edges :math:`(2, E)` before the edit.
        users: Bool :math:`(U)`, touched users.
        items: Bool :math:`(I)`, touched items.
        most: Last distance told apart.
    """
    near_user, near_item = users.clone(), items.clone()
    distance = torch.full((items.numel(),), most + 1)
    distance[near_item] = 0
    for step in range(1, most + 1):
        user, item = edges
        next_item = near_item.clone()
        next_item[item[near_user[user]]] = True
        near_user[user[near_item[item]]] = True
        distance[next_item & ~near_item] = step
        near_item = next_item
    return distance


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
        distance: Of every item from the edit, see :func:`hops`; -1 for a removed one.
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
        error = float(difference.std()) / math.sqrt(difference.numel())
        moved = float(difference.mean()), error if math.isfinite(error) else math.inf
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
            return float(score_drift(a.scores[:, chosen], b.scores[:, chosen]).mean())

        if golds:
            before, after, between = distances(moved, original, unlearned, golds)
            label = f'drift from gold, {name}'
            found.append(Measure(label, before, after, between, distance=True, tells=False))
        else:
            after = moved(unlearned, original)
            label = f'drift from the original, {name}'
            found.append(Measure(label, None, after, distance=True, tells=False))
    return found
