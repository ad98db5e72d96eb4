"""What hangs on the planted pairs: modality features, queries, sessions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FINDS, ITEM, QUERY, SEARCHES, SESSION, USER, WORD, holdout

# Distance of a near-duplicate's features from its original's, in standard deviations.
DUPLICATE_DISTANCE = 0.05
_WORDS_PER_TOPIC = 12
_WORDS_PER_QUERY = 3
_SYLLABLES = ('ba', 'do', 'fi', 'ka', 'lo', 'me', 'nu', 'pi', 'ra', 'so', 'ti', 'vu')
_MEAN_SESSION_LENGTH = 4
_STEP_SECONDS = 60


@dataclass(frozen=True)
class Modality:
    r"""One planted item modality,
    :math:`\mathbf{x}_i = \sqrt{a}\, \mathbf{c}_{k(i)} + \sqrt{1 - a}\, \mathbf{s}_i +
    b\, \boldsymbol{\varepsilon}_i`, all vectors standard normal.

    Args:
        dim: Columns of the feature matrix.
        informativeness: Share :math:`a` in [0, 1] of the clean signal that is the
            vector :math:`\mathbf{c}` of the item's community; the rest is the item's own.
        noise: Standard deviation :math:`b \ge 0` of the measurement noise.
        missing_share: Share of the items in [0, 1) that lack the modality.
    """

    dim: int = 32
    informativeness: float = 0.8
    noise: float = 0.5
    missing_share: float = 0.0


def add_features(
    data: HeteroData,
    name: str,
    modality: Modality,
    community: np.ndarray,
    duplicate_of: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Sets ``data['item'].x_<name>`` (float32) and ``has_<name>``."""
    num_items, dim = len(community), modality.dim
    centre = rng.standard_normal((int(community.max()) + 1, dim), dtype=np.float32)
    own = rng.standard_normal((num_items, dim), dtype=np.float32)
    noise = rng.standard_normal((num_items, dim), dtype=np.float32)
    x = np.float32(np.sqrt(modality.informativeness)) * centre[community]
    x += np.float32(np.sqrt(1 - modality.informativeness)) * own
    x += np.float32(modality.noise) * noise
    copy = np.flatnonzero(duplicate_of >= 0)
    x[copy] = x[duplicate_of[copy]] + np.float32(DUPLICATE_DISTANCE) * noise[copy]
    present = np.ones(num_items, dtype=bool)
    num_missing = round(modality.missing_share * num_items)
    present[rng.permutation(num_items)[:num_missing]] = False
    x[~present] = 0
    data[ITEM][f'x_{name}'] = torch.from_numpy(x)
    data[ITEM][f'has_{name}'] = torch.from_numpy(present)


def add_queries(
    data: HeteroData,
    num_queries: int,
    words: bool,
    edges: Mapping[str, tuple[np.ndarray, np.ndarray]],
    topic: str,
    item_topic: np.ndarray,
    num_topics: int,
    silent: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Adds queries whose words come from the vocabulary of one topic (a community or an
    intent, which :obj:`topic` names), and for every pair in :obj:`edges` that is looked for
    by a user who is not silent one triplet (user, query, item), the query being one of the
    item's topic."""
    query_topic = np.arange(num_queries) % num_topics
    vocabulary = _vocabulary(num_topics * _WORDS_PER_TOPIC)
    choice = np.argsort(rng.random((num_queries, _WORDS_PER_TOPIC)), axis=1)
    chosen = choice[:, :_WORDS_PER_QUERY] + query_topic[:, None] * _WORDS_PER_TOPIC
    data[QUERY].num_nodes = num_queries
    data[QUERY].id = np.arange(num_queries)
    data[QUERY].text = np.array([' '.join(row) for row in vocabulary[chosen]], dtype=object)
    data[QUERY][topic] = torch.from_numpy(query_topic)
    if words:
        data[WORD].num_nodes = len(vocabulary)
        data[WORD].id = vocabulary
        row = np.repeat(np.arange(num_queries), _WORDS_PER_QUERY)
        data[QUERY, 'contains', WORD].edge_index = _edge_index(row, chosen.reshape(-1))
    per_topic = np.bincount(query_topic, minlength=num_topics)
    for split, (user, item) in edges.items():
        wanted = item_topic[item]
        # Topics beyond the number of queries have none that could find their items.
        keep = (per_topic[wanted] > 0) & (rng.random(len(user)) < 0.5) & ~silent[user]
        user, item, wanted = user[keep], item[keep], wanted[keep]
        nth = (rng.random(len(user)) * per_topic[wanted]).astype(np.int64)
        query = wanted + nth * num_topics
        searches = SEARCHES if split == 'train' else holdout(split, USER, QUERY)
        finds = FINDS if split == 'train' else holdout(split, QUERY, ITEM)
        data[searches].edge_index = _edge_index(user, query)
        data[finds].edge_index = _edge_index(query, item)


def session_starts(user: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True where a new session begins, for pairs sorted by user: at each user's first
    pair, and at any other with one chance in four."""
    first = np.ones(len(user), dtype=bool)
    first[1:] = user[1:] != user[:-1]
    return first | (rng.random(len(user)) < 1 / _MEAN_SESSION_LENGTH)


def session_times(user: np.ndarray, time: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Times in which the pairs of a session follow each other minute by minute, and
    the sessions of a user keep their order."""
    first = np.ones(len(user), dtype=bool)
    first[1:] = user[1:] != user[:-1]
    return time[start][np.cumsum(start) - 1] + _STEP_SECONDS * _position(first)


def add_sessions(
    data: HeteroData,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    start: np.ndarray,
    train: np.ndarray,
) -> None:
    """Adds one node a session and its TRAINING items in order; held-out pairs of a
    session are left out, and so is a session that has none but those."""
    number = np.unique((np.cumsum(start) - 1)[train], return_inverse=True)[1]
    kept_start = np.ones(len(number), dtype=bool)
    kept_start[1:] = number[1:] != number[:-1]
    data[SESSION].num_nodes = int(kept_start.sum())
    data[SESSION].id = np.arange(int(kept_start.sum()))
    data[SESSION].user = torch.from_numpy(user[train][kept_start])
    data[SESSION].time = torch.from_numpy(time[train][kept_start])
    contains = data[SESSION, 'contains', ITEM]
    contains.edge_index = _edge_index(number, item[train])
    contains.position = torch.from_numpy(_position(kept_start))
    contains.time = torch.from_numpy(time[train])


def _position(start: np.ndarray) -> np.ndarray:
    index = np.arange(len(start))
    return index - index[start][np.cumsum(start) - 1]


def _edge_index(row: np.ndarray, col: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([row, col]).astype(np.int64))


def _vocabulary(size: int) -> np.ndarray:
    """Distinct pronounceable words of three or more syllables, object array."""
    base, words = len(_SYLLABLES), []
    for number in range(size):
        rest, word = number, ''
        while rest or len(word) < 6:
            rest, digit = divmod(rest, base)
            word += _SYLLABLES[(digit * 5 + len(word)) % base]
        words.append(word)
    return np.array(words, dtype=object)
