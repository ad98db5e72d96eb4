"""A copy of a graph that shares no memory with it."""

import copy
from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.unlearn.store_values import (
    check_graph_values,
    label_values,
    per_edge,
    per_node,
)


def copied(data: HeteroData) -> HeteroData:
    r"""Copies every store of :obj:`data` into new storage.

    Raises:
        GraphError: If a store holds something of which an edit could not say whose it is.
    """
    check_graph_values(data)
    out = HeteroData()
    for name, value in data._global_store.items():
        setattr(out, name, own(value))
    for node_type in data.node_types:
        per_node(data, node_type)
        for name, value in data[node_type].items():
            out[node_type][name] = own(value)
        out[node_type].num_nodes = int(data[node_type].num_nodes)
    for edge_type in data.edge_types:
        per_edge(data, edge_type)
        label_values(data, edge_type)
        for name, value in data[edge_type].items():
            out[edge_type][name] = own(value)
    return out


def own(value: Any) -> Any:
    """A copy of a value in memory of its own."""
    if isinstance(value, Tensor):
        return value.detach().as_subclass(Tensor).clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    return copy.deepcopy(value)


def selected(value: Any, keep: Tensor) -> Any:
    """The chosen entries of a tensor, an array, a list or a tuple, by a mask or by numbers."""
    if isinstance(value, Tensor):
        return value[keep.to(value.device)]
    chosen = keep.numpy(force=True)
    if isinstance(value, (list, tuple)):
        places = chosen.nonzero()[0] if chosen.dtype == bool else chosen
        found = [value[place] for place in places]
        return found if isinstance(value, list) else tuple(found)
    return value[chosen]
