"""Applies removals to a graph: a new graph in new storage, and what was taken out."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import (
    FINDS,
    INTERACTS,
    ITEM,
    QUERY,
    SEARCHES,
    USER,
    EdgeType,
    num_users,
)
from graphrec.unlearn.compacting import compacted
from graphrec.unlearn.copying import copied, selected
from graphrec.unlearn.forget_set import EditResult, EditSummary, ForgetSet
from graphrec.unlearn.gone_edges import gone_edges, hits
from graphrec.unlearn.graph_digest import graph_digest
from graphrec.unlearn.node_rows import blank_nodes
from graphrec.unlearn.removals import Removals
from graphrec.unlearn.store_values import (
    VOCABULARIES,
    label_values,
    node_values,
    per_edge,
    unattributed,
)
from graphrec.unlearn.targets import HOLDOUT, Targets, find_targets, marked

_GIVEN_RELATIONS = ('cites', 'knows', 'relates')


def apply_removals(
    data: HeteroData, removals: Removals, strict: bool, compact: bool, digests: bool
) -> EditResult:
    """The work behind :meth:`graphrec.unlearn.Edit.apply`."""
    out = copied(data)
    targets = find_targets(data, removals, strict)
    gone = gone_edges(data, targets)
    new = {kind: mask & ~marked(data, kind) for kind, mask in targets.nodes.items()}
    labels = {
        f'{" ".join(edge_type)}.edge_label_index': _thin(out, data, targets, edge_type, ~mask)
        for edge_type, mask in gone.items()
    }
    blanked = blank_nodes(out, targets)
    rows = blanked.rows | {name: count for name, count in labels.items() if count}
    nodes = {kind: int(mask.sum()) for kind, mask in new.items() if mask.any()}
    edges = {' '.join(t): int(mask.sum()) for t, mask in gone.items() if mask.any()}
    noop = not (nodes or edges or rows or blanked.mentions)
    before = graph_digest(data) if digests else ''
    summary = EditSummary(
        nodes=nodes,
        edges=edges,
        rows=rows,
        mentions=blanked.mentions,
        unknown=targets.unknown,
        noop=noop,
        digest_before=before,
        digest_after=(before if noop else graph_digest(out)) if digests else '',
        residue=() if noop else (*_residue(data, blanked.cells), *_unattributed(data, new, gone)),
    )
    pairs = _taken(data, INTERACTS, gone)
    forget = ForgetSet(
        pairs=pairs,
        users=_numbers(new, USER),
        items=_numbers(new, ITEM),
        queries=_numbers(new, QUERY),
        modality_cells=blanked.cells,
        events=_events(data, gone),
        heldout={
            t[1].removeprefix(HOLDOUT): _taken(data, t, gone)
            for t in gone
            if (t[0], t[2]) == (USER, ITEM) and t[1].startswith(HOLDOUT) and gone[t].any()
        },
        emptied=_emptied(out, pairs[0]),
    )
    if not compact:
        return EditResult(out, forget, summary)
    out, id_map = compacted(out)
    return EditResult(out, forget, summary, id_map)


def _thin(
    out: HeteroData, data: HeteroData, targets: Targets, edge_type: EdgeType, keep: Tensor
) -> int:
    """Keeps in place the chosen edges of a copied store, with their values; the number of
    labels that went."""
    store = out[edge_type]
    for name, value in per_edge(data, edge_type).items():
        store[name] = selected(value, keep)
    labels, gone = label_values(data, edge_type), 0
    if labels:
        stay = ~hits(data, targets, edge_type)(labels.pop('edge_label_index'))
        store.edge_label_index = store.edge_label_index[:, stay]
        gone = int((~stay).sum())
        for name, value in labels.items():
            store[name] = selected(value, stay)
    for name, node_type in node_values(data, edge_type).items():
        if node_type in targets.nodes:
            mask = targets.nodes[node_type]
            value = store[name]
            if isinstance(value, (list, tuple)):
                cells = zip(value, mask.tolist(), strict=True)
                kept = [None if gone else each for each, gone in cells]
                store[name] = kept if isinstance(value, list) else tuple(kept)
            else:
                value[mask.to(value.device) if isinstance(value, Tensor) else mask.numpy()] = 0
    store.edge_index = store.edge_index[:, keep]
    return gone


def _taken(data: HeteroData, edge_type: EdgeType, gone: dict[EdgeType, Tensor]) -> Tensor:
    if edge_type not in gone:
        return torch.zeros(2, 0, dtype=torch.long)
    return data[edge_type].edge_index[:, gone[edge_type]].as_subclass(Tensor).cpu()


def _numbers(new: dict[str, Tensor], node_type: str) -> Tensor:
    if node_type not in new:
        return torch.zeros(0, dtype=torch.long)
    return new[node_type].nonzero().squeeze(1)


def _emptied(out: HeteroData, lost: Tensor) -> Tensor:
    """Which of the users that lost training pairs stay without any edge to learn from."""
    empty = torch.zeros(num_users(out), dtype=torch.bool)
    empty[lost] = True
    for edge_type in (INTERACTS, SEARCHES):
        if edge_type in out.edge_types:
            empty[out[edge_type].edge_index[0].as_subclass(Tensor).cpu()] = False
    return (empty & ~marked(out, USER).cpu()).nonzero().squeeze(1)


def _events(data: HeteroData, gone: dict[EdgeType, Tensor]) -> Tensor:
    if SEARCHES not in gone or FINDS not in gone:
        return torch.zeros(3, 0, dtype=torch.long)
    searches, finds = _taken(data, SEARCHES, gone), _taken(data, FINDS, gone)
    return torch.cat([searches, finds[1:]])


def _residue(data: HeteroData, cells: dict[str, Tensor]) -> tuple[str, ...]:
    """What came with the data ready-made and may still show what was removed."""
    found = []
    for name, items in cells.items():
        if items.numel() and f'knn_{name}_index' in data[ITEM]:
            found.append(
                f'the frozen neighbour graph {name!r} lost the removed items, but was not '
                f'searched anew: rows are shorter, and nothing took their place'
            )
        if items.numel() and name.endswith('_spectral'):
            found.append(
                f'x_{name} of the other items was computed from a graph that held the removed '
                f'ones and cannot be computed again from this data'
            )
    for src, verb, dst in data.edge_types:
        if src == dst and verb not in _GIVEN_RELATIONS:
            found.append(
                f'edges {src} {verb} {dst} were taken as given; if they were derived from what '
                f'was removed, derive them anew'
            )
    return tuple(found)


def _unattributed(
    data: HeteroData, new: dict[str, Tensor], gone: dict[EdgeType, Tensor]
) -> tuple[str, ...]:
    """Lists and dictionaries beside what was removed, of which nobody says whose they are."""
    keys: list[str | EdgeType | None] = [kind for kind, mask in new.items() if mask.any()]
    keys += [edge_type for edge_type, mask in gone.items() if mask.any()]
    found = []
    for key in [None, *keys]:
        place = 'data' if key is None else f'data[{key!r}]'
        store = data._global_store if key is None else data[key]
        for name in unattributed(data, key):
            value = store[name]
            found.append(
                f'{place}.{name} ({type(value).__name__} of {len(value):,}) was left as it is: '
                f'nobody says whose its entries are; take it out if it tells of what was removed, '
                f'or name it in {place}.{VOCABULARIES}'
            )
    return tuple(found)
