"""The interface of every recommender."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.errors import GraphError
from graphrec.graphs.operators import Operator
from graphrec.graphs.sampling import BPRSampler
from graphrec.graphs.schema import (
    ITEM,
    USER,
    node_ids,
    num_items,
    num_users,
    remaining,
    training_digest,
)
from graphrec.graphs.search import search_digest
from graphrec.graphs.words import Encoded, WordLists
from graphrec.models.presets import PRESETS, Preset

Ranker = Callable[[Tensor], Tensor]
QueryRanker = Callable[[Tensor, WordLists], Tensor]


class Recommender(torch.nn.Module):
    r"""Base class of all recommenders.

    A model keeps only what it derives from the graph it is given; it knows nothing
    of optimisers or epochs. A subclass sets :attr:`config_class`, a dataclass with
    every hyper-parameter and the paper's defaults, and gives :meth:`refresh`,
    :meth:`forward` and :meth:`loss`; one that does not score by a dot product gives
    :meth:`ranker` and :meth:`rank_history` too.

    Args:
        data: The graph; only training edges and features may be read.
        config: An instance of :attr:`config_class`.
    """

    config_class: ClassVar[type]

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__()
        self.config = config
        self.num_users = num_users(data)
        self.num_items = num_items(data)
        self.ids: dict[str, np.ndarray] = {}
        self.training_digest: str | None = None
        self._generator: torch.Generator | None = None

    @classmethod
    def from_graph(cls, data: HeteroData, **config: Any) -> Self:
        r"""Builds the model for :obj:`data`; keywords are fields of the config.

        Raises:
            GraphError: If a keyword is not a field of the config, or is no number where
                the field holds one.
        """
        fields = [f.name for f in dataclasses.fields(cls.config_class)]
        unknown = sorted(set(config) - set(fields))
        if unknown:
            raise GraphError(
                f'{cls.__name__} has no setting {unknown[0]!r} (got {config[unknown[0]]!r}); '
                f'its settings are {fields}'
            )
        for field in dataclasses.fields(cls.config_class):
            if field.name in config:
                config[field.name] = _checked(field, config[field.name])
        return cls(data, cls.config_class(**config))

    @classmethod
    def preset(cls, name: str) -> dict[str, Any]:
        """Published settings for a data set, for :meth:`from_graph`; see
        :mod:`graphrec.models.presets`.

        Raises:
            GraphError: If there are none of that name.
        """
        return dict(cls._preset(name).settings)

    @classmethod
    def fit_preset(cls, name: str) -> dict[str, Any]:
        """How :meth:`preset` is trained, for :func:`graphrec.fit`."""
        return dict(cls._preset(name).fit)

    @classmethod
    def _preset(cls, name: str) -> Preset:
        known = PRESETS.get(cls.__name__, {})
        if name not in known:
            raise GraphError(
                f'{cls.__name__} has no preset {name!r}; '
                + (f'there are {list(known)}' if known else 'it has none, only its defaults')
            )
        return known[name]

    @property
    def is_trainable(self) -> bool:
        """Whether gradient steps apply; closed-form models are ready once built."""
        return any(p.requires_grad for p in self.parameters())

    @property
    def sparse_gradients(self) -> bool:
        """Whether the gradients are sparse, so that only the rows of a batch are stepped."""
        return False

    def refresh(self, data: HeteroData) -> None:
        """Rebuilds every structure derived from the graph, after an edit of it. The
        numbers of users and items stay; parameters are untouched.

        A subclass calls this first: it notes for which ids and training edges the model
        stands, which a saved model is checked against."""
        self.ids = {kind: node_ids(data, kind) for kind in (USER, ITEM)}
        #: Numbers of the nodes that no edit removed; :obj:`None` for all.
        self.remaining = {kind: remaining(data, kind) for kind in (USER, ITEM)}
        self.training_digest = self.data_digest(data)
        self._generator = None

    @classmethod
    def data_digest(cls, data: HeteroData) -> str:
        """SHA-256 (hex) of what a model of this class is trained on: the training edges, and
        with queries the training searches and their texts."""
        searched = cls.query_ranker is not Recommender.query_ranker
        return search_digest(data) if searched else training_digest(data)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        """Names of the parameters and buffers that have a row for every node, with the node
        types in the order of the rows, such as ``{'embedding': ('user', 'item')}``. What is
        left out here outlives its node when that is removed from the graph."""
        return {}

    def word_rows(self) -> dict[str, tuple[str, ...]]:
        """Names of the parameters that have a row for every word of the training searches, with
        these words in the order of the rows. The rows follow their word when a model moves to
        another graph, and go with a word that nobody searches there."""
        return {}

    def feature_rows(self) -> tuple[str, ...]:
        """Those of :meth:`node_rows` that are parameters and start from the features of the
        graph, not from a draw."""
        return ()

    def fitted_buffers(self) -> tuple[str, ...]:
        """Names of the buffers in the state that are computed from graph or parameters as
        training goes (centroids, neighbours), which a model of another graph finds anew."""
        return ()

    def pair_scores(self, user: Tensor, item: Tensor) -> Tensor:
        r"""Scores :math:`(B)` of the pairs of users :math:`(B)` and items :math:`(B)`, with
        gradient; the product of the rows of :meth:`forward` unless a model overrides it."""
        z = self.forward()
        return (z['user'][user] * z['item'][item]).sum(1)

    def forward(self) -> dict[str, Tensor]:
        """Final embeddings ``{'user': [U, d], 'item': [I, d]}``."""
        raise NotImplementedError(f'{type(self).__name__} has no embeddings')

    def loss(self, batch: Any) -> Tensor:
        """Scalar training loss of a batch drawn by :meth:`make_sampler`."""
        raise NotImplementedError(f'{type(self).__name__} is not trained by a loss')

    def make_sampler(self, data: HeteroData, batch_size: int) -> Any:
        """The sampler that the paper trains with: iterable once an epoch through
        ``sampler.epoch(generator)``; ``len(sampler)`` batches an epoch."""
        return BPRSampler(data, batch_size=batch_size)

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Redraws what the method redraws every epoch (edge dropout, views). All
        its randomness comes from :obj:`generator`, which steps draw from too, see
        :meth:`noise_source`. A subclass calls this first."""
        self._generator = generator

    def noise_source(self) -> torch.Generator:
        """Where a step draws from: the epoch's generator, or one of the config's seed."""
        if self._generator is None:
            device = next(self.parameters()).device
            self._generator = torch.Generator(device).manual_seed(self.config.seed)
        return self._generator

    def ranker(self) -> Ranker:
        """A function from user numbers :math:`(B)` to scores of all items
        :math:`(B, I)`, without gradient, for the parameters as they are now; it may
        return a fresh tensor only, since callers write masks into it."""
        training = self.training
        self.eval()
        with torch.no_grad():
            z = self.forward()
        self.train(training)
        user, item_t = z['user'].detach(), z['item'].detach().t()
        return lambda index: user[index] @ item_t

    @property
    def has_queries(self) -> bool:
        """Whether the model ranks items for queries, so that it can be searched with."""
        return type(self).query_ranker is not Recommender.query_ranker

    @property
    def has_demand(self) -> bool:
        """Whether the model can name words that a user would look for an item with."""
        return type(self).demand_words is not Recommender.demand_words

    def encode_queries(self, texts: Sequence[str]) -> Encoded:
        """The texts in the numbers of the model's own words, and the words unknown to it."""
        raise NotImplementedError(f'{type(self).__name__} has no queries')

    def query_ranker(self) -> QueryRanker:
        r"""A function from user numbers :math:`(B)`, -1 for someone unknown, and the word
        lists of a query each to scores of all items :math:`(B, I)`; otherwise as
        :meth:`ranker`. A query without a known word is an empty list."""
        raise NotImplementedError(f'{type(self).__name__} has no queries')

    def demand_words(self, user: Tensor, item: Tensor, k: int = 3) -> list[list[str]]:
        r"""For pairs of user and item numbers :math:`(n)`, the up to :math:`k` words nearest
        to what the model takes the user to look for in the item, nearest first."""
        raise NotImplementedError(f'{type(self).__name__} has no demand intent')

    def score(
        self, user: Tensor, item: Tensor | None = None, query: str | Sequence[str] | None = None
    ) -> Tensor:
        r"""Scores without gradient: :math:`(B, I)` for users :math:`(B)` without
        :obj:`item`; with items :math:`(B)` the scores of the pairs :math:`(B)`; with
        :math:`(B, n)` candidates a user, :math:`(B, n)`. Node numbers may also come as
        arrays, lists or single numbers; one user is paired with all items given. A model
        with queries scores for :obj:`query`, one text for all users or one for each, with
        user -1 for someone unknown."""
        user = torch.as_tensor(user)
        if query is None:
            scores = self.ranker()(user.reshape(-1))
        else:
            scores = self._score_queries(user.reshape(-1), query)
        if item is None:
            return scores.reshape(*user.shape, -1)
        item = torch.as_tensor(item, device=scores.device)
        if item.dim() and user.numel() not in (1, item.size(0)):
            raise GraphError(
                f"'item' has shape {list(item.shape)}, expected {user.numel()} rows, one a user"
            )
        row = torch.arange(user.numel(), device=scores.device).reshape(user.shape)
        return scores[row.unsqueeze(1) if row.dim() and item.dim() == 2 else row, item]

    def _score_queries(self, user: Tensor, query: str | Sequence[str]) -> Tensor:
        if not self.has_queries:
            raise GraphError(f'{type(self).__name__} has no queries (got query={query!r})')
        texts = [query] * user.numel() if isinstance(query, str) else list(query)
        if len(texts) != user.numel():
            raise GraphError(
                f"'query' holds {len(texts)} texts for {user.numel()} users; give one text, or "
                'one a user'
            )
        return self.query_ranker()(user, self.encode_queries(texts).lists)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Operators and index tensors are derived, not registered: move them along.
        super()._apply(fn, recurse)
        self._generator = None  # On the device left behind.
        parameter = next(self.parameters(), None)
        if parameter is not None:
            for name, value in vars(self).items():
                if isinstance(value, (Operator, Tensor)):
                    setattr(self, name, value.to(parameter.device))
        return self

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores of all items :math:`(n, I)` for :math:`n` people who are not in the
        graph, each known by the item numbers of a history; nothing is retrained."""
        raise NotImplementedError(f'{type(self).__name__} cannot serve unknown users')


_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), 'True or False'),
    int: ((int,), 'a whole number'),
    float: ((int, float), 'a finite number'),
}


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """The value of a setting; one for a number or switch is checked to be one."""
    if isinstance(value, np.generic):
        value = value.item()
    if field.type not in _KINDS:
        return value
    kinds, wanted = _KINDS[field.type]
    fits = isinstance(value, kinds) and (field.type is bool or not isinstance(value, bool))
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise GraphError(
            f"'{field.name}' must be {wanted} (got {value!r} of type {type(value).__name__})"
        )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise GraphError(f"'{field.name}' must fit into 64 bits (got {value})")
    return value
