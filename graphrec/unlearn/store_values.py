"""What the values of a graph's stores stand for: one value a node, one an edge, or a value
of the whole store. An edit may only be told done if it knows this of every value."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import EdgeType
from graphrec.unlearn.references import REFERENCES, target_of

#: An attribute of a store that names those of its lists that are vocabularies of the whole
#: store, however long: ``data['item'].vocabularies = ['genres']``.
VOCABULARIES = 'vocabularies'
STRUCTURE = ('id', 'num_nodes', 'is_removed', VOCABULARIES)
_KNOWN_VOCABULARIES = ('relation_name',)  # As the readers of knowledge graphs write it.
_KNOWN_OF_GRAPH = ('name', 'repairs')


def per_node(data: HeteroData, node_type: str) -> dict[str, Any]:
    r"""The attributes that hold one value a node: tables, lists and tuples as long as there are
    nodes. A list is of the whole store where it has another length, or where ``vocabularies``
    of the store names it.

    Raises:
        GraphError: If the length of a table says neither, or numbers of other nodes
            (:data:`~graphrec.unlearn.references.REFERENCES`) do not come as a tensor.
    """
    count = data[node_type].num_nodes
    if count is None:
        raise GraphError(f'data[{node_type!r}].num_nodes is not set; set it to the number of nodes')
    vocabularies, found = _vocabularies(data, node_type), {}
    for name, value in data[node_type].items():
        if name in STRUCTURE:
            continue
        if (node_type, name) in REFERENCES and target_of(node_type, name, value) is None:
            raise GraphError(
                f'data[{node_type!r}].{name} is a {type(value).__name__}, expected a tensor of '
                f'whole numbers of {REFERENCES[node_type, name]} nodes, -1 for none'
            )
        if _is_listed(value, count) and name not in vocabularies:
            found[name] = value
        elif _is_table(value, f'data[{node_type!r}].{name}'):
            if value.shape[0] != count:
                raise GraphError(
                    f'data[{node_type!r}].{name} has {value.shape[0]} entries for {count} nodes: '
                    f'an edit cannot tell whose they are; give one a node, or take it out'
                )
            found[name] = value
    return found


def per_edge(data: HeteroData, edge_type: EdgeType) -> dict[str, Any]:
    r"""The attributes that hold one value an edge, without ``edge_index`` and labels; lists as
    in :func:`per_node`. An attribute named after a node type, ``item_weight``, holds one value
    a node of that type where it is that long (see :func:`node_values`).

    Raises:
        GraphError: If the length of a table says neither.
    """
    store = data[edge_type]
    if 'edge_index' not in store:
        raise GraphError(f'data[{edge_type}] has no edge_index; an edit cannot follow its edges')
    count = store.edge_index.size(1)
    nodes = node_values(data, edge_type)
    vocabularies, found = _vocabularies(data, edge_type), {}
    for name, value in store.items():
        if name in ('edge_index', VOCABULARIES) or name in nodes or name.startswith('edge_label'):
            continue
        if _is_listed(value, count) and name not in vocabularies:
            found[name] = value
        elif _is_table(value, f'data[{edge_type}].{name}'):
            if value.shape[0] != count:
                raise GraphError(
                    f'data[{edge_type}].{name} has {value.shape[0]} entries for {count} edges: an '
                    f'edit cannot tell whose they are; give one an edge, or take it out'
                )
            found[name] = value
    return found


def node_values(data: HeteroData, edge_type: EdgeType) -> dict[str, str]:
    """The attributes of an edge store that hold one value a node, with its type."""
    vocabularies, found = _vocabularies(data, edge_type), {}
    for name, value in data[edge_type].items():
        table = isinstance(value, (Tensor, np.ndarray)) and value.ndim > 0
        if not table and (name in vocabularies or not isinstance(value, (list, tuple))):
            continue
        for node_type in (edge_type[0], edge_type[2]):
            if name.startswith(f'{node_type}_') and len(value) == data[node_type].num_nodes:
                found[name] = node_type
    return found


def label_values(data: HeteroData, edge_type: EdgeType) -> dict[str, Any]:
    """``edge_label_index`` and the attributes ``edge_label...`` with one value a label; lists as
    in :func:`per_node`.

    Raises:
        GraphError: If the length of a table says neither.
    """
    store = data[edge_type]
    if 'edge_label_index' not in store:
        return {}
    count = store.edge_label_index.size(1)
    vocabularies, found = _vocabularies(data, edge_type), {}
    found['edge_label_index'] = store.edge_label_index
    for name, value in store.items():
        if name == 'edge_label_index' or not name.startswith('edge_label'):
            continue
        if _is_listed(value, count) and name not in vocabularies:
            found[name] = value
        elif _is_table(value, f'data[{edge_type}].{name}'):
            if value.shape[0] != count:
                raise GraphError(
                    f'data[{edge_type}].{name} has {value.shape[0]} entries for {count} labels; '
                    f'give one a label, or take it out'
                )
            found[name] = value
    return found


def check_graph_values(data: HeteroData) -> None:
    """Raises :class:`GraphError` if the graph itself holds a table, which no edit could
    follow."""
    for name, value in data._global_store.items():
        if _is_table(value, f'data.{name}'):
            raise GraphError(
                f'data.{name} is a table of the whole graph: an edit cannot tell whose its rows '
                f'are; put it on a node or edge type, or take it out'
            )


def unattributed(data: HeteroData, key: str | EdgeType | None) -> list[str]:
    """Lists, tuples and dictionaries of a node type, an edge type or the graph of which nobody
    says whose their entries are: they are not one a node or edge, and no vocabularies."""
    known = {VOCABULARIES, *_vocabularies(data, key)}
    if key is None:
        known.update(_KNOWN_OF_GRAPH)
    elif isinstance(key, str):
        known.update(STRUCTURE, per_node(data, key))
    else:
        known.update(per_edge(data, key), label_values(data, key), node_values(data, key))
    store = data._global_store if key is None else data[key]
    return sorted(
        name
        for name, value in store.items()
        if isinstance(value, (list, tuple, dict)) and value and name not in known
    )


def _vocabularies(data: HeteroData, key: str | EdgeType | None) -> set[str]:
    """Names of the vocabularies of a store."""
    store = data._global_store if key is None else data[key]
    names = store.get(VOCABULARIES, [])
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        place = 'data' if key is None else f'data[{key!r}]'
        raise GraphError(
            f'{place}.{VOCABULARIES} must be a list of names of attributes (got {names!r})'
        )
    return {*names, *_KNOWN_VOCABULARIES}


def _is_listed(value: Any, count: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == count


def _is_table(value: Any, place: str) -> bool:
    if isinstance(value, Tensor):
        if value.layout is not torch.strided:
            raise GraphError(
                f'{place} is a sparse tensor, which an edit cannot follow; take it out and build '
                f'it from the edges of the edited graph'
            )
        return value.dim() > 0
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    if value is None or isinstance(value, (str, bool, int, float, list, tuple, dict, np.generic)):
        return False
    raise GraphError(
        f'{place} is a {type(value).__name__}, which an edit cannot follow; take it out and build '
        f'it from the edited graph'
    )
