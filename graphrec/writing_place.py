"""Where something is to be written: whether it can be, and what a run that was killed left."""

import glob
import os
import shutil
import tempfile
from pathlib import Path

from graphrec.storage import explained


def check_writable(path: Path) -> None:
    """Fails before the work where writing a file or a folder at :obj:`path` would fail after it.
    Makes nothing.

    Raises:
        GraphError: If the folder that is to hold it cannot be written to, or not be made.
    """
    place = Path(os.path.realpath(path)).parent
    with explained(path):
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryDirectory(dir=place, prefix='.graphrec.'):
            pass


def clear_leftovers(path: Path) -> None:
    """Removes what a run that was killed had begun to write beside :obj:`path`, to take its place
    once it was whole."""
    for found in path.parent.glob(f'.{glob.escape(path.name)}.*.tmp'):
        process = found.name.removeprefix(f'.{path.name}.').removesuffix('.tmp')
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(found, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
