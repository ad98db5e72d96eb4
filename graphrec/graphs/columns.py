"""Columns of tables as arrays: times, numbers, one value a node."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphrec.errors import GraphError

RESERVED = ('id', 'x', 'num_nodes', 'edge_index', 'batch', 'ptr')
RESERVED_PREFIXES = ('x_', 'has_', 'code_', 'knn_')


def require_columns(table: pd.DataFrame, wanted: list[str], what: str) -> None:
    """Raises :class:`GraphError` naming the columns of :obj:`table` if one is absent."""
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise GraphError(
            f'{what} has no column {missing[0]!r} (its columns are {list(table.columns)}); '
            f"name the right one, e.g. {missing[0]}='...', or rename it"
        )


def parse_time(values: pd.Series, what: str) -> np.ndarray:
    r"""Times as int64, or float64 where fractions occur: numbers stay as they are
    (seconds or positions), dates become seconds since 1970, UTC.

    Raises:
        GraphError: If a time is missing or no date.
    """
    if values.dtype.kind in 'iu':
        return values.to_numpy(dtype=np.int64)
    if values.dtype.kind not in 'fM' and not isinstance(values.dtype, pd.DatetimeTZDtype):
        numbers = pd.to_numeric(values, errors='coerce')
        values = numbers if numbers.notna().all() else _dates(values)
    elif values.dtype.kind != 'f':
        values = _dates(values)
    seconds = values.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(seconds)
    if bad.any():
        raise GraphError(
            f'{what} holds no time in {int(bad.sum())} rows (first one: row '
            f'{int(bad.argmax())}); give seconds since 1970 or dates like 2024-05-31 18:00'
        )
    whole = seconds.astype(np.int64)
    return whole if (whole == seconds).all() else seconds


def _dates(values: pd.Series) -> pd.Series:
    dates = pd.to_datetime(values, utc=True, format='mixed', errors='coerce')
    return (dates - pd.Timestamp(0, tz='UTC')) / pd.Timedelta(seconds=1)


def as_tensor(values: pd.Series) -> Tensor | None:
    """A numeric column as a tensor (bool, int64 or float32); None if it is not numeric."""
    if values.dtype.kind not in 'biuf':
        return None
    array = values.to_numpy()
    if values.hasnans or array.dtype == object:
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    target = {'b': np.bool_, 'i': np.int64, 'u': np.int64}.get(array.dtype.kind, np.float32)
    return torch.from_numpy(np.array(array, dtype=target))


def node_columns(table: pd.DataFrame, key: str, position: np.ndarray) -> dict[str, np.ndarray]:
    r"""The other columns of :obj:`table` in node order: numbers without gaps as a
    numeric array, all else as an object array with None in the gaps. A column whose
    name means something to the graph (``id``, ``x_...``) is kept as ``column_<name>``.

    Args:
        table: One row an id.
        key: The column of the ids, left out.
        position: Row of the table for each node; -1 where it has none.
    """
    columns: dict[str, np.ndarray] = {}
    full = bool((position >= 0).all())
    for name in table.columns:
        if name == key:
            continue
        values = table[name]
        kept = str(name)
        if kept in RESERVED or kept.startswith(RESERVED_PREFIXES):
            kept = f'column_{kept}'
        if full and values.dtype.kind in 'biuf' and not values.hasnans:
            columns[kept] = np.array(values.to_numpy()[position])
            continue
        objects = values.astype(object).where(values.notna(), None).to_numpy(dtype=object)
        columns[kept] = np.full(len(position), None, dtype=object)
        columns[kept][position >= 0] = objects[position[position >= 0]]
    return columns
