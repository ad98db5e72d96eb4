"""A generator of recommendation data whose truth is known."""

from collections.abc import Mapping

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.planted_arguments import check_arguments, is_int, read_modalities
from graphrec.datasets.planted_intents import draw_demands, draw_intents
from graphrec.datasets.planted_pairs import NOISE, draw_degrees, draw_pairs
from graphrec.datasets.planted_sides import (
    Modality,
    add_features,
    add_queries,
    add_sessions,
    session_starts,
    session_times,
)
from graphrec.graphs.schema import HOLDOUT_TEST, HOLDOUT_VALID, INTERACTS, ITEM, USER

_EPOCH = 1_577_836_800  # 2020-01-01, in seconds since 1970.
_YEAR = 365 * 24 * 3600
_SPLITS = (('train', INTERACTS), ('valid', HOLDOUT_VALID), ('test', HOLDOUT_TEST))


def planted(
    num_users: int = 1000,
    num_items: int = 500,
    *,
    num_interactions: int | None = None,
    num_communities: int = 8,
    popularity_skew: float = 1.0,
    community_strength: float = 0.8,
    modalities: Mapping[str, Modality | float] | None = None,
    missing_share: float | Mapping[str, float] = 0.0,
    num_queries: int = 0,
    query_words: bool = False,
    num_intents: int = 0,
    silent_share: float = 0.0,
    sessions: bool = False,
    noise_share: float = 0.0,
    duplicate_share: float = 0.0,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> HeteroData:
    r"""Draws a graph with planted communities; without arguments, the demo data set.

    Every user and item belongs to one community. A user takes an item of the own
    community with probability :obj:`community_strength` and one from outside
    otherwise, in both cases in proportion to the popularity
    :math:`p_i \propto r_i^{-s}` of the item (:math:`r_i` its rank in a random order,
    :math:`s` = :obj:`popularity_skew`), never the same item twice; a redraw that keeps
    meeting items that the user has is made from flattened popularities. The latest
    interactions of each user are held out.

    Each part (pairs, times, every modality, queries, sessions) has its own stream of
    random numbers: to add a modality leaves all else as it was. The same arguments
    give an equal graph, bit for bit.

    Args:
        num_users: Users, 1 or more.
        num_items: Items, 1 or more.
        num_interactions: Distinct user-item pairs over all splits; default 20 a user,
            at most half the catalogue each. Users get five or more where the number
            allows it.
        num_communities: Communities, at most :obj:`num_items`.
        popularity_skew: Zipf exponent :math:`s \ge 0`; 0 is uniform.
        community_strength: Probability in [0, 1] of an item of the own community.
        modalities: Name to :class:`Modality` or, short, to its informativeness;
            default ``visual`` (0.8) and ``text`` (0.5); ``{}`` for none.
        missing_share: Share of the items that lack a modality, for all or by name;
            overrides the modality's own where it is not 0.
        num_queries: Query nodes; half of the pairs then have a search triplet.
        query_words: Whether the words of the queries are nodes too.
        num_intents: Things to look for. With :math:`K > 0`, every item serves one intent and
            a user looks for each with a probability of the user's own: the user's pairs
            are shared out among the intents, and with probability
            :obj:`community_strength` the item is one of the own community *and* the
            intent. Queries then speak of intents instead of communities, so that taste
            and query together decide the item; pairs without a query have a demand too,
            which nobody wrote down.
        silent_share: Share in [0, 1] of the users who never search.
        sessions: Whether the interactions come in sessions, as nodes.
        noise_share: Share in [0, 1] of the pairs that are uniformly random.
        duplicate_share: Share in [0, 0.5] of the items that are near-duplicates.
        ratios: Shares of each user's pairs in training, validation and test; three
            pairs of a user always stay in training.
        seed: Seed of all streams.

    Returns:
        A graph after :mod:`graphrec.graphs.schema` that also holds the truth:

        - ``data['user'].community``, ``data['item'].community``: int64
        - ``data['item'].popularity``: float64, sums to 1
        - ``data['item'].duplicate_of``: the original's number, -1 for none; both
          have the same community and popularity, and almost equal features
        - with intents, ``data['item'].intent`` and ``data['query'].intent`` (int64) and
          ``data['user'].demand``: float64 :math:`(U, K)`, rows sum to 1; the demand of an
          interaction is the intent of its item
        - on the training and held-out edges ``is_noise`` (bool), ``time`` (seconds)
        - ``('user', 'searches', 'query')``, ``('query', 'finds', 'item')``: column
          ``t`` of both is triplet ``t``; held-out pairs have their triplets in
          ``('user', 'holdout_test', 'query')``, ``('query', 'holdout_test', 'item')``
          and so on; ``data['query'].text``, ``.community`` (without intents); words in
          ``('query', 'contains', 'word')``
        - ``('session', 'contains', 'item')`` with ``position`` from 0 and ``time``,
          training pairs only; ``data['session'].user``, ``.time`` of the first pair

    Raises:
        GraphError: If an argument is out of its range; it names the argument.
    """
    parts = read_modalities(modalities, missing_share)
    if num_interactions is None and is_int(num_users) and is_int(num_items):
        num_interactions = num_users * min(20, max(1, num_items // 2))
    check_arguments(
        num_users=num_users,
        num_items=num_items,
        num_interactions=num_interactions,
        num_communities=num_communities,
        num_queries=num_queries,
        num_intents=num_intents,
        popularity_skew=popularity_skew,
        community_strength=community_strength,
        silent_share=silent_share,
        noise_share=noise_share,
        duplicate_share=duplicate_share,
        ratios=ratios,
        seed=seed,
    )
    assert num_interactions is not None  # Holds after the check; narrows the type.

    node_rng = np.random.default_rng([seed, 0])
    user_community = node_rng.integers(num_communities, size=num_users)
    item_community = node_rng.permutation(np.arange(num_items) % num_communities)
    popularity = (node_rng.permutation(num_items) + 1.0) ** -popularity_skew
    duplicate_of = _duplicates(num_items, duplicate_share, np.random.default_rng([seed, 1]))
    copy = np.flatnonzero(duplicate_of >= 0)
    item_community[copy] = item_community[duplicate_of[copy]]
    popularity[copy] = popularity[duplicate_of[copy]]
    popularity /= popularity.sum()

    data = HeteroData()
    data.name = 'planted'
    data.repairs = {}
    for node_type, count, community in (
        (USER, num_users, user_community),
        (ITEM, num_items, item_community),
    ):
        data[node_type].num_nodes = count
        data[node_type].id = np.arange(count)
        data[node_type].community = torch.from_numpy(community)
    data[ITEM].popularity = torch.from_numpy(popularity)
    data[ITEM].duplicate_of = torch.from_numpy(duplicate_of)
    for name, modality in parts.items():
        rng = np.random.default_rng([seed, 2, *name.encode()])
        add_features(data, name, modality, item_community, duplicate_of, rng)

    pair_rng = np.random.default_rng([seed, 3])
    degree = draw_degrees(num_users, num_items, num_interactions, pair_rng)
    aim, slot_aim, intents = item_community, None, None
    if num_intents:
        intent_rng = np.random.default_rng([seed, 7])
        intents = draw_intents(num_users, num_intents, item_community, intent_rng)
        intents.item[copy] = intents.item[duplicate_of[copy]]
        aim = item_community * num_intents + intents.item
        slot_aim = np.repeat(user_community * num_intents, degree)
        slot_aim = slot_aim + draw_demands(intents, degree, intent_rng)
        data[ITEM].intent = torch.from_numpy(intents.item)
        data[USER].demand = torch.from_numpy(intents.user)
    pairs = draw_pairs(
        degree,
        user_community,
        aim,
        popularity,
        community_strength=community_strength,
        noise_share=noise_share,
        rng=pair_rng,
        slot_community=slot_aim,
    )
    # Rejection draws the popular items first: shuffled, no time tells their popularity.
    order_rng = np.random.default_rng([seed, 4])
    order = np.lexsort((order_rng.random(num_interactions), pairs.user))
    user, item, is_noise = pairs.user, pairs.item[order], pairs.kind[order] == NOISE
    time = _EPOCH + order_rng.integers(_YEAR, size=num_interactions)
    time = time[np.lexsort((time, user))]
    if sessions:
        start = session_starts(user, np.random.default_rng([seed, 5]))
        time = session_times(user, time, start)
    split = _split(degree, ratios, order_rng)
    edges = {}
    for number, (name, edge_type) in enumerate(_SPLITS):
        keep = split == number
        edges[name] = (user[keep], item[keep])
        if number and not keep.any():
            continue
        data[edge_type].edge_index = torch.from_numpy(np.stack(edges[name]))
        data[edge_type].time = torch.from_numpy(time[keep])
        data[edge_type].is_noise = torch.from_numpy(is_noise[keep])
    if num_queries:
        silent = np.random.default_rng([seed, 8]).random(num_users) < silent_share
        topic, item_topic, num_topics = 'community', item_community, num_communities
        if intents is not None:
            topic, item_topic, num_topics = 'intent', intents.item, num_intents
        rng = np.random.default_rng([seed, 6])
        add_queries(
            data, num_queries, query_words, edges, topic, item_topic, num_topics, silent, rng
        )
    if sessions:
        add_sessions(data, user, item, time, start, split == 0)
    return data


def _duplicates(num_items: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """The original of each item or -1; an original is no duplicate itself."""
    duplicate_of = np.full(num_items, -1, dtype=np.int64)
    count = min(round(share * num_items), num_items // 2)
    chosen = rng.permutation(num_items)[: 2 * count]
    duplicate_of[chosen[:count]] = chosen[count:]
    return duplicate_of


def _split(
    degree: np.ndarray, ratios: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """0, 1 or 2 (train, valid, test) for pairs sorted by user, then time. Fractions of
    a pair are rounded at random, so that short histories have held-out pairs too."""
    room = np.maximum(degree - 3, 0)
    test = np.minimum((degree * ratios[2] + rng.random(len(degree))).astype(np.int64), room)
    valid = (degree * ratios[1] + rng.random(len(degree))).astype(np.int64)
    valid = np.minimum(valid, room - test)
    first = np.repeat(np.cumsum(degree) - degree, degree)
    position = np.arange(int(degree.sum())) - first
    in_valid = position >= np.repeat(degree - test - valid, degree)
    in_test = position >= np.repeat(degree - test, degree)
    return in_valid.astype(np.int8) + in_test.astype(np.int8)
