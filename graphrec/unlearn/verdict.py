r"""The last word of an audit.

``passed`` if and only if every residue check holds, the forget metrics (recall and rank,
distribution of scores, membership AUC) lie within gold's band, and utility is equivalent to
gold's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure
from graphrec.unlearn.equivalence import Equivalence

PASSED = 'passed'
UNDER = 'under_forgotten'
OVER = 'over_forgotten'
UTILITY_LOSS = 'utility_loss'
NOT_MEASURABLE = 'not_measurable'
FAILED = 'failed'
NOOP = 'noop'
STATUSES = (PASSED, UNDER, OVER, UTILITY_LOSS, NOT_MEASURABLE, FAILED, NOOP)

#: Golds that a pass asks for.
MIN_GOLDS = 5
#: Without golds: distance of the AUC's interval from 0.5 that counts (RECONSTRUCTED; retrained
#: models were measured within 0.02).
SLACK = 0.05
#: Without golds: relative loss of recall that counts, as in the stop rule of forgetting.
LOSS = 0.05


@dataclass(frozen=True)
class Verdict:
    """A status out of :data:`STATUSES`, why, and what it does not say."""

    status: str
    reasons: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything that counts was measured and is as it should be."""
        return self.status == PASSED

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            'status': self.status,
            'reasons': list(self.reasons),
            'not_measured': list(self.not_measured),
        }


def verdict(
    failures: Sequence[str],
    measures: Sequence[Measure],
    tests: Sequence[Equivalence],
    num_golds: int,
    *,
    auc_interval: tuple[float, float] | None = None,
    recall_change: float | None = None,
    not_measured: Sequence[str] = (),
    min_golds: int = MIN_GOLDS,
) -> Verdict:
    r"""Decides.

    Args:
        failures: What failed outright: residue, NaN, a model that did not change.
        measures: The forget metrics that decide.
        tests: Equivalence of utility.
        num_golds: Golds that the bands are from.
        auc_interval: Of the membership AUC, where 0.5 is what to expect; it decides only
            where no band does.
        recall_change: Relative change of recall against the original's; likewise.
        not_measured: What could not be measured, in sentences.
        min_golds: Golds that a pass asks for.

    Returns:
        The failures first, then forgetting (``under_forgotten`` if any metric says so, since
        a pass of the others does not outweigh it), then utility, then what is missing.
    """
    missing = list(not_measured)
    if failures:
        return Verdict(FAILED, tuple(failures), tuple(missing))
    if num_golds < MIN_GOLDS_OF_BAND:
        return _without_band(auc_interval, recall_change, num_golds, missing)
    outside = [m for m in measures if m.inside is False]
    if outside:
        sides = [m.side for m in outside]
        status = UNDER if 1 in sides else OVER if -1 in sides else NOT_MEASURABLE
        return Verdict(status, tuple(_distance(m) for m in outside), tuple(missing))
    worse = [t for t in tests if t.outcome == 'worse']
    if worse:
        return Verdict(UTILITY_LOSS, tuple(_against(t) for t in worse), tuple(missing))
    unknown = [m.name for m in measures if m.inside is None]
    if unknown or not measures:
        missing.append(f'no value or no band for: {", ".join(unknown) or "any forget metric"}')
    missing += [_against(t) for t in tests if t.outcome != 'equivalent']
    if not tests:
        missing.append('equivalence of utility: there are no held-out rows to measure it on')
    short = num_golds < min_golds
    if short:
        missing.append(f'the bands are from {num_golds} golds; a pass asks for {min_golds} of them')
    if unknown or not measures or not tests or short:
        return Verdict(NOT_MEASURABLE, (), tuple(missing))
    if any(t.outcome != 'equivalent' for t in tests):
        return Verdict(NOT_MEASURABLE, (), tuple(missing))
    return Verdict(PASSED, tuple(_distance(m) for m in measures), tuple(missing))


def _without_band(
    interval: tuple[float, float] | None,
    change: float | None,
    num_golds: int,
    missing: list[str],
) -> Verdict:
    missing.append(
        'closeness to a model retrained without the data, with the variation between such '
        f'models: {num_golds} given, at least {MIN_GOLDS_OF_BAND} are needed for a band'
    )
    if interval is not None and interval[0] > 0.5 + SLACK:
        reason = (
            f'forgotten pairs are told from held-out ones: the 95 % interval of the AUC begins '
            f'at {interval[0]:.3f}, above {0.5 + SLACK}'
        )
        return Verdict(UNDER, (reason,), tuple(missing))
    if interval is not None and interval[1] < 0.5 - SLACK:
        reason = (
            f'forgotten pairs stand out below held-out ones: the 95 % interval of the AUC ends '
            f'at {interval[1]:.3f}, below {0.5 - SLACK}'
        )
        return Verdict(OVER, (reason,), tuple(missing))
    if change is not None and change < -LOSS:
        reason = f'recall@20 on retained rows is {-change:.1%} below that of the original'
        return Verdict(UTILITY_LOSS, (reason,), tuple(missing))
    return Verdict(NOT_MEASURABLE, (), tuple(missing))


def _distance(measure: Measure) -> str:
    where = 'within' if measure.inside else 'outside'
    value, band = measure.unlearned, measure.band
    if measure.distance:
        return f'{measure.name} {value:.4g} is {where} the golds’ own {band:.4g}'
    return f'{measure.name} {value:.4g} is {where} gold’s {measure.gold:.4g} ± {band:.3g}'


def _against(test: Equivalence) -> str:
    low, high = test.interval
    return (
        f'{test.metric} is {test.outcome} against gold: difference {test.difference:+.4f} '
        f'(90 % interval {low:+.4f} to {high:+.4f}), of this model alone {test.audited:+.4f}, '
        f'margin {test.margin:.4f}'
    )
