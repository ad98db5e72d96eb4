"""LightGCN's format: ``train.txt`` and ``test.txt``, a line a user."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.text import (
    at_line,
    numbers,
    read_lines,
    read_separated,
    require_file,
    require_folder,
    require_unique,
)
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables

_FILES = {'train': 'train.txt', 'valid': 'valid.txt', 'test': 'test.txt'}
_TRIPLES = {'train': 'data1.txt', 'test': 'test1.txt'}
_ID = 'remap_id'


def read_lightgcn(path: str | Path, **kwargs: Any) -> HeteroData:
    r"""Reads a data set as NGCF, LightGCN and many after them keep it.

    A line of ``train.txt``, ``test.txt`` and, where there is one, ``valid.txt`` is a
    user and the user's items, integers separated by blanks; a user may have none and
    is a node all the same. ``user_list.txt`` and ``item_list.txt`` (header ``org_id
    remap_id``) add nodes and their original names, ``data['user'].org_id``. A folder
    with ``data1.txt`` and ``test1.txt`` instead (Last.FM) has a line
    ``user<tab>item<tab>plays`` for every pair; the third column becomes ``plays``.

    Args:
        path: The folder.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        FormatError: If a file is missing or malformed; it names the file and line.
    """
    folder = require_folder(path)
    kwargs.setdefault('name', folder.resolve().name)
    if not (folder / 'train.txt').exists() and (folder / 'data1.txt').exists():
        return from_tables(_read_triples(folder), **kwargs)
    tables, listed = [], []
    for split, file in _FILES.items():
        if split != 'valid':
            require_file(folder / file, f'the {split} part, a line "user item item ..." a user')
        if (folder / file).is_file():
            user, item, owner = _read_lists(folder / file)
            tables.append(pd.DataFrame({'user': user, 'item': item, 'split': split}))
            listed.append(owner)
    interactions = pd.concat(tables, ignore_index=True)
    users = pd.DataFrame({'user': np.unique(np.concatenate(listed))})
    if (folder / 'user_list.txt').is_file():
        users = users.merge(_read_names(folder / 'user_list.txt', 'user'), on='user', how='outer')
    items = None
    if (folder / 'item_list.txt').is_file():
        items = _read_names(folder / 'item_list.txt', 'item')
    return from_tables(interactions, users=users, items=items, **kwargs)


def _read_lists(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users and items of all pairs, and the users of the lines."""
    tokens = [line.split() for line in read_lines(path)]
    lengths = np.array([len(line) for line in tokens])
    if (lengths == 0).any():
        raise FormatError(f'{at_line(path, int((lengths == 0).argmax()) + 1)} is blank; delete it')
    try:
        flat = np.array([token for line in tokens for token in line]).astype(np.int64)
    except (ValueError, OverflowError):
        flat = np.full(1, -1)
    if (flat < 0).any():
        _raise_bad_token(path, tokens)
    begin = np.cumsum(lengths) - lengths
    is_owner = np.zeros(len(flat), dtype=bool)
    is_owner[begin] = True
    return np.repeat(flat[begin], lengths - 1), flat[~is_owner], flat[begin]


def _raise_bad_token(path: Path, tokens: list[list[str]]) -> None:
    for number, line in enumerate(tokens, start=1):
        for token in line:
            if not (token.isascii() and token.isdigit() and len(token) < 19):
                raise FormatError(
                    f'{at_line(path, number)} holds {token!r}, expected integers of at least 0: '
                    f'a user, then items'
                )


def _read_names(path: Path, key: str) -> pd.DataFrame:
    table = read_separated(path, ' ')
    if _ID not in table.columns:
        raise FormatError(
            f'{at_line(path, 1)} has no column {_ID!r} (got {list(table.columns)}); the header '
            f'is "org_id {_ID}"'
        )
    table[_ID] = numbers(table, _ID, path, 2)
    require_unique(table[_ID], _ID, path, 2)
    return table.rename(columns={_ID: key})


def _read_triples(folder: Path) -> pd.DataFrame:
    tables = []
    for split, file in _TRIPLES.items():
        path = require_file(folder / file, f'the {split} part, lines "user<tab>item<tab>plays"')
        table = read_separated(path, '\t', ['user', 'item', 'plays'])
        columns = {column: numbers(table, column, path, 1) for column in table.columns}
        tables.append(pd.DataFrame({**columns, 'split': split}))
    return pd.concat(tables, ignore_index=True)
