"""Search events: a user searched a query that ended at an item.

An event is one column of ``('user', 'searches', 'query')`` and the same column of
``('query', 'finds', 'item')``: both edge types are stored in the same order. Held-out
events are ``('user', 'holdout_test', 'query')`` with ``('query', 'holdout_test',
'item')``, and likewise for other splits.
"""

import hashlib
import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.ids import is_among
from graphrec.graphs.schema import (
    FINDS,
    INTERACTS,
    ITEM,
    QUERY,
    SEARCHES,
    USER,
    WORD,
    EdgeType,
    holdout,
    num_items,
    num_users,
    training_digest,
)

NO_SPLIT = 'none'
QUERY_CONTAINS: EdgeType = (QUERY, 'contains', WORD)


class Events(NamedTuple):
    """Search events, one entry each: node numbers :math:`(E)` of the user, the query and
    the item, and the time in seconds, :obj:`None` where the graph has none."""

    user: Tensor
    query: Tensor
    item: Tensor
    time: Tensor | None


def event_types(label: str) -> tuple[EdgeType, EdgeType]:
    """The two edge types that hold the events of a split."""
    if label == 'train':
        return SEARCHES, FINDS
    return holdout(label, USER, QUERY), holdout(label, QUERY, ITEM)


def event_labels(data: HeteroData) -> list[str]:
    """The splits of which the graph holds events, ``'train'`` first."""
    held = sorted(
        t[1].removeprefix('holdout_')
        for t in data.edge_types
        if t[0] == USER and t[2] == QUERY and t[1].startswith('holdout_')
    )
    return (['train'] if SEARCHES in data.edge_types else []) + held


def search_events(data: HeteroData, split: str = 'train') -> Events:
    r"""The events of a split in stored order; a graph without searches has no training events.

    Raises:
        GraphError: If the graph has no such held-out split, or the two edge types that hold
            an event differ.
    """
    searches, finds = event_types(split)
    if searches not in data.edge_types:
        if split != 'train':
            raise GraphError(
                f"'split' is {split!r}, but the graph holds no such search events (it has "
                f'{event_labels(data) or "none"}); name another split'
            )
        none = torch.zeros(0, dtype=torch.long)
        return Events(none, none, none, None)
    _check_twins(data, searches, finds)
    user, query = data[searches].edge_index
    return Events(user, query, data[finds].edge_index[1], data[searches].get('time'))


def search_history(data: HeteroData) -> tuple[Tensor, Tensor]:
    r"""The training events of every user by time, those of one time in stored order:
    row pointers :math:`(U + 1)` and positions of events :math:`(E)`."""
    events = search_events(data)
    order = torch.arange(events.user.numel(), device=events.user.device)
    if events.time is not None:
        order = events.time.argsort(stable=True)
    order = order[events.user[order].argsort(stable=True)]
    count = torch.bincount(events.user, minlength=num_users(data))
    return torch.cat([count.new_zeros(1), count.cumsum(0)]), order


def query_texts(data: HeteroData) -> list[str]:
    r"""The text of every query node, empty where unknown. A graph without texts but with
    edges ``('query', 'contains', 'word')`` has the words of these, in stored order.

    Raises:
        GraphError: If there are queries, but neither texts nor words.
    """
    if QUERY not in data.node_types:
        return []
    if 'text' in data[QUERY]:
        return [text if isinstance(text, str) else '' for text in data[QUERY].text]
    count = int(data[QUERY].num_nodes)
    if QUERY_CONTAINS not in data.edge_types:
        if count == 0:
            return []
        raise GraphError(
            f"the {count} queries have neither data['query'].text nor edges {QUERY_CONTAINS}; "
            f"give their texts, e.g. a table 'query_texts' with columns query and text"
        )
    names = np.asarray(data[WORD].text if 'text' in data[WORD] else data[WORD].id).astype(str)
    words: list[list[str]] = [[] for _ in range(count)]
    for query, word in data[QUERY_CONTAINS].edge_index.t().tolist():
        words[query].append(str(names[word]))
    return [' '.join(each) for each in words]


def search_digest(data: HeteroData) -> str:
    """SHA-256 (hex) of the training edges, the training searches in any order and the texts
    of their queries."""
    events = search_events(data)
    asked = events.query.unique().tolist()
    texts = query_texts(data)
    digest = hashlib.sha256(training_digest(data).encode())
    digest.update(json.dumps([(number, texts[number]) for number in asked]).encode())
    count = int(data[QUERY].num_nodes) if QUERY in data.node_types else 0
    key = (events.user * count + events.query) * num_items(data) + events.item
    digest.update(key.cpu().sort().values.numpy().tobytes())
    return digest.hexdigest()


def pair_labels(data: HeteroData, user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """For pairs of node numbers the split (object array) that holds the interaction;
    ``'none'`` for a pair without one."""
    labels = np.full(len(user), NO_SPLIT, dtype=object)
    key = user * num_items(data) + item
    for label in ('test', 'valid', 'train'):  # Training wins.
        edge_type = INTERACTS if label == 'train' else holdout(label)
        if edge_type in data.edge_types:
            edge_index = data[edge_type].edge_index.cpu().numpy()
            labels[is_among(key, edge_index[0] * num_items(data) + edge_index[1])] = label
    return labels


def add_events(
    data: HeteroData,
    user: np.ndarray,
    query: np.ndarray,
    item: np.ndarray,
    labels: np.ndarray,
    attributes: dict[str, torch.Tensor] | None = None,
) -> None:
    r"""Adds events to :obj:`data` in place, replacing those it had.

    Args:
        data: A graph with user, query and item nodes.
        user, query, item: Node numbers, one entry an event.
        labels: Split of each event (strings); ``'train'`` for training events.
        attributes: Further tensors, one entry an event, e.g. ``time``.
    """
    for label in event_labels(data):
        for edge_type in event_types(label):
            del data[edge_type]
    codes, names = pd.factorize(labels)
    for code, label in enumerate(names):
        chosen = np.flatnonzero(codes == code)
        searches, finds = event_types(str(label))
        data[searches].edge_index = torch.from_numpy(np.stack([user[chosen], query[chosen]]))
        data[finds].edge_index = torch.from_numpy(np.stack([query[chosen], item[chosen]]))
        for key, value in (attributes or {}).items():
            data[searches][key] = value[torch.from_numpy(chosen)]
            data[finds][key] = value[torch.from_numpy(chosen)]


def resplit_events(data: HeteroData, only_train: bool = False) -> None:
    r"""Moves events in place to the split of their (user, item) pair, so that a query
    of a held-out interaction never stays in training.

    Args:
        data: A graph after its interactions were split anew.
        only_train: Whether events that are held out already stay where they are, and
            training events without an interaction stay in training.
    """
    events, old, attributes = pooled_events(data)
    if not len(old):
        return
    new = pair_labels(data, events.user.numpy(), events.item.numpy())
    if only_train:
        new = np.where((old == 'train') & (new != NO_SPLIT), new, old)
    relabel_events(data, events, new, attributes)


def pooled_events(data: HeteroData) -> tuple[Events, np.ndarray, dict[str, Tensor]]:
    """The events of all splits on the CPU, the split of each (object array), and the further
    attributes that all of them have."""
    parts = event_labels(data)
    found = [search_events(data, label) for label in parts] or [search_events(data)]
    user = torch.cat([part.user for part in found]).cpu()
    query = torch.cat([part.query for part in found]).cpu()
    item = torch.cat([part.item for part in found]).cpu()
    labels = np.repeat(np.array(parts, dtype=object), [p.user.numel() for p in found[: len(parts)]])
    stores = [data[event_types(label)[0]] for label in parts]
    shared = set.intersection(*(set(store.keys()) for store in stores)) if stores else set()
    shared -= {'edge_index'}
    attributes = {key: torch.cat([store[key] for store in stores]) for key in sorted(shared)}
    return Events(user, query, item, attributes.get('time')), labels, attributes


def relabel_events(
    data: HeteroData, events: Events, labels: np.ndarray, attributes: dict[str, Tensor]
) -> None:
    """Puts pooled events in place into the splits that :obj:`labels` name."""
    user, query, item = (end.numpy() for end in events[:3])
    add_events(data, user, query, item, labels, attributes)


def _check_twins(data: HeteroData, searches: EdgeType, finds: EdgeType) -> None:
    """Raises unless column t of both edge types can be event t."""
    sizes = [data[t].edge_index.size(1) if t in data.edge_types else 0 for t in (searches, finds)]
    if sizes[0] != sizes[1]:
        raise GraphError(
            f'{searches} has {sizes[0]} events but {finds} has {sizes[1]}; store both in the '
            f'same order'
        )
    if not torch.equal(data[searches].edge_index[1], data[finds].edge_index[0]):
        raise GraphError(
            f'the queries of {searches} and {finds} differ; store both in the same order'
        )
