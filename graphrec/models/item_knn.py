"""ItemKNN: people who have this also have that."""

import dataclasses
from typing import ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.cooccurrence import BLOCK_ENTRIES, top_common
from graphrec.models.incidence import history_incidence, incidence
from graphrec.models.recommender import Ranker, Recommender

SIMILARITIES = ('cosine', 'jaccard')


@dataclasses.dataclass(frozen=True)
class ItemKNNConfig:
    """Settings of :class:`ItemKNN`.

    Args:
        k: Neighbours kept for an item.
        shrinkage: Added to the denominator of a similarity, so that one built on few
            common users counts less; 0 switches it off.
        similarity: ``'cosine'`` or ``'jaccard'``.
    """

    k: int = 100
    shrinkage: float = 10.0
    similarity: str = 'cosine'

    def __post_init__(self) -> None:
        if self.k < 1:
            raise GraphError(f"'k' needs to be at least 1 (got {self.k})")
        if self.shrinkage < 0:
            raise GraphError(f"'shrinkage' needs to be 0 or more (got {self.shrinkage})")
        if self.similarity not in SIMILARITIES:
            raise GraphError(f"'similarity' is one of {SIMILARITIES} (got {self.similarity!r})")


class ItemKNN(Recommender):
    r"""Item-based nearest neighbours (Sarwar et al., `"Item-based Collaborative
    Filtering Recommendation Algorithms" <https://doi.org/10.1145/371920.372071>`_,
    WWW 2001) in the form for one-class data, the plain sum over a person's items
    (Deshpande and Karypis, `"Item-based Top-N Recommendation Algorithms"
    <https://doi.org/10.1145/963770.963776>`_, TOIS 2004):

    .. math::
        s_{ui} = \sum_{j \in \mathcal{H}_u \cap \mathcal{N}_k(i)} w_{ij}, \quad
        w_{ij} = \frac{c_{ij}}{\sqrt{c_i c_j} + \beta} \text{ (cosine)} \quad
        \text{or} \quad \frac{c_{ij}}{c_i + c_j - c_{ij} + \beta} \text{ (Jaccard)}

    with :math:`c_{ij}` the number of people who have both items, :math:`c_i` of those
    who have :math:`i`, :math:`\beta` the shrinkage and :math:`\mathcal{N}_k(i)` the
    :math:`k` items most similar to :math:`i`, itself excluded, equal ones by number.
    Similarities are found in blocks of rows and kept sparse: memory grows with
    :math:`I k`, not :math:`I^2`.

    The products run on the CPU; scores come on the device of the users.

    Args:
        data: The graph; only its training edges are read.
        config: The settings.
    """

    config_class: ClassVar[type] = ItemKNNConfig

    def __init__(self, data: HeteroData, config: ItemKNNConfig) -> None:
        super().__init__(data, config)
        self.refresh(data)

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: ItemKNNConfig
    ) -> dict[str, int]:
        """Bytes by what they hold, at the peak of the build."""
        return {
            'neighbours and their transpose': 2 * 8 * min(config.k, num_items) * num_items,
            'blocks of similarities': 56 * min(BLOCK_ENTRIES, num_items**2),
            'user-item matrix and its transpose': 2 * 8 * num_edges + 8 * (num_users + num_items),
        }

    def refresh(self, data: HeteroData) -> None:
        """Finds all neighbours again."""
        super().refresh(data)
        self.history = incidence(data)
        self.neighbours = item_neighbours(self.history, self.config)
        self._weight = self.neighbours.T.tocsr()

    def ranker(self) -> Ranker:
        """Scores of users :math:`(B)` from the items that they have."""
        history, weight = self.history, self._weight

        def rank(user: Tensor) -> Tensor:
            return _dense(history[user.cpu().numpy()] @ weight).to(user.device)

        return rank

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        """Scores :math:`(n, I)` of people known by their items; all 0 without any."""
        return _dense(history_incidence(histories, self.num_items) @ self._weight)

    def item_weights(self, item: int) -> Tensor:
        """What each item :math:`(I)`, had by a person, adds to the score of
        :obj:`item`: :math:`w_{ij}` for its neighbours, 0 for others."""
        return _dense(self.neighbours[int(item)])[0]


def item_neighbours(history: sparse.csr_matrix, config: ItemKNNConfig) -> sparse.csr_matrix:
    """Similarities :math:`(I, I)`, float32; row :math:`i` holds the neighbours of
    :math:`i`, columns sorted."""

    def score(common: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        cosine = config.similarity == 'cosine'
        base = np.sqrt(left * right) if cosine else left + right - common
        return common / (base + config.shrinkage)

    return top_common(history.T.tocsr(), config.k, score)


def _dense(matrix: sparse.csr_matrix) -> Tensor:
    return torch.from_numpy(matrix.toarray())
