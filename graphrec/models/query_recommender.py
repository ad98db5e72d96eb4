"""What models of users, items and the words of queries have in common."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.graphs.event_pairs import EventPairs, TrainingEvents, training_events
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import QUERY, train_edges
from graphrec.graphs.search_sampling import SearchBatch, SearchSampler
from graphrec.graphs.words import Encoded, QueryWords, WordLists, carry_table, query_words
from graphrec.models.pairwise import pairwise_loss
from graphrec.models.query_config import QueryConfig
from graphrec.models.recommender import QueryRanker, Recommender


class QueryRecommender(Recommender):
    r"""Base class of recommenders that read search events: embeddings of users, items and
    words, and batches of both kinds of events. A query is the sum of its words' embeddings.

    The vocabulary is derived from the training events. Where an edit changes it, words that
    stay keep their embeddings, and new ones are drawn.

    Args:
        data: The graph; training events only.
        config: An instance of a :class:`~graphrec.models.query_config.QueryConfig`.

    Attributes:
        words: The vocabulary and the word lists.
        events: The training events.
    """

    config_class: ClassVar[type] = QueryConfig
    config: Any
    words: QueryWords
    events: TrainingEvents

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        device = train_edges(data).device

        def table(rows: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.empty(rows, config.dim, device=device))

        self.user_embedding = table(self.num_users)
        self.item_embedding = table(self.num_items)
        self.word_embedding = table(0)
        none = WordLists.of([])
        self.words = QueryWords((), none, none, none, 0, config.query_length)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws all parameters anew, from the config's seed unless given a generator: Xavier's
        uniform draw, and 0 for biases."""
        if generator is None:
            generator = torch.Generator().manual_seed(self.config.seed)
        # Drawn on the CPU, so that every device starts from the same numbers.
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(_draw(parameter, generator))

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        config, device = self.config, train_edges(data).device
        words = self.derive_words(data if config.searches else _without_searches(data))
        if words.words != self.words.words:
            old = self.word_embedding.detach()
            drawn = _draw(
                old.new_empty(len(words.words), config.dim),
                torch.Generator().manual_seed(config.seed),
            )
            table = carry_table(old, drawn, self.words.words, words.words)
            self.word_embedding = torch.nn.Parameter(table)
        self.words = words
        self.query_lists = self.full_lists(words.query, config.query_length).to(device)
        self.events = training_events(
            data, searches=config.searches, recommendations=config.recommendations
        )

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'user_embedding': ('user',), 'item_embedding': ('item',)}

    def word_rows(self) -> dict[str, tuple[str, ...]]:
        return {'word_embedding': self.words.words}

    def derive_words(self, data: HeteroData) -> QueryWords:
        """The vocabulary and the word lists of a graph."""
        config = self.config
        return query_words(
            data,
            max_words=config.max_words,
            min_count=config.min_count,
            query_length=config.query_length,
        )

    def full_lists(self, lists: WordLists, length: int) -> WordLists:
        """Word lists as the model reads them, here as they are."""
        return lists

    def make_sampler(self, data: HeteroData, batch_size: int) -> SearchSampler:
        """Every training event of both kinds once an epoch, with one uniform negative."""
        return SearchSampler(data, self.events, batch_size)

    def encode_queries(self, texts: Sequence[str]) -> Encoded:
        return self.words.encode(texts)

    def embed_queries(self, lists: WordLists) -> Tensor:
        r"""The sums :math:`(n, d)` of the embeddings of the words in each list."""
        return sum_words(lists, self.word_embedding)

    def embed_batch_queries(
        self, query: Tensor, is_search: Tensor, word: Tensor | None = None
    ) -> Tensor:
        r"""The real queries of a batch :math:`(B, d)`, 0 where there is none; the numbers of
        queries are read for searches alone. Vectors of words :math:`(W, d)` other than their
        embeddings may be given."""
        lists = self.query_lists.select(query[is_search])
        q = sum_words(lists, self.word_embedding if word is None else word)
        row = is_search.nonzero().squeeze(1)
        return q.new_zeros(query.numel(), q.size(1)).index_copy(0, row, q)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        device = self.user_embedding.device
        for name, value in vars(self).items():
            if isinstance(value, (WordLists, EventPairs)):
                setattr(self, name, value.to(device))
            elif isinstance(value, TrainingEvents):
                setattr(self, name, TrainingEvents(*(each.to(device) for each in value)))
        return self


def sum_words(lists: WordLists, word: Tensor) -> Tensor:
    r"""The sums :math:`(n, d)` of the vectors :math:`(W, d)` of the words in each list."""
    if not word.size(0):
        return word.new_zeros(len(lists), word.size(1))
    return F.embedding_bag(lists.word, word, lists.ptr, mode='sum', include_last_offset=True)


def demand_loss(user: Tensor, item: Tensor, q: Tensor, batch: SearchBatch, reg: float) -> Tensor:
    r"""BPR with squared norms where a query moves the user,
    :math:`s = (\mathbf{z}_u + \mathbf{q})^{\top} \mathbf{z}_i`: the loss of
    :func:`graphrec.models.pairwise.pairwise_loss` on moved users.

    Args:
        user, item: Vectors :math:`(U, d)` and :math:`(I, d)`.
        q: What the query of each event adds :math:`(B, d)`.
        batch: The events.
        reg: Weight of the squared norms.
    """
    demand = user.index_select(0, batch.user) + q
    rows = torch.cat([demand, item.index_select(0, torch.cat([batch.pos, batch.neg]))])
    return pairwise_loss(rows, rows, BPRBatch(batch.user, batch.pos, batch.neg), reg)


def rank_demands(model: Recommender, embed: Callable[[WordLists], Tensor]) -> QueryRanker:
    """A query ranker for scores that are products of items with users moved by a query, whose
    words :obj:`embed` turns into vectors; someone unknown is the mean of all users."""
    training = model.training
    model.eval()
    with torch.no_grad():
        z = model.forward()
    model.train(training)
    everyone = torch.cat([z['user'], z['user'].mean(0, keepdim=True)])  # Row -1: the mean.
    item_t = z['item'].t()

    @torch.no_grad()
    def rank(user: Tensor, lists: WordLists) -> Tensor:
        return (everyone[user] + embed(lists)) @ item_t

    return rank


def _without_searches(data: HeteroData) -> HeteroData:
    out = copy.copy(data)
    for edge_type in data.edge_types:
        if QUERY in (edge_type[0], edge_type[2]):
            del out[edge_type]
    del out[QUERY]
    return out


def _draw(like: Tensor, generator: torch.Generator) -> Tensor:
    draw = torch.zeros(like.shape)
    if like.dim() > 1 and like.numel():
        torch.nn.init.xavier_uniform_(draw, generator=generator)
    return draw
