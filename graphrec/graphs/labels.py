"""What a node is called in tables and pictures."""

import numpy as np
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import node_ids

TITLE_COLUMNS = ('title', 'name', 'text')


def titles(data: HeteroData, node_type: str) -> np.ndarray | None:
    """The column ``title`` (or else ``name``, or ``text``, as queries have) of a node
    type, one entry a node, or ``None`` where the graph has none of them."""
    store = data[node_type]
    for column in TITLE_COLUMNS:
        values = store.get(column)
        if values is not None and not isinstance(values, str) and len(values) == store.num_nodes:
            return np.asarray(values, dtype=object)
    return None


def title_of(data: HeteroData, node_type: str, index: int) -> str:
    """The title of one node, or an empty text: a missing entry is no title."""
    column = titles(data, node_type)
    if column is None or not isinstance(column[index], str):
        return ''
    return ' '.join(column[index].split())


def label(data: HeteroData, node_type: str, index: int, width: int = 34) -> str:
    """``'Radiohead · 148'`` for a node with a title, which is cut to :obj:`width`
    characters, and ``'item 148'`` for one without; ids are the original ones."""
    original = node_ids(data, node_type)[index]
    title = title_of(data, node_type, index)
    if not title:
        return f'{node_type} {original}'
    if len(title) > width:
        title = title[: width - 1].rstrip() + '…'
    return f'{title} · {original}'
