"""The store of a long benchmark: one cell, one JSON file, written as it ends."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphrec.errors import FormatError


@dataclasses.dataclass(frozen=True)
class Job:
    """What a cell holds the result of. Two jobs that differ in anything are two cells.

    Args:
        data: Name of the data set.
        model: Name of the model.
        kind: ``'grid'`` (validation, to choose settings), ``'final'`` (test),
            ``'speed'`` or the name of a study.
        seed: Seed of the first parameters and of sampling.
        config: The model's own settings.
        fit: Settings of the training loop; empty for a model in closed form.
        protocol: Whatever else the numbers depend on.
    """

    data: str
    model: str
    kind: str
    seed: int
    config: dict[str, Any]
    fit: dict[str, Any]
    protocol: dict[str, Any]

    @property
    def name(self) -> str:
        """Folder and file, without ending; readable, unique by the digest at its end."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f'{self.data}/{self.model}-{self.kind}-seed{self.seed}-{digest}'

    @property
    def setting(self) -> str:
        """The settings that a grid varies, e.g. ``'reg=0.001, lr=0.005'``."""
        shown = dict(self.config) | {k: v for k, v in self.fit.items() if k == 'lr'}
        return (
            ', '.join(
                f'{k}={v:g}' if isinstance(v, float) else f'{k}={v}' for k, v in shown.items()
            )
            or 'none'
        )


class Cells:
    """Cells below a folder: ``read`` gives what ``write`` stored, whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, job: Job) -> dict[str, Any] | None:
        """The stored record of a job, or None if it has not ended yet."""
        path = self.root / f'{job.name}.json'
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except json.JSONDecodeError as error:
            raise FormatError(
                f'{path} is no JSON ({error}); delete it to run the cell again'
            ) from None

    def write(
        self, job: Job, record: dict[str, Any], arrays: dict[str, np.ndarray] | None = None
    ) -> None:
        """Stores the arrays, then the record: a cell that can be read is complete."""
        if arrays:
            with (
                _replacing(self.root / f'{job.name}.npz') as temporary,
                open(temporary, 'wb') as file,
            ):
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        with _replacing(self.root / f'{job.name}.json') as temporary:
            whole = {'job': dataclasses.asdict(job)} | record
            Path(temporary).write_text(json.dumps(whole, indent=1) + '\n')

    def array(self, job: Job, key: str) -> np.ndarray:
        """An array stored with a cell."""
        with np.load(self.root / f'{job.name}.npz', allow_pickle=False) as arrays:
            return arrays[key]

    def records(self) -> list[dict[str, Any]]:
        """All stored cells, of every data set."""
        return [json.loads(path.read_text()) for path in sorted(self.root.glob('*/*-*.json'))]

    def holds(self, data: str, model: str, kind: str = '*') -> bool:
        """Whether any cell of a model on a data set is stored."""
        return any((self.root / data).glob(f'{model}-{kind}-*.json'))

    def about(self, data: str) -> dict[str, Any] | None:
        """Sizes of a data set, stored when it was first loaded."""
        path = self.root / data / 'about.json'
        return json.loads(path.read_text()) if path.is_file() else None

    def write_about(self, data: str, about: dict[str, Any]) -> None:
        """Stores the sizes of a data set."""
        with _replacing(self.root / data / 'about.json') as temporary:
            Path(temporary).write_text(json.dumps(about, indent=1) + '\n')


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """A temporary name in the same folder that takes the place of a path at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix='.part')
    os.close(handle)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
