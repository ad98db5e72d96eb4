"""One call for every format: looks at the files of a folder and picks the reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.datasets.folder import LOOKED_FOR, is_folder, read_folder
from graphrec.datasets.formats import FORMATS
from graphrec.datasets.tables import require_folder
from graphrec.errors import FormatError, GraphError

READERS: dict[str, Callable[..., HeteroData]] = {'folder': read_folder, **FORMATS}

TELLING = {
    'lightgcn': ('train.txt', 'data1.txt'),
    'mmssl': ('train.json', '5-core/train.json'),
    'movielens': ('u.data', 'ratings.dat', 'ml-100k/u.data', 'ml-1m/ratings.dat'),
    'amazon': ('reviews_*.json', 'reviews_*.json.gz'),
}


def load(path: str | Path, *, format: str | None = None, **kwargs: Any) -> HeteroData:
    r"""Reads a data set from a folder into one graph.

    Args:
        path: The folder.
        format: ``'folder'`` (the package's own layout), ``'mmrec'``, ``'recbole'``,
            ``'lightgcn'``, ``'mmssl'``, ``'movielens'`` or ``'amazon'``; by default told
            from the files: ours by ``interactions.csv``, MMRec by ``*.inter`` with
            ``x_label`` or ``*_feat.npy``, other ``*.inter`` RecBole, LightGCN by
            ``train.txt`` (Last.FM: ``data1.txt``), MMSSL by ``train.json``, MovieLens by
            ``u.data`` or ``ratings.dat``, Amazon by ``reviews_*.json``. The Amazon files
            of 2023 have no telling name: say ``format='amazon'``.
        **kwargs: Arguments of that reader, e.g. ``how='random'``; see
            :func:`graphrec.datasets.folder.read_folder`.

    Raises:
        FormatError: If no format fits or a file is unreadable.
        GraphError: If the format is unknown or the data is unusable.

    Example:
        >>> data = graphrec.load('data/tiktok')  # doctest: +SKIP
    """
    folder = require_folder(path)
    if format is not None and format not in READERS:
        raise GraphError(f"'format' must be one of {sorted(READERS)} (got {format!r})")
    return READERS[format or detect(folder)](folder, **kwargs)


def detect(folder: Path) -> str:
    r"""Name of the format of a folder, a key of :data:`READERS`.

    Raises:
        FormatError: If its files belong to no format.
    """
    if is_folder(folder):
        return 'folder'
    atomic = sorted(folder.glob('*.inter'))
    if atomic:
        has_features = any(folder.glob('*_feat.npy'))
        return 'mmrec' if has_features or 'x_label' in _first_line(atomic[0]) else 'recbole'
    for format, files in TELLING.items():
        if any(any(folder.glob(file)) for file in files):
            return format
    there = sorted(p.name for p in folder.iterdir())[:10]
    raise FormatError(
        f"'{folder}' holds no data set (looked for {', '.join(LOOKED_FOR)}, *.inter, train.txt, "
        f'train.json, u.data, ratings.dat, reviews_*.json; it holds {there})'
    )


def _first_line(path: Path) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            return file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"'{path}' cannot be read ({error}); check the file") from None
