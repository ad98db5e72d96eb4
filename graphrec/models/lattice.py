"""LATTICE: item graphs that are learned from features."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.semantic import semantic_graph
from graphrec.models.epoch_key import EpochKey
from graphrec.models.multimodal import MultimodalConfig, MultimodalLightGCN, unit


@dataclass(frozen=True)
class LATTICEConfig(MultimodalConfig):
    r"""Hyper-parameters of :class:`LATTICE`. The published grid is ``reg`` 0, 1e-5, 1e-4, 1e-3
    with learning rates from 1e-4 to 5e-3, falling by 0.96 every 50 epochs.

    Attributes:
        reg: :math:`\lambda_r`, weight of the squared norm of the batch's final rows.
        k: Neighbours of an item, itself counted.
        original_weight: :math:`\lambda`, share of the graph of raw features.
    """

    reg: float = 1e-4
    k: int = 10
    original_weight: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise GraphError(f"'k' must be at least 1 (got {self.k})")
        if not 0 <= self.original_weight <= 1:
            raise GraphError(f"'original_weight' must lie in [0, 1] (got {self.original_weight})")


class LATTICE(EpochKey, MultimodalLightGCN):
    r"""LATTICE of `"Mining Latent Structures for Multimedia Recommendation"
    <https://arxiv.org/abs/2104.09036>`_ (Zhang et al., MM 2021) on LightGCN,

    .. math::
        \mathbf{S} = (1 - \lambda) \, N \Big( \sum_m \alpha_m \mathbf{K}(\mathbf{X}^m
        \mathbf{W}_m) \Big) + \lambda \sum_m \alpha_m N(\mathbf{K}(\mathbf{X}^m)), \qquad
        \mathbf{H} = \mathbf{S} \mathbf{E}_I

    .. math::
        \mathbf{Z}_U = \mathbf{L}_U, \quad \mathbf{z}_i = \mathbf{l}_i + \mathbf{h}_i /
        \|\mathbf{h}_i\|, \qquad \mathcal{L} = \mathrm{BPR}(\mathbf{Z}) + \frac{\lambda_r}{2 B}
        \sum \|\mathbf{z}\|^2

    with :math:`\mathbf{L} = \frac{1}{L + 1} \sum_l \hat{\mathbf{A}}^l \mathbf{E}`,
    :math:`\mathbf{K}` the cosines of an item and its :math:`k` nearest, itself included,
    :math:`N(\mathbf{K}) = \mathbf{D}^{-1/2} \mathbf{K} \mathbf{D}^{-1/2}` with **row** sums, and
    :math:`\boldsymbol{\alpha}` a softmax over modalities. Cosines below 0 count as 0, since a
    negative sum has no root.

    Which items are nearest is found anew every epoch, and for serving from the features as
    they are then; how near they are is computed at every step on these :math:`k I` pairs, so
    that the projections learn from every batch and no :math:`I \times I` matrix is formed. The
    authors' code forms it, with gradient in the first batch of an epoch only, propagates over
    :math:`\mathbf{D}^{-1} (\mathbf{A} + \mathbf{I})` and projects with a bias.

    Args:
        data: The graph; training edges and features only.
        config: See :class:`LATTICEConfig`.

    Raises:
        GraphError: If a modality has no features.
    """

    config_class = LATTICEConfig
    config: LATTICEConfig
    nearest: Tensor

    def build(self) -> None:
        self.require_features()
        self.projection = self.projections()
        #: Logits of :math:`\boldsymbol{\alpha}`.
        self.importance = torch.nn.Parameter(torch.zeros(len(self.modalities)))
        # State, not derived: a run that was killed goes on with the neighbours of its epoch.
        shape = (len(self.modalities), self.num_items, self.config.k)
        self.register_buffer('nearest', torch.zeros(shape, dtype=torch.long))
        self.register_epoch_key()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        for place, name in enumerate(self.modalities):
            graph = semantic_graph(data, name, self.config.k)
            setattr(self, f'_original_{place}', graph.to_operator(weighted=True))
        self.forget_epoch()

    def fitted_buffers(self) -> tuple[str, ...]:
        return ('nearest', 'epoch_key')

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.is_new_epoch(generator):
            self.nearest.copy_(self.search())

    @torch.no_grad()
    def search(self) -> Tensor:
        r"""Numbers of the nearest items in every projected modality :math:`(M, I, k)`, -1 at
        the end of a row with fewer."""
        graphs = [nearest_neighbours(self.projected(m), self.config.k) for m in self.modalities]
        return torch.stack([graph.index for graph in graphs])

    def learned_weights(self, nearest: Tensor) -> Tensor:
        r"""Entries of :math:`N(\sum_m \alpha_m \mathbf{K}(\mathbf{X}^m \mathbf{W}_m))` at
        :obj:`nearest`, both :math:`(M, I, k)`; those of a pair add up."""
        own = torch.arange(self.num_items, device=nearest.device).unsqueeze(1)
        parts = []
        for share, name, index in zip(self.shares, self.modalities, nearest, strict=True):
            x = unit(self.projected(name))
            cosine = (x.unsqueeze(1) * x[index.clamp(min=0)]).sum(2).clamp(min=0)
            cosine = torch.where(index == own, 1.0, cosine)  # Without features as well.
            parts.append(share * torch.where(index >= 0, cosine, 0.0))
        weight = torch.stack(parts)
        scale = weight.sum((0, 2)).rsqrt()
        return weight * scale.unsqueeze(1) * scale[nearest.clamp(min=0)]

    @property
    def shares(self) -> Tensor:
        r""":math:`\boldsymbol{\alpha}` :math:`(M)`."""
        return self.importance.softmax(0)

    def neighbourhood(self) -> Tensor:
        r""":math:`\mathbf{S} \mathbf{E}_I` :math:`(I, d)`."""
        item, keep = self.embedding[self.num_users :], self.config.original_weight
        nearest = self.nearest if self._in_epoch else self.search()
        total = torch.zeros_like(item)
        for place, share in enumerate(self.shares):
            original = getattr(self, f'_original_{place}')
            total = total + keep * share * (original @ item)
        for index, weight in zip(nearest, self.learned_weights(nearest), strict=True):
            near = F.embedding_bag(index.clamp(min=0), item, per_sample_weights=weight, mode='sum')
            total = total + (1 - keep) * near
        return total

    @property
    def _in_epoch(self) -> bool:
        return self.training and int(self.epoch_key) >= 0

    def forward(self) -> dict[str, Tensor]:
        z = super().forward()
        z['item'] = z['item'] + unit(self.neighbourhood())
        return z

    def loss(self, batch: BPRBatch) -> Tensor:
        rows = torch.cat(list(self.forward().values()))[self.batch_nodes(batch)]
        return self.ranking_loss(rows, rows, batch)

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: LATTICEConfig
    ) -> dict[str, int]:
        """LightGCN's, with graphs and gathered neighbours of two modalities."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        pairs = 2 * config.k * num_items
        return {**hint, 'item_graphs': pairs * 24, 'neighbours': pairs * config.dim * 3 * 4}
