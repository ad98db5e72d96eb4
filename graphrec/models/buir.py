"""BUIR: a user and an item predict each other, as a slow copy of the network sees them."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.bootstrap import bootstrap, check_momentum, follow
from graphrec.contrastive.rescaled_edge_drop import RescaledEdgeDrop
from graphrec.contrastive.view import check_share
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial, Sparse
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.bootstrap_lightgcn import BootstrapLightGCN
from graphrec.models.lightgcn import LightGCNConfig, gather_rows


@dataclass(frozen=True)
class BUIRConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`BUIR`, with the paper's defaults.

    Attributes:
        num_layers: :math:`L`; 0 is BUIR-ID, without the graph.
        reg: Weight of half the squared norm of the batch's embeddings; the official code
            has none.
        momentum: :math:`m` of the target.
        max_dropout: Both passes leave out a share :math:`p \sim U(0, p_{max})` of the edges,
            drawn at every step; the others are rescaled.
        moves: Which rows of the target move at a step: ``'all'`` (paper) or those of the
            ``'batch'``, which with a momentum near 1 is far slower.
    """

    reg: float = 0.0
    momentum: float = 0.995
    max_dropout: float = 0.2
    moves: Literal['all', 'batch'] = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        check_momentum(self.momentum)
        check_share('max_dropout', self.max_dropout)
        if self.moves not in ('all', 'batch'):
            raise GraphError(f"'moves' must be 'all' or 'batch' (got {self.moves!r})")


class BUIR(BootstrapLightGCN):
    r"""BUIR-NB of `"Bootstrapping User and Item Representations for One-Class Collaborative
    Filtering" <https://arxiv.org/abs/2105.06323>`_ (Lee et al., SIGIR 2021): an online network
    :math:`\theta` with a predictor :math:`q`, and a target :math:`\xi \leftarrow m \xi +
    (1 - m) \theta` that no gradient reaches,

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i)} \big[ 4 - 2 \cos(q(\mathbf{z}^{\theta}_u),
        \mathbf{z}^{\xi}_i) - 2 \cos(q(\mathbf{z}^{\theta}_i), \mathbf{z}^{\xi}_u) \big]

    without negatives; those of the batch are not read. Each network is LightGCN on its own
    draw of :class:`~graphrec.contrastive.RescaledEdgeDrop`. The target moves at the beginning
    of the step that follows, which is the same as after the optimiser's.

    Args:
        data: The graph; training edges only.
        config: See :class:`BUIRConfig`.
    """

    config_class = BUIRConfig
    config: BUIRConfig
    target: Tensor
    moving: Tensor

    def __init__(self, data: HeteroData, config: BUIRConfig) -> None:
        super().__init__(data, config)
        self.register_buffer('target', self.embedding.detach().clone())
        # The rows to move at the next step; state, so that a killed run goes on exactly.
        size = self.embedding.size(0) if config.moves == 'batch' else 0
        moving = torch.zeros(size, dtype=torch.bool, device=self.embedding.device)
        self.register_buffer('moving', moving)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        if 'target' in self._buffers:
            self.target.copy_(self.embedding.detach())
            self.moving.zero_()

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {**super().node_rows(), 'target': ('user', 'item')}
        return rows | ({'moving': ('user', 'item')} if self.config.moves == 'batch' else {})

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        self._dropper: RescaledEdgeDrop | None = None

    def loss(self, batch: BPRBatch) -> Tensor:
        config, size = self.config, batch.user.numel()
        index = torch.cat([batch.user, batch.pos + self.num_users])
        if self.training:
            self._follow(index)
        weights = self.layer_weights.tolist()
        z, e = gather_rows(Polynomial(self._thin(), weights), self.embedding, index)
        with torch.no_grad():
            target = Polynomial(self._thin(), weights).apply_rows(self.target, index)
        online = self.predictor(z)
        loss = bootstrap(online[:size], target[size:]) + bootstrap(online[size:], target[:size])
        return loss + config.reg / 2 * e.square().sum() / size

    def _follow(self, index: Tensor) -> None:
        everything = self.config.moves == 'all'
        ids = None if everything else self.moving.nonzero().squeeze(1)
        follow(self.target, self.embedding, self.config.momentum, ids)
        if not everything:
            self.moving.zero_()
            self.moving[index] = True

    def _thin(self) -> Sparse:
        """The adjacency of one pass."""
        if not self.training or not self.config.max_dropout:
            return self.adjacency
        if self._dropper is None or self._dropper.adjacency is not self.adjacency:
            self._dropper = RescaledEdgeDrop(self.adjacency, self.num_users)
        generator = self.noise_source()
        share = torch.rand((), generator=generator, device=generator.device)
        return self._dropper(float(share) * self.config.max_dropout, generator)

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: BUIRConfig
    ) -> dict[str, int]:
        """LightGCN's, with the target and two thinned-out graphs."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        table = (num_users + num_items) * config.dim * 4
        return {**hint, 'target': 2 * table, 'thinned': 4 * 16 * num_edges}
