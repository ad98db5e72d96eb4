r"""Is a metric of unlearned models the same as that of retrained ones?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure

#: Smallest margin of equivalence, relative to gold.
MARGIN = 0.01
_ALPHA = 0.05


@dataclass(frozen=True)
class Equivalence:
    r"""Two one-sided tests that a metric differs from gold's by less than a margin.

    Attributes:
        metric: Its name.
        difference: Unlearned minus the mean of the golds.
        audited: The same of the model under audit alone.
        margin: :math:`\Delta = \max(Q_M, 1\,\% \cdot \bar M_g)`.
        interval: 90 % interval of the difference, over training seeds; equivalence at the 5 %
            level is that it lies within :math:`\pm \Delta`.
        p_value: The larger one of both tests.
        outcome: ``'equivalent'``, ``'worse'``, ``'better'`` or ``'inconclusive'``.
    """

    metric: str
    difference: float
    audited: float
    margin: float
    interval: tuple[float, float]
    p_value: float
    outcome: str

    @property
    def in_words(self) -> str:
        """:attr:`outcome` as part of a sentence. A model whose whole interval lies above 0 is
        said to be better, also where it is not shown to be equivalent or beyond the margin."""
        if self.outcome == 'better':
            return 'better than gold, by more than the margin'
        if self.outcome == 'equivalent':
            return 'equivalent to gold'
        above = self.outcome == 'inconclusive' and self.interval[0] > 0
        return f'{self.outcome} against gold{", but better than gold" if above else ""}'

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
    return Equivalence(metric, difference, audited, delta, (low, high), p_value, outcome)
