"""Quality of search and recommendation: settings chosen on validation, three seeds, one page.

Every cell (a grid point, or a seed of the chosen setting) is stored as it ends, so a run that
was stopped goes on where it was, and the page is made from the stored cells alone:

    python benchmarks/search.py --data planted lastfm-2k-mm --budget-minutes 60
    python benchmarks/search.py --only-table
"""

import argparse
import logging
import os
import sys
import time
import traceback
from pathlib import Path

import torch
from _cells import Cells, Job
from _jobs import machine
from _search_jobs import describe, grid_jobs, measure, train
from _search_plan import MODELS, SETS, grids, open_set
from _search_table import planned, write_page
from torch_geometric.data import HeteroData

_logger = logging.getLogger('search')


class OutOfTimeError(Exception):
    """The minutes of this run are over; the next run goes on."""


class Runner:
    """Runs what is missing, one cell after the other."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.cells = args, Cells(args.out)
        self.deadline = time.monotonic() + 60 * args.budget_minutes

    def run(self) -> None:
        for name in self.args.data:
            data = open_set(name, self.args.root)
            self.cells.write_about(name, describe(data))
            for model in self.args.models:
                for job in grid_jobs(name, model, self.args.epochs):
                    self._run(job, data)
                for job in planned(name, model, self.args, self.cells):
                    self._run(job, data)

    def _run(self, job: Job, data: HeteroData) -> None:
        record = self.cells.read(job)
        if record is not None and (record['status'] == 'done' or not self.args.retry):
            return
        if time.monotonic() >= self.deadline:
            raise OutOfTimeError
        try:
            model, cost = train(job, data, self.args.progress)
            values, arrays = measure(job, data, model) if job.kind == 'final' else ({}, {})
        except Exception as error:  # A crash is a result too; the rest goes on.
            text, trace = f'{type(error).__name__}: {error}', traceback.format_exc().splitlines()
            self.cells.write(job, {'status': 'failed', 'error': text, 'traceback': trace})
            _logger.error('%s failed: %s', job.name, text)
            return
        done = {'status': 'done', 'machine': machine()} | cost | values
        self.cells.write(job, done, arrays)
        _logger.info(
            '%s  [%s]  %.4f  %.0f s', job.name, job.setting, cost['value'], cost['seconds']
        )


def show_plan(args: argparse.Namespace) -> None:
    """Prints the grids and the most epochs of training."""
    for name in args.data:
        plan = SETS[name]
        print(
            f'{name}: at most {args.epochs or plan.epochs} epochs of batches of {plan.batch_size}, '
            f'validation every {plan.eval_every}, stop after {plan.patience} without improvement'
        )
        for model, points in grids(name).items():
            print(f'  {model}: {len(points)} settings {points}')


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    root = Path(os.environ.get('GRAPHREC_DATA', '../shared/data'))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--data', nargs='*', default=list(SETS), choices=list(SETS), metavar='SET')
    add('--models', nargs='+', default=list(MODELS), choices=MODELS, metavar='MODEL')
    add('--seeds', nargs='+', type=int, default=[0, 1, 2])
    add('--root', type=Path, default=root, help='folder of the data sets (GRAPHREC_DATA)')
    add('--out', type=Path, default=Path('runs/search'), help='folder of the cells')
    add('--table', type=Path, default=Path('docs/search.md'), help='Markdown file to write')
    add('--budget-minutes', type=float, default=120.0, help='start no cell after these')
    add('--epochs', type=int, help='replaces all epochs of the plan (for a quick look)')
    add('--threads', type=int, default=2)
    add('--retry', action='store_true', help='run failed cells again')
    add('--plan', action='store_true', help='print what would run and stop')
    add('--only-table', action='store_true', help='make the page from what is stored')
    add('--progress', action='store_true', help='show the progress bar of each training')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr)
    if args.plan:
        show_plan(args)
        return 0
    torch.set_num_threads(args.threads)
    if not args.only_table:
        try:
            Runner(args).run()
        except OutOfTimeError:
            _logger.warning('the %g minutes are over; run again to go on', args.budget_minutes)
    write_page(args, Cells(args.out))
    return 0


if __name__ == '__main__':
    sys.exit(main())
