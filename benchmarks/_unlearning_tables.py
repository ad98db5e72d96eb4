"""``docs/unlearning.md`` from the stored cells alone."""

import argparse
import collections
import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import _pages as pages
from _cells import Cells, Job
from _unlearning_head import HEAD
from _unlearning_plan import (
    BACKBONES,
    HEADLINE,
    METHODS,
    SETS,
    SHARDED,
    Backbone,
    most_models,
    requests,
)
from _unlearning_sections import stored_sections

MISSING = '\N{EN DASH}'
#: What stands for the distance of scores and the attack where no pair was forgotten.
_AFFECTED = {'ks': 'drift', 'auc': 'level'}
_MODALITY = ('image', 'modality')
Cell = Callable[[str, Backbone, str, str, int], Job]


def write_page(args: argparse.Namespace, cells: Cells, cell: Cell) -> None:
    """Writes the page to ``args.table``, whole or not at all."""
    parts, defaults = [HEAD], []
    for name in SETS:
        for backbone in BACKBONES[name]:
            for request in requests(name):
                lines, default = _request(name, backbone, request, args.seeds, cells, cell)
                parts += lines
                defaults += default
    parts.insert(1, '\n'.join(_summary(defaults)) + '\n')
    parts += stored_sections(args.out.parent)
    pages.write_page(args.table, parts, cells.records())


@dataclasses.dataclass(frozen=True)
class _Default:
    """What the default method did at one request: its line, how many of its runs pass, of how
    many, how many times faster than retraining they are on average, and whether the request is
    of the headline."""

    line: str
    passed: int
    total: int
    faster: float | None
    is_headline: bool


def _summary(found: list[_Default]) -> list[str]:
    """The default method at every request that was run."""
    if not found:
        return ['## Summary', '', 'No request on real data has been run yet.']
    headline = [each for each in found if each.is_headline]
    faster = [each.faster for each in found if each.faster is not None]
    lines = [
        '## Summary',
        '',
        f'The default method (`auto`) on every request that was run: {_passed(found)}.',
    ]
    if headline and len(headline) < len(found):
        lines.append(f'Of the headline (LightGCN and FREEDOM, 1 % and 5 %): {_passed(headline)}.')
    if faster:
        lines.append(
            f'It takes ten times less time than gold or more at {sum(x >= 10 for x in faster)} of '
            f'{len(faster)} requests; the median is {statistics.median(faster):.0f} times.'
        )
    lines += [
        'A gold model is itself held against the other golds with the same bands; so many of them '
        'would pass:',
        '',
        '| set | model | request | passed | golds that would pass | times faster | '
        'where it falls short |',
        '| --- | --- | --- | --- | --- | ---: | --- |',
    ]
    return lines + [each.line for each in found]


def _passed(found: list[_Default]) -> str:
    return (
        f'{sum(each.passed for each in found)} of {sum(each.total for each in found)} runs pass, '
        f'and in {sum(2 * each.passed > each.total for each in found)} of {len(found)} requests '
        'most of them'
    )


def _request(
    name: str, backbone: Backbone, request: str, seeds: list[int], cells: Cells, cell: Cell
) -> tuple[list[str], list[_Default]]:
    """The table of a request; and what the default method did, if it was run."""
    rows, missing, gold, full = [], [], None, 0
    defaults = []
    wanted = seeds[: most_models(request)]
    for method in METHODS:
        chosen = wanted[:1] if method in SHARDED else wanted
        records = [cells.read(cell(name, backbone, request, method, seed)) for seed in chosen]
        failed = [r for r in records if r is not None and r['status'] != 'done']
        done = [r for r in records if r is not None and r['status'] == 'done']
        if len(done) < len(chosen):
            errors = {r['error'] for r in failed}
            missing.append(
                f'{method} ({len(chosen) - len(done)}{"; " if errors else ""}{"; ".join(errors)})'
            )
        if done:
            audits = [record['audit'] for record in done]
            gold, full = gold or _gold_row(audits[0]), full or _num_golds(audits[0])
            rows.append(_row(method, audits, full))
            if method == 'auto':
                defaults.append(_default(name, backbone, request, audits))
    if not rows or gold is None:
        return [], []
    named = 'drift | level' if request.startswith(_MODALITY) else 'KS | AUC'
    lines = [
        f'## {name}, {backbone.name}, {request}',
        '',
        f'| method | verdicts | test R@20 | forget R@20 | {named} | seconds | times faster |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
        gold,
        *rows,
    ]
    if missing:
        lines += ['', 'Missing: ' + ', '.join(missing) + '.']
    return ['\n'.join(lines) + '\n'], defaults


def _default(name: str, backbone: Backbone, request: str, audits: list[dict[str, Any]]) -> _Default:
    passed = sum(audit['status'] == 'passed' for audit in audits)
    ratios = [(audit['cost'] or {}).get('speed_up_with_rebuild') for audit in audits]
    known = [ratio for ratio in ratios if ratio is not None]
    shown = f'{passed} of {len(audits)} | {_golds(audits[0])} | {_mean(ratios, 1)}'
    line = f'| {name} | {backbone.name} | {request} | {shown} | {_reasons(audits) or MISSING} |'
    faster = statistics.mean(known) if known else None
    is_headline = request in HEADLINE and backbone in BACKBONES[name][:2]
    return _Default(line, passed, len(audits), faster, is_headline)


def _row(method: str, audits: list[dict[str, Any]], num_golds: int) -> str:
    """A method's line; it says so where it was held against other golds than the first."""
    verdicts = collections.Counter(audit['status'] for audit in audits)
    shown = ', '.join(f'{count} {status}' for status, count in verdicts.most_common())
    if (found := _num_golds(audits[0])) != num_golds:
        shown += f', against {found} of the golds'
    columns = [_mean([_measure(audit, key) for audit in audits]) for key in ('test', 'forget')]
    columns += [_mean([_measure(audit, key) for audit in audits], 3) for key in ('ks', 'auc')]
    costs = [audit['cost'] or {} for audit in audits]
    columns.append(_mean([cost.get('seconds_with_rebuild') for cost in costs], 1))
    columns.append(_mean([cost.get('speed_up_with_rebuild') for cost in costs], 1))
    return f'| {method} | {shown} | {" | ".join(columns)} |'


def _num_golds(audit: dict[str, Any]) -> int:
    return len(_found(audit, 'test').get('golds', []))


def _golds(audit: dict[str, Any]) -> str:
    """How many golds lie in the band of the others: what a perfect method could expect."""
    found = audit['gold_self_check'] or {}
    return f'{found["all"]} of {found["golds"]}' if 'all' in found else MISSING


def _gold_row(audit: dict[str, Any]) -> str:
    columns = [
        _banded(_found(audit, 'test')),
        _banded(_found(audit, 'forget')),
        _banded(_found(audit, 'ks'), 3),
        _banded(_found(audit, 'auc'), 3),
    ]
    seconds = (audit['cost'] or {}).get('gold_seconds_with_rebuild')
    return f'| *gold* | {MISSING} | {" | ".join(columns)} | {_mean([seconds], 1)} | 1 |'


def _found(audit: dict[str, Any], key: str) -> dict[str, Any]:
    """The measure of a column; empty where the request has none."""
    if key == 'test':
        return audit['utility']['quality'].get('recall@20') or {}
    affected = audit.get('affected_items') or {}
    if audit['completeness'] is None and affected and key in _AFFECTED:
        return affected[f'{_AFFECTED[key]}, items that lost a modality']
    closeness, attacks = audit['completeness'] or {}, audit['membership'] or {}
    if key == 'forget':
        return (closeness.get('forget_ranking') or {}).get('recall@20') or {}
    if key == 'ks':
        return closeness.get('score_ks') or {}
    return (attacks.get('auc') or {}).get('score_threshold') or {}


def _measure(audit: dict[str, Any], key: str) -> float | None:
    return _found(audit, key).get('unlearned')


def _banded(measure: dict[str, Any], digits: int = 4) -> str:
    golds = [value for value in measure.get('golds', []) if value is not None]
    if not golds:
        band = measure.get('band')
        return MISSING if band is None else f'0 ± {band:.{digits}f}'
    text = f'{statistics.mean(golds):.{digits}f}'
    return text if measure.get('band') is None else f'{text} ± {measure["band"]:.{digits}f}'


def _mean(values: list[float | None], digits: int = 4) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return MISSING
    text = f'{statistics.mean(there):.{digits}f}'
    return f'{text} ± {statistics.stdev(there):.{digits}f}' if len(there) > 1 else text


def _reasons(audits: list[dict[str, Any]]) -> str:
    counted = collections.Counter(
        reason
        for audit in audits
        if audit['status'] != 'passed'
        for reason in audit['verdict']['reasons']
    )
    return '; '.join(f'{reason} ({count})' for reason, count in counted.most_common(3))
