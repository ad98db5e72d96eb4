"""MovieLens 100K and 1M as GroupLens distributes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.text import numbers, read_separated, require_folder
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables

_RATING = ['user', 'item', 'rating', 'timestamp']
_GENRES = (
    'unknown', 'Action', 'Adventure', 'Animation', "Children's", 'Comedy', 'Crime',
    'Documentary', 'Drama', 'Fantasy', 'Film-Noir', 'Horror', 'Musical', 'Mystery',
    'Romance', 'Sci-Fi', 'Thriller', 'War', 'Western',
)  # fmt: skip


def read_movielens(path: str | Path, **kwargs: Any) -> HeteroData:
    r"""Reads MovieLens 100K (``u.data``, ``u.item``, ``u.user``) or 1M (``ratings.dat``,
    ``movies.dat``, ``users.dat``).

    Ratings become the edge attribute ``rating``, ``timestamp`` (seconds) ``time``.
    Where the side files exist, ``data['item']`` has ``title`` and ``genres``
    (separated by ``|``; 100K also ``release``), ``data['user']`` has ``age``,
    ``gender``, ``occupation`` and ``zip``. There is no split in these files: pass
    ``how='time'`` and so on, or all ratings are training edges.

    Args:
        path: The folder, or the one above that the archive was unpacked in.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`,
            e.g. ``min_rating=4``.

    Raises:
        FormatError: If a file is missing or malformed; it names the file and line.
    """
    folder = require_folder(path)
    for place in (folder, folder / 'ml-100k', folder / 'ml-1m'):
        if (place / 'u.data').is_file():
            kwargs.setdefault('name', 'movielens-100k')
            tables = _read_100k(place)
        elif (place / 'ratings.dat').is_file():
            kwargs.setdefault('name', 'movielens-1m')
            tables = _read_1m(place)
        else:
            continue
        return from_tables(tables[0], users=tables[1], items=tables[2], **kwargs)
    raise FormatError(
        f"'{folder}' holds neither u.data (MovieLens 100K) nor ratings.dat (MovieLens 1M)"
    )


_Tables = tuple[pd.DataFrame, pd.DataFrame | None, pd.DataFrame | None]


def _read_100k(folder: Path) -> _Tables:
    ratings = _read(folder / 'u.data', '\t', _RATING, _RATING)
    users = items = None
    if (folder / 'u.user').is_file():
        columns = ['user', 'age', 'gender', 'occupation', 'zip']
        users = _read(folder / 'u.user', '|', columns, ['user', 'age'])
    if (folder / 'u.item').is_file():
        columns = ['item', 'title', 'release', 'video_release', 'url', *_GENRES]
        items = _read(folder / 'u.item', '|', columns, ['item'])
        flags = items[list(_GENRES)].to_numpy() == '1'
        names = np.array(_GENRES, dtype=object)
        items = items[['item', 'title', 'release']].assign(
            genres=['|'.join(names[row]) for row in flags]
        )
    return ratings, users, items


def _read_1m(folder: Path) -> _Tables:
    ratings = _read(folder / 'ratings.dat', '::', _RATING, _RATING)
    users = items = None
    if (folder / 'users.dat').is_file():
        columns = ['user', 'gender', 'age', 'occupation', 'zip']
        users = _read(folder / 'users.dat', '::', columns, ['user', 'age', 'occupation'])
    if (folder / 'movies.dat').is_file():
        items = _read(folder / 'movies.dat', '::', ['item', 'title', 'genres'], ['item'])
    return ratings, users, items


def _read(path: Path, separator: str, columns: list[str], numeric: list[str]) -> pd.DataFrame:
    table = read_separated(path, separator, columns, encoding='latin-1')
    return table.assign(**{column: numbers(table, column, path, 1) for column in numeric})
