"""The format of LATTICE and MMSSL: ``train.json``, ``val.json``, ``test.json``."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.text import (
    as_ids,
    read_features,
    read_json_object,
    require_file,
    require_folder,
)
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables

FEATURES = {
    'image_feat.npy': 'visual',
    'text_feat.npy': 'text',
    'audio_feat.npy': 'acoustic',
    'acoustic_feat.npy': 'acoustic',
}
_FILES = {'train': 'train.json', 'valid': 'val.json', 'test': 'test.json'}


def read_mmssl(path: str | Path, **kwargs: Any) -> HeteroData:
    r"""Reads a data set as LATTICE, MMSSL and their kin keep it.

    Each of ``train.json``, ``val.json`` (optional) and ``test.json`` is an object
    ``{"user": [item, ...]}``, in the folder or in its ``5-core`` subfolder; a user may
    have no items. Row :math:`i` of ``image_feat.npy`` (``x_visual``),
    ``text_feat.npy`` (``x_text``) and ``audio_feat.npy`` (``x_acoustic``), in either
    folder, belongs to item :math:`i`.

    Args:
        path: The folder.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        FormatError: If a file is missing or malformed; it names the file and place.
    """
    folder = require_folder(path)
    core = folder if (folder / 'train.json').is_file() else folder / '5-core'
    tables, owners = [], []
    for split, file in _FILES.items():
        if split != 'valid':
            at = core if core.is_dir() else folder
            require_file(at / file, f'the {split} part, an object {{"user": [items]}}')
        if (core / file).is_file():
            user, item, keys = _read_lists(core / file)
            tables.append((user, item, split))
            owners.append(keys)
    user_ids = as_ids([*(user for user, _, _ in tables), *owners])
    interactions = pd.concat(
        [
            pd.DataFrame({'user': user, 'item': item, 'split': split})
            for user, (_, item, split) in zip(user_ids, tables, strict=False)
        ],
        ignore_index=True,
    )
    if len(interactions) == 0:
        raise FormatError(f"'{core / 'train.json'}' and the other parts hold no items at all")
    users = pd.DataFrame({'user': np.unique(np.concatenate(user_ids[len(tables) :]))})
    features = read_features([folder, core], FEATURES, int(interactions['item'].max()))
    kwargs.setdefault('features', features)
    kwargs.setdefault('name', folder.resolve().name)
    return from_tables(interactions, users=users, **kwargs)


def _read_lists(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    content = read_json_object(path)
    for key, items in content.items():
        if not isinstance(items, list):
            raise FormatError(
                f"'{path}' gives user {key!r} a {type(items).__name__}, expected a list of items"
            )
        for item in items:
            if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item < 2**62:
                raise FormatError(
                    f"'{path}' gives user {key!r} the item {item!r}, expected an integer of at "
                    f'least 0'
                )
    keys = np.array(list(content), dtype=object)
    lengths = [len(items) for items in content.values()]
    flat = [item for items in content.values() for item in items]
    return np.repeat(keys, lengths), np.array(flat, dtype=np.int64), keys
