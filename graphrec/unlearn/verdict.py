r"""The last word of an audit.

``passed`` if and only if every residue check holds, the forget metrics (recall and rank,
distribution of scores, membership AUC) lie within gold's band, planted canaries left no trace
where there were any, and utility is equivalent to gold's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure
from graphrec.unlearn.canaries import CanaryTest
from graphrec.unlearn.equivalence import Equivalence
from graphrec.unlearn.untouched import UNTOUCHED

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
    untouched: bool = False,
    canaries: CanaryTest | None = None,
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
        untouched: Whether the model cannot depend on what was removed, see
            :func:`~graphrec.unlearn.untouched.is_untouched`: there is nothing then that a
            forget metric could show, and a pass needs none.
        canaries: The test of planted pairs, where there were any: that they left a trace counts
            as a forget metric outside of its band.

    Returns:
        The failures first, then forgetting (``under_forgotten`` if any metric says so, since
        a pass of the others does not outweigh it), then utility, then what is missing.
    """
    missing = list(not_measured)
    if failures:
        return Verdict(FAILED, tuple(failures), tuple(missing))
    seen = [canaries] if canaries is not None and canaries.side else []
    if num_golds < MIN_GOLDS_OF_BAND:
        found = _without_band(auc_interval, recall_change, num_golds, missing, seen)
        plain = untouched and found.status == NOT_MEASURABLE
        return replace(found, reasons=(UNTOUCHED,)) if plain else found
    outside = [m for m in measures if m.inside is False]
    if outside or seen:
        sides = [m.side for m in outside] + [test.side for test in seen]
        status = UNDER if 1 in sides else OVER if -1 in sides else NOT_MEASURABLE
        reasons = [_distance(m) for m in outside] + [test.reason for test in seen]
        return Verdict(status, tuple(reasons), tuple(missing))
    worse = [t for t in tests if t.outcome == 'worse']
    if worse:
        return Verdict(UTILITY_LOSS, tuple(_against(t) for t in worse), tuple(missing))
    unknown = [m.name for m in measures if m.inside is None]
    silent = bool(unknown) or not (measures or untouched)
    if silent:
        missing.append(f'no value or no band for: {", ".join(unknown) or "any forget metric"}')
    missing += [_against(t) for t in tests if t.outcome != 'equivalent']
    if not tests:
        missing.append('equivalence of utility: there are no held-out rows to measure it on')
    short = num_golds < min_golds
    if short:
        missing.append(f'the bands are from {num_golds} golds; a pass asks for {min_golds} of them')
    known = (UNTOUCHED,) if untouched else ()
    if silent or not tests or short or any(t.outcome != 'equivalent' for t in tests):
        return Verdict(NOT_MEASURABLE, known, tuple(missing))
    return Verdict(PASSED, (*known, *(_distance(m) for m in measures)), tuple(missing))


def _without_band(
    interval: tuple[float, float] | None,
    change: float | None,
    num_golds: int,
    missing: list[str],
    seen: Sequence[CanaryTest],
) -> Verdict:
    missing.append(
        'closeness to a model retrained without the data, with the variation between such '
        f'models: {num_golds} given, at least {MIN_GOLDS_OF_BAND} are needed for a band'
    )
    for test in seen:
        return Verdict(UNDER if test.side > 0 else OVER, (test.reason,), tuple(missing))
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
        f'{test.metric} is {test.in_words}: difference {test.difference:+.4f} '
        f'(90 % interval {low:+.4f} to {high:+.4f}), of this model alone {test.audited:+.4f}, '
        f'margin {test.margin:.4f}'
    )
