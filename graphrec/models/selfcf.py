"""SelfCF: a user and an item predict each other's perturbed embeddings."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.bootstrap import bootstrap, check_momentum
from graphrec.contrastive.edge_drop import drop_edges
from graphrec.contrastive.view import check_share
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.bootstrap_lightgcn import BootstrapLightGCN
from graphrec.models.lightgcn import LightGCNConfig, gather_rows


@dataclass(frozen=True)
class SelfCFConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`SelfCF`.

    Attributes:
        num_layers: :math:`L` (paper: 1 or 2).
        reg: :math:`\lambda`, weight of half the squared norm of the batch's final rows, summed.
        variant: How the target is perturbed: ``'ed'``, embedding dropout; ``'he'``, what the
            node was at its last visit; ``'ep'``, edge pruning.
        dropout: :math:`p` of ``'ed'`` (paper: 0.1, 0.2 or 0.5) and the share of edges that
            ``'ep'`` leaves out.
        momentum: :math:`m` of ``'he'`` (paper: 0.05 to 0.1), share of the last visit.
    """

    num_layers: int = 2
    variant: Literal['ed', 'he', 'ep'] = 'ed'
    dropout: float = 0.1
    momentum: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share('dropout', self.dropout)
        check_momentum(self.momentum)
        if self.variant not in ('ed', 'he', 'ep'):
            raise GraphError(f"'variant' must be 'ed', 'he' or 'ep' (got {self.variant!r})")


class SelfCF(BootstrapLightGCN):
    r"""SelfCF of `"SelfCF: A Simple Framework for Self-supervised Collaborative Filtering"
    <https://arxiv.org/abs/2107.03019>`_ (Zhou et al., TORS 2023) on LightGCN,

    .. math::
        \mathcal{L} = -\frac{1}{2 B} \sum_{(u, i)} \big[ \cos(q(\mathbf{z}_u),
        \tilde{\mathbf{z}}_i) + \cos(q(\mathbf{z}_i), \tilde{\mathbf{z}}_u) \big] +
        \frac{\lambda}{2} \sum \|\mathbf{z}\|^2

    where no gradient reaches the targets: :math:`\tilde{\mathbf{z}} = \mathrm{dropout}(
    \mathbf{z})`; or :math:`m \mathbf{z}^{last} + (1 - m) \mathbf{z}` with the node's embedding
    at its last visit, at first random normal; or :math:`\mathbf{z}` over a thinned-out graph.
    For the last one the spread of the noise is reconstructed: edges are drawn uniformly every
    epoch and degrees counted anew. Without negatives; those of the batch are not read.

    Args:
        data: The graph; training edges only.
        config: See :class:`SelfCFConfig`.
    """

    config_class = SelfCFConfig
    config: SelfCFConfig
    last: Tensor

    def __init__(self, data: HeteroData, config: SelfCFConfig) -> None:
        super().__init__(data, config)
        if config.variant == 'he':
            self.register_buffer('last', torch.empty_like(self.embedding))
            self._reset_last()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        if 'last' in self._buffers:
            self._reset_last()

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        last = {'last': ('user', 'item')} if self.config.variant == 'he' else {}
        return super().node_rows() | last

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        self._pruned = self._propagation

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.config.variant == 'ep':
            kept = drop_edges(self._edge_index, self.config.dropout, generator)
            self._pruned = Polynomial(self._operator(kept), self._propagation.coefficients)

    def loss(self, batch: BPRBatch) -> Tensor:
        size = batch.user.numel()
        index = torch.cat([batch.user, batch.pos + self.num_users])
        z, _ = gather_rows(self.propagation, self.embedding, index)
        target = self._perturbed(z.detach(), index)
        online = self.predictor(z)
        # A quarter of 2 - 2 cos is half of 1 - cos.
        loss = bootstrap(online[:size], target[size:]) + bootstrap(online[size:], target[:size])
        return loss / 4 - 1 + self.config.reg / 2 * z.square().sum()

    def _perturbed(self, z: Tensor, index: Tensor) -> Tensor:
        config = self.config
        if config.variant == 'he':
            target = torch.lerp(z, self.last[index], config.momentum)
            if self.training:
                self.last[index] = z
            return target
        if config.variant == 'ep':
            if not self.training:
                return z
            with torch.no_grad():
                return self._pruned.apply_rows(self.embedding, index)
        if not self.training or not config.dropout:
            return z
        generator = self.noise_source()
        keep = torch.rand(z.shape, generator=generator, device=z.device) >= config.dropout
        return z * keep / (1 - config.dropout)

    def _reset_last(self) -> None:
        generator = torch.Generator().manual_seed(self.config.seed)
        self.last.copy_(torch.randn(self.last.shape, generator=generator))

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: SelfCFConfig
    ) -> dict[str, int]:
        """LightGCN's, with what the variant keeps."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        kept = {'he': 2 * (num_users + num_items) * config.dim * 4, 'ep': 16 * num_edges}
        return {**hint, 'targets': kept.get(config.variant, 0)}
