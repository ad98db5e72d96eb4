"""Which edges an edit takes away: those at removed nodes, every copy of a removed pair, and
whole search events, with queries that nobody asks any more."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, QUERY, SEARCHES, USER, EdgeType
from graphrec.graphs.search import event_labels, event_types
from graphrec.graphs.words import WORD_COUNTS
from graphrec.unlearn.references import owners
from graphrec.unlearn.removals import REVERSE_PREFIX
from graphrec.unlearn.targets import Targets, copies_of, is_among


def gone_edges(data: HeteroData, targets: Targets) -> dict[EdgeType, Tensor]:
    r"""For every edge type the mask :math:`(E)` of the edges that go.

    Raises:
        GraphError: If search events and their items differ in number, or pairs are to go
            while an edge type holds them in a direction that nobody declared.
    """
    _check_directions(data, targets)
    gone = {
        edge_type: hits(data, targets, edge_type)(data[edge_type].edge_index)
        for edge_type in data.edge_types
    }
    for label in event_labels(data):
        searches, finds = event_types(label)
        if finds not in data.edge_types:
            continue
        (user, query), (again, item) = data[searches].edge_index, data[finds].edge_index
        if query.size(0) != again.size(0) or not torch.equal(query, again):
            raise GraphError(
                f'{searches} and {finds} are no events: column t of both must be of one query; '
                f'store both in the same order'
            )
        event = gone[searches] | gone[finds]
        if INTERACTS in targets.pairs:
            key = user * int(data[ITEM].num_nodes) + item
            event |= is_among(key, targets.pairs[INTERACTS])
        gone[searches] = gone[finds] = event
    _check_word_counts(data, gone)
    _add_orphans(data, targets, gone)
    return gone


def _add_orphans(data: HeteroData, targets: Targets, gone: dict[EdgeType, Tensor]) -> None:
    """A query whose last search goes is removed with it, in place: its text is what somebody
    typed. Whichever edit takes the last search, so that the order of edits does not matter."""
    if QUERY not in data.node_types:
        return
    count = int(data[QUERY].num_nodes)
    asked, left = (torch.zeros(count, dtype=torch.bool) for _ in range(2))
    for label in event_labels(data):
        searches = event_types(label)[0]
        query = data[searches].edge_index[1].cpu()
        asked[query] = True
        left[query[~gone[searches].cpu()]] = True
    orphans = asked & ~left
    if not orphans.any():
        return
    known = targets.nodes.get(QUERY)
    targets.nodes[QUERY] = orphans if known is None else known | orphans
    for edge_type in data.edge_types:
        if QUERY in (edge_type[0], edge_type[2]):
            gone[edge_type] |= hits(data, targets, edge_type)(data[edge_type].edge_index)


def hits(data: HeteroData, targets: Targets, edge_type: EdgeType) -> Callable[[Tensor], Tensor]:
    """A function that says which of the pairs :math:`(2, E)` of this edge type go."""
    src, verb, dst = edge_type
    reverse = verb.startswith(REVERSE_PREFIX)
    forward = (dst, verb.removeprefix(REVERSE_PREFIX), src) if reverse else edge_type
    keys = [k for t, k in targets.pairs.items() if forward in copies_of(data, t)]
    width = int(data[forward[2]].num_nodes)
    memberships = _memberships(data, targets, edge_type)

    def gone(index: Tensor) -> Tensor:
        mask = torch.zeros(index.size(1), dtype=torch.bool, device=index.device)
        for node_type, row in ((src, 0), (dst, 1)):
            if node_type in targets.nodes:
                mask |= targets.nodes[node_type].to(index.device)[index[row]]
        first, second = index.flip(0) if reverse else index
        for known in [*keys, *memberships]:
            mask |= is_among(first * width + second, known)
        return mask

    return gone


def _memberships(data: HeteroData, targets: Targets, edge_type: EdgeType) -> list[Tensor]:
    """Keys of the places of removed interactions in what belongs to their users (the
    sessions that hold the item)."""
    node_type, _, other = edge_type
    pairs = targets.pairs.get(INTERACTS)
    if other != ITEM or node_type in (USER, ITEM) or pairs is None:
        return []
    width = int(data[ITEM].num_nodes)
    keys = []
    for user, node in owners(data, node_type):
        user, node = user.cpu(), node.cpu()
        start = torch.searchsorted(pairs, user * width)
        count = torch.searchsorted(pairs, (user + 1) * width) - start
        place = torch.arange(int(count.sum())) - (count.cumsum(0) - count).repeat_interleave(count)
        item = pairs[start.repeat_interleave(count) + place] % width
        keys.append((node.repeat_interleave(count) * width + item).sort().values)
    return keys


def _check_word_counts(data: HeteroData, gone: dict[EdgeType, Tensor]) -> None:
    counted = [t for t in WORD_COUNTS if t in data.edge_types]
    if counted and SEARCHES in gone and bool(gone[SEARCHES].any()):
        raise GraphError(
            f'{counted[0]} was counted from search events that go, and nobody says from which; '
            'take it out, and call graphrec.graphs.with_words on the edited graph'
        )


def _check_directions(data: HeteroData, targets: Targets) -> None:
    if INTERACTS not in targets.pairs:
        return
    for edge_type in data.edge_types:
        src, verb, dst = edge_type
        if (src, dst) == (ITEM, USER) and not verb.startswith(REVERSE_PREFIX):
            raise GraphError(
                f'{edge_type} leads from items to users, and nobody says whether it repeats '
                f"{INTERACTS}; name it 'rev_<relation>' if it is a reverse, or take it out"
            )
