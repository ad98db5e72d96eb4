r"""What is computed from a graph, how to compute it anew, and how to see a forgotten part in it.

The master property of an edit: *to edit and then to build is to build from edited data.* So
every derived artefact is registered with the function that builds it; after an edit it is what
that function makes of the edited graph.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.cooccurrence import cooccurrence_graph
from graphrec.graphs.hypergraph import neighbour_incidence
from graphrec.graphs.operators import interaction_operator, normalized_adjacency
from graphrec.graphs.sampling import BPRSampler
from graphrec.graphs.schema import (
    FEATURE_PREFIX,
    ITEM,
    PRESENT_PREFIX,
    QUERY,
    USER,
    modalities,
    num_items,
    num_users,
    train_edges,
)
from graphrec.graphs.search import QUERY_CONTAINS, Events, event_labels, search_events
from graphrec.graphs.semantic import semantic_graph, semantic_modalities
from graphrec.graphs.words import WordLists, query_words
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.stores import entries
from graphrec.unlearn.targets import is_among

_NEIGHBOURS = 10
_BATCH = 4096


@dataclass(frozen=True)
class Dependency:
    """Something derived from a graph.

    Attributes:
        name: What it is.
        build: Builds it from a graph, by name of its parts; empty where the graph has nothing
            to build it from.
        residue: Counts entries that speak of the forgotten in a part, given its name and the
            graph that it was built from.
    """

    name: str
    build: Callable[[HeteroData], dict[str, Any]]
    residue: Callable[[str, Any, ForgetSet, HeteroData], int]


def keys_of(pairs: Tensor, stride: int) -> Tensor:
    """One number for every pair :math:`(2, n)`."""
    return pairs[0] * stride + pairs[1]


def count_pairs(found: Tensor, forget: ForgetSet, data: HeteroData) -> int:
    r"""How many of the pairs :math:`(2, n)`, in either order, with users or items numbered
    from 0 or items after users, are forgotten interactions."""
    users, items = num_users(data), num_items(data)
    wanted = keys_of(forget.pairs.cpu(), items)
    total = 0
    for first, second in ((found[0], found[1]), (found[1], found[0])):
        for shift in (0, users):
            user, item = first, second - shift
            inside = (user >= 0) & (user < users) & (item >= 0) & (item < items)
            key = user[inside] * items + item[inside]
            total += int(torch.isin(key, wanted).sum())
    return total


def bipartite_residue(part: str, matrix: Any, forget: ForgetSet, data: HeteroData) -> int:
    """Forgotten pairs in a matrix over users and items, entries of removed nodes, NaN."""
    found = entries(matrix)
    assert found is not None
    users = num_users(data)
    square = matrix.shape[0] == matrix.shape[1] == users + num_items(data)
    if square:
        found = found[:, found[0] < users]
        found = torch.stack([found[0], found[1] - users])
    key = keys_of(found, num_items(data))
    gone = torch.isin(key, keys_of(forget.pairs.cpu(), num_items(data)))
    gone |= torch.isin(found[0], forget.users.cpu()) | torch.isin(found[1], forget.items.cpu())
    return int(gone.sum()) + int((~torch.isfinite(matrix.weight)).sum())


def _item_residue(part: str, matrix: Any, forget: ForgetSet, data: HeteroData) -> int:
    found = entries(matrix)
    assert found is not None
    column = found[1] % num_items(data)  # Hyperedges of several modalities stand side by side.
    return int((_among(found[0], forget.items) | _among(column, forget.items)).sum())


def _adjacency(data: HeteroData) -> dict[str, Any]:
    return {'normalised': normalized_adjacency(data), 'plain': interaction_operator(data)}


def _neighbours(data: HeteroData) -> dict[str, Any]:
    k = min(_NEIGHBOURS, num_items(data) - 1)
    return {
        name: semantic_graph(data, name, _depth(data, name, k), self_loops=False).index
        for name in semantic_modalities(data)
    }


def _depth(data: HeteroData, modality: str, k: int) -> int:
    """Neighbours asked for: no more than a frozen graph holds where there is only that."""
    if f'{FEATURE_PREFIX}{modality}' in data[ITEM]:
        return k
    return min(k, int(data[ITEM][f'knn_{modality}_index'].size(1)) - 1) or 1


def _neighbour_residue(part: str, index: Tensor, forget: ForgetSet, data: HeteroData) -> int:
    gone = forgotten_rows(part, forget)
    return int((index.cpu()[gone] >= 0).sum()) + int(_among(index, gone).sum())


def _hypergraph(data: HeteroData) -> dict[str, Any]:
    k = min(_NEIGHBOURS, num_items(data) - 1)
    graphs = [
        semantic_graph(data, name, _depth(data, name, k), self_loops=False)
        for name in semantic_modalities(data)
    ]
    return {'items': neighbour_incidence(graphs)} if graphs else {}


def _cooccurrence(data: HeteroData) -> dict[str, Any]:
    k = min(_NEIGHBOURS, num_items(data) - 1)
    return {'items': cooccurrence_graph(data, k).to_operator()} if k > 0 else {}


def _features(data: HeteroData) -> dict[str, Any]:
    return {name: data[ITEM][f'{FEATURE_PREFIX}{name}'] for name in modalities(data)}


def _popularity(data: HeteroData) -> dict[str, Any]:
    user, item = train_edges(data)
    return {
        'users': torch.bincount(user, minlength=num_users(data)),
        'items': torch.bincount(item, minlength=num_items(data)),
    }


def _popularity_residue(part: str, count: Tensor, forget: ForgetSet, data: HeteroData) -> int:
    gone = forget.users if part == 'users' else forget.items
    return int((count.cpu()[gone.cpu()] > 0).sum())


def _sampler(data: HeteroData) -> dict[str, Any]:
    return {'BPR': BPRSampler(data, batch_size=_BATCH)} if train_edges(data).size(1) else {}


def sampler_residue(part: str, sampler: Any, forget: ForgetSet, data: HeteroData) -> int:
    """Removed nodes and forgotten positives among the triples of one epoch. A forgotten pair
    may be a negative: it is unobserved."""
    generator = torch.Generator().manual_seed(0)
    wanted = keys_of(forget.pairs.cpu(), num_items(data)).sort().values
    gone = 0
    for batch in sampler.epoch(generator):
        user, pos, neg = (part.cpu() for part in batch[:3])
        gone += int(_among(user, forget.users).sum())
        gone += int(_among(pos, forget.items).sum() + _among(neg, forget.items).sum())
        key = keys_of(torch.stack([user, pos]), num_items(data))
        gone += int(is_among(key, wanted).sum())
    return gone


def forgotten_rows(modality: str, forget: ForgetSet) -> Tensor:
    """The items that have no such modality any more; features derived from a frozen graph
    (``image_spectral``) go with its modality."""
    owners = [m for m in forget.modality_cells if modality == m or modality.startswith(f'{m}_')]
    return torch.cat([forget.items, *(forget.modality_cells[m] for m in owners)]).cpu().unique()


def _feature_residue(part: str, x: Tensor, forget: ForgetSet, data: HeteroData) -> int:
    rows = forgotten_rows(part, forget)
    count = int((x.cpu()[rows] != 0).any(1).sum())
    present = data[ITEM].get(f'{PRESENT_PREFIX}{part}')
    return count + (int(present.cpu()[rows].sum()) if present is not None else 0)


def _words(data: HeteroData) -> dict[str, Any]:
    told = 'text' in data[QUERY] if QUERY in data.node_types else False
    if not told and QUERY_CONTAINS not in data.edge_types:
        return {}
    words = query_words(data)
    return {USER: words.user, ITEM: words.item, QUERY: words.query}


def _word_residue(part: str, lists: WordLists, forget: ForgetSet, data: HeteroData) -> int:
    gone = {USER: forget.users, ITEM: forget.items, QUERY: forget.queries}[part]
    return int(lists.count[gone.cpu()].sum())


def _searches(data: HeteroData) -> dict[str, Any]:
    return {label: search_events(data, label) for label in event_labels(data)}


def _search_residue(part: str, events: Events, forget: ForgetSet, data: HeteroData) -> int:
    """Events of removed nodes, and training events that were forgotten, whole."""
    ends = (events.user, events.query, events.item)
    gone = _among(ends[0], forget.users) | _among(ends[1], forget.queries)
    gone |= _among(ends[2], forget.items)
    if part == 'train':
        widths = int(data[QUERY].num_nodes), num_items(data)
        known, wanted = (
            (user.cpu() * widths[0] + query.cpu()) * widths[1] + item.cpu()
            for user, query, item in (ends, forget.events)
        )
        gone |= torch.isin(known, wanted)
    return int(gone.sum())


def _among(values: Tensor, wanted: Tensor) -> Tensor:
    return torch.isin(values.cpu(), wanted.cpu())


DEPENDENCIES: tuple[Dependency, ...] = (
    Dependency('user-item adjacency', _adjacency, bipartite_residue),
    Dependency('nearest-neighbour graphs of items', _neighbours, _neighbour_residue),
    Dependency('item hypergraph', _hypergraph, _item_residue),
    Dependency('co-occurrence graph', _cooccurrence, _item_residue),
    Dependency('features of items', _features, _feature_residue),
    Dependency('degrees and popularity', _popularity, _popularity_residue),
    Dependency('search events', _searches, _search_residue),
    Dependency('words of searches', _words, _word_residue),
    Dependency('training sampler', _sampler, sampler_residue),
)
