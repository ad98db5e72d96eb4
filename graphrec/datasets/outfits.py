"""Folders of outfits over items with categories: ``outfits.npz``."""

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import read_archive
from graphrec.errors import FormatError
from graphrec.graphs.schema import ITEM, OUTFIT, EdgeType, holdout

CONTAINS: EdgeType = (OUTFIT, 'contains', ITEM)
SPLITS = ('train', 'valid', 'test')


def read_outfits(folder: Path) -> HeteroData:
    r"""Outfits as nodes, ``data['outfit'].y`` 1 for real ones and 0 for negatives.
    Training outfits are ``('outfit', 'contains', 'item')``, others ``('outfit',
    'holdout_valid', 'item')`` and ``('outfit', 'holdout_test', 'item')``, each edge with
    its ``position`` in the outfit. Items have ``category`` and ``source``.

    Raises:
        FormatError: If ``outfits.npz`` is damaged or names items that do not exist.
    """
    path = folder / 'outfits.npz'
    parts = [f'{split}_{sign}' for split in SPLITS for sign in ('pos', 'neg')]
    arrays = read_archive(path, [*parts, 'item_category', 'item_source'])
    items = len(arrays['item_category'])
    data = HeteroData()
    data.name = folder.name
    data.repairs = {}
    data[ITEM].num_nodes = items
    data[ITEM].id = np.arange(items)
    data[ITEM].category = torch.from_numpy(arrays['item_category'].astype(np.int64))
    data[ITEM].source = torch.from_numpy(arrays['item_source'].astype(np.int64))
    first = 0
    labels = []
    for split in SPLITS:
        edges = []
        for sign in ('pos', 'neg'):
            member = arrays[f'{split}_{sign}'].astype(np.int64)
            if member.ndim != 2 or member.max(initial=-1) >= items:
                raise FormatError(
                    f"'{path}': '{split}_{sign}' has shape {list(member.shape)} and items up to "
                    f'{member.max(initial=-1)}, expected [outfits, size] and items below {items}'
                )
            row, position = np.nonzero(member >= 0)
            edges.append(np.stack([row + first, member[row, position], position]))
            labels.append(np.full(len(member), int(sign == 'pos')))
            first += len(member)
        outfit, item, position = np.concatenate(edges, axis=1)
        edge_type = CONTAINS if split == 'train' else holdout(split, OUTFIT, ITEM)
        data[edge_type].edge_index = torch.from_numpy(np.stack([outfit, item]))
        data[edge_type].position = torch.from_numpy(position)
    data[OUTFIT].num_nodes = first
    data[OUTFIT].id = np.arange(first)
    data[OUTFIT].y = torch.from_numpy(np.concatenate(labels))
    return data
