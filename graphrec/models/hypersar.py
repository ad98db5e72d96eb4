"""A hypergraph of users, words and items, after HyperSaR."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.conv.light_hypergraph_conv import LightHypergraphConv
from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import hypergraph_operator
from graphrec.graphs.operators import Operator, Polynomial
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.graphs.sparse import Sparse
from graphrec.graphs.words import WordLists
from graphrec.models.query_config import QueryConfig
from graphrec.models.query_recommender import (
    QueryRecommender,
    demand_loss,
    rank_demands,
    sum_words,
)
from graphrec.models.recommender import QueryRanker


@dataclass(frozen=True)
class HyperSaRConfig(QueryConfig):
    r"""Hyper-parameters of :class:`HyperSaR`; further ones are those of
    :class:`~graphrec.models.query_config.QueryConfig`.

    Attributes:
        num_layers: :math:`L`.
        normalisation: ``'symmetric'`` or ``'row'``, see
            :func:`graphrec.graphs.hypergraph.hypergraph_operator`.
        reg: :math:`\lambda`, weight of the squared norms of a batch's final vectors.
    """

    num_layers: int = 2
    normalisation: str = 'symmetric'
    reg: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ('num_layers', 'reg'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')


class HyperSaR(QueryRecommender):
    r"""Light convolutions over a hypergraph whose hyperedges are the events
    :math:`\langle` user, query, item :math:`\rangle`, in the manner of HyperSaR (Thonet et al.,
    "Joint Personalized Search and Recommendation with Hypergraph Convolutional Networks", ECIR
    2022):

    .. math::
        \mathbf{Z} = \frac{1}{L + 1} \sum_{l=0}^{L} \mathbf{A}^l \mathbf{E}, \qquad
        s(u, q, i) = \mathbf{z}_u^{\top} \mathbf{z}_i + \mathbf{z}_q^{\top} \mathbf{z}_i

    with :math:`\mathbf{A}` of :func:`graphrec.graphs.hypergraph.hypergraph_operator`. **A
    reconstruction from the idea, not from the paper's code:** a query takes part through its
    words, :math:`\mathbf{z}_q = \sum_{w \in q} \mathbf{z}_w`, so that one never asked before has
    a vector too; recommendations are hyperedges of two nodes and have
    :math:`\mathbf{z}_q = \mathbf{0}`; the loss is BPR with squared norms, without the paper's
    further term.

    Args:
        data: The graph; training events only.
        config: See :class:`HyperSaRConfig`.
    """

    config_class = HyperSaRConfig
    config: HyperSaRConfig

    def __init__(self, data: HeteroData, config: HyperSaRConfig) -> None:
        super().__init__(data, config)
        self.conv = LightHypergraphConv(config.normalisation)
        self.refresh(data)
        self.reset_parameters()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        layers = self.config.num_layers + 1
        operator = hypergraph_operator(self.incidence(), normalisation=self.config.normalisation)
        self.propagation: Operator = Polynomial(operator, [1 / layers] * layers)

    def incidence(self) -> Sparse:
        r"""Users, items and words, in this order, in rows; a column for every event. A word
        that a query has twice is in its hyperedge once."""
        user, item, query = self.events
        count, first_word = user.numel(), self.num_users + self.num_items
        searched = (query >= 0).nonzero().squeeze(1)
        words = self.query_lists.select(query[searched])
        node = torch.cat([user, self.num_users + item, first_word + words.word])
        number = torch.arange(count, device=user.device)
        event = torch.cat([number, number, searched[words.row]])
        key = (node * count + event).unique()
        shape = (first_word + len(self.words.words), count)
        return Sparse.from_edges(torch.stack([key // count, key % count]), shape=shape)

    def propagate(self) -> tuple[Tensor, Tensor, Tensor]:
        """Final vectors of users, items and words."""
        tables = (self.user_embedding, self.item_embedding, self.word_embedding)
        z: Tensor = self.conv(torch.cat(tables), self.propagation)
        user, item, word = z.split([table.size(0) for table in tables])
        return user, item, word

    def forward(self) -> dict[str, Tensor]:
        user, item, _ = self.propagate()
        return {'user': user, 'item': item}

    def loss(self, batch: SearchBatch) -> Tensor:
        user, item, word = self.propagate()
        q = self.embed_batch_queries(batch.query, batch.is_search, word)
        return demand_loss(user, item, q, batch, self.config.reg)

    def query_ranker(self) -> QueryRanker:
        with torch.no_grad():
            word = self.propagate()[2]

        def embed(lists: WordLists) -> Tensor:
            return sum_words(lists, word)

        return rank_demands(self, embed)
