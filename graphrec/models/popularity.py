"""Popularity: the baseline that knows nobody."""

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import num_items, train_edges
from graphrec.models.incidence import history_incidence
from graphrec.models.recommender import Recommender


@dataclasses.dataclass(frozen=True)
class PopularityConfig:
    """Popularity has no settings."""


class Popularity(Recommender):
    r"""Ranks items by the number of people who have them, the same for everyone:

    .. math::
        s_{ui} = |\{v : (v, i) \in \mathcal{E}_{train}\}|

    There is nothing to train. A model that does not beat it has learned no taste.

    Args:
        data: The graph; only its training edges are read.
        config: Empty.
    """

    config_class: ClassVar[type] = PopularityConfig
    degree: Tensor

    def __init__(self, data: HeteroData, config: PopularityConfig) -> None:
        super().__init__(data, config)
        self.register_buffer('degree', torch.zeros(self.num_items), persistent=False)
        self.refresh(data)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'degree': ('item',)}

    def refresh(self, data: HeteroData) -> None:
        """Counts the training edges of every item again."""
        super().refresh(data)
        item = train_edges(data)[1]
        self.degree = torch.bincount(item, minlength=num_items(data)).to(torch.float32)

    def forward(self) -> dict[str, Tensor]:
        """Vectors of one dimension: 1 for a user, the degree for an item."""
        return {'user': self.degree.new_ones(self.num_users, 1), 'item': self.degree[:, None]}

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        """The degrees :math:`(n, I)`, whatever the histories hold."""
        people = history_incidence(histories, self.num_items).shape[0]
        return self.degree.repeat(people, 1)
