"""FREEDOM: a frozen item graph and a pruned user-item graph."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.degree_edge_drop import drop_edges_by_degree
from graphrec.errors import GraphError
from graphrec.graphs.mixing import mix
from graphrec.graphs.operators import Polynomial, Sparse
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.semantic import semantic_graph
from graphrec.models.item_features import visual_weights
from graphrec.models.lightgcn import gather_rows
from graphrec.models.multimodal import MultimodalConfig, MultimodalLightGCN
from graphrec.models.pairwise import pairwise_loss


@dataclass(frozen=True)
class FREEDOMConfig(MultimodalConfig):
    r"""Hyper-parameters of :class:`FREEDOM`, with the paper's defaults; the published grid is
    ``edge_dropout`` 0.8, 0.9 and ``feature_weight`` 0, 1e-5, 1e-4, 1e-3.

    Attributes:
        reg: Weight of the squared norm of the batch's embeddings; none in the paper.
        edge_dropout: :math:`p`, share of training edges left out by the degree-sensitive draw
            of every epoch. Serving uses all of them.
        k: Neighbours of an item, itself counted.
        visual_weight: :math:`w_v` of the visual (``'visual'``, ``'image'``) item graph; the
            others share the rest.
        modality_weights: Weights of all item graphs in the order of the modalities, in place
            of :obj:`visual_weight`.
        feature_weight: :math:`\lambda`, weight of ranking by features.
    """

    reg: float = 0.0
    edge_dropout: float = 0.8
    k: int = 10
    visual_weight: float = 0.1
    modality_weights: tuple[float, ...] | None = None
    feature_weight: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.visual_weight <= 1:
            raise GraphError(f"'visual_weight' must lie in [0, 1] (got {self.visual_weight})")
        if not self.feature_weight >= 0:
            raise GraphError(f"'feature_weight' must not be negative (got {self.feature_weight})")
        if self.k < 1:
            raise GraphError(f"'k' must be at least 1 (got {self.k})")
        if self.modality_weights is not None:
            object.__setattr__(self, 'modality_weights', tuple(map(float, self.modality_weights)))


class FREEDOM(MultimodalLightGCN):
    r"""FREEDOM of `"A Tale of Two Graphs: Freezing and Denoising Graph Structures for
    Multimodal Recommendation" <https://arxiv.org/abs/2211.06924>`_ (Zhou and Shen, MM 2023),

    .. math::
        \mathbf{S} = \sum_m w_m \mathbf{K}^m / k, \qquad
        \mathbf{Z} = \frac{1}{L + 1} \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{E} +
        \begin{bmatrix} \mathbf{0} \\ \mathbf{S} \mathbf{E}_I \end{bmatrix}

    .. math::
        \mathcal{L} = \mathrm{BPR}(\mathbf{Z}) + \lambda \sum_m
        \mathrm{BPR}(\mathbf{Z}_U, \mathbf{X}^m \mathbf{W}_m)

    :math:`\mathbf{K}^m` joins an item to the :math:`k` nearest in modality :math:`m`, itself
    included, and stays as it is. In training :math:`\hat{\mathbf{A}}` holds
    :math:`\lfloor (1-p) E \rfloor` edges drawn every epoch with probability
    :math:`\propto 1 / \sqrt{d_u d_i}`, normalised by their own degrees; serving uses all. A
    bias of :math:`\mathbf{W}_m` would leave every difference as it is. A modality with a
    frozen graph and no features has no part in the second sum.

    Args:
        data: The graph; training edges, features and frozen graphs only.
        config: See :class:`FREEDOMConfig`.
    """

    config_class = FREEDOMConfig
    config: FREEDOMConfig

    def build(self) -> None:
        self.projection = self.projections()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        config = self.config
        weights = config.modality_weights or visual_weights(self.modalities, config.visual_weight)
        graphs = [semantic_graph(data, name, config.k).to_operator() for name in self.modalities]
        #: :math:`\mathbf{S}` :math:`(I, I)`.
        self.item_graph = mix(graphs, weights)
        row, col = self.item_graph.row + self.num_users, self.item_graph.col + self.num_users
        size = self.num_users + self.num_items
        among_all = Sparse.from_edges(
            torch.stack([row, col.long()]), self.item_graph.weight, shape=(size, size)
        )
        self._neighbours = Polynomial(among_all, [0.0, 1.0])

    def thin(self, generator: torch.Generator) -> Tensor:
        """The edges :math:`(2, E')` of an epoch, drawn by degree."""
        sizes = self.num_users, self.num_items
        return drop_edges_by_degree(self._edge_index, self.config.edge_dropout, sizes, generator)

    def forward(self) -> dict[str, Tensor]:
        z = super().forward()
        z['item'] = z['item'] + self.item_graph @ self.embedding[self.num_users :]
        return z

    def loss(self, batch: BPRBatch) -> Tensor:
        size, nodes = batch.user.numel(), self.batch_nodes(batch)
        z, e = gather_rows(self.propagation, self.embedding, nodes)
        near, _ = gather_rows(self._neighbours, self.embedding, nodes[size:])
        user, item = z[:size], z[size:] + near
        loss = self.ranking_loss(torch.cat([user, item]), e, batch)
        if self.config.feature_weight:
            for name in self.featured:
                rows = self.feature(name)[nodes[size:] - self.num_users]
                projected = rows @ self.weight(name).t()
                scored = torch.cat([user, projected])
                ranked = pairwise_loss(scored, scored, batch, 0.0)
                loss = loss + self.config.feature_weight * ranked
        return loss

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: FREEDOMConfig
    ) -> dict[str, int]:
        """LightGCN's, with the item graph and its transpose, for two modalities."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        return {**hint, 'item_graph': 2 * config.k * num_items * (3 * 8 + 3 * 16)}
