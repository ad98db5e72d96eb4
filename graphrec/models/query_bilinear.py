"""A bilinear model of queries and items."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.models.query_config import QueryConfig
from graphrec.models.query_recommender import QueryRecommender, demand_loss, rank_demands
from graphrec.models.recommender import QueryRanker


@dataclass(frozen=True)
class QueryBilinearConfig(QueryConfig):
    r"""Hyper-parameters of :class:`QueryBilinear`; further ones are those of
    :class:`~graphrec.models.query_config.QueryConfig`.

    Attributes:
        reg: :math:`\lambda`, weight of the squared norms of a batch's vectors.
    """

    reg: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.reg >= 0:
            raise GraphError(f"'reg' must not be negative (got {self.reg})")


class QueryBilinear(QueryRecommender):
    r"""Matrix factorisation with a bilinear form of query and item, a baseline without a graph
    (no paper; close to the linear query of `"Learning a Hierarchical Embedding Model for
    Personalized Product Search" <https://arxiv.org/abs/1708.08123>`_):

    .. math::
        s(u, q, i) = \mathbf{e}_u^{\top} \mathbf{e}_i + \mathbf{q}^{\top} \mathbf{W} \mathbf{e}_i
        + b_i, \qquad \mathbf{q} = \sum_{w \in q} \mathbf{e}_w

    and :math:`\mathbf{q} = \mathbf{0}` in recommendation. It is trained on both kinds of events
    by BPR with squared norms. :math:`\mathbf{W}` begins as the identity.

    Args:
        data: The graph; training events only.
        config: See :class:`QueryBilinearConfig`.
    """

    config_class = QueryBilinearConfig
    config: QueryBilinearConfig

    def __init__(self, data: HeteroData, config: QueryBilinearConfig) -> None:
        super().__init__(data, config)
        device = self.user_embedding.device
        self.weight = torch.nn.Parameter(torch.empty(config.dim, config.dim, device=device))
        self.item_bias = torch.nn.Parameter(torch.empty(self.num_items, device=device))
        self.refresh(data)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        with torch.no_grad():
            self.weight.copy_(torch.eye(self.config.dim))

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {**super().node_rows(), 'item_bias': ('item',)}

    def forward(self) -> dict[str, Tensor]:
        """Vectors whose products are the scores in recommendation: a last column of ones meets
        the items' biases."""
        ones = self.user_embedding.new_ones(self.num_users, 1)
        return {
            'user': torch.cat([self.user_embedding, ones], dim=1),
            'item': torch.cat([self.item_embedding, self.item_bias.unsqueeze(1)], dim=1),
        }

    def loss(self, batch: SearchBatch) -> Tensor:
        q = self.embed_batch_queries(batch.query, batch.is_search)
        z = self.forward()
        return demand_loss(z['user'], z['item'], self._moved(q), batch, self.config.reg)

    def query_ranker(self) -> QueryRanker:
        return rank_demands(self, lambda lists: self._moved(self.embed_queries(lists)))

    def _moved(self, q: Tensor) -> Tensor:
        """What a query adds to a user's vector."""
        return torch.nn.functional.pad(q @ self.weight, (0, 1))
