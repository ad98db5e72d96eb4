"""What the values of a graph's stores stand for: one value a node, one an edge, or a value
of the whole store. An edit may only be told done if it knows this of every value."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.labels import TITLE_COLUMNS
from graphrec.graphs.schema import EdgeType

STRUCTURE = ('id', 'num_nodes', 'is_removed')


def per_node(data: HeteroData, node_type: str) -> dict[str, Any]:
    r"""The attributes that hold one value a node. Lists are vocabularies and belong to the
    whole store, however long; but a list of titles is one a node.

    Raises:
        GraphError: If the length of an attribute says neither.
    """
    count = data[node_type].num_nodes
    if count is None:
        raise GraphError(f'data[{node_type!r}].num_nodes is not set; set it to the number of nodes')
    found = {}
    for name, value in data[node_type].items():
        if name in STRUCTURE:
            continue
        if isinstance(value, list) and name in TITLE_COLUMNS and len(value) == count:
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
    r"""The attributes that hold one value an edge, without ``edge_index`` and labels. An
    attribute named after a node type, ``item_weight``, holds one value a node of that
    type where it is that long (see :func:`node_values`).

    Raises:
        GraphError: If the length of an attribute says neither.
    """
    store = data[edge_type]
    if 'edge_index' not in store:
        raise GraphError(f'data[{edge_type}] has no edge_index; an edit cannot follow its edges')
    count = store.edge_index.size(1)
    nodes = node_values(data, edge_type)
    found = {}
    for name, value in store.items():
        if name == 'edge_index' or name in nodes or name.startswith('edge_label'):
            continue
        if _is_table(value, f'data[{edge_type}].{name}'):
            if value.shape[0] != count:
                raise GraphError(
                    f'data[{edge_type}].{name} has {value.shape[0]} entries for {count} edges: an '
                    f'edit cannot tell whose they are; give one an edge, or take it out'
                )
            found[name] = value
    return found


def node_values(data: HeteroData, edge_type: EdgeType) -> dict[str, str]:
    """The attributes of an edge store that hold one value a node, with its type."""
    found = {}
    for name, value in data[edge_type].items():
        if not isinstance(value, (Tensor, np.ndarray)) or value.ndim == 0:
            continue
        for node_type in (edge_type[0], edge_type[2]):
            count = data[node_type].num_nodes
            if name.startswith(f'{node_type}_') and value.shape[0] == count:
                found[name] = node_type
    return found


def label_values(data: HeteroData, edge_type: EdgeType) -> dict[str, Any]:
    """``edge_label_index`` and the attributes ``edge_label...`` with one value a label.

    Raises:
        GraphError: If the length of an attribute says neither.
    """
    store = data[edge_type]
    if 'edge_label_index' not in store:
        return {}
    count = store.edge_label_index.size(1)
    found = {'edge_label_index': store.edge_label_index}
    for name, value in store.items():
        if name == 'edge_label_index' or not name.startswith('edge_label'):
            continue
        if _is_table(value, f'data[{edge_type}].{name}'):
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
