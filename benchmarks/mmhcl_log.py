"""MMHCL on TikTok beside its official log: what its stopping rule and the seed are worth.

The official code counts an evaluation as better if recall@20 or ndcg@20 on validation is above
its own best, and reports test at the last such one; ``reproduce.py`` looks at recall@20 alone.
One training a seed, evaluated every five epochs on validation and test, shows what both
rules would have reported. Test values are read for the table alone. Example:

    python benchmarks/mmhcl_log.py --seeds 1 --docs docs/mmhcl-tiktok.md
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import torch
from _jobs import build, final_jobs, machine, with_validation
from _multimodal_plan import MULTIMODAL_SUITE
from _timing import DATA_ROOT, parser, report, write, write_section

from graphrec.datasets import load
from graphrec.evaluation import evaluate
from graphrec.models import Recommender

METRICS = ('recall@20', 'ndcg@20')
#: The validation metrics of which one has to rise.
RULES = {'recall@20 (reproduce.py)': METRICS[:1], 'recall@20 or ndcg@20 (official)': METRICS}
LOG = {
    'rule': '*official log, three modalities*',
    'seed': '2024',
    'test R@20': 0.1139,
    'test N@20': 0.0492,
    'epoch': '–',
    'stopped': '54',
}

Row = dict[str, float]


def stops(rows: Sequence[Row], metrics: Sequence[str], patience: int) -> tuple[Row, Row | None]:
    """The row that a rule reports, and the one at which it ends training, if it does."""
    best, chosen, misses = dict.fromkeys(metrics, -1.0), rows[0], 0
    for row in rows:
        better = [name for name in metrics if row[f'valid {name}'] > best[name]]
        best |= {name: row[f'valid {name}'] for name in better}
        misses = 0 if better else misses + 1
        if better:
            chosen = row
        if misses >= patience:
            return chosen, row
    return chosen, None


def curve(seed: int, epochs: int | None) -> list[Row]:
    """Validation and test values of one training until both rules have ended it."""
    data, validation = with_validation(load(DATA_ROOT / 'tiktok'))
    (point,) = MULTIMODAL_SUITE.points('tiktok', 'MMHCL')
    (job,) = final_jobs(MULTIMODAL_SUITE, 'tiktok', 'MMHCL', validation, point, [seed], epochs)
    patience = job.fit['patience']
    rows: list[Row] = []

    def look(model: Recommender, row: dict[str, Any]) -> bool:
        if METRICS[0] not in row:
            return False  # Not evaluated after this epoch.
        test = evaluate(model, data, split='test', k=(20,), mask=('train',))
        found: Row = {'epoch': row['epoch']}
        found |= {f'valid {name}': row[name] for name in METRICS}
        found |= {f'test {name}': float(test[name]) for name in METRICS}
        rows.append(found)
        print(json.dumps({'seed': seed} | found), flush=True)
        return all(stops(rows, metrics, patience)[1] is not None for metrics in RULES.values())

    endless = dataclasses.replace(job, fit=job.fit | {'patience': None})
    build(endless, data, progress=False, callbacks=[look])
    return rows


def section(curves: dict[str, list[Row]], patience: int) -> str:
    """What each rule reports of each seed, then the curves."""
    lines = []
    for seed, rows in curves.items():
        for rule, metrics in RULES.items():
            chosen, end = stops(rows, metrics, patience)
            lines.append(
                {
                    'rule': rule,
                    'seed': seed,
                    'test R@20': chosen['test recall@20'],
                    'test N@20': chosen['test ndcg@20'],
                    'epoch': str(int(chosen['epoch'])),
                    'stopped': str(int(end['epoch'])) if end else 'not yet',
                }
            )
    lines.append(LOG)
    steps = [
        {'seed': seed} | row | {'epoch': int(row['epoch'])}
        for seed, rows in curves.items()
        for row in rows
    ]
    return f'{report(lines, 4)}\n\n{report(steps, 4)}'


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    args_parser = parser(__doc__, 'docs/benchmarks/mmhcl_log.json')
    args_parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    args_parser.add_argument('--epochs', type=int, help='at most; default: those of the plan')
    args_parser.add_argument('--only-section', action='store_true', help='from the stored curves')
    return args_parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    curves = json.loads(args.out.read_text())['curves'] if args.out.is_file() else {}
    for seed in [] if args.only_section else args.seeds:
        curves[str(seed)] = curve(seed, args.epochs)
        write(args.out, {'machine': machine(), 'curves': curves})
    text = section(curves, MULTIMODAL_SUITE.budget('tiktok').loops['MMHCL'].patience or 1)
    write_section(args.docs, 'mmhcl_log', text)
    print(text)


if __name__ == '__main__':
    main()
