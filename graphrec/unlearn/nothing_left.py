"""Edits after which there is nothing to train, to serve or to compare."""

from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, SEARCHES, USER, remaining, train_edges


def check_left(data: HeteroData, reads_queries: bool = True) -> None:
    """Refuses an edited graph without users, items or anything to learn from.

    Args:
        data: The edited graph.
        reads_queries: Whether training searches are something to learn from.

    Raises:
        GraphError: If nothing is left.
    """
    left = {kind: remaining(data, kind) for kind in (USER, ITEM)}
    gone = [kind for kind, nodes in left.items() if nodes is not None and not nodes.numel()]
    edges = train_edges(data).size(1)
    if reads_queries and SEARCHES in data.edge_types:
        edges += data[SEARCHES].edge_index.size(1)
    if not gone and edges:
        return
    what = ' and '.join(f'{kind}s' for kind in gone) or 'training interactions'
    raise GraphError(
        f"'edit' takes all {what}: nothing is left to train or to serve on; delete the model and "
        'the data instead'
    )
