"""The graph, or a part of it, as a networkx graph or a scipy matrix."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import networkx
import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import (
    FEATURE_PREFIX,
    INTERACTS,
    USER,
    EdgeType,
    holdout,
    index_of,
    node_ids,
    num_items,
    num_users,
    split_edges,
    train_edges,
)


class Neighbourhood(NamedTuple):
    """Nodes near one node, nearest first. ``nodes[n]`` is a node type and a node
    number, ``hop[n]`` its distance, ``reached[h]`` how many nodes lie at distance
    ``h`` in the graph, those that a limit left out included."""

    nodes: list[tuple[str, int]]
    hop: list[int]
    reached: list[int]

    @property
    def num_hidden(self) -> int:
        """Nodes that the limit left out."""
        return sum(self.reached) - len(self.nodes)


def neighbourhood(
    data: HeteroData,
    around: tuple[str, Any],
    hops: int = 2,
    max_nodes: int | None = None,
    edge_types: Sequence[EdgeType] | None = None,
) -> Neighbourhood:
    r"""The nodes within :obj:`hops` edges of one node, directions ignored.

    With :obj:`max_nodes` the places are shared out among the distances (those with
    few nodes keep all of them), and within a distance the nodes with the most edges
    to the nearer nodes kept go first, then those with the most edges at all.

    Args:
        data: The graph.
        around: Node type and original id, as in ``('user', 17)``.
        hops: Largest distance, at least 0.
        max_nodes: Most nodes to keep, at least 1; all by default.
        edge_types: Edge types to walk along; the training edges by default.

    Raises:
        GraphError: If an argument is out of range or names a type not in the graph.
        UnknownIdError: If the id is not in the graph.
    """
    edge_types = checked_edge_types(data, edge_types)
    start_type, start = _start(data, around)
    if isinstance(hops, bool) or not isinstance(hops, int) or hops < 0:
        raise GraphError(f"'hops' needs to be an integer of at least 0 (got {hops!r})")
    if max_nodes is not None and max_nodes < 1:
        raise GraphError(f"'max_nodes' needs to be at least 1 (got {max_nodes!r})")
    adjacency, offset = _adjacency(data, edge_types, start_type)
    distance = np.full(adjacency.shape[0], -1)
    distance[offset[start_type] + start] = 0
    layers = [np.array([offset[start_type] + start])]
    for hop in range(1, hops + 1):
        near = np.unique(adjacency[layers[-1]].indices)
        near = near[distance[near] < 0]
        if near.size == 0:
            break
        distance[near] = hop
        layers.append(near)
    reached = [len(layer) for layer in layers]
    if max_nodes is not None and sum(reached) > max_nodes:
        layers = _most_connected(adjacency, layers, distance, max_nodes)
    types = list(offset)
    bounds = np.array([offset[t] for t in types])
    nodes, hop_of = [], []
    for hop, layer in enumerate(layers):
        for node in layer.tolist():
            place = int(np.searchsorted(bounds, node, side='right')) - 1
            nodes.append((types[place], node - int(bounds[place])))
            hop_of.append(hop)
    return Neighbourhood(nodes, hop_of, reached)


def to_networkx(
    data: HeteroData,
    around: tuple[str, Any] | None = None,
    hops: int = 2,
    max_nodes: int | None = None,
    edge_types: Sequence[EdgeType] | None = None,
) -> networkx.Graph:
    r"""The graph, or the neighbourhood of one node, as an undirected networkx graph.

    Nodes are named ``(node type, original id)``, e.g. ``('user', 17)``. They carry
    ``type``, ``id``, ``bipartite`` (0 for users, 1 for all others) and every column
    with one entry a node (``title``, ``has_visual``, …; features stay out); around a
    node also ``hop``. Edges carry ``relation`` (names joined by a comma where several
    edge types join a pair) and their attributes (``time``, ``rating``, …). The graph
    carries ``name`` and ``num_hidden``, the nodes that :obj:`max_nodes` left out.

    Args:
        data: The graph.
        around: Node type and original id; the whole graph by default.
        hops: Largest distance from :obj:`around`.
        max_nodes: Most nodes around a node (see :func:`neighbourhood`); for the
            whole graph, those with the most edges are kept.
        edge_types: Edge types to export; the training edges by default.

    Raises:
        GraphError: If an argument is out of range or names a type not in the graph.
        UnknownIdError: If the id is not in the graph.
    """
    edge_types = checked_edge_types(data, edge_types)
    if around is None:
        nodes, num_hidden = _all_nodes(data, edge_types, max_nodes)
        hop_of: list[int] | None = None
    else:
        found = neighbourhood(data, around, hops, max_nodes, edge_types)
        nodes, num_hidden, hop_of = found.nodes, found.num_hidden, found.hop
    graph = networkx.Graph(name=str(data.get('name', '')), num_hidden=num_hidden)
    keep: dict[str, np.ndarray] = {}
    key: dict[str, list[Any]] = {}
    columns: dict[str, dict[str, np.ndarray]] = {}
    for node_type in dict.fromkeys(node_type for node_type, _ in nodes):
        keep[node_type] = np.zeros(data[node_type].num_nodes, dtype=bool)
        key[node_type] = node_ids(data, node_type).tolist()
        columns[node_type] = _columns(data[node_type], int(data[node_type].num_nodes))
    for place, (node_type, node) in enumerate(nodes):
        keep[node_type][node] = True
        more = {name: _plain(values[node]) for name, values in columns[node_type].items()}
        if hop_of is not None:
            more['hop'] = hop_of[place]
        original = key[node_type][node]
        fixed = {'type': node_type, 'id': original, 'bipartite': int(node_type != USER)}
        graph.add_node((node_type, original), **{**more, **fixed})
    for edge_type in edge_types:
        if edge_type[0] in keep and edge_type[2] in keep:
            _add_edges(graph, data, edge_type, keep, key)
    return graph


def to_scipy(
    data: HeteroData, split: str = 'train', weight: str | None = None
) -> scipy.sparse.csr_matrix:
    r"""The edges of a split as a matrix :math:`(U, I)`, rows and columns in node order
    (``schema.node_ids`` gives their original ids).

    Args:
        data: The graph.
        split: ``'train'``, ``'valid'``, ``'test'`` or another held-out name.
        weight: Edge attribute to store, as ``'rating'``; ones (float32) by default.

    Raises:
        GraphError: If the graph has no edges of that split or no such attribute.
    """
    edge_index = split_edges(data, split).cpu().numpy()
    values = np.ones(edge_index.shape[1], dtype=np.float32)
    if weight is not None:
        store = data[INTERACTS if split == 'train' else holdout(split)]
        columns = _columns(store, edge_index.shape[1])
        if weight not in columns or columns[weight].dtype.kind not in 'biuf':
            raise GraphError(
                f"'weight' is {weight!r}, but the {split!r} edges have no such number "
                f'(they have {sorted(columns) or "none"})'
            )
        values = columns[weight]
    shape = (num_users(data), num_items(data))
    matrix = scipy.sparse.csr_matrix((values, (edge_index[0], edge_index[1])), shape=shape)
    matrix.sort_indices()
    return matrix


def checked_edge_types(
    data: HeteroData, edge_types: Sequence[EdgeType] | None
) -> Sequence[EdgeType]:
    r"""The edge types asked for; the training edges for ``None``.

    Raises:
        GraphError: If one of them is not in the graph.
    """
    if edge_types is None:
        train_edges(data)
        return [INTERACTS]
    for edge_type in edge_types:
        if edge_type not in data.edge_types:
            raise GraphError(
                f"'edge_types' holds {edge_type!r}, which is not in the graph "
                f'(it has {data.edge_types}); name them as triples'
            )
    return list(edge_types)


def _start(data: HeteroData, around: tuple[str, Any]) -> tuple[str, int]:
    if not isinstance(around, (tuple, list)) or len(around) != 2:
        raise GraphError(f"'around' needs to be (node type, original id) (got {around!r})")
    if around[0] not in data.node_types:
        raise GraphError(
            f"'around' names the node type {around[0]!r}, which is not in the graph "
            f'(it has {data.node_types})'
        )
    return around[0], int(index_of(data, around[0], [around[1]])[0])


def _adjacency(
    data: HeteroData, edge_types: Sequence[EdgeType], start_type: str | None = None
) -> tuple[scipy.sparse.csr_matrix, dict[str, int]]:
    """Both directions of the edges over the nodes of all types that they join, and
    the number that the first node of a type has there."""
    used = {t for edge_type in edge_types for t in (edge_type[0], edge_type[2])} | {start_type}
    offset, total = {}, 0
    for node_type in data.node_types:
        if node_type in used:
            offset[node_type] = total
            total += int(data[node_type].num_nodes)
    ends = [np.zeros((2, 0), dtype=np.int64)]
    for edge_type in edge_types:
        edge_index = data[edge_type].edge_index.cpu().numpy()
        shift = np.array([[offset[edge_type[0]]], [offset[edge_type[2]]]])
        ends.append(edge_index + shift)
    row, column = np.concatenate(ends, axis=1)
    ones = np.ones(2 * row.size, dtype=np.float32)
    where = (np.concatenate([row, column]), np.concatenate([column, row]))
    return scipy.sparse.csr_matrix((ones, where), shape=(total, total)), offset


def _most_connected(
    adjacency: scipy.sparse.csr_matrix,
    layers: list[np.ndarray],
    distance: np.ndarray,
    max_nodes: int,
) -> list[np.ndarray]:
    quota, free, left = {0: 1}, max_nodes - 1, len(layers) - 1
    for hop in sorted(range(1, len(layers)), key=lambda h: len(layers[h])):
        quota[hop] = min(len(layers[hop]), free // left)
        free, left = free - quota[hop], left - 1
    degree = np.diff(adjacency.indptr)
    kept = [layers[0]]
    for hop in range(1, len(layers)):
        near, links = np.unique(adjacency[kept[-1]].indices, return_counts=True)
        at_hop = distance[near] == hop
        near, links = near[at_hop], links[at_hop]
        order = np.lexsort((near, -degree[near], -links))[: quota[hop]]
        kept.append(near[order])
    return kept


def _all_nodes(
    data: HeteroData, edge_types: Sequence[EdgeType], max_nodes: int | None
) -> tuple[list[tuple[str, int]], int]:
    adjacency, offset = _adjacency(data, edge_types)
    nodes = [(t, node) for t in offset for node in range(int(data[t].num_nodes))]
    if max_nodes is None or len(nodes) <= max_nodes:
        return nodes, 0
    if max_nodes < 1:
        raise GraphError(f"'max_nodes' needs to be at least 1 (got {max_nodes!r})")
    best = np.argsort(-np.diff(adjacency.indptr), kind='stable')[:max_nodes]
    return [nodes[place] for place in np.sort(best)], len(nodes) - max_nodes


def _columns(store: Any, count: int) -> dict[str, np.ndarray]:
    """The attributes of a store that hold one plain value a node or an edge."""
    columns = {}
    for name, values in store.items():
        if name in ('id', 'edge_index', 'num_nodes') or name.startswith(FEATURE_PREFIX):
            continue
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = values.float() if values.dtype == torch.bfloat16 else values
        elif not isinstance(values, (np.ndarray, list)):
            continue
        array = np.asarray(values)
        if array.ndim == 1 and len(array) == count:
            columns[name] = array
    return columns


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _add_edges(
    graph: networkx.Graph,
    data: HeteroData,
    edge_type: EdgeType,
    keep: dict[str, np.ndarray],
    key: dict[str, list[Any]],
) -> None:
    source_type, relation, target_type = edge_type
    source, target = data[edge_type].edge_index.cpu().numpy()
    inside = np.flatnonzero(keep[source_type][source] & keep[target_type][target])
    columns = _columns(data[edge_type], source.size)
    picked = {name: values[inside].tolist() for name, values in columns.items()}
    pairs = zip(source[inside].tolist(), target[inside].tolist(), strict=True)
    for place, (left, right) in enumerate(pairs):
        ends = ((source_type, key[source_type][left]), (target_type, key[target_type][right]))
        more = {name: values[place] for name, values in picked.items()}
        before = graph.get_edge_data(*ends, default={}).get('relation')
        names = relation if before in (None, relation) else f'{before},{relation}'
        graph.add_edge(*ends, **more, relation=names)
