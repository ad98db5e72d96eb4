"""Splits of search events, and of interactions around searches that are held out."""

import copy

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import (
    HOLDOUT_TEST,
    HOLDOUT_VALID,
    INTERACTS,
    ITEM,
    USER,
    held_splits,
    holdout,
    num_items,
    train_edges,
)
from graphrec.graphs.search import NO_SPLIT, pair_labels, pooled_events, relabel_events
from graphrec.graphs.splits import Seed, split

WARM = 'warm'


def split_searches(
    data: HeteroData,
    how: str = 'time_per_user',
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: Seed = 0,
) -> HeteroData:
    r"""Shares out the search events among training, validation and test. An event whose
    (user, item) pair is an interaction goes where the interaction is, so that no held-out
    pair is given away by a query. The other pairs, which a log of searches may have many of,
    are split as :func:`graphrec.graphs.splits.split` splits interactions, each with all of
    its events, at the time of its first one.

    Args:
        data: The graph; it stays unchanged. Events of all splits are pooled.
        how, ratios, seed: See :func:`graphrec.graphs.splits.split`.

    Raises:
        GraphError: If the graph has no search events, or a split by time meets events
            without ``time``.
    """
    events, labels, attributes = pooled_events(data)
    if not len(labels):
        raise GraphError('the graph has no search events to split')
    out = copy.copy(data)
    user, item = events.user.numpy(), events.item.numpy()
    new = pair_labels(data, user, item)
    free = np.flatnonzero(new == NO_SPLIT)
    if len(free):
        pair, first = np.unique(user[free] * num_items(data) + item[free], return_inverse=True)
        pairs = _pairs(data, pair // num_items(data), pair % num_items(data))
        if events.time is not None:
            earliest = np.full(len(pair), np.inf)
            np.minimum.at(earliest, first, events.time.cpu().numpy()[free].astype(np.float64))
            pairs[INTERACTS].time = torch.from_numpy(earliest)
        new[free] = pair_labels(split(pairs, how, ratios, seed), user[free], item[free])
    relabel_events(out, events, new, attributes)
    return out


def split_training(
    data: HeteroData,
    how: str = 'random',
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: Seed = 0,
) -> HeteroData:
    r"""Splits the training interactions for recommendation and leaves the searches that are
    held out already as they are: for benchmarks of search whose test is a set of queries.

    Interactions that were held out become ``('user', 'holdout_search_<split>', 'item')``.
    Training searches of a pair that is held out now move to ``'valid'`` or ``'warm'``, so
    that ``'test'`` stays the benchmark's own.

    Args:
        data: The graph; it stays unchanged.
        how, ratios, seed: See :func:`graphrec.graphs.splits.split`.
    """
    train_edges(data)  # Says what is wrong if there are none.
    out = copy.copy(data)
    for name in held_splits(data):
        old = out[holdout(name)]
        for key, value in old.items():
            out[holdout(f'search_{name}')][key] = value
        del out[holdout(name)]
    only = _pairs(data, *train_edges(data).cpu().numpy())
    for key, value in data[INTERACTS].items():
        only[INTERACTS][key] = value
    parts = split(only, how, ratios, seed)
    for edge_type in (INTERACTS, HOLDOUT_VALID, HOLDOUT_TEST):
        if edge_type in parts.edge_types:
            for key, value in parts[edge_type].items():
                out[edge_type][key] = value

    events, labels, attributes = pooled_events(data)
    if len(labels):
        moved = pair_labels(out, events.user.numpy(), events.item.numpy())
        moved[moved == 'test'] = WARM
        stays = (labels != 'train') | (moved == NO_SPLIT)
        relabel_events(out, events, np.where(stays, labels, moved), attributes)
    return out


def _pairs(data: HeteroData, user: np.ndarray, item: np.ndarray) -> HeteroData:
    """A graph of these pairs alone."""
    out = HeteroData()
    for node_type in (USER, ITEM):
        out[node_type].num_nodes = data[node_type].num_nodes
    out[INTERACTS].edge_index = torch.from_numpy(np.stack([user, item]))
    return out
