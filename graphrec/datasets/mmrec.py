"""MMRec's format: one ``.inter`` table with a split column, ``.npy`` item features."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.text import (
    as_ids,
    at_line,
    numbers,
    read_features,
    read_separated,
    require_file,
    require_unique,
)
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables

FEATURES = {'image_feat.npy': 'visual', 'text_feat.npy': 'text', 'audio_feat.npy': 'acoustic'}
_USER, _ITEM, _SPLIT = 'userID', 'itemID', 'x_label'
_SPLITS = {'0': 'train', '1': 'valid', '2': 'test'}


def read_mmrec(path: str | Path, **kwargs: Any) -> HeteroData:
    r"""Reads a data set as MMRec keeps it.

    ``<name>.inter`` is tab-separated with the columns ``userID``, ``itemID``, optional
    ``rating`` and ``timestamp``, and ``x_label`` (0 train, 1 valid, 2 test); without
    ``x_label`` all rows are training edges unless ``how=`` makes a split. Row
    :math:`i` of ``image_feat.npy`` (``x_visual``), ``text_feat.npy`` (``x_text``) and
    ``audio_feat.npy`` (``x_acoustic``) belongs to item :math:`i`. The columns of
    ``i_id_mapping.csv`` and ``u_id_mapping.csv`` become ``data['item'].asin`` and so on.

    Args:
        path: The folder, or its ``.inter`` file where it has several.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        FormatError: If a file is missing or malformed; it names the file and line.
    """
    inter = _inter_file(Path(path))
    table = read_separated(inter, '\t')
    for column in (_USER, _ITEM):
        if column not in table.columns:
            raise FormatError(
                f'{at_line(inter, 1)} has no column {column!r} (got {list(table.columns)}); '
                f'a .inter file starts with a header such as userID, itemID, x_label'
            )
    if len(table) == 0:
        raise FormatError(f"'{inter}' has a header but no interactions; is it half-written?")
    columns: dict[str, Any] = {}
    for column in table.columns:
        if column in (_USER, _ITEM, _SPLIT):
            continue
        numeric = pd.to_numeric(table[column], errors='coerce').notna().all()
        needed = column in ('rating', 'timestamp')
        columns[column] = numbers(table, column, inter, 2) if numeric or needed else table[column]
    if _SPLIT in table.columns:
        split = table[_SPLIT].map(_SPLITS)
        if split.isna().any():
            row = int(split.isna().to_numpy().argmax())
            raise FormatError(
                f'{at_line(inter, row + 2)} has {_SPLIT} {table[_SPLIT].iloc[row]!r}, '
                f'expected 0 (train), 1 (valid) or 2 (test)'
            )
        columns['split'] = split
    users, user_ids = _mapping(inter.parent / 'u_id_mapping.csv', _USER, table[_USER])
    items, item_ids = _mapping(inter.parent / 'i_id_mapping.csv', _ITEM, table[_ITEM])
    if any((inter.parent / file).is_file() for file in FEATURES):
        if item_ids.dtype.kind != 'i':
            raise FormatError(
                f"'{inter}' has {_ITEM} that are no integers, but row i of the features "
                f'belongs to item i; number the items from 0'
            )
        largest = int(item_ids.max())
        if items is not None:
            largest = max(largest, int(items['item'].max()))
        kwargs.setdefault('features', read_features([inter.parent], FEATURES, largest))
    kwargs.setdefault('name', inter.stem)
    interactions = pd.DataFrame({'user': user_ids, 'item': item_ids, **columns})
    return from_tables(interactions, users=users, items=items, **kwargs)


def _inter_file(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.glob('*.inter'))
        if len(found) != 1:
            raise FormatError(
                f"'{path}' holds {len(found)} .inter files ({[f.name for f in found]}), expected "
                f'one; give the path of the file itself'
            )
        return found[0]
    return require_file(path, 'the .inter file of an MMRec data set')


def _mapping(path: Path, key: str, ids: pd.Series) -> tuple[pd.DataFrame | None, Any]:
    """The node table of an id mapping, None without one, and the ids of the interactions."""
    if not path.is_file():
        return None, as_ids([ids])[0]
    table = read_separated(path, '\t')
    if key not in table.columns:
        raise FormatError(f'{at_line(path, 1)} has no column {key!r} (got {list(table.columns)})')
    require_unique(table[key], key, path, 2)
    known, asked = as_ids([table[key], ids])
    return table.assign(**{key: known}).rename(columns={key: _column(key)}), asked


def _column(key: str) -> str:
    return 'user' if key == _USER else 'item'
