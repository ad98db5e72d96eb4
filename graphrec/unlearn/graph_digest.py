r"""SHA-256 of a graph in original ids: the same for every order of nodes and edges, and for
removed nodes that stay as empty rows or are dropped."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FEATURE_PREFIX, FINDS, ITEM, PRESENT_PREFIX, EdgeType, node_ids
from graphrec.graphs.search import event_labels, event_types
from graphrec.unlearn.references import target_of
from graphrec.unlearn.store_values import label_values, node_values, per_edge, per_node
from graphrec.unlearn.targets import marked

_ROWS = 4096
_NAMES = ('name', 'repairs')


def graph_digest(data: HeteroData) -> str:
    r"""SHA-256 (hex) over the sorted digests of all stores (:func:`store_digests`)."""
    digest = hashlib.sha256()
    for place, value in sorted(store_digests(data).items()):
        digest.update(_framed(place.encode()) + _framed(value.encode()))
    return digest.hexdigest()


def store_digests(data: HeteroData) -> dict[str, str]:
    r"""SHA-256 (hex) by store, ``'node item'``, ``'edge user interacts item'``, ``'graph'``.

    Nodes are sorted by their original id, removed ones left out, and every node number
    (ends of edges, neighbour lists, owners) is replaced by the place of its node in that
    order. Edges are sorted by their ends and then by their values; a search event is
    hashed with the item that it ended at. Integers count as int64, floats as stored; text
    as UTF-8. What the reader of a file counted (``repairs``) and the name of the data are
    not part of the graph, nor are empty edge types.

    Raises:
        GraphError: If a store holds something that an edit could not follow.
    """
    order = {kind: _order(data, kind) for kind in data.node_types}
    place = {kind: _places(rows, int(data[kind].num_nodes)) for kind, rows in order.items()}
    found = {}
    for kind in data.node_types:
        found[f'node {kind}'] = _node_digest(data, kind, order[kind], place)
    twins = {event_types(label)[0]: event_types(label)[1] for label in event_labels(data)}
    for edge_type in data.edge_types:
        if data[edge_type].edge_index.size(1) or 'edge_label_index' in data[edge_type]:
            twin = twins.get(edge_type)
            found[f'edge {" ".join(edge_type)}'] = _edge_digest(data, edge_type, twin, place, order)
    digest = hashlib.sha256()
    for name, value in sorted(data._global_store.items()):
        if name not in _NAMES:
            _update(digest, name, value)
    found['graph'] = digest.hexdigest()
    return found


def _order(data: HeteroData, node_type: str) -> np.ndarray:
    """Numbers of the nodes that are there, by original id."""
    alive = (~marked(data, node_type)).nonzero().squeeze(1).numpy()
    return alive[np.argsort(node_ids(data, node_type)[alive], kind='stable')]


def _places(rows: np.ndarray, count: int) -> np.ndarray:
    """The place of every node in its order; -1 for one that is gone. The last entry
    stands for the number -1."""
    place = np.full(count + 1, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    return place


def _node_digest(
    data: HeteroData, node_type: str, rows: np.ndarray, place: dict[str, np.ndarray]
) -> str:
    digest = hashlib.sha256()
    _update(digest, 'id', node_ids(data, node_type)[rows])
    values = per_node(data, node_type)
    for name in sorted(data[node_type].keys()):
        value = data[node_type][name]
        if name in ('id', 'num_nodes', 'is_removed'):
            continue
        if name not in values:
            _update(digest, name, value)
            continue
        if node_type == ITEM and name.startswith(PRESENT_PREFIX) and isinstance(value, Tensor):
            value = _present(data, name.removeprefix(PRESENT_PREFIX), value)
            if value is None:
                continue
        target = target_of(node_type, name, value)
        if target is not None:
            value = torch.from_numpy(place[target][value.cpu().numpy()])
        _update(digest, name, value, rows)
    return digest.hexdigest()


def _present(data: HeteroData, modality: str, value: Tensor) -> Tensor | None:
    """The marks of a modality, :obj:`None` where they say no more than its rows do."""
    store = data[ITEM]
    if FEATURE_PREFIX + modality in store:
        filled = store[FEATURE_PREFIX + modality].any(dim=1)
    elif f'knn_{modality}_index' in store:
        filled = (store[f'knn_{modality}_index'] >= 0).any(dim=1)
    else:
        return value
    value = value & filled
    return None if torch.equal(value, filled) else value


def _edge_digest(
    data: HeteroData,
    edge_type: EdgeType,
    twin: EdgeType | None,
    place: dict[str, np.ndarray],
    order: dict[str, np.ndarray],
) -> str:
    store, digest = data[edge_type], hashlib.sha256()
    ends = (place[edge_type[0]], place[edge_type[2]])
    values = {name: _numbers(value) for name, value in per_edge(data, edge_type).items()}
    if twin is not None and twin in data.edge_types:
        item = data[twin].edge_index[1].cpu().numpy()
        if len(item) == store.edge_index.size(1):
            values[' '.join(FINDS)] = place[ITEM][item]
    _update_edges(digest, 'edge_index', store.edge_index, ends, values)
    labels = label_values(data, edge_type)
    if labels:
        index = labels.pop('edge_label_index')
        extra = {name: _numbers(value) for name, value in labels.items()}
        _update_edges(digest, 'edge_label_index', index, ends, extra)
    nodes = node_values(data, edge_type)
    listed = {'edge_index', 'edge_label_index', *values, *labels}
    for name in sorted(set(store.keys()) - listed):
        rows = order[nodes[name]] if name in nodes else None
        _update(digest, name, store[name], rows)
    return digest.hexdigest()


def _update_edges(
    digest: Any,
    name: str,
    edge_index: Tensor,
    ends: tuple[np.ndarray, np.ndarray],
    values: dict[str, np.ndarray],
) -> None:
    src, dst = (end[row] for end, row in zip(ends, edge_index.cpu().numpy(), strict=True))
    key = src * max(len(ends[1]), 1) + dst
    rows = np.argsort(key, kind='stable')
    ordered = key[rows]
    if values and (ordered[1:] == ordered[:-1]).any():  # Copies: in the order of their values.
        columns = [_sortable(values[each]) for each in sorted(values, reverse=True)]
        rows = np.lexsort([c for column in columns for c in column[::-1]] + [key])
    _update(digest, name, np.stack([src[rows], dst[rows]]))
    for each in sorted(values):
        _update(digest, each, values[each], rows)


def _numbers(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return _objects(value) if isinstance(value, (list, tuple)) else np.asarray(value)


def _objects(values: Sequence[Any]) -> np.ndarray:
    """One entry each, whatever the entries are."""
    return np.array([*values, None], dtype=object)[:-1]


def _sortable(values: np.ndarray) -> list[np.ndarray]:
    """The columns of a table as numbers that can be ordered."""
    if values.dtype == object:
        texts = np.array([json.dumps(v, sort_keys=True, default=str) for v in values.ravel()])
        values = np.unique(texts, return_inverse=True)[1].reshape(values.shape)
    return list(values.reshape(len(values), -1).T)


def _update(digest: Any, name: str, value: Any, rows: np.ndarray | None = None) -> None:
    """Adds a value under its name: kind, shape and bytes; :obj:`rows` in this order."""
    if isinstance(value, Tensor):
        value = _numbers(value)
    if rows is not None and isinstance(value, (list, tuple)):
        value = _objects(value)
    if not isinstance(value, np.ndarray):
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
        digest.update(_framed(name.encode()) + _framed(text.encode()))
        return
    shape = value.shape if rows is None else (len(rows), *value.shape[1:])
    if value.dtype == object or value.dtype.kind not in 'fiub':
        chosen = value if rows is None else value[rows]
        text = json.dumps(chosen.tolist(), ensure_ascii=False, default=str)
        digest.update(_framed(f'{name} text {shape}'.encode()) + _framed(text.encode()))
        return
    kind = np.dtype('<i8') if value.dtype.kind in 'iub' else value.dtype.newbyteorder('<')
    digest.update(_framed(f'{name} {kind.str} {shape}'.encode()))
    count = len(value) if rows is None else len(rows)
    for begin in range(0, count, _ROWS):
        part = slice(begin, begin + _ROWS)
        chunk = value[part] if rows is None else value[rows[part]]
        digest.update(np.ascontiguousarray(chunk, dtype=kind).tobytes())


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(8, 'little') + content
