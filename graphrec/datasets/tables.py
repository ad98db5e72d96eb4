"""Reads single files of a data set; every failure is one error naming file and fix."""

import gzip
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from graphrec.errors import FormatError

SUFFIXES = ('.csv', '.csv.gz', '.parquet')
_CHUNK = 1 << 24
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile)


def require_folder(path: str | Path) -> Path:
    """The path of a folder that can be listed.

    Raises:
        FormatError: If it does not exist, is a file or may not be read.
    """
    folder = Path(path)
    if not folder.exists():
        raise FormatError(f"'{folder}' does not exist; give the folder of a data set")
    if not folder.is_dir():
        raise FormatError(f"'{folder}' is a file; give the folder of a data set")
    try:
        next(folder.iterdir(), None)
    except PermissionError as error:
        raise FormatError(f"'{folder}' cannot be listed ({error.strerror}); allow it") from None
    return folder


def find_table(folder: Path, stem: str) -> Path | None:
    """The table ``<stem>.csv``, ``.csv.gz`` or ``.parquet`` of a folder, None if absent.

    Raises:
        FormatError: If there are several.
    """
    found = [p for p in (folder / f'{stem}{s}' for s in SUFFIXES) if p.is_file()]
    if len(found) > 1:
        raise FormatError(
            f"'{folder}' holds {[p.name for p in found]}; keep one of them, so that it is "
            f'clear which counts'
        )
    return found[0] if found else None


def read_table(
    path: Path,
    columns: Iterable[str] = (),
    text: Iterable[str] = (),
    exact: bool = False,
    check: bool = True,
    ids: Iterable[str] = (),
) -> pd.DataFrame:
    r"""A CSV (plain or gzip) or Parquet file with a header line.

    Args:
        path: The file.
        columns: Columns it must have.
        text: Columns to be read as strings, whatever they look like.
        exact: Whether a column becomes numeric only if no character is lost by it, so
            that ``007`` stays a string. For small tables.
        check: Whether a file without rows is an error.
        ids: Columns that become integers only if no character is lost by it, like all
            with :obj:`exact`, but at little cost in a large table.

    Raises:
        FormatError: If it is unreadable, half-written, empty or lacks a column.
    """
    try:
        if path.suffix == '.parquet':
            table = pd.read_parquet(path)
        elif exact:
            table = _numeric_where_exact(
                pd.read_csv(path, dtype=str, keep_default_na=False, na_values=['']), set(text)
            )
        else:
            table = pd.read_csv(
                path,
                dtype=dict.fromkeys(text, str),
                keep_default_na=False,
                na_values=[''],
                low_memory=False,
            )
            _restore_padded(table, path, ids)
    except ImportError:
        raise FormatError(
            f"'{path}' is a Parquet file, which needs pyarrow: pip install pyarrow"
        ) from None
    except DAMAGED as error:
        raise FormatError(
            f"'{path}' is damaged or half-written ({error}); copy or download it again"
        ) from None
    except pd.errors.EmptyDataError:
        raise FormatError(f"'{path}' is empty; a header line and rows belong there") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FormatError(
            f"'{path}' cannot be read as a table ({type(error).__name__}: "
            f'{str(error).strip()}); check the file'
        ) from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise FormatError(
            f"'{path}' has no column {missing[0]!r} (its columns are {list(table.columns)}); "
            f'add or rename it'
        )
    if check and len(table) == 0:
        raise FormatError(f"'{path}' has a header but no rows; is it half-written?")
    return table


def _restore_padded(table: pd.DataFrame, path: Path, ids: Iterable[str]) -> None:
    names = [name for name in ids if name in table and table[name].dtype.kind in 'iu']
    if not names or not _holds_padded(path):
        return
    texts = pd.read_csv(path, usecols=names, dtype=str, keep_default_na=False)
    for name in names:
        if (texts[name].str.strip() != table[name].astype(str)).any():
            table[name] = texts[name]


def _holds_padded(path: Path) -> bool:
    """Whether a field begins like 007 or +7, which an integer would not give back."""
    with gzip.open(path) if path.suffix == '.gz' else path.open('rb') as file:
        end = b''
        while chunk := file.read(_CHUNK):
            text = np.frombuffer(end + chunk, dtype=np.uint8)
            at = np.flatnonzero((text[1:-1] == ord('0')) | (text[1:-1] == ord('+')))
            begins = np.isin(text[at], list(b',\n\r\t "'))
            if (begins & (text[at + 2] >= ord('0')) & (text[at + 2] <= ord('9'))).any():
                return True
            end = chunk[-2:]
    return False


def _numeric_where_exact(table: pd.DataFrame, text: set[str]) -> pd.DataFrame:
    for name in table.columns:
        if name in text:
            continue
        numbers = pd.to_numeric(table[name], errors='coerce')
        if (numbers.isna() != table[name].isna()).any() or numbers.isna().all():
            continue
        if numbers.dtype.kind in 'iu' and (numbers.astype(str) != table[name]).any():
            continue
        if numbers.dtype.kind == 'f' and table[name].str.match(r'-?0\d').any():
            continue
        # Python's own parser: every float returns to the bits that were written.
        table[name] = table[name].astype('float64') if numbers.dtype.kind == 'f' else numbers
    return table


def read_array(path: Path) -> np.ndarray:
    """An array from a ``.npy`` file; nothing in the file is executed.

    Raises:
        FormatError: If it is unreadable, half-written or holds objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(
            f"'{path}' is no complete array file ({error}); write it again with numpy.save"
        ) from None


def read_archive(path: Path, wanted: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file by name; nothing in the file is executed.

    Raises:
        FormatError: If it is unreadable, half-written or lacks a wanted array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (*DAMAGED, OSError, ValueError, AttributeError, TypeError) as error:
        raise FormatError(
            f"'{path}' is no complete archive ({error}); write it again with numpy.savez"
        ) from None
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise FormatError(f"'{path}' lacks the array {missing[0]!r} (it holds {sorted(arrays)})")
    return arrays
