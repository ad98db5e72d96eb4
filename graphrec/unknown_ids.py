"""Where ids that the graph does not hold stand in the files of a request."""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from graphrec.errors import UnknownIdError
from graphrec.forget_request import Files

_FEW = 5


@contextlib.contextmanager
def named_by_line(files: Files, private: bool) -> Iterator[None]:
    """Within, an error about unknown ids says on which lines they stand instead of what they are,
    if the request is :obj:`private`: what is printed may be kept in a log."""
    try:
        yield
    except UnknownIdError as error:
        if not private:
            raise
        paths = _files_of(files, error.kind)
        places = [text for path in paths for text in _places(path, error.ids)]
        raise UnknownIdError(
            f'{len(error.ids)} {error.kind} are not in the graph: '
            f'{" and ".join(places or [repr(str(path)) for path in paths])}; leave them out, or '
            "have them counted with '--ignore-unknown'"
        ) from None


def _files_of(files: Files, kind: str) -> list[Path]:
    own = {'users': files.users, 'items': files.items, 'queries': files.queries}
    named = files.edges if kind.startswith('pairs') else own.get(kind)
    return [path for path in (named, files.edit) if path is not None]


def _places(path: Path, ids: Sequence[Any]) -> list[str]:
    """The lines with a cell for one of the ids, or cells for both ends of a pair."""
    single = {str(each) for each in ids if not isinstance(each, tuple)}
    ends: dict[str, set[str]] = {}
    for each in ids:
        if isinstance(each, tuple):
            ends.setdefault(str(each[0]), set()).add(str(each[1]))
    found = []
    for number, line in enumerate(path.read_text('utf-8').splitlines(), 1):
        cells = _cells(line)
        if cells & single or any(ends.get(cell, set()) & cells for cell in cells):
            found.append(str(number))
    more = f' and {len(found) - _FEW} more' if len(found) > _FEW else ''
    return [f"'{path}' line {', '.join(found[:_FEW])}{more}"] if found else []


def _cells(line: str) -> set[str]:
    try:
        return {line.strip(), *(cell.strip() for row in csv.reader([line]) for cell in row)}
    except csv.Error:
        return {line.strip()}
