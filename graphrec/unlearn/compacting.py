"""Drops removed nodes from a graph and numbers the others anew."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import REMOVED
from graphrec.unlearn.copying import own, selected
from graphrec.unlearn.references import target_of
from graphrec.unlearn.store_values import node_values, per_node
from graphrec.unlearn.targets import marked


def compacted(data: HeteroData) -> tuple[HeteroData, dict[str, Tensor]]:
    r"""The graph without its removed nodes, in new storage, and the new number of every old
    node by node type (-1 for one that is gone). Order is kept.

    Args:
        data: A graph in which removed nodes have no edges left, as edits leave it.
    """
    keep = {kind: ~marked(data, kind) for kind in data.node_types}
    id_map = {kind: torch.where(kept, kept.cumsum(0) - 1, -1) for kind, kept in keep.items()}
    out = HeteroData()
    for name, value in data._global_store.items():
        setattr(out, name, own(value))
    for node_type in data.node_types:
        rows = per_node(data, node_type)
        for name, value in data[node_type].items():
            if name in rows or (name == 'id' and len(value) == keep[node_type].numel()):
                value = selected(value, keep[node_type])
                target = target_of(node_type, name, value)
                out[node_type][name] = value if target is None else _moved(value, id_map[target])
            elif name != REMOVED:
                out[node_type][name] = own(value)
        out[node_type].num_nodes = int(keep[node_type].sum())
    for edge_type in data.edge_types:
        nodes = node_values(data, edge_type)
        for name, value in data[edge_type].items():
            if name in ('edge_index', 'edge_label_index'):
                ends = (id_map[edge_type[0]], id_map[edge_type[2]])
                value = torch.stack(
                    [_moved(row, end) for row, end in zip(value, ends, strict=True)]
                )
            elif name in nodes:
                value = selected(value, keep[nodes[name]])
            out[edge_type][name] = own(value)
    return out, id_map


def _moved(numbers: Tensor, id_map: Tensor) -> Tensor:
    """New node numbers; -1 stays -1."""
    moved = id_map.to(numbers.device)[numbers.clamp(min=0)] if id_map.numel() else numbers
    return torch.where(numbers >= 0, moved, -1)
