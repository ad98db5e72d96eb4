"""What there is to load: embedded data, folders, downloads."""

import re
from pathlib import Path

import pandas as pd

from graphrec.datasets.download import available
from graphrec.datasets.folder import is_folder
from graphrec.errors import GraphError


def catalogue(root: Path) -> pd.DataFrame:
    r"""One row a data set: its ``name``, its ``kind`` (``'embedded'``, ``'folder'`` or
    ``'download'``), ``load``, the word or path that loads it (the address of a download),
    and a ``title``.

    Args:
        root: Folder of data folders; may be missing.

    Raises:
        GraphError: If :obj:`root` is a file.
    """
    if root.exists() and not root.is_dir():
        raise GraphError(f"'root' is a file (got '{root}'); name a folder of data folders")
    rows = [('planted', 'embedded', 'planted', 'generated, with known truth')]
    found = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    rows += [(path.name, 'folder', str(path), _title(path)) for path in found if is_folder(path)]
    downloads = available()
    rows += [
        (name, 'download', address, f'{title} ({licence})')
        for name, address, title, licence in zip(
            downloads['name'],
            downloads['address'],
            downloads['title'],
            downloads['licence'],
            strict=True,
        )
    ]
    return pd.DataFrame(rows, columns=['name', 'kind', 'load', 'title'])


def _title(folder: Path) -> str:
    """The first clause of the folder's README."""
    try:
        lines = (folder / 'README.md').read_text('utf-8').splitlines()
    except (OSError, UnicodeDecodeError):
        return ''
    text = next((line for line in lines if line.strip() and not line.startswith('#')), '')
    return re.split(r'[.:;] ', text)[0].strip().rstrip('.')
