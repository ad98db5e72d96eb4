r"""The names of the one heterogeneous graph, and the check that a graph obeys them.

Edges ``('user', 'interacts', 'item')`` are the training edges, the only ones that
message passing, samplers and derived graphs may see. Held-out edges are other edge
types, ``('user', 'holdout_valid', 'item')`` and ``('user', 'holdout_test', 'item')``,
so that a leak has to be written on purpose.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError

EdgeType = tuple[str, str, str]

USER = 'user'
ITEM = 'item'
QUERY = 'query'
WORD = 'word'
SESSION = 'session'
OUTFIT = 'outfit'
CODE = 'code'
ATTRIBUTE = 'attribute'

INTERACTS: EdgeType = (USER, 'interacts', ITEM)
SEARCHES: EdgeType = (USER, 'searches', QUERY)
FINDS: EdgeType = (QUERY, 'finds', ITEM)

FEATURE_PREFIX = 'x_'
PRESENT_PREFIX = 'has_'
REMOVED = 'is_removed'


def holdout(split: str, src: str = USER, dst: str = ITEM) -> EdgeType:
    """The edge type of a held-out split, e.g. ``('user', 'holdout_test', 'item')``."""
    return (src, f'holdout_{split}', dst)


HOLDOUT_VALID = holdout('valid')
HOLDOUT_TEST = holdout('test')


def num_users(data: HeteroData) -> int:
    """Number of user nodes, those without any edge included."""
    return int(data[USER].num_nodes)


def num_items(data: HeteroData) -> int:
    """Number of item nodes, those without any edge included."""
    return int(data[ITEM].num_nodes)


def remaining(data: HeteroData, node_type: str) -> Tensor | None:
    """Numbers of the nodes that an edit has not removed (``is_removed``), ascending;
    :obj:`None` where all are there. Removed nodes keep their number, but nobody is
    trained, evaluated or served with them."""
    removed = data[node_type].get(REMOVED)
    if removed is None or not removed.any():
        return None
    return (~removed).nonzero().squeeze(1)


def train_edges(data: HeteroData) -> Tensor:
    """The training edges :math:`(2, E)`, users in row 0 and items in row 1."""
    if INTERACTS not in data.edge_types:
        raise GraphError(
            f'the graph has no training edges {INTERACTS} (got edge types '
            f"{data.edge_types}); build it with 'graphrec.load' or 'graphs.from_tables'"
        )
    return data[INTERACTS].edge_index


def held_splits(data: HeteroData) -> list[str]:
    """Names of the held-out splits of interactions, sorted."""
    return sorted(
        t[1].removeprefix('holdout_')
        for t in data.edge_types
        if t[0] == USER and t[1].startswith('holdout_') and t[2] == ITEM
    )


def split_edges(data: HeteroData, split: str) -> Tensor:
    r"""The edges :math:`(2, E)` of :obj:`split`, one of ``'train'``, ``'valid'``,
    ``'test'`` or another held-out name.

    Raises:
        GraphError: If the graph has no edges of that split.
    """
    if split == 'train':
        return train_edges(data)
    edge_type = holdout(split)
    if edge_type not in data.edge_types or data[edge_type].edge_index.size(1) == 0:
        raise GraphError(
            f"'split' is {split!r}, but the graph holds no such edges (it has "
            f"{held_splits(data) or 'no held-out split'}); make one with 'graphs.split(data, ...)'"
        )
    return data[edge_type].edge_index


def modalities(data: HeteroData) -> list[str]:
    """Names of the item modalities: ``['acoustic', 'visual']`` for ``x_acoustic``,
    ``x_visual``, sorted."""
    return sorted(
        key.removeprefix(FEATURE_PREFIX)
        for key in data[ITEM].to_dict()
        if key.startswith(FEATURE_PREFIX)
    )


def node_ids(data: HeteroData, node_type: str) -> np.ndarray:
    """Original ids of a node type in node order: an int64 array, or an object array
    of strings. Without stored ids they are the node numbers."""
    store = data[node_type]
    if 'id' in store:
        return np.asarray(store.id)
    return np.arange(store.num_nodes)


def index_of(
    data: HeteroData, node_type: str, ids: Iterable[Any], strict: bool = True
) -> np.ndarray:
    r"""Node numbers (int64) of original :obj:`ids`, a list, array, tensor or other iterable;
    with :obj:`strict` off, an unknown id gives -1.

    Raises:
        GraphError: If it is a single id, or the type of the ids differs from the graph's.
        UnknownIdError: If an id is not in the graph.
    """
    known = node_ids(data, node_type)
    if isinstance(ids, Tensor):
        ids = ids.tolist()
    if isinstance(ids, str) or not np.iterable(ids):
        raise GraphError(f'{node_type} ids need to be a list (got {ids!r}); pass [{ids!r}]')
    asked = [value.item() if isinstance(value, Tensor) else value for value in ids]
    if not asked:
        return np.zeros(0, dtype=np.int64)
    integer = known.dtype.kind in 'iu'
    for value in asked:
        if isinstance(value, str) == integer:
            raise GraphError(
                f'{node_type} ids are {"integers" if integer else "strings"} in this '
                f'graph (got {value!r} of type {type(value).__name__}); '
                f'pass them as {"int" if integer else "str"}'
            )
    position = pd.Index(known).get_indexer(pd.Index(asked))
    if strict and (position < 0).any():
        missing = [v for v, p in zip(asked, position, strict=True) if p < 0]
        raise UnknownIdError(
            f'{len(missing)} of {len(asked)} {node_type} ids are not in the graph '
            f'(first one: {missing[0]!r}); the graph holds {len(known)} {node_type}s'
        )
    return position.astype(np.int64)


def parse_ids(data: HeteroData, node_type: str, texts: Sequence[str]) -> list[Any]:
    """Original ids from text (command line, CSV): integers where the graph's are.

    Raises:
        GraphError: If a text is no integer although the graph's ids are.
    """
    if node_ids(data, node_type).dtype.kind not in 'iu':
        return [str(text) for text in texts]
    for text in texts:
        if not is_integer_id(text):
            raise GraphError(
                f'{node_type} ids are integers in this graph, written as 17 or -3 (got {text!r})'
            )
    return [int(text) for text in texts]


def is_integer_id(text: str) -> bool:
    """Whether a text is an integer as ids are written."""
    # int() takes '03' and '٣' for 3 too, which may be the ids of others. Nothing longer than an
    # int64 is an id.
    return len(text) < 20 and re.fullmatch('0|-?[1-9][0-9]*', text) is not None


def training_digest(data: HeteroData) -> str:
    """SHA-256 (hex) of the node counts and the set of training edges, independent of
    the order in which the edges are stored."""
    edge_index = train_edges(data)
    key = edge_index[0].long() * num_items(data) + edge_index[1].long()
    digest = hashlib.sha256(f'{num_users(data)},{num_items(data)};'.encode())
    digest.update(key.cpu().sort().values.numpy().tobytes())
    return digest.hexdigest()


def validate(data: HeteroData) -> None:
    r"""Checks the whole graph against the schema.

    Raises:
        GraphError: At the first thing that is wrong: the field, its value, the fix.
    """
    for node_type in data.node_types:
        _validate_nodes(data, node_type)
    for edge_type in data.edge_types:
        _validate_edges(data, edge_type)


def _validate_nodes(data: HeteroData, node_type: str) -> None:
    store = data[node_type]
    count = store.num_nodes
    if count is None:
        raise GraphError(f'data[{node_type!r}].num_nodes is not set; set it to the number of nodes')
    if 'id' in store:
        ids = np.asarray(store.id)
        if len(ids) != count:
            raise GraphError(
                f'data[{node_type!r}].id has {len(ids)} entries for {count} nodes; '
                'give one original id a node'
            )
        if pd.Index(ids).has_duplicates:
            twice = ids[pd.Index(ids).duplicated()].tolist()[0]
            raise GraphError(f'data[{node_type!r}].id holds {twice!r} twice; ids must be unique')
    for key, value in store.items():
        if not isinstance(value, Tensor) or not key.startswith(FEATURE_PREFIX):
            continue
        if value.dim() != 2 or value.size(0) != count:
            raise GraphError(
                f'data[{node_type!r}].{key} has shape {list(value.shape)}, expected '
                f'[{count}, d]: one row a node; give missing ones a row of zeros'
            )
        finite = torch.isfinite(value).all(dim=1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise GraphError(
                f'data[{node_type!r}].{key} holds NaN or infinite values in '
                f'{int((~finite).sum())} rows (first one: row {row}); set missing rows to '
                f'zero and {PRESENT_PREFIX}{key.removeprefix(FEATURE_PREFIX)} to False there'
            )


def _validate_edges(data: HeteroData, edge_type: EdgeType) -> None:
    store = data[edge_type]
    if 'edge_index' not in store:
        raise GraphError(f'data[{edge_type}].edge_index is missing; give a [2, E] int64 tensor')
    edge_index = store.edge_index
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise GraphError(
            f'data[{edge_type}].edge_index has shape {list(edge_index.shape)} and type '
            f'{edge_index.dtype}, expected [2, E] int64'
        )
    for row, node_type in ((0, edge_type[0]), (1, edge_type[2])):
        if node_type not in data.node_types:
            raise GraphError(f'{edge_type} points at {node_type!r}, which has no nodes')
        if edge_index.size(1) == 0:
            continue
        low, high = int(edge_index[row].min()), int(edge_index[row].max())
        if low < 0 or high >= data[node_type].num_nodes:
            raise GraphError(
                f'data[{edge_type}].edge_index row {row} runs from {low} to {high}, but '
                f'there are {data[node_type].num_nodes} {node_type} nodes'
            )
    held_out = edge_type == holdout(edge_type[1].removeprefix('holdout_'))
    if edge_type == INTERACTS or held_out:
        key = edge_index[0] * num_items(data) + edge_index[1]
        duplicates = key.numel() - key.unique().numel()
        if duplicates:
            raise GraphError(
                f'data[{edge_type}].edge_index holds {duplicates} duplicate edges; coalesce it'
            )
