"""RecBole's atomic files: ``.inter``, ``.user``, ``.item`` with typed headers."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.text import (
    as_ids,
    at_line,
    numbers,
    read_separated,
    require_folder,
    require_unique,
)
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.node_features import add_feature
from graphrec.graphs.schema import ITEM, index_of

logger = logging.getLogger(__name__)

_TYPES = ('token', 'token_seq', 'float', 'float_seq')
_BENCHMARK = ('train', 'valid', 'test')


def read_recbole(
    path: str | Path,
    *,
    user: str = 'user_id',
    item: str = 'item_id',
    rating: str = 'rating',
    time: str = 'timestamp',
    separator: str = '\t',
    sequence_separator: str = ' ',
    **kwargs: Any,
) -> HeteroData:
    r"""Reads a data set in RecBole's atomic files.

    The first line names columns and types, ``user_id:token``, ``rating:float``,
    ``genre:token_seq``, ``vector:float_seq``. Interactions are in ``<name>.inter`` or
    in the benchmark files ``<name>.train.inter``, ``.valid.inter`` and ``.test.inter``.
    Columns of ``<name>.user`` and ``<name>.item`` become node attributes, sequences as
    tuples; a ``float_seq`` of items that has the same length in every line becomes the
    modality ``x_<column>``. Sequence columns of the interactions are left out with a
    warning. Ids that are all plain integers are integers in the graph.

    Args:
        path: The folder.
        user, item, rating, time: Names of the columns, without types.
        separator: Text between two fields.
        sequence_separator: Text between two entries of a sequence.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        FormatError: If a file is missing or malformed; it names the file and line.
    """
    folder = require_folder(path)
    name, parts = _inter_files(folder)
    between = (separator, sequence_separator)
    tables = []
    for split, file in parts.items():
        table = _read_atomic(file, between, (user, item))
        sequences = [c for c in table.columns if table.attrs['types'][c].endswith('_seq')]
        if sequences:
            logger.warning("'%s': sequence columns %s are left out", file, sequences)
        _require_numbers(table, [c for c in (rating, time) if c in table.columns], file)
        # Pandas compares attrs in concat; the types have served.
        table.attrs = {}
        tables.append(table.drop(columns=sequences).assign(**({'split': split} if split else {})))
    interactions = pd.concat(tables, ignore_index=True)
    if len(interactions) == 0:
        raise FormatError(f"'{next(iter(parts.values()))}' has a header but no interactions")
    sides: dict[str, pd.DataFrame | None] = {}
    vectors: dict[str, np.ndarray] = {}
    for kind, column in (('user', user), ('item', item)):
        file = folder / f'{name}.{kind}'
        sides[kind] = None
        if not file.is_file():
            interactions[column] = as_ids([interactions[column]])[0]
            continue
        side = _read_atomic(file, between, (column,))
        require_unique(side[column], column, file, 2)
        if kind == 'item':
            vectors = _take_vectors(side)
        interactions[column], side[column] = as_ids([interactions[column], side[column]])
        side.attrs = {}
        sides[kind] = side
    present = {'rating': rating, 'time': time}
    columns = {key: value for key, value in present.items() if value in interactions.columns}
    kwargs.setdefault('name', name)
    data = from_tables(
        interactions, users=sides['user'], items=sides['item'], user=user, item=item,
        **{**columns, **kwargs},
    )  # fmt: skip
    for modality, values in vectors.items():
        assert sides['item'] is not None  # The vectors came from it.
        row = index_of(data, ITEM, sides['item'][item].to_list())
        in_order = np.zeros((int(data[ITEM].num_nodes), values.shape[1]), dtype=np.float32)
        in_order[row] = values
        add_feature(data, modality, in_order, np.asarray(data[ITEM].id))
    return data


def _inter_files(folder: Path) -> tuple[str, dict[str, Path]]:
    """The name of the data set, and its interaction files by split ('' for one file)."""
    found = sorted(folder.glob('*.inter'))
    trains = [f for f in found if f.name.endswith('.train.inter')]
    whole = [f for f in found if not f.name.endswith(tuple(f'.{s}.inter' for s in _BENCHMARK))]
    if len(trains) == 1:
        name = trains[0].name.removesuffix('.train.inter')
        files = {split: folder / f'{name}.{split}.inter' for split in _BENCHMARK}
        return name, {split: file for split, file in files.items() if file.is_file()}
    if len(whole) == 1:
        return whole[0].stem, {'': whole[0]}
    raise FormatError(
        f"'{folder}' holds {[f.name for f in found]}, expected one <name>.inter or one set of "
        f'<name>.train.inter, <name>.valid.inter, <name>.test.inter'
    )


def _read_atomic(path: Path, between: tuple[str, str], required: tuple[str, ...]) -> pd.DataFrame:
    """A table with typed columns; ``attrs['types']`` holds the type of each."""
    raw = read_separated(path, between[0])
    columns: dict[str, Any] = {}
    types: dict[str, str] = {}
    for header in raw.columns:
        column, colon, kind = header.rpartition(':')
        if not colon or kind not in _TYPES:
            raise FormatError(
                f'{at_line(path, 1)} has the header {header!r}, expected <name>:<type> with a '
                f'type of {", ".join(_TYPES)}'
            )
        if column in columns:
            raise FormatError(f'{at_line(path, 1)} names the column {column!r} twice; rename one')
        types[column] = kind
        columns[column] = _typed(raw, header, kind, path, between[1])
    for column in required:
        if types.get(column) != 'token':
            raise FormatError(
                f'{at_line(path, 1)} has no column {column}:token (got {list(raw.columns)}); '
                f'name the right one with user= or item='
            )
        empty = (columns[column] == '').to_numpy()
        if empty.any():
            raise FormatError(f'{at_line(path, int(empty.argmax()) + 2)} has an empty {column}')
    table = pd.DataFrame(columns)
    table.attrs['types'] = types
    return table


def _typed(raw: pd.DataFrame, header: str, kind: str, path: Path, separator: str) -> pd.Series:
    if kind == 'token':
        return raw[header]
    if kind == 'float':
        # An empty field is a missing value; anything else has to be a number.
        filled = raw[[header]].where(raw[[header]] != '', '0')
        values = numbers(filled, header, path, 2)
        return values.where(raw[header] != '') if (raw[header] == '').any() else values
    entries = [tuple(e for e in text.split(separator) if e) for text in raw[header]]
    if kind == 'token_seq':
        return pd.Series(entries, dtype=object)
    vectors = []
    for row, texts in enumerate(entries):
        try:
            vector = tuple(float(text) for text in texts)
        except ValueError as error:
            raise FormatError(f'{at_line(path, row + 2)} column {header}: {error}') from None
        if not np.isfinite(vector).all():
            raise FormatError(f'{at_line(path, row + 2)} column {header} holds NaN or infinity')
        vectors.append(vector)
    return pd.Series(vectors, dtype=object)


def _require_numbers(table: pd.DataFrame, columns: list[str], path: Path) -> None:
    for column in columns:
        if table.attrs['types'][column] != 'float':
            table[column] = numbers(table, column, path, 2)
        missing = table[column].isna().to_numpy()
        if missing.any():
            raise FormatError(
                f'{at_line(path, int(missing.argmax()) + 2)} has no {column}; fill it in or drop '
                f'the column'
            )


def _take_vectors(side: pd.DataFrame) -> dict[str, np.ndarray]:
    """Removes float sequences of one length from the table and returns them as matrices."""
    taken = {}
    for column, kind in side.attrs['types'].items():
        if kind != 'float_seq' or len(side) == 0:
            continue
        lengths = {len(vector) for vector in side[column]}
        if len(lengths) == 1 and lengths != {0}:
            taken[column] = np.array(side[column].to_list(), dtype=np.float32)
            del side[column]
    return taken
