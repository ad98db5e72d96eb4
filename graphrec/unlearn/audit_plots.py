"""Pictures of an audit as inline SVG: no script, no font, nothing to fetch."""

import html
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graphrec.unlearn.bands import Measure

INK, MUTED, RULE = '#1f2933', '#5f6c7b', '#d9dfe5'
GOLD_FILL, GOLD_LINE = '#f3e3b3', '#b7872a'
BEFORE, AFTER, BAD = '#7b8794', '#1c5d99', '#b3261e'
_WIDTH, _LEFT, _RIGHT, _ROW = 720, 210, 70, 46


class Curve(NamedTuple):
    """A line of :func:`distribution`: its label, colour, dash and quantiles."""

    label: str
    colour: str
    dash: str
    values: Sequence[float]


def bands(measures: Sequence[Measure], labels: Mapping[str, str]) -> str:
    """A strip for every measure: gold's band shaded, every gold a tick, the original a hollow
    circle, the unlearned model a full one, red outside of the band."""
    shown = [m for m in measures if m.unlearned is not None]
    height = _ROW * len(shown) + 38
    parts = [_open(_WIDTH, height, 'Measures of the original, the gold and the unlearned models')]
    for n, measure in enumerate(shown):
        parts.append(_strip(measure, labels.get(measure.name, measure.name), 8 + n * _ROW))
    parts.append(_key(height - 12))
    return ''.join([*parts, '</svg>'])


def _strip(measure: Measure, label: str, top: float) -> str:
    y = top + 20
    low, high = _range(measure)
    scale = (_WIDTH - _LEFT - _RIGHT) / (high - low)

    def x(value: float) -> float:
        return _LEFT + (min(max(value, low), high) - low) * scale

    parts = [
        _text(0, y + 4, label, INK, size=13),
        _line(_LEFT, y, _WIDTH - _RIGHT, y, RULE),
    ]
    band = measure.band
    if band is not None and measure.gold is not None:
        left, right = (
            (0.0, band) if measure.distance else (measure.gold - band, measure.gold + band)
        )
        size = max(x(right) - x(left), 3.0)
        parts.append(
            f'<rect x="{x(left):.1f}" y="{y - 11}" width="{size:.1f}" height="22" rx="3" '
            f'fill="{GOLD_FILL}"/>'
        )
    if not measure.distance:
        parts += [_line(x(g), y - 8, x(g), y + 8, GOLD_LINE, 2) for g in measure.golds]
    if measure.original is not None:
        parts.append(_circle(x(measure.original), y, BEFORE, 'white'))
    assert measure.unlearned is not None
    colour = BAD if measure.inside is False else AFTER
    parts.append(_circle(x(measure.unlearned), y, colour, colour))
    parts += [
        _text(_LEFT, y + 21, short(low), MUTED, size=10),
        _text(_WIDTH - _RIGHT, y + 21, short(high), MUTED, size=10, anchor='end'),
        _text(_WIDTH - _RIGHT + 12, y + 4, short(measure.unlearned), colour, size=13, weight=600),
    ]
    return ''.join(parts)


def _range(measure: Measure) -> tuple[float, float]:
    values = [v for v in (measure.original, measure.unlearned, *measure.golds) if v is not None]
    band, gold = measure.band or 0.0, measure.gold
    if measure.distance:
        values += [0.0, band]
    elif gold is not None:
        values += [gold - band, gold + band]
    if 'AUC' in measure.name:
        values.append(0.5)
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * max(abs(high), 1.0)
    return (low if measure.distance else low - margin), high + margin


def _key(y: float) -> str:
    return ''.join(
        [
            _circle(_LEFT + 6, y - 4, BEFORE, 'white'),
            _text(_LEFT + 16, y, 'original model', MUTED, size=11),
            _circle(_LEFT + 116, y - 4, AFTER, AFTER),
            _text(_LEFT + 126, y, 'unlearned model', MUTED, size=11),
            _line(_LEFT + 236, y - 10, _LEFT + 236, y + 2, GOLD_LINE, 2),
            _text(_LEFT + 244, y, 'retrained model', MUTED, size=11),
            f'<rect x="{_LEFT + 342}" y="{y - 10}" width="16" height="12" rx="2" '
            f'fill="{GOLD_FILL}"/>',
            _text(_LEFT + 364, y, 'their band', MUTED, size=11),
        ]
    )


def distribution(curves: Sequence[Curve], axis: str) -> str:
    """Cumulative shares of scores from their quantiles: curves that lie on each other are
    scores that cannot be told apart."""
    width, height, left, bottom = _WIDTH, 300, 46, 42
    values = [v for curve in curves for v in curve.values]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + (value - low) / span * (width - left - 20)

    def y(share: float) -> float:
        return height - bottom - share * (height - bottom - 14)

    parts = [_open(width, height, 'Cumulative distribution of scores')]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(left, y(share), width - 20, y(share), RULE))
        parts.append(_text(left - 6, y(share) + 4, f'{share:.0%}', MUTED, 10, anchor='end'))
    parts += [
        _text(x(tick), height - bottom + 16, short(tick), MUTED, 10, 'middle')
        for tick in _ticks(low, high)
    ]
    parts.append(_text((left + width) / 2, height - 8, axis, MUTED, 11, 'middle'))
    for n, curve in enumerate(curves):
        shares = [place / (len(curve.values) - 1) for place in range(len(curve.values))]
        points = ' '.join(
            f'{x(v):.1f},{y(s):.1f}' for v, s in zip(curve.values, shares, strict=True)
        )
        dash = f' stroke-dasharray="{curve.dash}"' if curve.dash else ''
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{curve.colour}" '
            f'stroke-width="2.2"{dash}/>'
        )
        at = 30 + 18 * n
        parts.append(
            f'<line x1="{left + 12}" y1="{at}" x2="{left + 42}" y2="{at}" '
            f'stroke="{curve.colour}" stroke-width="2.2"{dash}/>'
        )
        parts.append(_text(left + 50, at + 4, curve.label, INK, 12))
    return ''.join([*parts, '</svg>'])


def bars(rows: Sequence[tuple[str, float, str]], unit: str) -> str:
    """A horizontal bar for every label and value, in a colour, with the value and its unit."""
    height = 30 * len(rows) + 8
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0
    parts = [_open(_WIDTH, height, f'Bars in {unit}')]
    for n, (label, value, colour) in enumerate(rows):
        y, size = 6 + 30 * n, value / largest * (_WIDTH - _LEFT - 110)
        parts += [
            _text(0, y + 15, label, INK, 13),
            f'<rect x="{_LEFT}" y="{y}" width="{max(size, 1):.1f}" height="20" rx="2" '
            f'fill="{colour}"/>',
            _text(_LEFT + size + 8, y + 15, f'{short(value)} {unit}', INK, 12),
        ]
    return ''.join([*parts, '</svg>'])


def short(value: float) -> str:
    """A number of about three digits."""
    if value == 0 or not math.isfinite(value):
        return '0' if value == 0 else '–'
    if abs(value) >= 100:
        return f'{value:,.0f}'
    return f'{value:.3g}' if abs(value) >= 0.001 else f'{value:.1e}'


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) or 1.0))
    step = next(s for s in (step / 2, step, 2 * step, 5 * step) if (high - low) / s <= 8)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">'
    )


def _text(
    x: float, y: float, text: str, colour: str, size: int = 12, anchor: str = 'start',
    weight: int = 400,
) -> str:  # fmt: skip
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
        f'text-anchor="{anchor}" font-weight="{weight}">{html.escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    )


def _circle(x: float, y: float, line: str, fill: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="{line}" '
        f'stroke-width="2.2"/>'
    )
