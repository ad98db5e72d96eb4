"""The lines of an audit's table."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from graphrec.unlearn.bands import Measure
from graphrec.unlearn.canaries import CanaryTest, p_text
from graphrec.unlearn.completeness import Completeness
from graphrec.unlearn.membership import Membership
from graphrec.unlearn.utility import Utility


class Row(NamedTuple):
    """A line of the table: what was measured, for whom, and how it ended."""

    section: str
    name: str
    original: str
    gold: str
    unlearned: str
    result: str


def measure_row(section: str, measure: Measure) -> Row:
    """The line of a measure."""
    gold = '' if measure.gold is None else number(measure.gold)
    if measure.band is not None and measure.distance:
        gold = f'≤ {number(measure.band)}'
    elif measure.band is not None:
        gold += f' ± {number(measure.band)}'
    result = {True: 'within band', False: 'outside', None: ''}[measure.inside]
    if measure.side:
        result += ', remembers' if measure.side > 0 else ', over-forgotten'
    if measure.inside and measure.powered is False:
        result += ' (small request)'
    values = [number(value) for value in (measure.original, measure.unlearned)]
    return Row(section, measure.name, values[0], gold, values[1], result)


def canary_row(test: CanaryTest) -> Row:
    """The line of planted canaries."""
    result = {0: 'no trace', 1: 'a trace, remembers', -1: 'a trace, over-forgotten'}[test.side]
    if test.in_doubt:
        result = 'in doubt: golds fail too'
    before = '' if test.original is None else f'p {p_text(test.original)}'
    golds = f'p {p_text(min(test.golds))} at least' if test.golds else ''
    return Row('canaries', 'uniformity', before, golds, f'p {p_text(test.p_value)}', result)


def detail_rows(
    completeness: Completeness | None, membership: Membership | None, utility: Utility
) -> Iterator[Row]:
    """What else was measured, decides nothing, and says where the other figures come from."""
    if completeness is not None:
        shift = completeness.shift
        ratio = '' if shift['ratio'] is None else f'ratio {number(shift["ratio"])}'
        gold, own = number(shift['gold']), number(shift['unlearned'])
        yield Row('details', 'median shift of ranks', '', gold, own, ratio)
        for measure in completeness.decisive:
            yield from _gap_row(measure)
        if completeness.margins is not None:
            margins = completeness.margins
            for name, value in (('median', margins.median), ('95th percentile', margins.worst)):
                name = f'margins of pairs, {name}'
                yield Row('details', name, '', '', number(value), margins.statistic)
    if membership is not None:
        if membership.auc is not None:
            yield from _gap_row(membership.auc)
        for rate in next(iter(membership.tpr.values()), {}):
            values = {name: rates[rate] for name, rates in membership.tpr.items()}
            golds = [v for name, v in values.items() if name.startswith('gold ') and v is not None]
            gold = number(sum(golds) / len(golds)) if golds else ''
            shown = number(values['original']), gold, number(values['unlearned'])
            yield Row('details', f'true positives {rate}', *shown, '')
        for measure in membership.strata.values():
            yield measure_row('details', measure)
    for measure in utility.groups.values():
        yield measure_row('details', measure)


def _gap_row(measure: Measure) -> Iterator[Row]:
    """How much of the way from the original to gold was gone."""
    if measure.powered is None:
        return
    closed = measure.gap_closed
    result = 'request too small for this metric' if closed is None else ''
    name, share = f'gap closed, {measure.name}', '' if closed is None else number(closed)
    yield Row('details', name, '0', '1', share, result)


def number(value: float | None) -> str:
    """A number for a reader: four decimals, large ones with one; ``-`` for none."""
    if value is None or not math.isfinite(value):
        return '-'
    return f'{value:,.1f}' if abs(value) >= 10 else f'{value:.4f}'
