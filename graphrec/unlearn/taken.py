"""What a request took besides interactions, nodes and modalities, in numbers."""

from graphrec.graphs.schema import INTERACTS, ITEM, USER
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.targets import HOLDOUT


def other_counts(edit: Edit, result: EditResult) -> dict[str, int]:
    """Held-out pairs, edges of other types and values of attributes that were asked for and
    are gone, by name; what went along with a removed node is not named here."""
    removals, summary = edit.removals(), result.summary
    counts = {}
    if removals.pairs:
        for split, pairs in result.forget.heldout.items():
            counts[f'held-out pairs ({split})'] = pairs.size(1)
    for edge_type in removals.pairs:
        source, verb, target = edge_type
        told = (source, target) == (USER, ITEM) and verb.startswith(HOLDOUT)
        if edge_type != INTERACTS and not told:
            name = ' '.join(edge_type)
            counts[f'edges {name}'] = summary.edges.get(name, 0)
    for node_type, name in removals.attributes:
        counts[f'values of {node_type}.{name}'] = summary.rows.get(f'{node_type}.{name}', 0)
    return counts
