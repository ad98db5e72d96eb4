"""NCL: LightGCN contrasted with structural neighbours and prototypes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.anchor_info_nce import prototype_info_nce, structural_info_nce
from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.k_means import k_means
from graphrec.contrastive.remaining_rows import remaining_rows
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.epoch_key import EpochKey
from graphrec.models.lightgcn import LightGCN, LightGCNConfig


@dataclass(frozen=True)
class NCLConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`NCL`, with the official ones for Yelp. Weights go with sums
    over the batch. Others are presets (:mod:`graphrec.models.presets`).

    Attributes:
        hops: :math:`k`; structural neighbours are :math:`2k` steps away.
        temperature: :math:`\tau`.
        structure_weight: :math:`\lambda_s`.
        prototype_weight: :math:`\lambda_p`.
        item_weight: :math:`\alpha`, weight of the items in the structural term.
        num_prototypes: :math:`K`, clusters of each type, at most as many as nodes.
        warm_up: Epochs before the first clustering.
        iterations: Most rounds of k-means.
        count_repeats: Whether a node counts as often as the batch has it (official code).
    """

    hops: int = 1
    temperature: float = 0.05
    structure_weight: float = 1e-6
    prototype_weight: float = 1e-7
    item_weight: float = 1.5
    num_prototypes: int = 2000
    warm_up: int = 20
    iterations: int = 25
    count_repeats: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperature(self.temperature)
        for name in ('hops', 'num_prototypes', 'iterations'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        for name in ('structure_weight', 'prototype_weight', 'item_weight', 'warm_up'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')


class NCL(EpochKey, LightGCN):
    r"""NCL of `"Improving Graph Collaborative Filtering with Neighborhood-enriched Contrastive
    Learning" <https://arxiv.org/abs/2202.06200>`_ (Lin et al., WWW 2022),

    .. math::
        \mathcal{L} = \mathcal{L}_{LightGCN} + \lambda_s \big( \mathcal{S}_U + \alpha
        \mathcal{S}_I \big) + \lambda_p \big( \mathcal{P}_U + \mathcal{P}_I \big)

    with :func:`~graphrec.contrastive.structural_info_nce` :math:`\mathcal{S}` between layers
    :math:`2k` and 0 and :func:`~graphrec.contrastive.prototype_info_nce` :math:`\mathcal{P}`
    between layer 0 and its k-means centroids, found anew every epoch once warmed up. Without
    both weights it is LightGCN, step for step.

    Args:
        data: The graph; training edges only.
        config: See :class:`NCLConfig`.
    """

    config_class = NCLConfig
    config: NCLConfig
    centroids: Tensor
    cluster: Tensor
    num_epochs: Tensor

    def __init__(self, data: HeteroData, config: NCLConfig) -> None:
        super().__init__(data, config)
        sizes = [min(config.num_prototypes, n) for n in (self.num_users, self.num_items)]
        self._num_centroids = sizes
        device = self.embedding.device
        # State, not derived: a run that was killed goes on with the centroids of its epoch.
        self.register_buffer('centroids', torch.zeros(sum(sizes), config.dim, device=device))
        self.register_buffer('cluster', self.embedding.new_zeros(self.embedding.size(0)).long())
        self.register_buffer('num_epochs', torch.zeros((), dtype=torch.long, device=device))
        self.register_epoch_key(device)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        if 'num_epochs' in self._buffers:
            self.num_epochs.zero_()
            self.forget_epoch()

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {**super().node_rows(), 'cluster': ('user', 'item')}

    def fitted_buffers(self) -> tuple[str, ...]:
        return ('centroids', 'cluster', 'epoch_key')

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.is_new_epoch(generator):
            self.num_epochs += 1
            if self._has_prototypes:
                self._cluster_nodes(generator)

    @property
    def _has_prototypes(self) -> bool:
        return bool(self.config.prototype_weight) and int(self.num_epochs) > self.config.warm_up

    def loss(self, batch: BPRBatch) -> Tensor:
        config, loss = self.config, super().loss(batch)
        users, items = self.embedding.split([self.num_users, self.num_items])
        if config.structure_weight:
            powers = [0.0] * (2 * config.hops) + [1.0]
            context = Polynomial(self.propagation.op, powers) @ self.embedding
            around = context.split([self.num_users, self.num_items])
            there = self.remaining
            structure = self._structure(
                *remaining_rows(there['user'], around[0], users, batch.user)
            )
            structure = structure + config.item_weight * self._structure(
                *remaining_rows(there['item'], around[1], items, batch.pos)
            )
            loss = loss + config.structure_weight * structure
        if self._has_prototypes:
            centroids = self.centroids.split(self._num_centroids)
            cluster = self.cluster.split([self.num_users, self.num_items])
            prototypes = self._prototypes(users, centroids[0], cluster[0], batch.user)
            prototypes = prototypes + self._prototypes(items, centroids[1], cluster[1], batch.pos)
            loss = loss + config.prototype_weight * prototypes
        return loss

    def _structure(self, context: Tensor, own: Tensor, ids: Tensor | None) -> Tensor:
        return structural_info_nce(
            context,
            own,
            ids,
            temperature=self.config.temperature,
            count_repeats=self.config.count_repeats,
            reduction='sum',
        )

    def _prototypes(self, z: Tensor, centroids: Tensor, cluster: Tensor, ids: Tensor) -> Tensor:
        return prototype_info_nce(
            z,
            centroids,
            cluster,
            ids,
            temperature=self.config.temperature,
            count_repeats=self.config.count_repeats,
            reduction='sum',
        )

    def _cluster_nodes(self, generator: torch.Generator) -> None:
        nodes = self.embedding.detach().split([self.num_users, self.num_items])
        centroids, assigned = [], []
        for there, x, k in zip(self.remaining.values(), nodes, self._num_centroids, strict=True):
            rows = slice(None) if there is None else there.to(x.device)
            found = k_means(x[rows], k, generator, self.config.iterations)
            # A removed node is no anchor, so that its cluster is never asked for.
            assignment = self.cluster.new_zeros(x.size(0))
            assignment[rows] = found.assignment
            assigned.append(assignment)
            centroids.append(found.centroids)
        self.centroids.copy_(torch.cat(centroids))
        self.cluster.copy_(torch.cat(assigned))

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: NCLConfig
    ) -> dict[str, int]:
        """LightGCN's, with layer 2k, normalised tables and the centroids."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        table = (num_users + num_items) * config.dim * 4
        centroids = sum(min(config.num_prototypes, n) for n in (num_users, num_items))
        return {
            **hint,
            'contrast': 6 * table,
            'prototypes': 2 * centroids * config.dim * 4,
            'similarities': BLOCK_BYTES + 4096 * config.num_prototypes * 4,
        }
