"""A run of many cells: each is stored as it ends, and the next run goes on with the rest."""

import argparse
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from _cells import Cells, Job
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.models import Recommender
from graphrec.persistence import load_model, save


class OutOfTimeError(Exception):
    """The minutes of this run are over; the next run goes on."""


class CellRunner:
    """Which cells are still to be run, and what becomes of those that fail.

    Args:
        args: Of the script, see :func:`add_run_arguments`.
        logger: Where failures are told.
    """

    def __init__(self, args: argparse.Namespace, logger: logging.Logger) -> None:
        self.args = args
        self.cells = Cells(args.out)
        self.deadline = time.monotonic() + 60 * args.budget_minutes
        self.logger = logger

    def run(self) -> None:
        """Runs what is missing, until :class:`OutOfTimeError`."""
        raise NotImplementedError

    def run_and_write(self, write: Callable[[], None]) -> int:
        """Runs, unless only the page is asked for, and writes and shows the page; the exit code."""
        logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr)
        torch.set_num_threads(self.args.threads)
        if not self.args.only_table:
            try:
                run_within(self.args.budget_minutes, self.run, self.logger)
            except GraphError as error:
                self.logger.error('error: %s', error)
                return 2
        write()
        print(self.args.table.read_text())
        return 0

    def check_time(self) -> None:
        """Raises :class:`OutOfTimeError` once the minutes are over."""
        if time.monotonic() >= self.deadline:
            raise OutOfTimeError

    def is_missing(self, job: Job) -> bool:
        """Whether a cell has no result yet."""
        record = self.cells.read(job)
        return record is None or (record['status'] != 'done' and self.args.retry)

    def is_next(self, job: Job) -> bool:
        """Whether a cell is to be run now."""
        if not self.is_missing(job):
            return False
        self.check_time()
        return True

    def kept_model(
        self, folder: Path, data: HeteroData, make: Callable[[], Recommender]
    ) -> Recommender:
        """The model of a folder; made and saved there, if there is time, where it is not yet."""
        if folder.is_dir():
            return load_model(folder, data)
        self.check_time()
        model = make()
        save(model, folder)
        return model

    def store_failure(self, job: Job, error: Exception) -> None:
        """A crash is a result too: stored with its message, and the rest goes on."""
        text = f'{type(error).__name__}: {error}'
        trace = traceback.format_exc().splitlines()
        self.cells.write(job, {'status': 'failed', 'error': text, 'traceback': trace})
        self.logger.error('%s failed: %s', job.name, text)


def run_within(minutes: float, run: Callable[[], None], logger: logging.Logger) -> None:
    """Runs until everything is done or the minutes are over."""
    try:
        run()
    except OutOfTimeError:
        logger.warning('the %g minutes are over; run again to go on', minutes)


def add_run_arguments(parser: argparse.ArgumentParser, out: str, table: str | None) -> None:
    """Adds what every run of cells takes; without a table, the script knows its default."""
    root = Path(os.environ.get('GRAPHREC_DATA', '../shared/data'))
    page = None if table is None else Path(table)
    add = parser.add_argument
    add('--root', type=Path, default=root, help='folder of the data sets (GRAPHREC_DATA)')
    add('--out', type=Path, default=Path(out), help=f'folder of cells (default: {out})')
    add('--table', type=Path, default=page, help='Markdown file to write')
    add('--budget-minutes', type=float, default=120.0, help='start no cell after these')
    add('--threads', type=int, default=2)
    add('--retry', action='store_true', help='run failed cells again')
    add('--only-table', action='store_true', help='make the page from what is stored')
