"""A run of many cells: each is stored as it ends, and the next run goes on with the rest."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from _cells import Cells, Job


class OutOfTimeError(Exception):
    """The minutes of this run are over; the next run goes on."""


class CellRunner:
    """Which cells are still to be run, and what becomes of those that fail.

    Args:
        out: Folder of the cells.
        minutes: No cell starts after these.
        retry: Whether cells that failed are run again.
        logger: Where failures are told.
    """

    def __init__(self, out: Path, minutes: float, retry: bool, logger: logging.Logger) -> None:
        self.cells = Cells(out)
        self.deadline = time.monotonic() + 60 * minutes
        self.retry = retry
        self.logger = logger

    def check_time(self) -> None:
        """Raises :class:`OutOfTimeError` once the minutes are over."""
        if time.monotonic() >= self.deadline:
            raise OutOfTimeError

    def is_missing(self, job: Job) -> bool:
        """Whether a cell has no result yet."""
        record = self.cells.read(job)
        return record is None or (record['status'] != 'done' and self.retry)

    def is_next(self, job: Job) -> bool:
        """Whether a cell is to be run now."""
        if not self.is_missing(job):
            return False
        self.check_time()
        return True

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
