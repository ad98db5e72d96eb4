"""One call for every format: looks at the files of a folder and picks the reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.datasets.folder import LOOKED_FOR, is_folder, read_folder
from graphrec.datasets.lightgcn_text import read_lightgcn
from graphrec.datasets.mmrec import read_mmrec
from graphrec.datasets.mmssl_json import read_mmssl
from graphrec.datasets.recbole import read_recbole
from graphrec.datasets.tables import require_folder
from graphrec.errors import FormatError, GraphError

READERS: dict[str, Callable[..., HeteroData]] = {
    'folder': read_folder,
    'mmrec': read_mmrec,
    'recbole': read_recbole,
    'lightgcn': read_lightgcn,
    'mmssl': read_mmssl,
}


def load(path: str | Path, *, format: str | None = None, **kwargs: Any) -> HeteroData:
    r"""Reads a data set from a folder into one graph.

    Args:
        path: The folder.
        format: ``'folder'`` (the package's own layout), ``'mmrec'``, ``'recbole'``,
            ``'lightgcn'`` or ``'mmssl'``; by default told from the files: ours by
            ``interactions.csv``, MMRec by ``*.inter`` with ``x_label`` or ``*_feat.npy``,
            other ``*.inter`` RecBole, LightGCN by ``train.txt``, MMSSL by ``train.json``.
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
    if (folder / 'train.txt').is_file():
        return 'lightgcn'
    if (folder / 'train.json').is_file():
        return 'mmssl'
    raise FormatError(
        f"'{folder}' holds no data set (looked for {', '.join(LOOKED_FOR)}, *.inter, train.txt, "
        f'train.json; it holds {sorted(p.name for p in folder.iterdir())[:10]})'
    )


def _first_line(path: Path) -> str:
    try:
        with open(path, encoding='utf-8') as file:
            return file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"'{path}' cannot be read ({error}); check the file") from None
