"""Text, JSON and array files read strictly: an error names the file and the line."""

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graphrec.errors import FormatError

# Integers as every writer prints them: '007' or '+7' stay strings, or ids would merge.
_INTEGER = re.compile(r'0|-?[1-9][0-9]{0,17}')


def require_file(path: Path, what: str) -> Path:
    """The path itself; :class:`FormatError` saying what is missing if it is no file."""
    if not path.is_file():
        raise FormatError(f"'{path}' is missing; it should be {what}")
    return path


def require_folder(path: str | Path) -> Path:
    """The path as a folder; :class:`FormatError` if there is none."""
    folder = Path(path)
    if not folder.is_dir():
        raise FormatError(f"'{folder}' is no folder; give the folder that holds the files")
    return folder


def at_line(path: Path, line: int) -> str:
    """How an error names a place, lines counted from 1."""
    return f"'{path}' line {line}"


def read_text(path: Path, encoding: str = 'utf-8') -> str:
    """The whole text of a plain or gzip file, line ends as ``\\n``."""
    try:
        if path.suffix == '.gz':
            with gzip.open(path, 'rt', encoding=encoding) as file:
                return file.read()
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"'{path}' is not {encoding} text (byte {error.start}); save it in that encoding"
        ) from None
    except (OSError, EOFError) as error:  # A broken gzip file is an EOFError.
        raise FormatError(f"'{path}' could not be read ({error})") from None


def read_lines(path: Path, encoding: str = 'utf-8') -> list[str]:
    """The lines of a file without those that end it blank; one line at least."""
    lines = read_text(path, encoding).split('\n')
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise FormatError(f"'{path}' is empty; is the file half-written?")
    return lines


def read_separated(
    path: Path, separator: str, columns: Sequence[str] | None = None, encoding: str = 'utf-8'
) -> pd.DataFrame:
    r"""A table of strings from a file with one record a line, no quoting.

    Args:
        path: The file.
        separator: Text between two fields.
        columns: Names of the fields; None takes them from the first line.
        encoding: Of the file.

    Raises:
        FormatError: If a line has another number of fields, or a column name repeats.
    """
    lines = read_lines(path, encoding)
    first = 1
    if columns is None:
        columns, lines, first = lines[0].split(separator), lines[1:], 2
        repeated = {name for name in columns if columns.count(name) > 1}
        if repeated:
            raise FormatError(
                f'{at_line(path, 1)} names the column {sorted(repeated)[0]!r} twice; rename one'
            )
    expected = len(columns) - 1
    for number, line in enumerate(lines, start=first):
        if line.count(separator) != expected:
            raise FormatError(
                f'{at_line(path, number)} has {line.count(separator) + 1} fields, expected '
                f'{expected + 1} ({", ".join(columns)}): {line[:80]!r}'
            )
    fields = zip(*(line.split(separator) for line in lines), strict=True)
    texts = dict(zip(columns, fields, strict=True)) if lines else dict.fromkeys(columns, ())
    return pd.DataFrame({name: np.array(values, dtype=object) for name, values in texts.items()})


def numbers(table: pd.DataFrame, column: str, path: Path, first_line: int) -> pd.Series:
    """A column of strings as finite numbers, int64 where all are whole.

    Raises:
        FormatError: If a field is no finite number; it names the line.
    """
    values = pd.to_numeric(table[column], errors='coerce')
    bad = ~np.isfinite(values.to_numpy(dtype=np.float64))
    if bad.any():
        row = int(bad.argmax())
        raise FormatError(
            f'{at_line(path, row + first_line)} has {column} {table[column].iloc[row]!r}, '
            f'expected a finite number'
        )
    return values


def as_ids(columns: Iterable[Any]) -> list[np.ndarray]:
    """Ids of one node type from several files: int64 if every one of them is a plain
    integer, otherwise all of them strings (object arrays)."""
    arrays = [np.asarray(column, dtype=object) for column in columns]
    distinct = [pd.unique(array) for array in arrays]
    integer = all(_INTEGER.fullmatch(text) for texts in distinct for text in texts)
    return [array.astype(np.int64) if integer else array for array in arrays]


def require_unique(ids: Sequence[Any], what: str, path: Path, first_line: int) -> None:
    """Raises :class:`FormatError` naming the line where an id comes a second time."""
    again = pd.Series(ids).duplicated().to_numpy()
    if again.any():
        row = int(again.argmax())
        raise FormatError(
            f'{at_line(path, row + first_line)} describes {what} {str(ids[row])!r} a second time; '
            f'keep one line'
        )


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object with distinct keys.

    Raises:
        FormatError: If the text is no JSON, no object, or a key repeats.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise FormatError(f"'{path}' holds the key {key!r} twice; merge the two")
            found[key] = value
        return found

    try:
        content = json.loads(read_text(path), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise FormatError(
            f'{at_line(path, error.lineno)} column {error.colno} is no JSON ({error.msg}); '
            f'is the file half-written?'
        ) from None
    except (ValueError, RecursionError) as error:  # A number of thousands of digits, or nesting.
        raise FormatError(f"'{path}' is no object of users: items ({error})") from None
    if not isinstance(content, dict):
        raise FormatError(
            f"'{path}' holds a {type(content).__name__}, expected an object of users: items"
        )
    return content


def read_array(path: Path) -> np.ndarray:
    """A numeric matrix from an ``.npy`` file; pickled objects are refused."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise FormatError(f"'{path}' could not be read as .npy numbers ({error})") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in 'fiu':
        shape = getattr(values, 'shape', None)
        raise FormatError(f"'{path}' holds shape {shape}, expected a matrix of numbers [items, d]")
    return values


def read_features(
    folders: Sequence[Path], names: Mapping[str, str], largest_item: int
) -> dict[str, np.ndarray]:
    r"""Feature matrices whose row :math:`i` belongs to item :math:`i`.

    Args:
        folders: Where to look, the first that has a file wins.
        names: File name to modality.
        largest_item: Largest item number in the interactions.

    Raises:
        FormatError: If a file has too few rows, or two files differ in rows.
    """
    found: dict[str, np.ndarray] = {}
    origin: dict[str, Path] = {}
    for file, modality in names.items():
        path = next((f / file for f in folders if (f / file).is_file()), None)
        if path is None or modality in found:
            continue
        values = read_array(path)
        if len(values) <= largest_item:
            raise FormatError(
                f"'{path}' has {len(values)} rows, but the interactions name item "
                f'{largest_item}; row i belongs to item i, so it needs {largest_item + 1} rows'
            )
        for other, rows in found.items():
            if len(rows) != len(values):
                raise FormatError(
                    f"'{path}' has {len(values)} rows but '{origin[other]}' has {len(rows)}; "
                    f'both need one row an item'
                )
        # Integer matrices are features here, not codes.
        found[modality] = values if values.dtype.kind == 'f' else values.astype(np.float32)
        origin[modality] = path
    return found
