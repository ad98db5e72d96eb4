"""Quality of all models on real data: settings chosen on validation, three seeds, one table.

Every cell (a grid point, or a seed of the chosen setting) is stored as it ends, so a run
that was stopped goes on where it was, and the table is made from the stored cells alone:

    python benchmarks/reproduce.py --data lastfm-2k-mm tiktok --budget-minutes 20
    python benchmarks/reproduce.py --suite interactions --speed gowalla --minutes 6
    python benchmarks/reproduce.py --only-table

The suite ``multimodal`` (with item features; ``docs/results.md``) also runs studies with the
chosen settings: cold items, ablations, noise. ``interactions`` has a page of its own.
"""

import argparse
import copy
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _cells import Cells, Job
from _jobs import (
    build,
    choose,
    final_jobs,
    grid_jobs,
    machine,
    measure,
    run_speed,
    speed_job,
    with_validation,
)
from _multimodal_plan import MULTIMODAL_SUITE
from _plan import INTERACTIONS, SPEED_SETS
from _runner import CellRunner, add_run_arguments, run_within
from _studies import study_jobs
from _tables import write_tables
from _variants import varied
from torch_geometric.data import HeteroData

from graphrec.datasets import load
from graphrec.graphs.schema import num_items, num_users, split_edges
from graphrec.models import Recommender

SUITES = {suite.name: suite for suite in (MULTIMODAL_SUITE, INTERACTIONS)}

_logger = logging.getLogger('reproduce')


class Runner(CellRunner):
    """Runs what is missing, one cell after the other."""

    def run(self) -> None:
        for name in self.args.data:
            self._guarded(name, self._run_set)
        for name in self.args.speed:
            self._guarded(name, self._run_speed)

    def _guarded(self, name: str, action: Any) -> None:
        """One set that cannot be read does not stop the others."""
        try:
            action(name)
        except (ValueError, OSError, RuntimeError):
            _logger.exception('%s: stopped', name)

    def _run_set(self, name: str) -> None:
        about = self.cells.about(name)
        if about is not None and not any(self._missing(name, about['validation'])):
            return _logger.info('%s: complete', name)
        data, validation = with_validation(load(self.args.root / name))
        self.cells.write_about(name, describe(data) | {'validation': validation})
        skipped = self.args.suite.budget(name).skipped
        for model in self.args.models:
            if model not in skipped:
                self._run_model(name, model, data, validation)

    def _missing(self, name: str, validation: str) -> list[str]:
        missing = missing_cells(self.cells, name, validation, self.args)
        return missing or missing_studies(self.cells, name, validation, self.args)

    def _run_model(self, name: str, model: str, data: HeteroData, validation: str) -> None:
        suite = self.args.suite
        placed = self._placed(data)
        jobs = grid_jobs(suite, name, model, validation, self.args.epochs)
        best: tuple[float, Job, Recommender, dict[str, Any]] | None = None
        for job in jobs if len(jobs) > 1 else []:
            built = self._run_cell(job, placed)
            if built is None or model not in suite.deterministic:
                continue
            value = built[1]['valid']['recall@20']
            if best is None or value > best[0]:
                best = (value, job, *built)  # Saves the final cell the same work.
        point = choose(self.cells, jobs)
        if point is None:
            return _logger.warning('%s %s: no setting, all grid points failed', name, model)
        seeds, epochs = self.args.seeds, self.args.epochs
        for job in final_jobs(suite, name, model, validation, point, seeds, epochs):
            same = best is not None and best[1].config == job.config
            self._run_cell(job, placed, best[2:] if best is not None and same else None)
        for study in suite.studies:
            if study.name in self.args.studies:
                for job in study_jobs(suite, study, name, model, validation, point, seeds, epochs):
                    if self.is_next(job):
                        self._run_cell(job, self._placed(varied(data, job.protocol, job.seed)))
        return None

    def _placed(self, data: HeteroData) -> HeteroData:
        """A copy on the device of the run; the original stays where it is."""
        return copy.copy(data).to(self.args.device)

    def _run_cell(
        self,
        job: Job,
        data: HeteroData,
        ready: tuple[Recommender, dict[str, Any]] | None = None,
    ) -> tuple[Recommender, dict[str, Any]] | None:
        """The model and record of a cell that ran now; None if it was stored or failed."""
        if not self.is_next(job):
            return None
        try:
            if ready is None:
                model, cost = build(job, data, self.args.progress, self.args.cell_minutes)
            else:
                model, cost = ready[0], {'build_seconds': ready[1]['build_seconds']}
            record, arrays = measure(job, data, model)
        except Exception as error:
            self.store_failure(job, error)
            return None
        record = {'status': 'done', 'machine': machine(self.args.device)} | cost | record
        self.cells.write(job, record, arrays)
        shown = record.get('test', record['valid'])
        _logger.info(
            '%s  [%s]  recall@20 %.4f  %.1f s',
            job.name,
            job.setting,
            shown['recall@20'],
            record['build_seconds'],
        )
        return model, record

    def _run_speed(self, name: str) -> None:
        job = speed_job(name, self.args.minutes)
        if not self.is_next(job):
            return
        try:
            data = load(self.args.root / name)
            record = run_speed(job, data, self.args.progress)
        except Exception as error:
            return self.store_failure(job, error)
        self.cells.write(job, {'status': 'done', 'machine': machine()} | record)
        _logger.info(
            '%s  %d epochs, recall@20 %.4f', job.name, record['epochs'], record['test']['recall@20']
        )


def describe(data: HeteroData) -> dict[str, int]:
    """Sizes of a graph, for the heading of its table."""
    splits = {split: split_edges(data, split).size(1) for split in ('train', 'valid', 'test')}
    return {'users': num_users(data), 'items': num_items(data)} | splits


def missing_cells(cells: Cells, name: str, validation: str, args: argparse.Namespace) -> list[str]:
    """What a set still lacks, in words."""
    missing: list[str] = []
    untouched: list[str] = []
    for model in args.models:
        if model in args.suite.budget(name).skipped:
            continue
        jobs = grid_jobs(args.suite, name, model, validation, args.epochs)
        if len(jobs) > 1:
            if not any(cells.read(job) for job in jobs):
                untouched.append(model)
                continue
            missing += _lacking(cells, jobs, lambda job: f'{job.model} grid [{job.setting}]')
        point = choose(cells, jobs)
        if point is None:
            missing.append(f'{model} test, all seeds')
            continue
        jobs = final_jobs(args.suite, name, model, validation, point, args.seeds, args.epochs)
        missing += _lacking(cells, jobs, lambda job: f'{job.model} test, seed {job.seed}')
    return missing + ([f'all of {", ".join(untouched)}'] if untouched else [])


def missing_studies(
    cells: Cells, name: str, validation: str, args: argparse.Namespace
) -> list[str]:
    """What the studies of a set still lack, in words; the rest has to be there."""
    missing: list[str] = []
    for model in args.models:
        point = choose(cells, grid_jobs(args.suite, name, model, validation, args.epochs))
        for study in args.suite.studies if point is not None else ():
            if study.name in args.studies:
                whole = (name, model, validation, point, args.seeds, args.epochs)
                jobs = study_jobs(args.suite, study, *whole)
                missing += _lacking(cells, jobs, lambda job: f'{job.model} {job.kind}')
    return missing


def _lacking(cells: Cells, jobs: list[Job], words: Callable[[Job], str]) -> list[str]:
    records = [(job, cells.read(job)) for job in jobs]
    return [
        words(job) + ('' if record is None else f': failed, {record["error"]}')
        for job, record in records
        if record is None or record['status'] == 'failed'
    ]


def show_plan(args: argparse.Namespace) -> None:
    """Prints the grids, and the most epochs and minutes that training may take."""
    total = 0.0
    for name in args.data:
        budget = args.suite.budget(name)
        print(
            f'{name}: validation every {budget.eval_every} epochs, stop after '
            f'{budget.patience} without improvement'
        )
        for model in args.models:
            points = args.suite.points(name, model)
            finals = 1 if model in args.suite.deterministic else len(args.seeds)
            values = {key: sorted({point[key] for point in points}) for key in points[0]}
            line = f'  {model:<18}{len(points):>3} settings, {finals} final  {values or ""}'
            if model in budget.loops:
                loop = budget.loops[model]
                epochs = len(points) * loop.grid_epochs + finals * loop.epochs
                minutes = epochs * loop.seconds / 60
                total += minutes
                line += (
                    f'  {loop.grid_epochs} and {loop.epochs} epochs: {epochs} in '
                    f'{minutes:.0f} minutes at most'
                )
            print(line)
    for name in args.speed:
        print(f'{name}: LightGCN for {args.minutes:g} minutes of training')
        total += args.minutes
    print(f'training: {total:.0f} minutes at most on two cores; early stopping takes about half')


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--suite', default='multimodal', choices=SUITES, help='models and sets of a page')
    add('--data', nargs='*', default=None, metavar='SET', help="default: the suite's")
    add('--models', nargs='+', default=None, metavar='MODEL', help="default: the suite's")
    add('--studies', nargs='*', default=None, metavar='STUDY', help="default: the suite's")
    add('--seeds', nargs='+', type=int, default=[0, 1, 2])
    add(
        '--speed',
        nargs='*',
        default=None,
        metavar='SET',
        help=f'LightGCN for --minutes on these sets (named none: {" ".join(SPEED_SETS)})',
    )
    add('--minutes', type=float, default=6.0, help='training of a speed set')
    add('--cell-minutes', type=float, help='train no model for longer than these')
    add('--epochs', type=int, help='replaces all epochs of the plan (for a quick look)')
    add('--device', default='cpu', help='of graphs and models, e.g. cuda')
    add('--plan', action='store_true', help='print what would run and stop')
    add('--note', default='', help='a line for the end of the table, e.g. on the machine')
    add('--progress', action='store_true', help='show the progress bar of each training')
    add_run_arguments(parser, 'docs/benchmarks/cells', None)
    args = parser.parse_args(argv)
    args.suite = suite = SUITES[args.suite]
    args.models = args.models or list(suite.models)
    unknown = [model for model in args.models if model not in suite.models]
    if unknown:
        parser.error(f'--models: {unknown[0]!r} is not in the suite; it has {list(suite.models)}')
    if args.studies is None:
        args.studies = [study.name for study in suite.studies]
    args.table = args.table or Path(suite.table)
    if args.data is None:  # Speed sets alone are a run of their own.
        args.data = [] if args.speed is not None and not args.only_table else list(suite.sets)
    if args.speed is None:
        args.speed = list(SPEED_SETS) if args.only_table and suite is INTERACTIONS else []
    elif not args.speed:
        args.speed = list(SPEED_SETS)
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr)
    if args.plan:
        show_plan(args)
        return 0
    torch.set_num_threads(args.threads)
    if not args.only_table:
        run_within(args.budget_minutes, Runner(args, _logger).run, _logger)
    write_tables(args, Cells(args.out), missing_cells)
    print(args.table.read_text())
    return 0


if __name__ == '__main__':
    sys.exit(main())
