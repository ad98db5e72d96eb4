r"""A graph in which a sentinel stands in place of all values that an edit takes out."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, modalities
from graphrec.unlearn.dependencies import forgotten_rows
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.gone_edges import gone_edges, hits
from graphrec.unlearn.node_rows import CODE_PREFIX
from graphrec.unlearn.references import NEIGHBOURS_PREFIX, target_of
from graphrec.unlearn.store_values import label_values, node_values, per_edge, per_node
from graphrec.unlearn.targets import Targets, find_targets

#: Two values that no data holds; exact in float32 and as integers.
SENTINELS = (77_777_792.0, 55_555_584.0)

_CATEGORIES = 1_000_000


def tainted_word(value: float) -> str:
    """A word that nobody writes."""
    return f'sentinel{value:.0f}'


def tainted_graph(data: HeteroData, edit: Edit, forget: ForgetSet, value: float) -> HeteroData:
    """A copy with :obj:`value`, one of :data:`SENTINELS`, in every forgotten value:

    - the rows of features, codes and all other attributes of removed nodes of any type, and of
      nodes that lose them;
    - the values of every edge and every label that goes, in every edge type, and the values that
      edges hold of removed nodes.

    Texts become a word. Whole numbers that may be categories (below a million: a model may size a
    table by them) become the largest of their column for the first sentinel and the smallest for
    the second. Ids, numbers of other nodes, frozen neighbour graphs and the marks of missing
    features stay as they are: the graph would be none without them."""
    tainted = copy.copy(data)
    targets = find_targets(data, edit.removals(), strict=False)
    gone = gone_edges(data, targets)  # Adds queries that nobody asks any more to the targets.
    for name in modalities(data):
        key = f'{FEATURE_PREFIX}{name}'
        rows = torch.zeros(int(data[ITEM].num_nodes), dtype=torch.bool)
        rows[forgotten_rows(name, forget)] = True
        tainted[ITEM][key] = _tainted(data[ITEM][key], rows, value)
    for node_type in data.node_types:
        for name, old in per_node(data, node_type).items():
            if not _is_plain(node_type, name, old):
                continue
            lost = _lost(targets, node_type, name)
            if lost is not None:
                tainted[node_type][name] = _tainted(old, lost, value)
    for edge_type in data.edge_types:
        _taint(tainted[edge_type], per_edge(data, edge_type), gone[edge_type], value)
        labels = label_values(data, edge_type)
        if labels:
            lost = hits(data, targets, edge_type)(labels.pop('edge_label_index'))
            _taint(tainted[edge_type], labels, lost, value)
        for name, node_type in node_values(data, edge_type).items():
            if node_type in targets.nodes:
                held = {name: data[edge_type][name]}
                _taint(tainted[edge_type], held, targets.nodes[node_type], value)
    return tainted


def _is_plain(node_type: str, name: str, value: Any) -> bool:
    """Whether a graph with anything in its place would still be one."""
    if target_of(node_type, name, value) is not None or name.startswith(NEIGHBOURS_PREFIX):
        return False
    return node_type != ITEM or not name.startswith((FEATURE_PREFIX, PRESENT_PREFIX))


def _lost(targets: Targets, node_type: str, name: str) -> Tensor | None:
    """The nodes that lose an attribute."""
    found = [targets.nodes.get(node_type), targets.attributes.get((node_type, name))]
    if node_type == ITEM and name.startswith(CODE_PREFIX):
        found.append(targets.modalities.get(name.removeprefix(CODE_PREFIX)))
    masks = [mask for mask in found if mask is not None]
    return torch.stack(masks).any(0) if masks else None


def _taint(store: Any, values: Mapping[str, Any], rows: Tensor, value: float) -> None:
    for name, old in values.items():
        store[name] = _tainted(old, rows, value)


def _tainted(old: Any, rows: Tensor, value: float) -> Any:
    """A copy of one value a row in which those of the mask are the sentinel."""
    if isinstance(old, Tensor):
        new = old.clone()
        if rows.any():
            new[rows.to(new.device)] = torch.tensor(_number(old, value)).to(new.dtype)
        return new
    places = rows.nonzero().squeeze(1).tolist()
    if isinstance(old, (list, tuple)):
        cells = list(old)
        for place in places:
            cells[place] = _entry(cells[place], value)
        return cells if isinstance(old, list) else tuple(cells)
    if old.dtype.kind == 'U':
        old = old.astype(f'<U{max(old.dtype.itemsize // 4, len(tainted_word(value)))}')
    new = old.copy()
    for place in places:
        new[place] = _number(old, value) if old.dtype.kind in 'fiub' else _entry(old[place], value)
    return new


def _number(column: Tensor | np.ndarray, value: float) -> float:
    floating = column.is_floating_point() if isinstance(column, Tensor) else False
    if floating or (isinstance(column, np.ndarray) and column.dtype.kind == 'f'):
        return value
    low, high = int(column.min()), int(column.max())
    if high >= _CATEGORIES:
        return int(value)
    return high if value == SENTINELS[0] else low


def _entry(old: Any, value: float) -> Any:
    if isinstance(old, (int, float)) and not isinstance(old, bool):
        return type(old)(value)
    return tainted_word(value)
