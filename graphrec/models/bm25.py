"""BM25: search by the words of the items, without any learning."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, num_items, num_users
from graphrec.graphs.search import query_texts, search_events
from graphrec.graphs.words import Encoded, WordLists, encode_texts, tokenize
from graphrec.models.recommender import QueryRanker, Ranker, Recommender

#: Item columns that are texts; others (numbers of products, addresses) say nothing. Tags are
#: left out: where tags are read as queries, they would give held-out searches away.
TEXT_COLUMNS = ('title', 'name', 'brand', 'category', 'categories', 'genres', 'description')


@dataclasses.dataclass(frozen=True)
class BM25Config:
    """Settings of :class:`BM25`.

    Args:
        k1: How much a word gains by coming again.
        b: How much long texts lose, from 0 to 1.
        columns: Item columns that make the text; by default those of :data:`TEXT_COLUMNS`
            that the graph has. Name ``tags`` only where they are not the queries
            themselves (in lastfm-2k-mm they are, those of test searches included).
        with_queries: Whether the queries of training searches that found an item are part
            of its text too.
    """

    k1: float = 1.5
    b: float = 0.75
    columns: tuple[str, ...] = ()
    with_queries: bool = False

    def __post_init__(self) -> None:
        if self.k1 < 0:
            raise GraphError(f"'k1' needs to be 0 or more (got {self.k1})")
        if not 0 <= self.b <= 1:
            raise GraphError(f"'b' needs to lie in [0, 1] (got {self.b})")


class BM25(Recommender):
    r"""Ranks items by Okapi BM25 of their texts (Robertson and Zaragoza, `"The Probabilistic
    Relevance Framework: BM25 and Beyond" <https://doi.org/10.1561/1500000019>`_, 2009), in
    Lucene's form as the library ``bm25s`` computes it:

    .. math::
        s_{qi} = \sum_{w \in q} \ln \Big(1 + \frac{N - n_w + 0.5}{n_w + 0.5} \Big)
        \frac{f_{wi}}{f_{wi} + k_1 (1 - b + b\, |i| / \overline{|i|})}

    with :math:`f_{wi}` the times that word :math:`w` is in the text of item :math:`i`,
    :math:`n_w` the items that have it and :math:`N` all items. The same for every user. A
    recommendation is a search for all words that the user has searched in training; users
    without searches get nothing but zeros.

    Args:
        data: The graph; item columns and, as far as asked for, training searches are read.
        config: The settings.

    Raises:
        GraphError: If ``bm25s`` is not installed, or the items have no text.
    """

    config_class: ClassVar[type] = BM25Config

    def __init__(self, data: HeteroData, config: BM25Config) -> None:
        super().__init__(data, config)
        self.refresh(data)

    def refresh(self, data: HeteroData) -> None:
        """Reads all texts again."""
        super().refresh(data)
        tokens = self._texts(data)
        self.numbers = {w: n for n, w in enumerate(sorted({w for t in tokens for w in t}))}
        self.weights = _weights(tokens, self.numbers, self.config)
        events = search_events(data)
        asked = encode_texts(query_texts(data), self.numbers).lists.select(events.query.cpu())
        user = events.user.cpu()[asked.row].numpy()
        self.profiles = _counts(user, asked.word.numpy(), (num_users(data), len(self.numbers)))

    def _texts(self, data: HeteroData) -> list[list[str]]:
        config = self.config
        columns = list(config.columns) or [name for name in TEXT_COLUMNS if name in data[ITEM]]
        tokens: list[list[str]] = [[] for _ in range(num_items(data))]
        for name in columns:
            if name not in data[ITEM] or len(data[ITEM][name]) != len(tokens):
                raise GraphError(
                    f"'columns' names {name!r}, but the items have no such column (they have "
                    f'{sorted(data[ITEM].keys())})'
                )
            for words, text in zip(tokens, data[ITEM][name], strict=True):
                words += tokenize(text) if isinstance(text, str) else []
        if config.with_queries:
            events, texts = search_events(data), query_texts(data)
            for query, item in zip(events.query.tolist(), events.item.tolist(), strict=True):
                tokens[item] += tokenize(texts[query])
        if not any(tokens):
            raise GraphError(
                f'the items have no text (looked in {columns or list(TEXT_COLUMNS)}); name '
                "'columns', or set with_queries=True to search by what others searched"
            )
        return tokens

    def encode_queries(self, texts: Sequence[str]) -> Encoded:
        """All words of the texts in the numbers of the items' words."""
        return encode_texts(texts, self.numbers)

    def query_ranker(self) -> QueryRanker:
        """BM25 of the words, whoever asks."""

        def rank(user: Tensor, lists: WordLists) -> Tensor:
            row, word = lists.row.cpu().numpy(), lists.word.cpu().numpy()
            return self._scores(_counts(row, word, (len(lists), len(self.numbers))), user)

        return rank

    def ranker(self) -> Ranker:
        """BM25 of all words that the users have searched."""
        return lambda user: self._scores(self.profiles[user.cpu().numpy()], user)

    def _scores(self, words: sparse.csr_matrix, user: Tensor) -> Tensor:
        return torch.from_numpy((words @ self.weights).toarray()).to(user.device)


def _weights(
    tokens: list[list[str]], numbers: dict[str, int], config: BM25Config
) -> sparse.csr_matrix:
    """The score of every item for every word :math:`(W, I)`."""
    try:
        import bm25s
    except ImportError:
        raise GraphError("BM25 needs the package 'bm25s' (pip install bm25s)") from None
    index = bm25s.BM25(k1=config.k1, b=config.b, method='lucene')
    ids = [[numbers[word] for word in each] for each in tokens]
    index.index((ids, dict(numbers)), create_empty_token=False, show_progress=False)
    # The library scores every word of every text beforehand, word by word.
    parts = (index.scores[key] for key in ('data', 'indices', 'indptr'))
    return sparse.csr_matrix(tuple(parts), shape=(len(numbers), len(tokens)))


def _counts(row: np.ndarray, word: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    ones = np.ones(len(row), dtype=np.float32)
    return sparse.csr_matrix((ones, (row, word)), shape=shape)
