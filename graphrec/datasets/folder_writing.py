"""Writes a graph as a data set folder."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.datasets.graph_parts import FILE_NAME, pack
from graphrec.errors import GraphError
from graphrec.graphs.columns import RESERVED, RESERVED_PREFIXES
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    ITEM,
    USER,
    EdgeType,
    node_ids,
    validate,
)

SPLITS: dict[str, EdgeType] = {'train': INTERACTS, 'valid': HOLDOUT_VALID, 'test': HOLDOUT_TEST}
_NAME = re.compile(r'[\w.-]+')
_UNSAFE = re.compile(r'[\r\x00]')
_GZIP = {'method': 'gzip', 'mtime': 0}  # The time of writing would make equal data differ.
FILE_COLUMNS = {'time': 'timestamp', 'rating': 'rating'}


def write_folder(data: HeteroData, path: str | Path, overwrite: bool = False) -> Path:
    r"""Writes :obj:`data` so that :func:`graphrec.datasets.folder.read_folder` returns an
    equal graph, with users and items sorted by id.

    Interactions, users, items, features, codes and kNN graphs become the files of the
    layout; everything else (other node and edge types, values that a CSV would change)
    goes into ``graph_parts.npz``. All is written into a temporary folder beside
    :obj:`path` and renamed at the end, so a half-written data set never appears. Equal graphs
    give the same bytes.

    Args:
        data: The graph.
        path: The folder to make.
        overwrite: Whether a folder that is there may be replaced.

    Returns:
        The folder.

    Raises:
        GraphError: If the graph does not obey the schema, the folder exists, or the
            disk refuses (no permission, no space); nothing is left behind then.
    """
    validate(data)
    target = Path(path)
    if target.exists() and not overwrite and (not target.is_dir() or any(target.iterdir())):
        raise GraphError(
            f"'{target}' exists and is not empty; choose another folder (in Python, "
            'overwrite=True replaces it)'
        )
    work = target.parent / f'.{target.name}.{os.getpid()}.part'
    old = target.parent / f'.{target.name}.{os.getpid()}.old'
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        _Writer(data, work).write()
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(work, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
    except OSError as error:
        raise GraphError(
            f"'{target}' cannot be written ({error.strerror or error}); check permission and "
            f'free space'
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target


class _Writer:
    def __init__(self, data: HeteroData, folder: Path) -> None:
        self.data = data
        self.folder = folder
        self.done: set[tuple[str, str]] = set()

    def write(self) -> None:
        if INTERACTS in self.data.edge_types and self.data[INTERACTS].edge_index.size(1):
            self.interactions()
            order = {t: np.argsort(node_ids(self.data, t), kind='stable') for t in (USER, ITEM)}
            for node_type, stem in ((USER, 'users'), (ITEM, 'items')):
                self.nodes(node_type, stem, order[node_type])
            self.features(order[ITEM])
            self.neighbours(order[ITEM])
        parts = pack(self.data, lambda place, name: (place, name) in self.done)
        with open(self.folder / FILE_NAME, 'wb') as file:
            np.savez_compressed(file, **parts)  # type: ignore[arg-type]

    def interactions(self) -> None:
        stores = {s: self.data[t] for s, t in SPLITS.items() if t in self.data.edge_types}
        stores = {s: v for s, v in stores.items() if v.edge_index.size(1)}
        items = self.data[ITEM].num_nodes
        pairs = torch.cat([v.edge_index for v in stores.values()], dim=1).cpu()
        if (pairs[0] * items + pairs[1]).unique().numel() < pairs.size(1):
            # A reader would drop held-out pairs that repeat: they go with the parts.
            stores = {'train': stores['train']}
            pairs = stores['train'].edge_index.cpu()
        table = pd.DataFrame(
            {
                'user': node_ids(self.data, USER)[pairs[0].numpy()],
                'item': node_ids(self.data, ITEM)[pairs[1].numpy()],
                'split': np.repeat(list(stores), [v.edge_index.size(1) for v in stores.values()]),
            }
        )
        written = ['edge_index']
        for name in stores['train']:
            if all(name in v and _fits_csv(name, v[name]) for v in stores.values()):
                values = torch.cat([v[name] for v in stores.values()]).cpu()
                if name != 'time' or values.dtype == torch.long or (values % 1).any():
                    table[FILE_COLUMNS.get(name, name)] = values.numpy()
                    written.append(name)
        table.to_csv(self.folder / 'interactions.csv.gz', index=False, compression=_GZIP)
        for split in stores:
            self.done |= {(f'edge/{",".join(SPLITS[split])}', name) for name in written}

    def nodes(self, node_type: str, stem: str, order: np.ndarray) -> None:
        place = f'node/{node_type}'
        self.done.add((place, 'num_nodes'))
        table = pd.DataFrame({node_type: node_ids(self.data, node_type)[order]})
        for name, value in self.data[node_type].items():
            if name not in ('id', 'num_nodes') and _is_plain_column(name, value, len(order)):
                table[name] = value[order]
                self.done.add((place, name))
        table.to_csv(self.folder / f'{stem}.csv.gz', index=False, compression=_GZIP)

    def features(self, order: np.ndarray) -> None:
        store = self.data[ITEM]
        rows = torch.from_numpy(order)
        for name in list(store.keys()):
            modality = name.partition('_')[2]
            value = store[name]
            if not isinstance(value, Tensor) or value.dim() != 2 or not _NAME.fullmatch(modality):
                continue
            if name.startswith('code_') and value.dtype == torch.long:
                np.save(self.folder / f'item_{modality}_codes.npy', value.cpu()[rows].numpy())
                self.done.add(('node/item', name))
            elif name.startswith('x_') and value.dtype == torch.float and modality[-6:] != '_codes':
                np.save(self.folder / f'item_{modality}.npy', value.detach().cpu()[rows].numpy())
                self.done.add(('node/item', name))
                present = store.get(f'has_{modality}')
                if present is not None and torch.equal(present, value.any(dim=1)):
                    self.done.add(('node/item', f'has_{modality}'))

    def neighbours(self, order: np.ndarray) -> None:
        store = self.data[ITEM]
        row_of = np.empty(len(order), dtype=np.int64)
        row_of[order] = np.arange(len(order))
        for name in list(store.keys()):
            modality = name.removeprefix('knn_').removesuffix('_index')
            other = f'knn_{modality}_similarity'
            if name != f'knn_{modality}_index' or other not in store:
                continue
            index = store[name].cpu().numpy()[order]
            np.savez(
                self.folder / f'item_{modality}_knn.npz',
                index=np.where(index >= 0, row_of[index], -1),
                similarity=store[other].cpu().numpy()[order],
            )
            self.done |= {('node/item', name), ('node/item', other)}


def _fits_csv(name: str, value: Any) -> bool:
    if not isinstance(value, Tensor) or value.dim() != 1:
        return False
    if name == 'time':
        return value.dtype in (torch.long, torch.double)
    if name == 'rating':
        return value.dtype == torch.float
    taken = ('user', 'item', 'split', 'timestamp', 'behavior')
    return name not in taken and value.dtype in (torch.long, torch.float, torch.bool)


def _is_plain_column(name: str, value: Any, count: int) -> bool:
    """Whether a CSV returns the column exactly as it is."""
    if not isinstance(value, np.ndarray) or value.shape != (count,):
        return False
    if name in RESERVED or name.startswith(RESERVED_PREFIXES) or name in (USER, ITEM):
        return False
    if value.dtype.kind in 'if':
        return value.dtype.itemsize == 8 and bool(np.isfinite(value).all())
    if value.dtype != object:
        return False
    texts = [v for v in value if v is not None]
    if not all(isinstance(v, str) and v and not _UNSAFE.search(v) for v in texts):
        return False
    return not texts or bool(pd.to_numeric(pd.Series(texts), errors='coerce').isna().any())
