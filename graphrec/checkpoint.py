r"""Checkpoints of a training run: everything that its next batch depends on.

A checkpoint is a folder with ``checkpoint.json`` and the one ``state-….safetensors`` that
it names by checksum. The JSON file is replaced last and in one step, so a process may be
killed at any moment and the folder holds the old checkpoint or the new one.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from graphrec.errors import FormatError, GraphError
from graphrec.storage import (
    explained,
    pack,
    read_json,
    read_tensors,
    require_entries,
    unpack,
    write_json,
    write_tensors,
)

FORMAT_VERSION = 1
DOCUMENT = 'checkpoint.json'


class Checkpoint(NamedTuple):
    """What :func:`read_checkpoint` returns."""

    settings: dict[str, Any]
    state: dict[str, Any]


class CheckpointWriter:
    r"""Writes checkpoints of one run when they are due.

    Args:
        folder: Where; :obj:`None` writes none.
        settings: See :func:`write_checkpoint`.
        every: Epochs between two.
        minutes: Minutes after which one is due between two batches; :obj:`None` for never.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        settings: dict[str, Any],
        every: int = 5,
        minutes: float | None = 10.0,
    ) -> None:
        self.folder, self.settings, self.every = folder, settings, every
        self._pause = None if minutes is None or folder is None else 60 * minutes
        self._last = time.monotonic()

    @property
    def minutes_passed(self) -> bool:
        """Whether the time since the last one is up."""
        return self._pause is not None and time.monotonic() - self._last >= self._pause

    def is_due(self, epoch: int) -> bool:
        """Whether one is due after :obj:`epoch`."""
        return epoch % self.every == 0 or self.minutes_passed

    def write(self, state: dict[str, Any]) -> None:
        """Writes one now."""
        if self.folder is not None:
            write_checkpoint(self.folder, self.settings, state)
            self._last = time.monotonic()


def write_checkpoint(
    folder: str | os.PathLike[str], settings: dict[str, Any], state: dict[str, Any]
) -> None:
    r"""Replaces the checkpoint in :obj:`folder` (made if missing).

    Args:
        folder: Where; other files in it are left alone.
        settings: What the run depends on and a resumed one must agree with.
        state: Nested state with tensors, see :func:`graphrec.storage.pack`.

    Raises:
        GraphError: If it cannot be written; the old checkpoint stays.
    """
    folder = Path(folder)
    tree, tensors = pack({'settings': settings, 'state': state})
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    draft = folder / 'state.safetensors'
    sha256 = write_tensors(draft, tensors)
    name = f'state-{sha256[:16]}.safetensors'
    try:
        with explained(folder):
            os.replace(draft, folder / name)
        write_json(
            folder / DOCUMENT,
            {'format_version': FORMAT_VERSION, 'tensors': name, 'sha256': sha256, **tree},
        )
    finally:
        _clean(folder)


def read_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    r"""The checkpoint in :obj:`folder`, or :obj:`None` if there is none.

    Raises:
        FormatError: If one of its files is missing, cut off or changed, or was written
            by a newer version.
    """
    path = Path(folder) / DOCUMENT
    if not path.exists():
        return None
    document = read_json(path)
    version = document.get('format_version')
    if version != FORMAT_VERSION:
        raise FormatError(
            f"'{path}' has format version {version}, this graphrec reads {FORMAT_VERSION}; "
            'train anew with resume=False or use the graphrec that wrote it'
        )
    entries = {'tensors': str, 'sha256': str, 'settings': dict, 'state': dict}
    require_entries(path, document, entries)
    if Path(document['tensors']).name != document['tensors']:
        raise FormatError(f"'{path}' names {document['tensors']!r}, which is outside its folder")
    tensors = read_tensors(path.parent / document['tensors'], document['sha256'])
    return Checkpoint(
        unpack(document['settings'], tensors),
        unpack(document['state'], tensors),
    )


def check_settings(
    folder: str | os.PathLike[str], saved: dict[str, Any], now: dict[str, Any]
) -> None:
    r"""Compares the settings of a checkpoint with those of the run that would go on.

    Raises:
        GraphError: At the first one that differs, with both values.
    """
    for name in [*now, *(name for name in saved if name not in now)]:
        if saved.get(name) != now.get(name):
            raise GraphError(
                f"the checkpoint in '{folder}' was made with {name}={saved.get(name)!r}, this "
                f'run has {name}={now.get(name)!r}; use the same value, another folder, or '
                'resume=False to train anew'
            )


def _clean(folder: Path) -> None:
    """Removes tensor files that the checkpoint does not name, and remains of killed
    processes."""
    with contextlib.suppress(OSError, FormatError):
        document = folder / DOCUMENT
        named = read_json(document)['tensors'] if document.exists() else None
        for path in [*folder.glob('state*.safetensors')]:
            if path.name != named:
                path.unlink()
        for pattern in ('.state.safetensors.*.tmp', f'.{DOCUMENT}.*.tmp'):
            for path in folder.glob(pattern):
                shutil.rmtree(path)
