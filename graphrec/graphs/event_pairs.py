r"""Search and recommendation events as one bipartite multigraph, pair by pair.

An event is :math:`(u, q, i)`: a search that ended at an item, or, without a query, a
recommendation. All events of a user and an item share their messages but for the intent, so
what passes along an edge is kept once a pair.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, REMOVED, USER, num_items, train_edges
from graphrec.graphs.search import search_events
from graphrec.graphs.sparse import Sparse, row_pointers
from graphrec.graphs.words import WordLists

#: Which training interactions are recommendation events.
RECOMMENDATIONS = ('other', 'all', 'none')


class TrainingEvents(NamedTuple):
    """Events of training, one entry each :math:`(E)`: node numbers of the user, the item and
    the query, -1 for a recommendation."""

    user: Tensor
    item: Tensor
    query: Tensor


def training_events(
    data: HeteroData, *, searches: bool = True, recommendations: str = 'other'
) -> TrainingEvents:
    r"""The training events of both kinds, in an order that does not depend on the order in
    which the graph stores them. Repeated searches stay apart.

    Args:
        data: The graph.
        searches: Whether there are search events.
        recommendations: Which interactions are recommendation events: ``'other'``, those
            whose user did not search for the item; ``'all'``; or ``'none'``.

    Raises:
        GraphError: If no event is left, or the word is not one of these.
    """
    if recommendations not in RECOMMENDATIONS:
        raise GraphError(
            f"'recommendations' must be one of {RECOMMENDATIONS} (got {recommendations!r})"
        )
    items = num_items(data)
    found = search_events(data)
    pair = _sorted_unique(train_edges(data), items)
    if recommendations == 'none':
        pair = pair[:0]
    elif recommendations == 'other':
        pair = pair[~torch.isin(pair, found.user * items + found.item)]
    user, item, query = pair // items, pair % items, torch.full_like(pair, -1)
    if searches:
        order = found.query.argsort(stable=True)
        order = order[(found.user * items + found.item)[order].argsort(stable=True)]
        user = torch.cat([user, found.user[order]])
        item = torch.cat([item, found.item[order]])
        query = torch.cat([query, found.query[order]])
    if not user.numel():
        raise GraphError(
            f"no training event is left with searches={searches} and 'recommendations' "
            f'{recommendations!r}; the graph has {train_edges(data).size(1)} interactions and '
            f'{found.user.numel()} search events'
        )
    return TrainingEvents(user, item, query)


def union_graph(data: HeteroData, events: TrainingEvents) -> HeteroData:
    """A bare graph whose training edges are the pairs of the interactions and of the events
    together."""
    known = torch.cat([train_edges(data), torch.stack([events.user, events.item])], dim=1)
    key = _sorted_unique(known, num_items(data))
    out = HeteroData()
    for node_type in (USER, ITEM):
        out[node_type].num_nodes = data[node_type].num_nodes
        if REMOVED in data[node_type]:  # Samplers leave these out.
            out[node_type][REMOVED] = data[node_type][REMOVED]
    out[INTERACTS].edge_index = torch.stack([key // num_items(data), key % num_items(data)])
    return out


@dataclasses.dataclass(eq=False)
class EventPairs:
    r"""Distinct (user, item) pairs :math:`(P)` of events, ascending, and what their edges carry.

    Attributes:
        user, item: The pairs.
        count: Events of each pair.
        recommended: Whether one of them is a recommendation.
        words: The words of all searches of a pair, repeats kept: a list a pair.
        user_words, item_words: How often the searches of a node have a word, as operators
            :math:`(U, W)` and :math:`(I, W)`.
        num_users, num_items: :math:`U` and :math:`I`.
    """

    user: Tensor
    item: Tensor
    count: Tensor
    recommended: Tensor
    words: WordLists
    user_words: Sparse
    item_words: Sparse
    num_users: int
    num_items: int

    def __post_init__(self) -> None:
        self._by_item = self.item.argsort(stable=True)
        self._user_ptr = row_pointers(self.user, self.num_users)
        self._item_ptr = row_pointers(self.item, self.num_items)
        self._key = self.user * self.num_items + self.item

    @classmethod
    def of(
        cls, events: TrainingEvents, query: WordLists, num_words: int, shape: tuple[int, int]
    ) -> EventPairs:
        """Gathers events by pair; :obj:`query` holds the words of every query node."""
        key, pair = torch.unique(events.user * shape[1] + events.item, return_inverse=True)
        user, item = key // shape[1], key % shape[1]
        searched = (events.query >= 0).nonzero().squeeze(1)
        searched = searched[pair[searched].argsort(stable=True)]
        said = query.select(events.query[searched])
        of_pair = pair[searched][said.row]
        recommended = torch.zeros_like(key, dtype=torch.bool)
        recommended[pair[events.query < 0]] = True

        def count_words(node: Tensor, size: int) -> Sparse:
            edge_index = torch.stack([node[of_pair], said.word])
            return Sparse.from_edges(edge_index, shape=(size, num_words))

        return cls(
            user=user,
            item=item,
            count=torch.bincount(pair, minlength=key.numel()),
            recommended=recommended,
            words=WordLists(row_pointers(of_pair, key.numel()), said.word),
            user_words=count_words(user, shape[0]),
            item_words=count_words(item, shape[1]),
            num_users=shape[0],
            num_items=shape[1],
        )

    def __len__(self) -> int:
        return self.user.numel()

    def find(self, user: Tensor, item: Tensor) -> Tensor:
        """Positions of pairs that are there."""
        return torch.searchsorted(self._key, user * self.num_items + item)

    def messages(self, dropped: Tensor | None, dtype: torch.dtype) -> Messages:
        r"""The means over events in both directions, without the events of the pairs
        :obj:`dropped` (positions, repeats allowed)."""
        count = self.count.to(dtype)
        if dropped is not None:
            dropped = dropped.unique()
            count = count.index_fill(0, dropped, 0)
        degrees, inverse = [], []
        for node, size in ((self.user, self.num_users), (self.item, self.num_items)):
            degree = count.new_zeros(size).index_add_(0, node, count)
            degrees.append(degree)
            inverse.append(torch.where(degree > 0, 1 / degree, 0))
        to_user, to_item = count * inverse[0][self.user], count * inverse[1][self.item]
        forward, backward = (self._both(weight) for weight in (to_user, to_item))
        active = (count > 0).to(dtype)
        return Messages(
            to_user=forward[0],
            to_item=backward[1],
            user_share=active * inverse[0][self.user],
            item_share=active * inverse[1][self.item],
            inverse=(inverse[0], inverse[1]),
            dropped=dropped,
        )

    def mean_queries(self, messages: Messages, word: Tensor) -> tuple[Tensor, Tensor]:
        r"""The sums of the word vectors :math:`(W, d)` of all searches at a node over its
        number of events: :math:`(U, d)` and :math:`(I, d)`."""
        sums = [self.user_words @ word, self.item_words @ word]
        if messages.dropped is not None:
            lists = self.words.select(messages.dropped)
            lost = F.embedding_bag(
                lists.word, word, lists.ptr, mode='sum', include_last_offset=True
            )
            for place, node in enumerate((self.user, self.item)):
                sums[place] = sums[place].index_add(0, node[messages.dropped], lost, alpha=-1)
        user, item = (
            total * scale.unsqueeze(1) for total, scale in zip(sums, messages.inverse, strict=True)
        )
        return user, item

    def to(self, device: torch.device | str) -> EventPairs:
        """The same pairs on a device."""
        return EventPairs(
            user=self.user.to(device),
            item=self.item.to(device),
            count=self.count.to(device),
            recommended=self.recommended.to(device),
            words=self.words.to(device),
            user_words=self.user_words.to(device),
            item_words=self.item_words.to(device),
            num_users=self.num_users,
            num_items=self.num_items,
        )

    def _both(self, weight: Tensor) -> tuple[Sparse, Sparse]:
        """Weights of pairs as a matrix :math:`(U, I)` and its transpose."""
        by_user = Sparse(self._user_ptr, self.item, weight, num_cols=self.num_items)
        by_item = Sparse(
            self._item_ptr,
            self.user[self._by_item],
            weight[self._by_item],
            num_cols=self.num_users,
            transpose=by_user,
        )
        return by_user, by_item


class Messages(NamedTuple):
    r"""What passes between users and items in one step.

    Attributes:
        to_user: Mean over the events of a user, :math:`(U, I)`.
        to_item: Mean over the events of an item, :math:`(I, U)`.
        user_share, item_share: Weight :math:`(P)` of ONE event of a pair in the mean of its
            user and of its item; 0 for a dropped pair.
        inverse: :math:`1 / |\mathcal{E}(u)|` and :math:`1 / |\mathcal{E}(i)|`, 0 without events.
        dropped: Positions of the pairs left out.
    """

    to_user: Sparse
    to_item: Sparse
    user_share: Tensor
    item_share: Tensor
    inverse: tuple[Tensor, Tensor]
    dropped: Tensor | None


def _sorted_unique(edge_index: Tensor, num_items: int) -> Tensor:
    return (edge_index[0] * num_items + edge_index[1]).unique()
