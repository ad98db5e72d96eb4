"""LightGCN over search and recommendation as one graph."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.event_pairs import training_events, union_graph
from graphrec.graphs.sampling import BPRSampler
from graphrec.graphs.words import Encoded, WordLists, query_words
from graphrec.models.lightgcn import LightGCN
from graphrec.models.query_recommender import rank_demands
from graphrec.models.recommender import QueryRanker, Recommender


class UnionLightGCN(LightGCN):
    """:class:`~graphrec.models.LightGCN` on the pairs of both kinds of events: a search that
    ended at an item is an interaction, and its words are not read. It ranks the same items for
    every query, which is what a model with queries has to beat.

    Args:
        data: The graph; training events only.
        config: See :class:`~graphrec.models.lightgcn.LightGCNConfig`.
    """

    def refresh(self, data: HeteroData) -> None:
        super().refresh(_union(data))
        Recommender.refresh(self, data)  # It stands for the graph that it was given.
        self.words = query_words(data)

    def make_sampler(self, data: HeteroData, batch_size: int) -> BPRSampler:
        return BPRSampler(_union(data), batch_size=batch_size)

    def encode_queries(self, texts: Sequence[str]) -> Encoded:
        return self.words.encode(texts)

    def query_ranker(self) -> QueryRanker:
        """The ranking of recommendation, for someone unknown that of the mean user."""

        def nothing(lists: WordLists) -> Tensor:
            return torch.zeros(len(lists), self.config.dim, device=self.embedding.device)

        return rank_demands(self, nothing)


def _union(data: HeteroData) -> HeteroData:
    return union_graph(data, training_events(data, recommendations='all'))
