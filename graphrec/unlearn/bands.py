r"""How much two retrained models differ: the yardstick of every comparison with them.

A model retrained without the forgotten data (a *gold* model) is a random variable over seeds.
For a metric :math:`M` the band is

.. math::
    Q_M = \mathrm{quantile}_{0.95} \{ |M(g) - M(g')| : g < g' \text{ golds} \}

and a model lies in it when its distance from the mean of the golds is at most :math:`Q_M`. The
percentile of the few differences of :math:`n` golds is too small: with five of them one gold
more would miss it every tenth time. So :math:`Q_M` is at least the reach of the 95 % prediction
interval for one gold more, :math:`t_{0.975,\, n-1}\, s \sqrt{1 + 1/n}`, which the percentile
outgrows from about eight golds on.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import stats

#: Share of the gold-gold differences that lie within the band.
LEVEL = 0.95
#: Golds that a band needs: two have one difference, which says nothing of its spread.
MIN_GOLDS_OF_BAND = 3

Model = TypeVar('Model')


@dataclass(frozen=True)
class Measure:
    r"""One metric of the original, the unlearned and the gold models.

    Attributes:
        name: Such as ``'recall@20'``.
        original: Value of the model before.
        unlearned: Value of the model under audit.
        golds: Values of the golds; for a distance between models, of every pair of golds.
        memory: +1 where a larger value says that more is remembered, -1 where a smaller one
            does, 0 where neither.
        distance: Whether the values are distances from gold, so that only large ones count.
        lean: For a distance, on which side of the golds the unlearned model lies: +1 where it
            remembers more, -1 less, 0 not known.
        tells: Whether the original is expected to differ from gold if it remembers.
        step: Least difference that counts: a rank moves by whole places, and golds that agree
            on one would leave no band at all.
        note: What a reader needs to know.
    """

    name: str
    original: float | None
    unlearned: float | None
    golds: tuple[float, ...] = ()
    memory: int = 0
    distance: bool = False
    lean: int = 0
    tells: bool = True
    step: float = 0.0
    note: str = ''

    @property
    def gold(self) -> float | None:
        """Mean over the golds, or over their distances."""
        return float(np.mean(self.golds)) if self.golds else None

    @property
    def band(self) -> float | None:
        r""":math:`Q_M`; :obj:`None` with fewer than three golds."""
        if self.distance:
            return distance_band(self.golds)
        if len(self.golds) < MIN_GOLDS_OF_BAND:
            return None
        gaps = [abs(a - b) for a, b in itertools.combinations(self.golds, 2)]
        return max(quantile(gaps) or 0.0, prediction_reach(self.golds), self.step)

    @property
    def inside(self) -> bool | None:
        """Whether the unlearned model is within the band; :obj:`None` if nothing says so."""
        return self._inside(self.unlearned)

    @property
    def original_inside(self) -> bool | None:
        """Whether the original is: then the metric cannot tell it from a gold model."""
        return self._inside(self.original)

    @property
    def powered(self) -> bool | None:
        r"""Whether the request is large enough for this metric: the original differs from
        the golds by more than :math:`2 Q_M`; :obj:`None` where nothing says so."""
        if not self.tells or self.original is None or self.band is None:
            return None
        gap = self.original if self.distance else abs(self.original - self._gold())
        return gap > 2 * self.band

    @property
    def gap_closed(self) -> float | None:
        r""":math:`(M_0 - M_u) / (M_0 - M_g)`: 0 for the original, 1 for gold, above 1 past
        it; :obj:`None` where the request is too small for the metric."""
        if not self.powered or self.original is None or self.unlearned is None:
            return None
        return (self.original - self.unlearned) / (self.original - self._gold())

    @property
    def side(self) -> int:
        """+1 if the unlearned model remembers more than the band allows, -1 if less than a
        gold model would, 0 if it is inside or the side is not known."""
        if self.inside is not False or self.unlearned is None:
            return 0
        if self.distance:
            return self.lean
        return self.memory * (1 if self.unlearned > self._gold() else -1)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        gap = self.gap_closed
        if gap is None and self.powered is False:
            gap_text: Any = 'request too small for this metric'
        else:
            gap_text = gap
        return {
            'original': self.original,
            'gold': self.gold,
            'golds': list(self.golds),
            'band': self.band,
            'unlearned': self.unlearned,
            'inside': self.inside,
            'powered': self.powered,
            'gap_closed': gap_text,
            **({'note': self.note} if self.note else {}),
        }

    def _gold(self) -> float:
        return float(np.mean(self.golds))

    def _inside(self, value: float | None) -> bool | None:
        if value is None or math.isnan(value) or self.band is None:
            return None
        gap = value if self.distance else abs(value - self._gold())
        return bool(gap <= self.band * (1 + 1e-9) + 1e-12)


def prediction_reach(golds: Sequence[float]) -> float:
    r"""How far from their mean one gold more is expected with 95 % probability:
    :math:`t_{0.975,\, n-1}\, s \sqrt{1 + 1/n}` for :math:`n \geq 2` values."""
    count = len(golds)
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * math.sqrt(1 + 1 / count)
    return reach * float(np.std(golds, ddof=1))


def distance_band(distances: Sequence[float]) -> float | None:
    r"""The 95th percentile of the distances between golds, but at least the one-sided 95 %
    prediction limit :math:`\bar d + t_{0.95,\, n-1}\, s_d \sqrt{1 + 1/n}`; :obj:`None` for
    fewer than three golds, whose one distance has no spread."""
    if len(distances) < MIN_GOLDS_OF_BAND * (MIN_GOLDS_OF_BAND - 1) / 2:
        return None
    count = (1 + math.sqrt(1 + 8 * len(distances))) / 2  # Golds from their pairs.
    reach = float(stats.t.ppf(LEVEL, count - 1)) * math.sqrt(1 + 1 / count)
    limit = float(np.mean(distances)) + reach * float(np.std(distances, ddof=1))
    return max(quantile(distances) or 0.0, limit)


def quantile(values: Sequence[float], level: float = LEVEL) -> float | None:
    """The quantile of the values, :obj:`None` without any."""
    return float(np.quantile(np.asarray(values, dtype=float), level)) if len(values) else None


def distances(
    measure: Callable[[Model, Model], float],
    original: Model,
    unlearned: Model,
    golds: Sequence[Model],
) -> tuple[float | None, float | None, tuple[float, ...]]:
    """Median distance of the original and of the unlearned model from the golds, and that of
    every pair of golds: what a :class:`Measure` of a distance holds."""
    if not golds:
        return None, None, ()
    return (
        float(np.median([measure(original, gold) for gold in golds])),
        float(np.median([measure(unlearned, gold) for gold in golds])),
        tuple(measure(a, b) for a, b in itertools.combinations(golds, 2)),
    )
