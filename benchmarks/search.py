"""Quality of search and recommendation: settings chosen on validation, three seeds or five.

Every cell (a grid point, or a seed of the chosen setting) is stored as it ends, so a run that
was stopped goes on where it was, and the page is made from the stored cells alone:

    python benchmarks/search.py --data planted lastfm-2k-mm --budget-minutes 60
    python benchmarks/search.py --only-table
"""

import argparse
import logging
import sys

import torch
from _cells import Cells, Job
from _jobs import machine
from _runner import CellRunner, add_run_arguments, run_within
from _search_jobs import describe, grid_jobs, measure, train
from _search_plan import MODELS, SETS, grids, open_set
from _search_table import planned, write_page
from torch_geometric.data import HeteroData

_logger = logging.getLogger('search')


class Runner(CellRunner):
    """Runs what is missing, one cell after the other."""

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
        if not self.is_next(job):
            return
        try:
            model, cost = train(job, data, self.args.progress)
            values, arrays = measure(job, data, model) if job.kind == 'final' else ({}, {})
        except Exception as error:
            return self.store_failure(job, error)
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--data', nargs='*', default=list(SETS), choices=list(SETS), metavar='SET')
    add('--models', nargs='+', default=list(MODELS), choices=MODELS, metavar='MODEL')
    add('--seeds', nargs='+', type=int, help="default: the set's")
    add('--epochs', type=int, help='replaces all epochs of the plan (for a quick look)')
    add('--plan', action='store_true', help='print what would run and stop')
    add('--progress', action='store_true', help='show the progress bar of each training')
    add_run_arguments(parser, 'docs/benchmarks/search', 'docs/search.md')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr)
    if args.plan:
        show_plan(args)
        return 0
    torch.set_num_threads(args.threads)
    if not args.only_table:
        run_within(args.budget_minutes, Runner(args, _logger).run, _logger)
    write_page(args, Cells(args.out))
    return 0


if __name__ == '__main__':
    sys.exit(main())
