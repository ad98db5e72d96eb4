"""The page of a suite from the stored cells alone."""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _cells import Cells, Job
from _jobs import CARVED, choose, final_jobs, grid_jobs, speed_job
from _pages import write_page
from _plan import PUBLISHED, SPEED_SETS
from _studies import study_part
from _suite import Suite

from graphrec.evaluation import Evaluation
from graphrec.significance import paired_test

METRICS = ('recall@10', 'recall@20', 'ndcg@10', 'ndcg@20')
MISSING = '\N{EN DASH}'
Missing = Callable[[Cells, str, str, argparse.Namespace], list[str]]


def write_tables(args: argparse.Namespace, cells: Cells, missing: Missing) -> None:
    """Writes the page to ``args.table``, whole or not at all. It shows what was asked for
    and whatever else is stored, so that a run of one set loses no other."""
    suite: Suite = args.suite
    names = [n for n in suite.sets if n in args.data or cells.about(n) is not None]
    names += [n for n in args.data if n not in names]
    speed = [n for n in SPEED_SETS if n in args.speed or cells.holds(n, 'LightGCN', 'speed')]
    speed = speed if suite.ours else []
    speed += [n for n in args.speed if n not in speed]
    parts = [suite.head]
    for name in names:
        models = [m for m in suite.models if m in args.models or cells.holds(name, m)]
        shown = argparse.Namespace(**(vars(args) | {'models': models}))
        parts.append(_set_part(name, shown, cells, missing))
    if speed:
        parts.append(_speed_part(speed, args.minutes, cells))
    write_page(args.table, parts, cells.records(), [args.note] if args.note else [])


def _set_part(name: str, args: argparse.Namespace, cells: Cells, missing: Missing) -> str:
    about = cells.about(name)
    if about is None:
        return f'## {name}\n\nNot run yet.\n'
    validation = about['validation']
    lines = [f'## {name}', '', _sizes(about), '']
    rows, evaluations = {}, {}
    for model in args.models:
        done = _finals(name, model, validation, args, cells)
        rows[model] = [cells.read(job) for job in done], done
        if done:
            evaluations[model] = _per_user(cells, done)
    best = _best(rows, args.suite.ours)
    lines += [
        '| model | R@10 | R@20 | N@10 | N@20 | seconds | epochs | setting | against the best |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |',
    ]
    for model, (records, jobs) in rows.items():
        if records:
            compared = _compared(model, best, evaluations)
            lines.append(_row(model, records, jobs, compared, args.suite))
    for published in args.suite.published.get(name, []):
        values = [_plain(published.values.get(metric)) for metric in METRICS]
        cols = [f'*{published.method}* (published)', *values, MISSING, MISSING, MISSING, MISSING]
        lines.append(f'| {" | ".join(cols)} |')
    lines += ['', *(f'{p.method}: {p.difference}' for p in args.suite.published.get(name, []))]
    lines += ['', *(f'{m}: left out, {why}' for m, why in args.suite.budget(name).skipped.items())]
    lines += ['', 'Grids, validation recall@20:', '', *_grids(name, validation, args, cells)]
    lacking = missing(cells, name, validation, args)
    if lacking:
        lines += ['', 'Missing: ' + '; '.join(lacking) + '.']
    points = {
        model: chosen
        for model in args.models
        if (chosen := _chosen(name, model, validation, args, cells))
    }
    for study in args.suite.studies:
        lines += [
            '',
            *study_part(
                args.suite, study, name, points, validation, args.seeds, args.epochs, cells
            ),
        ]
    return '\n'.join(lines) + '\n'


def _sizes(about: dict[str, Any]) -> str:
    text = (
        f'{about["users"]:,} users, {about["items"]:,} items; training {about["train"]:,}, '
        f'validation {about["valid"]:,}, test {about["test"]:,} edges. '
    )
    if about['validation'] == CARVED:
        return text + (
            "The set has no validation part: a tenth of every user's training edges was "
            'carved out (seed 0). Models train on the rest only, so values are a little below '
            'what all training edges would give; the carved edges are masked at test.'
        )
    return text + "The validation part is the set's own."


def _finals(
    name: str, model: str, validation: str, args: argparse.Namespace, cells: Cells
) -> list[Job]:
    point = _chosen(name, model, validation, args, cells)
    if point is None:
        return []
    jobs = final_jobs(args.suite, name, model, validation, point, args.seeds, args.epochs)
    return [job for job in jobs if (cells.read(job) or {}).get('status') == 'done']


def _chosen(
    name: str, model: str, validation: str, args: argparse.Namespace, cells: Cells
) -> dict[str, Any] | None:
    return choose(cells, grid_jobs(args.suite, name, model, validation, args.epochs))


def _per_user(cells: Cells, jobs: list[Job]) -> Evaluation:
    """Per-user ndcg@20 averaged over seeds, as an evaluation."""
    values = np.mean([cells.array(job, 'ndcg20') for job in jobs], axis=0)
    table = pd.DataFrame({'user': cells.array(jobs[0], 'users'), 'ndcg@20': values})
    return Evaluation({}, per_user=table, dropped={}, notes={}, protocol='mean over seeds')


def _best(rows: dict[str, tuple[list[Any], list[Job]]], ours: str | None) -> str | None:
    """The model with the highest ndcg@20, other than our own."""
    means = {
        model: statistics.mean(record['test']['ndcg@20'] for record in records)
        for model, (records, _) in rows.items()
        if records and model != ours
    }
    return max(means, key=means.__getitem__) if means else None


def _compared(model: str, best: str | None, evaluations: dict[str, Evaluation]) -> str:
    if best is None or model not in evaluations:
        return MISSING
    if model == best:
        return 'the best'
    result = paired_test(evaluations[model], evaluations[best], 'ndcg@20')
    p = min(1.0, result.p_value * (len(evaluations) - 1))
    shown = 'p < 0.001' if p < 0.001 else f'p = {p:.3f}'
    return f'{result.difference:+.4f}, {shown}'


def _row(model: str, records: list[Any], jobs: list[Job], compared: str, suite: Suite) -> str:
    values = [mean_and_spread([record['test'][metric] for record in records]) for metric in METRICS]
    seconds = _seconds(records)
    shown = '/'.join(_epochs(record) for record in records if 'best_epoch' in record) or MISSING
    name = f'{model} (once)' if model in suite.deterministic else model
    if model not in suite.deterministic:
        name += f' ({len(records)} seed{"s" * (len(records) > 1)})'
    return f'| {name} | {" | ".join([*values, seconds, shown, jobs[0].setting, compared])} |'


def mean_and_spread(values: list[float]) -> str:
    mean = f'{statistics.mean(values):.4f}'
    return f'{mean} ± {statistics.stdev(values):.4f}' if len(values) > 1 else mean


def _seconds(records: list[Any]) -> str:
    """The mean of runs on processors, and of those on a GPU."""
    parts = []
    for gpu in (False, True):
        values = [r['build_seconds'] for r in records if ('gpu' in r['machine']) == gpu]
        if values:
            mean = statistics.mean(values)
            parts.append(f'{mean:.{1 if mean < 100 else 0}f}' + ' on a GPU' * gpu)
    return '; '.join(parts)


def _epochs(record: dict[str, Any]) -> str:
    """The best epoch, and the last one where the minutes of the run ended training."""
    cut = record.get('stopped') == 'callback'
    return f'{record["best_epoch"]}' + (f' (time was up at {record["epochs"]})' if cut else '')


def _plain(value: float | None) -> str:
    return MISSING if value is None else f'{value:.4f}'


def _grids(name: str, validation: str, args: argparse.Namespace, cells: Cells) -> list[str]:
    """One line a model: every point with its validation value, the chosen one in bold."""
    lines = []
    for model in args.models:
        jobs = grid_jobs(args.suite, name, model, validation, args.epochs)
        if len(jobs) == 1:
            lines.append(f'- {model}: one setting ({jobs[0].setting})')
            continue
        if not any(cells.read(job) for job in jobs):
            continue
        point, shown = choose(cells, jobs), []
        for job in jobs:
            record = cells.read(job)
            value = MISSING if record is None else 'failed'
            if record is not None and record['status'] == 'done':
                value = f'{record["valid"]["recall@20"]:.4f}'
            text = f'{job.setting}: {value}'
            chosen = point is not None and all(
                point[key] == {**job.config, **job.fit}.get(key) for key in point
            )
            shown.append(f'**{text}**' if chosen else text)
        lines.append(f'- {model}: ' + '; '.join(shown))
    return lines


def _speed_part(names: list[str], minutes: float, cells: Cells) -> str:
    lines = [
        '## LightGCN after a stated budget',
        '',
        f'{minutes:g} minutes of training, settings fixed beforehand, all training edges, '
        'no early stopping, last state. Peak memory is that of the process, libraries and data '
        'included.',
        '',
        '| set | R@10 | R@20 | N@10 | N@20 | epochs | s/epoch | evaluation s | peak GB | setting |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |',
    ]
    notes = []
    for name in names:
        job = speed_job(name, minutes)
        lines.append(_speed_row(name, job, cells.read(job)))
        for published in PUBLISHED.get(name, []):
            values = [_plain(published.values.get(metric)) for metric in METRICS]
            cols = [f'*{name}: {published.method}* (published)', *values, *[MISSING] * 5]
            lines.append(f'| {" | ".join(cols)} |')
            notes.append(f'- {name}, {published.method}: {published.difference}')
    return '\n'.join([*lines, '', *notes]) + '\n'


def _speed_row(name: str, job: Job, record: dict[str, Any] | None) -> str:
    if record is None or record['status'] == 'failed':
        why = 'not run yet' if record is None else f'failed: {record["error"]}'
        return f'| {name} | ' + ' | '.join([MISSING] * 8) + f' | {why} |'
    peak = record['peak_bytes']
    cols = [_plain(record['test'][metric]) for metric in METRICS]
    cols += [str(record['epochs']), f'{record["epoch_seconds"]:.2f}']
    cols += [f'{record["evaluation_seconds"]:.1f}', f'{peak / 1e9:.2f}' if peak else MISSING]
    return f'| {name} | {" | ".join([*cols, job.setting])} |'
