"""Folders of anonymous sessions: ``sessions.npz``."""

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import read_archive
from graphrec.errors import FormatError
from graphrec.graphs.schema import ITEM, SESSION, EdgeType, holdout

CONTAINS: EdgeType = (SESSION, 'contains', ITEM)
ARRAYS = ('train_item', 'train_ptr', 'test_item', 'test_ptr')


def read_sessions(folder: Path) -> HeteroData:
    r"""Sessions as nodes, training sessions first. Clicks of training sessions are
    ``('session', 'contains', 'item')``, those of test sessions ``('session',
    'holdout_test', 'item')``, each with its ``position`` (0-based) in the session.

    Raises:
        FormatError: If ``sessions.npz`` is damaged or its pointers do not fit.
    """
    path = folder / 'sessions.npz'
    arrays = read_archive(path, ARRAYS)
    data = HeteroData()
    data.name = folder.name
    data.repairs = {}
    first = 0
    edges = {}
    for split, edge_type in (('train', CONTAINS), ('test', holdout('test', SESSION, ITEM))):
        item = arrays[f'{split}_item'].astype(np.int64)
        ptr = arrays[f'{split}_ptr'].astype(np.int64)
        length = np.diff(ptr)
        if len(ptr) == 0 or ptr[0] != 0 or ptr[-1] != len(item) or (length < 0).any():
            raise FormatError(
                f"'{path}': '{split}_ptr' must rise from 0 to the {len(item)} entries of "
                f"'{split}_item' (got {ptr[:1].tolist()} to {ptr[-1:].tolist()})"
            )
        if len(item) and item.min() < 0:
            raise FormatError(f"'{path}': '{split}_item' holds the item {int(item.min())}")
        session = np.repeat(np.arange(len(length)), length)
        edges[edge_type] = (session + first, item, np.arange(len(item)) - ptr[session])
        first += len(length)
    items = 1 + max((int(item.max()) for _, item, _ in edges.values() if len(item)), default=-1)
    for node_type, count in ((ITEM, items), (SESSION, first)):
        data[node_type].num_nodes = count
        data[node_type].id = np.arange(count)
    for edge_type, (session, item, position) in edges.items():
        data[edge_type].edge_index = torch.from_numpy(np.stack([session, item]))
        data[edge_type].position = torch.from_numpy(position)
    return data
