"""BM3: users, items and features predict each other's perturbed embeddings."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.contrastive.view import check_share
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial, bipartite_adjacency
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.models.histories import attach_histories
from graphrec.models.item_features import check_modalities, item_features
from graphrec.models.recommender import Recommender
from graphrec.models.seeded_init import fan_in_, xavier_


@dataclass(frozen=True)
class BM3Config:
    r"""Hyper-parameters of :class:`BM3`; defaults are those for Baby.

    Attributes:
        dim: :math:`d`.
        num_layers: :math:`L` (paper: 1 or 2).
        dropout: :math:`p`, share of the numbers of a target that is set to 0.
        reg: :math:`\lambda`, weight of the norms of all final rows.
        feature_weight: :math:`\mu`, weight of the terms with features (paper: 2).
        freeze_features: Whether features are inputs; the paper trains them along, which takes
            four times their memory.
        modalities: Names of those to use; all if omitted.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    num_layers: int = 1
    dropout: float = 0.5
    reg: float = 0.1
    feature_weight: float = 2.0
    freeze_features: bool = False
    modalities: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise GraphError(f"'dim' must be at least 1 (got {self.dim})")
        for name in ('num_layers', 'reg', 'feature_weight'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        check_share('dropout', self.dropout)
        object.__setattr__(self, 'modalities', check_modalities(self.modalities))


class BM3(Recommender):
    r"""BM3 of `"Bootstrap Latent Representations for Multi-modal Recommendation"
    <https://arxiv.org/abs/2207.05969>`_ (Zhou et al., WWW 2023). With
    :math:`[\mathbf{H}_U; \mathbf{H}_I] = \frac{1}{L + 1} \sum_l \hat{\mathbf{A}}^l \mathbf{E}`,

    .. math::
        \mathbf{Z}_U = \mathbf{H}_U, \quad \mathbf{Z}_I = \mathbf{H}_I + \mathbf{E}_I, \quad
        \mathbf{F}^m = \mathbf{X}^m \mathbf{W}_m^{\top} + \mathbf{b}_m

    and, for the pairs :math:`(u, i)` of a batch and :math:`c(\mathbf{a}, \mathbf{b}) = 1 -
    \mathrm{mean} \cos(\mathbf{a}, \mathbf{b})`,

    .. math::
        \mathcal{L} = c(q(\mathbf{z}_u), t(\mathbf{z}_i)) + c(q(\mathbf{z}_i), t(\mathbf{z}_u)) +
        \mu \sum_m \big[ c(q(\mathbf{f}_i^m), t(\mathbf{z}_i)) + c(q(\mathbf{f}_i^m),
        t(\mathbf{f}_i^m)) \big] + \frac{\lambda}{I} \big( \|\mathbf{Z}_U\|_F +
        \|\mathbf{Z}_I\|_F \big)

    Here :math:`q` is one linear layer and :math:`t` a dropout that no gradient passes. No
    negatives; those of the batch are not read. Scores are
    :math:`q(\mathbf{z}_u)^{\top} q(\mathbf{z}_i)`: features act on them through training only,
    so an item without interactions has but its initial row.

    Args:
        data: The graph; training edges and features only.
        config: See :class:`BM3Config`.

    Raises:
        GraphError: If the items have no features.
    """

    config_class = BM3Config
    config: BM3Config
    features: Tensor

    def __init__(self, data: HeteroData, config: BM3Config) -> None:
        super().__init__(data, config)
        device = train_edges(data).device
        x = item_features(data, config.modalities)
        num_nodes = self.num_users + self.num_items
        self.embedding = torch.nn.Parameter(torch.empty(num_nodes, config.dim, device=device))
        self.predictor = torch.nn.Linear(config.dim, config.dim, device=device)
        self.transforms = torch.nn.ModuleList(
            torch.nn.Linear(part.size(1), config.dim, device=device) for part in x.values()
        )
        self.widths = [part.size(1) for part in x.values()]
        if not config.freeze_features:
            self.features = torch.nn.Parameter(torch.cat(list(x.values()), 1))
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self) -> None:
        """Draws all tables by Xavier's rule, seeded by the config. Trained features stay as
        they are."""
        generator = torch.Generator().manual_seed(self.config.seed)
        for table in self.embedding.split([self.num_users, self.num_items]):
            xavier_(table, generator)
        for linear in (self.predictor, *self.transforms):
            # Biases are not 0: an item without features needs a direction, or the gradient
            # of its cosine explodes.
            fan_in_(linear, generator)
            xavier_(linear.weight, generator, normal=True)

    def refresh(self, data: HeteroData) -> None:
        """Rebuilds the adjacency, and reads the features anew unless they are trained."""
        super().refresh(data)
        adjacency = bipartite_adjacency(train_edges(data), self.num_users, self.num_items)
        depth = self.config.num_layers + 1
        self._propagation = Polynomial(adjacency, [1 / depth] * depth)
        if self.config.freeze_features:
            x = item_features(data, self.config.modalities)
            self.features = torch.cat(list(x.values()), 1)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {'embedding': ('user', 'item')}
        return rows | dict.fromkeys(self.feature_rows(), ('item',))

    def feature_rows(self) -> tuple[str, ...]:
        return () if self.config.freeze_features else ('features',)

    def embed(self) -> tuple[Tensor, Tensor]:
        r""":math:`\mathbf{Z}_U` :math:`(U, d)` and :math:`\mathbf{Z}_I` :math:`(I, d)`."""
        user, item = (self._propagation @ self.embedding).split([self.num_users, self.num_items])
        return user, item + self.embedding[self.num_users :]

    def forward(self) -> dict[str, Tensor]:
        user, item = self.embed()
        return {'user': self.predictor(user), 'item': self.predictor(item)}

    def loss(self, batch: BPRBatch) -> Tensor:
        config = self.config
        z_user, z_item = self.embed()
        user, item = F.embedding(batch.user, z_user), F.embedding(batch.pos, z_item)
        target_user, target_item = self._target(user), self._target(item)
        loss = _distance(self.predictor(user), target_item)
        loss = loss + _distance(self.predictor(item), target_user)
        if config.feature_weight:
            for f in self.encode(batch.pos):
                online = self.predictor(f)
                both = _distance(online, target_item) + _distance(online, self._target(f))
                loss = loss + config.feature_weight * both
        return loss + config.reg * (z_user.norm() + z_item.norm()) / self.num_items

    def encode(self, item: Tensor) -> list[Tensor]:
        r"""The projected features :math:`\mathbf{f}^m_i` of items :math:`(B)`, each
        :math:`(B, d)`, one a modality."""
        items, place = torch.unique(item, return_inverse=True)  # Repeats are projected once.
        x = F.embedding(items, self.features).to(self.embedding.dtype).split(self.widths, 1)
        return [
            F.embedding(place, linear(part))
            for linear, part in zip(self.transforms, x, strict=True)
        ]

    def _target(self, z: Tensor) -> Tensor:
        z = z.detach()
        if not self.training or not self.config.dropout:
            return z
        keep = torch.rand(z.shape, generator=self.noise_source(), device=z.device)
        return z * (keep >= self.config.dropout) / (1 - self.config.dropout)

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph by
        :func:`~graphrec.models.histories.attach_histories`, their node attached to the
        trained graph with :math:`\mathbf{e}_u = \mathbf{0}`."""
        with torch.no_grad():
            user = attach_histories(histories, self.embedding, self._propagation, self.num_users)
            return self.predictor(user) @ self.forward()['item'].t()

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: BM3Config
    ) -> dict[str, int]:
        """Bytes beyond gradients and optimiser; features, whose width no config knows, are
        counted only where they are trained and the model is built."""
        table = (num_users + num_items) * config.dim * 4
        operator = 2 * num_edges * 8 + (num_users + num_items + 1) * 4
        return {'graph': operator, 'graph_building': 2 * num_edges * 48, 'layers': 5 * table}


def _distance(online: Tensor, target: Tensor) -> Tensor:
    """1 less the mean cosine."""
    return 1 - F.cosine_similarity(online, target, dim=1).mean()
