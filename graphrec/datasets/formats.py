"""The readers of other people's formats, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.datasets.amazon import read_amazon
from graphrec.datasets.lightgcn_text import read_lightgcn
from graphrec.datasets.mmrec import read_mmrec
from graphrec.datasets.mmssl_json import read_mmssl
from graphrec.datasets.movielens import read_movielens
from graphrec.datasets.recbole import read_recbole
from graphrec.errors import GraphError

FORMATS: dict[str, Callable[..., HeteroData]] = {
    'amazon': read_amazon,
    'lightgcn': read_lightgcn,
    'mmrec': read_mmrec,
    'mmssl': read_mmssl,
    'movielens': read_movielens,
    'recbole': read_recbole,
}


def read(path: str | Path, format: str, **kwargs: Any) -> HeteroData:
    r"""Reads a folder or file in a named format.

    Args:
        path: The folder or file.
        format: A key of :data:`FORMATS`.
        kwargs: Further arguments of the reader.

    Raises:
        GraphError: If the format is unknown.
        FormatError: If a file is missing or malformed.
    """
    if format not in FORMATS:
        raise GraphError(f"'format' is {format!r}, expected one of {sorted(FORMATS)}")
    return FORMATS[format](path, **kwargs)
