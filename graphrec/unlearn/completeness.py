r"""Is the forgotten part gone, as from a model that never saw it? Closeness to gold.

The target is equality with gold, never zero: a model that did not see a pair still ranks it
where the user's retained taste puts it. Only retained pairs are masked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrec.metrics import relevance_metrics
from graphrec.unlearn.bands import Measure, distances
from graphrec.unlearn.standing import Standing

KS = (10, 20, 50)
LIST_LENGTH = 20
PERSISTENCE = 0.9
# Models of a kind from which distributions of margins, not their means, are compared.
_DISTRIBUTION = 20


def forget_ranking(
    pairs: Tensor, rank: Tensor, served: Tensor, ks: Sequence[int] = KS
) -> dict[str, float]:
    r"""Recall and NDCG of the forgotten pairs, means over their users, and the median rank.

    Args:
        pairs: Forgotten pairs :math:`(2, F)`.
        rank: Their ranks :math:`(F)`, from 1.
        served: Bool :math:`(F)`, whether the item is still a candidate; a removed one is in
            no list, so that it counts in the median rank alone.
        ks: Lengths of the lists.

    Returns:
        ``recall@k``, ``ndcg@k`` for every k (none if no pair is served), ``median_rank``.
    """
    values = {}
    if served.any():
        _, row = pairs[0][served].unique(return_inverse=True)
        count = torch.bincount(row)
        near = rank[served] <= max(ks)
        hits = torch.zeros(count.numel(), max(ks), dtype=torch.bool)
        hits[row[near], rank[served][near] - 1] = True
        table = relevance_metrics(hits, count, ks, ('recall', 'ndcg'))
        values = {name: float(value.mean()) for name, value in table.items()}
    return {**values, 'median_rank': median(rank)}


def rank_shift(before: Tensor, after: Tensor) -> float:
    """Median over pairs of the rank after minus the rank before; above 0 is forgetting."""
    return median(after - before)


def score_distance(a: Standing, b: Standing) -> float:
    r"""Kolmogorov-Smirnov distance of the user-standardised scores of the same pairs under
    two models, :math:`\max_z |F_a(z) - F_b(z)|`, in [0, 1]."""
    first, second = a.z.sort().values, b.z.sort().values
    points = torch.cat([first, second])
    below = [
        torch.searchsorted(z, points, right=True).double() / z.numel() for z in (first, second)
    ]
    return float((below[0] - below[1]).abs().max())


@dataclass(frozen=True)
class Margins:
    r"""How far the score of every forgotten pair is from gold's, over models of both kinds
    (after KLoM, which compares such margins by their divergence).

    Attributes:
        median: Over pairs.
        worst: The 95th percentile over pairs.
        statistic: ``'shift'``, :math:`|\bar z_u - \bar z_g| / s` with the pooled standard
            deviation :math:`s` over models; ``'kl'``, the divergence in nats of the two normal
            distributions of a pair, where there are 20 models of both kinds.
        num_unlearned: Unlearned models.
        num_golds: Gold models.
    """

    median: float
    worst: float
    statistic: str
    num_unlearned: int
    num_golds: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dict(vars(self))


def margin_distance(unlearned: Sequence[Tensor], golds: Sequence[Tensor]) -> Margins | None:
    r"""Compares the margins :math:`z` :math:`(F)` of unlearned and of gold models pair by pair;
    :obj:`None` unless there are two golds, for a spread, and a pair. Pairs without spread in
    either kind count as 0 where they agree, and as infinite otherwise."""
    if not unlearned or len(golds) < 2 or not golds[0].numel():
        return None
    u, g = torch.stack(list(unlearned)), torch.stack(list(golds))
    gap = (u.mean(0) - g.mean(0)).abs()
    freedom = max(len(u) - 1, 0) + len(g) - 1
    pooled = (((u - u.mean(0)).square().sum(0) + (g - g.mean(0)).square().sum(0)) / freedom).sqrt()
    statistic = 'kl' if min(len(u), len(g)) >= _DISTRIBUTION else 'shift'
    if statistic == 'kl':
        su, sg = u.std(0), g.std(0)
        value = (sg / su).log() + (su.square() + gap.square()) / (2 * sg.square()) - 0.5
    else:
        value = gap / pooled
    value = torch.where(gap == 0, torch.nan_to_num(value, nan=0.0), value).clamp(min=0)
    ordered = value.sort().values
    worst = float(ordered[min(int(np.ceil(0.95 * value.numel())), value.numel()) - 1])
    return Margins(median(value), worst, statistic, len(u), len(g))


def jaccard(a: Tensor, b: Tensor) -> Tensor:
    r""":math:`|A \cap B| / |A \cup B|` of the lists in every row, both :math:`(n, k)` of distinct
    items, -1 for an empty place; float64 :math:`(n)`, 1 for two empty lists."""
    common = _matches(a, b).sum((1, 2)).double()
    union = (a >= 0).sum(1) + (b >= 0).sum(1) - common
    return torch.where(union > 0, common / union.clamp(min=1), 1.0)


def rank_biased_overlap(a: Tensor, b: Tensor, p: float = PERSISTENCE) -> Tensor:
    r"""Extrapolated rank-biased overlap of the lists in every row, both :math:`(n, k)`, float64
    :math:`(n)` in [0, 1] (`"A similarity measure for indefinite rankings"
    <https://doi.org/10.1145/1852102.1852106>`_, Webber et al., TOIS 2010, Eq. 30):

    .. math::
        \frac{X_k}{k} p^k + \frac{1 - p}{p} \sum_{d=1}^{k} \frac{X_d}{d} p^d

    with :math:`X_d` the number of items that both first :math:`d` places share.

    Args:
        a: Lists, the best first, -1 for an empty place.
        b: The others.
        p: Persistence in (0, 1): how far down the list counts.
    """
    k = a.size(1)
    place = torch.arange(k)
    depth = torch.maximum(place.unsqueeze(1), place)
    found = torch.zeros(a.size(0), k, dtype=torch.float64)
    found.index_add_(1, depth.flatten(), _matches(a, b).flatten(1).double())
    d = torch.arange(1, k + 1, dtype=torch.float64)
    agreement = found.cumsum(1) / d
    return agreement[:, -1] * p**k + (1 - p) / p * (agreement * p**d).sum(1)


def overlaps(
    original: Tensor,
    unlearned: Tensor,
    golds: Sequence[Tensor],
    groups: Mapping[str, Tensor],
) -> list[Measure]:
    r"""Agreement of the lists with gold's, beside gold's with gold's, for groups of users.

    Args:
        original: Lists :math:`(n, k)` of the model before.
        unlearned: Those of the model under audit.
        golds: Those of the golds.
        groups: Bool :math:`(n)` by name.

    Returns:
        The measures are distances, :math:`1 - \mathrm{mean\ overlap}`; empty groups are left
        out, and everything is without golds.
    """
    found = []
    for group, rows in groups.items() if golds else ():
        if not rows.any():
            continue
        for name, function in (('jaccard@20', jaccard), ('rbo@20', rank_biased_overlap)):

            def apart(a: Tensor, b: Tensor, rows: Tensor = rows, function: Any = function) -> float:
                return 1 - float(function(a[rows], b[rows]).mean())

            before, after, between = distances(apart, original, unlearned, golds)
            note = 'one minus the mean overlap with the golds'
            label = f'1 - {name}, {group}'
            found.append(
                Measure(label, before, after, between, distance=True, tells=False, note=note)
            )
    return found


@dataclass(frozen=True)
class Completeness:
    """What :func:`completeness` found: the measures that decide, then the others."""

    ranking: list[Measure]
    distribution: Measure | None
    shift: dict[str, float | None]
    margins: Margins | None
    lists: list[Measure]
    num_pairs: int
    num_unserved: int

    @property
    def decisive(self) -> list[Measure]:
        """Recall@20 where forgotten items are still served, the median rank, and the
        distribution of scores."""
        named = [m for m in self.ranking if m.name in (f'recall@{LIST_LENGTH}', 'median_rank')]
        return [*named, *([self.distribution] if self.distribution else [])]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'num_pairs': self.num_pairs,
            'num_pairs_of_removed_items': self.num_unserved,
            'forget_ranking': {m.name: m.to_dict() for m in self.ranking},
            'rank_shift': self.shift,
            'score_ks': self.distribution.to_dict() if self.distribution else None,
            'margins': self.margins.to_dict() if self.margins else None,
            'list_overlap': {m.name: m.to_dict() for m in self.lists},
        }


def completeness(
    pairs: Tensor,
    served: Tensor,
    original: Standing,
    unlearned: Standing,
    golds: Sequence[Standing],
    more_unlearned: Sequence[Standing] = (),
    lists: Sequence[Measure] = (),
    ks: Sequence[int] = KS,
) -> Completeness:
    r"""Compares where the forgotten pairs stand under the three kinds of model.

    Args:
        pairs: Forgotten pairs :math:`(2, F)`.
        served: Bool :math:`(F)`, whether the item is still a candidate.
        original: Their standing under the model before.
        unlearned: Under the model of the audit.
        golds: Under the golds.
        more_unlearned: Under other unlearned models, for the margins.
        lists: Agreement of lists, see :func:`overlaps`.
        ks: Lengths of the lists.
    """
    values = [forget_ranking(pairs, s.rank, served, ks) for s in (original, unlearned, *golds)]
    before, after, gold_values = values[0], values[1], values[2:]
    vacuous = '' if served.all() else 'pairs of removed items are in no list and are left out'
    ranking = [
        Measure(
            name,
            before[name],
            after[name],
            tuple(value[name] for value in gold_values),
            memory=-1 if name == 'median_rank' else 1,
            step=1.0 if name == 'median_rank' else 0.0,
            note='' if name == 'median_rank' else vacuous,
        )
        for name in before
    ]
    shift = rank_shift(original.rank, unlearned.rank)
    gold_shift = [rank_shift(original.rank, gold.rank) for gold in golds]
    expected = float(np.mean(gold_shift)) if gold_shift else None
    first, second, between = distances(score_distance, original, unlearned, golds)
    distribution = None
    if golds:
        mean = float(np.mean([float(gold.z.mean()) for gold in golds]))
        distribution = Measure(
            'score KS',
            first,
            second,
            between,
            distance=True,
            lean=1 if float(unlearned.z.mean()) > mean else -1,
        )
    return Completeness(
        ranking=ranking,
        distribution=distribution,
        shift={
            'unlearned': shift,
            'gold': expected,
            'ratio': shift / expected if expected else None,
        },
        margins=margin_distance(
            [unlearned.z, *(other.z for other in more_unlearned)], [gold.z for gold in golds]
        ),
        lists=list(lists),
        num_pairs=pairs.size(1),
        num_unserved=int((~served).sum()),
    )


def median(values: Tensor) -> float:
    """The median, the mean of the two middle values of an even number."""
    if not values.numel():
        return float('nan')
    ordered = values.double().sort().values
    low, high = ordered[(values.numel() - 1) // 2], ordered[values.numel() // 2]
    return float(low if low == high else (low + high) / 2)


def _matches(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(2) == b.unsqueeze(1)) & (a >= 0).unsqueeze(2)
