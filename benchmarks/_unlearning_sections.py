"""Sections of ``docs/unlearning.md`` on planted data and on days of requests, from what their
benchmarks stored."""

import json
import statistics
from pathlib import Path
from typing import Any

from _timing import report


def stored_sections(folder: Path) -> list[str]:
    """The sections of the records that lie in the folder; days of requests are one file a set."""
    makers = (
        (planted_section, 'unlearning_planted.json'),
        (stream_section, 'unlearning_stream*.json'),
    )
    return [
        make(json.loads(file.read_text()))
        for make, pattern in makers
        for file in sorted(folder.glob(pattern))
    ]


def planted_section(record: dict[str, Any]) -> str:
    """What a foreign block taught, by method."""
    golds, original = record['golds'], record['original']
    level = record['gold level']
    spread = max(g['level'] for g in golds) - min(g['level'] for g in golds)
    rows = [
        _planted_row('original', original | {'status': '–', 'steps': 0, 'seconds': 0.0}, 0.0),
        _planted_row(
            f'gold, {len(golds)} seeds',
            {
                'level': level,
                'test recall@20': statistics.mean(g['test recall@20'] for g in golds),
                'status': '–',
                'steps': golds[0]['steps'],
                'seconds': statistics.mean(g['seconds'] for g in golds),
            },
            1.0,
        ),
    ]
    for name, cell in record['methods'].items():
        rows.append(
            _planted_row(
                name, cell, (original['level'] - cell['level']) / (original['level'] - level)
            )
        )
    return f"""## Planted data: what a foreign block taught

{record['pairs']} interactions of {record['settings']['block_users']} users with items of another
community were added to planted data; nothing else says that these users like them. *Level* is
the mean score of these pairs in standard deviations of their user's scores; *gap closed* is 0
for the original and 1 for gold. Golds differ by up to {spread:.2f} between seeds. One run a
method, default options. Made by `python benchmarks/unlearning_planted.py`.

{report(rows)}
"""


def _planted_row(name: str, cell: dict[str, Any], closed: float) -> dict[str, Any]:
    return {
        'method': name,
        'level': cell['level'],
        'gap closed': closed,
        'test R@20': f'{cell["test recall@20"]:.4f}',
        'own status': cell['status'],
        'steps': cell['steps'],
        'seconds': cell['seconds'],
    }


def stream_section(record: dict[str, Any]) -> str:
    """The day, the drift, and the sequence against its union."""
    settings, sequence = record['settings'], record['sequence']
    days = [
        {
            'batch': int(size),
            'runs': day['runs'],
            'seconds in all': day['seconds'],
            'ms a request': 1e3 * day['seconds a request'],
            'longest run, s': day['longest run'],
            'test R@20 after': f'{day["test recall@20"]:.4f}',
            'forget AUC after': f'{day["forget auc"]:.3f}',
            'statuses': ', '.join(f'{n} {name}' for name, n in day['statuses'].items()),
        }
        for size, day in record['days'].items()
    ]
    drifts = []
    for count in record['counts']:
        row: dict[str, Any] = {
            'requests': count,
            'gold to gold': _at(record['gold against gold'], count),
            'model before any': _at(record['start against gold'], count),
        }
        for size, day in record['days'].items():
            row[f'batches of {size}'] = _at(day['drift from gold'], count)
        drifts.append(row)
    last = _at(record['gold recall'], record['counts'][-1])
    same = 'the same' if sequence['same graph'] else 'NOT the same'
    name = settings['data']
    shown = 'planted data' if name == 'planted' else name
    command = 'python benchmarks/unlearning_stream.py'
    command += '' if name == 'planted' else f' --data {name}'
    return f"""## A day of requests: {shown}

{settings['requests']:,} requests of one interaction each on {shown}
({settings['users']:,} users, {settings['items']:,} items), one after the other or united in
batches, by `{settings['method']}` as `auto` calls it, with {settings['steps']} steps a run;
seconds without evaluation. Single interactions are too few for the stop rule, so that most runs
say `not_measurable`: audit at the end of a day. *forget AUC* is that of the pairs of all requests
against held-out pairs: {record['start forget auc']:.3f} before the first request. Retrained on the
graph at the end of the day, it is {record['gold forget auc']:.3f} and test recall {last:.4f}.
Made by `{command}`.

{report(days)}

*Drift* is 1 minus the mean Jaccard index of the 20 best items, from a model retrained on the
graph after so many requests. Two such models differ by the column *gold to gold*.

{report(drifts)}

{sequence['requests']} requests in turn against their union at once: the graph at the end is
{same} (by digest), test recall {sequence['recall one by one']:.4f} against
{sequence['recall at once']:.4f}, drift between both models {sequence['drift between both']:.2f},
{sequence['seconds one by one']:.1f} s against {sequence['seconds at once']:.1f} s.
"""


def _at(values: dict[Any, float], count: int) -> float:
    """Keys are texts once stored."""
    return values.get(count, values.get(str(count), float('nan')))
