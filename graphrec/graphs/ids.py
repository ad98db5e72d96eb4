"""Original ids of tables: cleaned, united and turned into node numbers."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from graphrec.errors import GraphError


def clean_ids(values: pd.Series, what: str) -> tuple[np.ndarray, int]:
    r"""Ids as an int64 array or as an object array of strings, and the number of
    whole floats (``3.0``) that were turned into integers.

    Args:
        values: A column of ids.
        what: How an error names the column, e.g. ``"'user' of the interactions"``.

    Raises:
        GraphError: If ids are missing, empty, fractional, boolean, or of mixed types.
    """
    missing = values.isna().to_numpy()
    if missing.any():
        raise GraphError(
            f'{what} has no id in {int(missing.sum())} of {len(values)} rows (first one: row '
            f'{int(missing.argmax())}); drop these rows or fill the ids in'
        )
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    kind = _kind(values)
    if kind == 'integer':
        return _integers(values, what), 0
    if kind == 'floating':
        return _whole_floats(values, what)
    if kind in ('string', 'empty'):
        texts = values.to_numpy(dtype=object)
        blank = texts == ''
        if blank.any():
            raise GraphError(
                f'{what} has an empty id in {int(blank.sum())} rows (first one: row '
                f'{int(blank.argmax())}); drop these rows or fill the ids in'
            )
        return texts, 0
    types = sorted({type(v).__name__ for v in values})
    raise GraphError(
        f'{what} holds ids of types {types}, expected only integers or only strings; '
        f'convert the column, e.g. with .astype(str)'
    )


def _kind(values: pd.Series) -> str:
    if values.dtype.kind in 'iu':
        return 'integer'
    if values.dtype.kind == 'f':
        return 'floating'
    return pd.api.types.infer_dtype(values, skipna=False)


def _integers(values: pd.Series, what: str) -> np.ndarray:
    try:
        numbers = values.to_numpy()
        largest = numbers.max() if len(numbers) else 0
        if largest > np.iinfo(np.int64).max:
            raise OverflowError(f'{largest} is too large')
        return numbers.astype(np.int64)
    except OverflowError as error:
        raise GraphError(
            f'{what} holds an id beyond 64 bits ({error}); convert the column to strings'
        ) from None


def _whole_floats(values: pd.Series, what: str) -> tuple[np.ndarray, int]:
    numbers = values.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers) | (numbers != np.floor(numbers)) | (np.abs(numbers) > 2**53)
    if bad.any():
        row = int(bad.argmax())
        raise GraphError(
            f'{what} holds {int(bad.sum())} ids that are no whole numbers (first one: '
            f'{numbers[row]} in row {row}); give integers or strings'
        )
    return numbers.astype(np.int64), len(numbers)


def require_same_kind(
    first: np.ndarray, first_name: str, other: np.ndarray, other_name: str
) -> None:
    """Raises :class:`GraphError` if one array holds integers and the other strings."""
    if len(first) == 0 or len(other) == 0:
        return
    if (first.dtype.kind == 'i') != (other.dtype.kind == 'i'):
        raise GraphError(
            f'{first_name} holds {_described(first)} but {other_name} holds {_described(other)}; '
            f'convert one of the columns so that both have the same type'
        )


def _described(ids: np.ndarray) -> str:
    return (
        f'{"integers" if ids.dtype.kind == "i" else "strings"} (first one: {ids[:1].tolist()[0]!r})'
    )


def united(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The distinct ids of all :obj:`parts`, sorted; all parts of one kind."""
    distinct = [pd.unique(part) for part in parts if len(part)]
    if not distinct:
        return np.zeros(0, dtype=np.int64)
    together = pd.unique(np.concatenate(distinct)) if len(distinct) > 1 else distinct[0]
    return np.sort(together)


def is_among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which integer keys occur in :obj:`known` (bool), by hashing: on a million keys
    many times faster than :func:`numpy.isin`."""
    return pd.Series(keys).isin(known).to_numpy()


def node_numbers(known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Node numbers (int64) of :obj:`ids` among the sorted ids :obj:`known`; -1 for an
    id that is not there."""
    if known.dtype.kind != 'i' or len(known) == 0 or ids.dtype.kind != 'i':
        return pd.Index(known).get_indexer(pd.Index(ids)).astype(np.int64)
    if known[0] >= 0 and known[-1] < 4 * len(known) + 1024:
        table = np.full(int(known[-1]) + 2, -1, dtype=np.int64)
        table[known] = np.arange(len(known))
        # Ids outside the range fall on the last entry, which holds -1.
        return table[np.where((ids < 0) | (ids > known[-1]), len(table) - 1, ids)]
    position = np.searchsorted(known, ids)
    position[position == len(known)] = 0
    return np.where(known[position] == ids, position, -1).astype(np.int64)
