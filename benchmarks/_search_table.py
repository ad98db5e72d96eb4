"""``docs/search.md`` from the stored cells alone."""

import argparse
import statistics
from typing import Any

import _pages as pages
import numpy as np
import pandas as pd
from _cells import Cells, Job
from _search_jobs import FULL, TASKS, choose, final_jobs, grid_jobs
from _search_plan import ABLATIONS, SETS, UNTRAINED
from _tables import MISSING, mean_and_spread

from graphrec.evaluation import Evaluation
from graphrec.significance import paired_test

HEAD = """# Search and recommendation in one graph

Made by `python benchmarks/search.py`; `--only-table` makes this page again from the stored
cells.

**No public search log is at hand: the queries of every real set are proxies, as said beside
it.** Both tasks are shown apart. In recommendation every user's held-out items are ranked among
all items but those of training; in search every held-out (user, query, item) is ranked among all
items, ties against the item. The paper's own protocol, one held-out item against 99 sampled ones,
stands beside it: its numbers are far higher and may order methods otherwise.

Settings are those with the best validation value in the printed grid (seed 0), the mean of
ndcg@20 over the tasks that a model has; the same value picks the epoch and stops training.
Ablations take UDITSR's settings. Values are means over seeds ± their standard deviation. The last
column compares ndcg@20 user by user (mean over seeds) with UDITSR: the difference, then the
p-value of a two-sided paired t-test times the number of comparisons in the table (Bonferroni).

How to read it:

- *UDITSR's parts, on planted data.* As one model for both tasks, which is what its settings are
  chosen for, UDITSR is above each of its ablations on both planted sets, and above the one
  without searches in the only task that this has. By task, every part helps search. In
  recommendation the searches and the supervision of the generator help on both sets, the contrast
  on the larger catalogue; translation makes no difference there that a test can tell, and with
  short histories it does harm. In the planted world an item serves one intent, so that
  translation moves an item by a constant that its embedding can learn as well, and takes out of a
  user what he usually looks for.
- *UDITSR beside the others.* Its recommendations are below those of LightGCN and HyperSaR
  throughout: its score is a network over concatenated embeddings, theirs a product. In search it is
  mostly below QueryBilinear and HyperSaR.
"""
TITLES = {'recommend': 'Recommendation', 'search': 'Search'}


def write_page(args: argparse.Namespace, cells: Cells) -> None:
    """Writes the page to ``args.table``, whole or not at all."""
    shown = [name for name in SETS if name in args.data or cells.about(name) is not None]
    parts = [HEAD, *(_set_part(name, args, cells) for name in shown)]
    pages.write_page(args.table, parts, cells.records())


def _set_part(name: str, args: argparse.Namespace, cells: Cells) -> str:
    about = cells.about(name)
    lines = [f'## {name}', '', SETS[name].about, '']
    if about is None:
        return '\n'.join([*lines, 'Not run yet.']) + '\n'
    lines += [_sizes(about), '']
    done = {model: _finals(name, model, args, cells) for model in args.models}
    for task in TASKS:
        lines += [f'### {TITLES[task]}', '', *_task_table(task, done, cells), '']
    lines += _both_tasks(done, cells)
    lines += ['### Settings', '', *_grid_lines(name, args, cells)]
    missing = [f'{model} seed {job.seed}' for model, job in _missing(name, args, cells)]
    if missing:
        lines += ['', 'Missing: ' + '; '.join(missing) + '.']
    return '\n'.join(lines) + '\n'


def _sizes(about: dict[str, int]) -> str:
    parts = '; '.join(
        f'{title} {about[f"{split}_pairs"]:,} pairs and {about[f"{split}_searches"]:,} searches'
        for split, title in (('train', 'training'), ('valid', 'validation'), ('test', 'test'))
    )
    nodes = ', '.join(f'{about[each]:,} {each}' for each in ('users', 'items', 'queries'))
    return f'{nodes}; {parts}.'


def planned(name: str, model: str, args: argparse.Namespace, cells: Cells) -> list[Job]:
    """The final cells of a model, once its settings, or UDITSR's for an ablation, are chosen."""
    chosen_by = 'UDITSR' if model in ABLATIONS else model
    point = choose(cells, grid_jobs(name, chosen_by, args.epochs))
    seeds = args.seeds or list(range(SETS[name].seeds))
    return [] if point is None else final_jobs(name, model, point, seeds, args.epochs)


def _finals(
    name: str, model: str, args: argparse.Namespace, cells: Cells
) -> list[tuple[Job, dict[str, Any]]]:
    found = [(job, cells.read(job)) for job in planned(name, model, args, cells)]
    return [(job, record) for job, record in found if record and record['status'] == 'done']


def _missing(name: str, args: argparse.Namespace, cells: Cells) -> list[tuple[str, Job]]:
    return [
        (model, job)
        for model in args.models
        for job in planned(name, model, args, cells)
        if (cells.read(job) or {}).get('status') != 'done'
    ]


def _task_table(
    task: str, done: dict[str, list[tuple[Job, dict[str, Any]]]], cells: Cells
) -> list[str]:
    first = FULL[task][0]
    full = [f'{metric}@{k}' for metric in (first, 'ndcg') for k in (10, 20)]
    sampled = ['sampled99_hit@5', 'sampled99_ndcg@5']
    rows = {
        model: [(job, record[task]) for job, record in cell if task in record]
        for model, cell in done.items()
    }
    rows = {model: cell for model, cell in rows.items() if cell}
    if not rows:
        return ['No cell yet.']
    groups = sorted({g for cell in rows.values() for _, r in cell for g in r['groups'] or {}})
    heads = ['model', *full, *('1 of 100: ' + each[10:] for each in sampled)]
    heads += [f'ndcg@20, {group}' for group in groups] + ['seconds', 'against UDITSR']
    lines = [f'| {" | ".join(heads)} |', '| --- |' + ' ---: |' * (len(heads) - 1)]
    per_user = {model: _per_user(task, cells, cell) for model, cell in rows.items()}
    for model, cell in rows.items():
        records = [record for _, record in cell]
        cols = [mean_and_spread([r['full'][each] for r in records]) for each in full]
        cols += [mean_and_spread([r['sampled'][each] for r in records]) for each in sampled]
        cols += [_group(records, group) for group in groups]
        cols.append(f'{statistics.mean(r["seconds"] for _, r in done[model]):.0f}')
        cols.append(_compared(model, per_user))
        count = '' if model in UNTRAINED else f' ({len(cell)} seed{"s" * (len(cell) > 1)})'
        lines.append(f'| {_label(model)}{count} | {" | ".join(cols)} |')
    sizes = {
        group: _size(cell[0][1]['groups'][group])
        for cell in rows.values()
        for group in groups
        if cell[0][1]['groups'] and group in cell[0][1]['groups']
    }
    shown = ', '.join(f'{group}: {int(size):,}' for group, size in sizes.items())
    protocol = next(iter(rows.values()))[0][1]['protocol']
    return [
        *lines,
        '',
        '; '.join(protocol) + '.' + (f' Sizes of groups: {shown}.' if shown else ''),
    ]


def _both_tasks(done: dict[str, list[tuple[Job, dict[str, Any]]]], cells: Cells) -> list[str]:
    """What one model is worth for the two tasks: users with test cases of both."""
    per_user = {
        model: _mean_of_tasks([_per_user(task, cells, cell) for task in TASKS])
        for model, cell in done.items()
        if cell and all(task in record for _, record in cell for task in TASKS)
    }
    if 'UDITSR' not in per_user:
        return []
    users = len(next(iter(per_user.values())).per_user)
    lines = [
        '### Both tasks from one model',
        '',
        f"Mean of a user's ndcg@20 in both tasks, over the {users:,} users who have test cases "
        'of both.',
        '',
        '| model | ndcg@20 of both | against UDITSR |',
        '| --- | ---: | ---: |',
    ]
    for model, found in per_user.items():
        value = found.per_user['ndcg@20'].mean()
        lines.append(f'| {_label(model)} | {value:.4f} | {_compared(model, per_user)} |')
    return [*lines, '']


def _mean_of_tasks(parts: list[Evaluation]) -> Evaluation:
    tables = [part.per_user.set_index('user')['ndcg@20'] for part in parts]
    mean = pd.concat(tables, axis=1, join='inner').mean(axis=1).rename('ndcg@20')
    table = mean.sort_index().rename_axis('user').reset_index()
    return _mean_over_seeds(table)


def _mean_over_seeds(per_user: pd.DataFrame) -> Evaluation:
    return Evaluation({}, per_user=per_user, dropped={}, notes={}, protocol='mean over seeds')


def _label(model: str) -> str:
    return f'UDITSR, {model}' if model in ABLATIONS else model


def _size(group: dict[str, float]) -> float:
    return group['num_searches'] if 'num_searches' in group else group['num_users']


def _group(records: list[dict[str, Any]], group: str) -> str:
    values = [
        record['groups'][group]['ndcg@20']
        for record in records
        if group in (record['groups'] or {})
    ]
    return mean_and_spread(values) if values else MISSING


def _per_user(task: str, cells: Cells, cell: list[tuple[Job, dict[str, Any]]]) -> Evaluation:
    """Per-user ndcg@20 averaged over seeds, as an evaluation."""
    values = np.mean([cells.array(job, f'{task}_ndcg20') for job, _ in cell], axis=0)
    users = cells.array(cell[0][0], f'{task}_users')
    table = pd.DataFrame({'user': users, 'ndcg@20': values})
    return _mean_over_seeds(table)


def _compared(model: str, per_user: dict[str, Evaluation]) -> str:
    if model == 'UDITSR' or 'UDITSR' not in per_user:
        return MISSING
    result = paired_test(per_user[model], per_user['UDITSR'], 'ndcg@20')
    p = min(1.0, result.p_value * (len(per_user) - 1))
    return f'{result.difference:+.4f}, ' + ('p < 0.001' if p < 0.001 else f'p = {p:.3f}')


def _grid_lines(name: str, args: argparse.Namespace, cells: Cells) -> list[str]:
    """One line a model: every point with its validation value, the chosen one in bold."""
    lines = []
    for model in args.models:
        jobs = grid_jobs(name, model, args.epochs)
        point, shown = choose(cells, jobs) if jobs else None, []
        for job in jobs:
            record = cells.read(job) or {}
            value = f'{record["value"]:.4f}' if 'value' in record else record.get('status', MISSING)
            text = f'{_setting(job)}: {value}'
            chosen = point is not None and point == job.config | {
                key: job.fit[key] for key in point if key in job.fit
            }
            shown.append(f'**{text}**' if chosen else text)
        if shown:
            lines.append(f'- {model}: ' + '; '.join(shown))
    return lines


def _setting(job: Job) -> str:
    extra = {k: v for k, v in job.fit.items() if k == 'weight_decay'}
    return job.setting + ''.join(f', {k}={v:g}' for k, v in extra.items())
