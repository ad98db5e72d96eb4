"""LIRDRec: items made of nothing but their features, passed over two graphs."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.contrastive.degree_edge_drop import drop_edges_by_degree
from graphrec.contrastive.view import check_share
from graphrec.errors import GraphError
from graphrec.graphs.mixing import mix
from graphrec.graphs.operators import Polynomial, bipartite_adjacency
from graphrec.graphs.sampling import BPRBatch, BPRSampler
from graphrec.graphs.schema import train_edges
from graphrec.graphs.semantic import semantic_graph, semantic_modalities
from graphrec.graphs.sparse import Sparse
from graphrec.models.histories import attach_histories
from graphrec.models.item_features import (
    TRANSFORMS,
    check_modalities,
    cosine_transform,
    item_features,
    visual_weights,
)
from graphrec.models.progressive_copy import COPIES, ProgressiveCopy
from graphrec.models.recommender import Recommender
from graphrec.models.seeded_init import fan_in_, xavier_


@dataclass(frozen=True)
class LIRDRecConfig:
    r"""Hyper-parameters of :class:`LIRDRec`. The paper trains with Adam at 1e-4.

    Attributes:
        dim: :math:`d`, length of a view.
        hidden: Width of the encoders between their two layers.
        num_layers: :math:`L` of the user-item graph (paper: 2, 3 or 4).
        item_layers: :math:`L_{mm}` of the item graph.
        k: Neighbours of an item in each modality, itself included.
        visual_weight: :math:`w_v` of the modality named ``visual`` or ``image`` (paper: 0.1 or
            0.2); the others share the rest. Without such a one all weigh the same.
        reg: :math:`\lambda` (paper: 1e-2 to 1e-4).
        copy: How user weights are carried on, see
            :class:`~graphrec.models.progressive_copy.ProgressiveCopy`: ``'softmax'``
            (official code), ``'logit'``, ``'none'`` or ``'uniform'``.
        attention_weight: :math:`\omega_1(0)` (paper: 0.9, 0.95 or 0.99).
        decay: :math:`\rho`.
        attention_hidden: Width of the attention between its two layers.
        dct: The transform of the additional view: ``'1d'`` along the features (official code),
            ``'none'``, or ``'2d'`` along the items too (a reading of the paper), which is for
            study only: it **depends on the order of the items**.
        edge_dropout: Share of the edges left out of an epoch, rather those of popular nodes.
        modalities: Names of those to use; all if omitted.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    hidden: int = 256
    num_layers: int = 2
    item_layers: int = 1
    k: int = 10
    visual_weight: float = 0.1
    reg: float = 1e-4
    copy: Literal['softmax', 'logit', 'none', 'uniform'] = 'softmax'
    attention_weight: float = 0.9
    decay: float = 0.9
    attention_hidden: int = 16
    dct: Literal['1d', '2d', 'none'] = '1d'
    edge_dropout: float = 0.0
    modalities: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('dim', 'hidden', 'k', 'attention_hidden'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        for name in ('num_layers', 'item_layers', 'reg'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        for name in ('attention_weight', 'decay'):
            if not 0 < getattr(self, name) < 1:
                raise GraphError(f'{name!r} must lie in (0, 1) (got {getattr(self, name)})')
        if not 0 <= self.visual_weight <= 1:
            raise GraphError(f"'visual_weight' must lie in [0, 1] (got {self.visual_weight})")
        for name, words in (('copy', COPIES), ('dct', TRANSFORMS)):
            if getattr(self, name) not in words:
                raise GraphError(f'{name!r} must be one of {words} (got {getattr(self, name)!r})')
        check_share('edge_dropout', self.edge_dropout)
        object.__setattr__(self, 'modalities', check_modalities(self.modalities))


class LIRDRec(Recommender):
    r"""LIRDRec of `"Learning Item Representations Directly from Multimodal Features for
    Effective Recommendation" <https://arxiv.org/abs/2505.04960>`_ (Zhou et al., 2025).

    Beside the modalities there is one more view, their transforms side by side:
    :math:`\mathbf{X}^s = [\mathrm{dct}(\mathbf{X}^v) \,|\, \mathrm{dct}(\mathbf{X}^t)]`. With
    one user table :math:`\mathbf{P}^m` and one encoder a view,

    .. math::
        \mathbf{f}^m = \mathbf{W}_2^m \mathrm{LeakyReLU}(\mathbf{W}_1^m \mathbf{x}^m +
        \mathbf{b}_1^m), \qquad
        \mathbf{X}_0 = \big\Vert_m \mathrm{rows}_{\ell_2} [\mathbf{P}^m; \mathbf{F}^m]

    .. math::
        \mathbf{H} = \sum_{l=0}^{L} \hat{\mathbf{A}}^l \mathbf{X}_0, \qquad
        \mathbf{z}_i = \mathbf{h}_i + (\mathbf{S}^{L_{mm}} \mathbf{H}_I)_i, \qquad
        \mathbf{z}_u = \big\Vert_m w_u^m \mathbf{h}_u^m

    Items have no table of their own. :math:`\mathbf{S}` mixes the graphs of the
    :math:`k` nearest items by modality; its rows sum to 1. The weights :math:`w_u` come
    from :class:`~graphrec.models.progressive_copy.ProgressiveCopy`. Then

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i, j)} \ln \big(1 + e^{s_{uj} - s_{ui}} \big) +
        \lambda \big( \mathrm{mean}(\mathbf{Z}_U^2) + \mathrm{mean}(\mathbf{Z}_I^2) \big)

    over all users and items, not the batch's. The one-dimensional transform is a rotation
    that a linear layer absorbs: it adds another parametrisation, no capacity.

    Any number of modalities will do (the official code needs two). An item without
    interactions is served by its features and its neighbours'; it is never a negative.

    Args:
        data: The graph; training edges, features and frozen item graphs only.
        config: See :class:`LIRDRecConfig`.

    Raises:
        GraphError: If the items have no features.
    """

    config_class = LIRDRecConfig
    config: LIRDRecConfig

    def __init__(self, data: HeteroData, config: LIRDRecConfig) -> None:
        super().__init__(data, config)
        device = train_edges(data).device
        self._read_features(data)
        views, dim = len(self.widths), config.dim
        self.user = torch.nn.Parameter(torch.empty(self.num_users, views * dim, device=device))
        self.encoders = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Linear(width, config.hidden),
                torch.nn.LeakyReLU(0.01),
                torch.nn.Linear(config.hidden, dim, bias=False),
            ).to(device)
            for width in self.widths
        )
        self.weights = ProgressiveCopy(
            self.num_users,
            views,
            dim,
            copy=config.copy,
            attention_weight=config.attention_weight,
            decay=config.decay,
            hidden=config.attention_hidden,
        ).to(device)
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self) -> None:
        """Draws user tables (Xavier's normal) and layers (torch's own) by the config's seed."""
        generator = torch.Generator().manual_seed(self.config.seed)
        for table in self.user.split(self.config.dim, dim=1):
            xavier_(table, generator, normal=True)
        for module in self.encoders.modules():
            if isinstance(module, torch.nn.Linear):
                fan_in_(module, generator)
        self.weights.reset_parameters(generator)

    def refresh(self, data: HeteroData) -> None:
        """Rebuilds both graphs and reads the features anew."""
        super().refresh(data)
        self._read_features(data)
        self._edge_index = train_edges(data)
        self._propagation = self._powers(self._edge_index)
        self._thinned = self._propagation
        self.item_graph = self._item_graph(data)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(('user', 'weights.theta', 'weights.latest'), ('user',))

    def _read_features(self, data: HeteroData) -> None:
        x = list(item_features(data, self.config.modalities).values())
        x.append(torch.cat([cosine_transform(part, self.config.dct) for part in x], 1))
        #: Widths of the views in :attr:`features`.
        self.widths = [part.size(1) for part in x]
        self.features = torch.cat(x, 1)

    def _powers(self, edge_index: Tensor) -> Polynomial:
        adjacency = bipartite_adjacency(edge_index, self.num_users, self.num_items)
        return Polynomial(adjacency, [1.0] * (self.config.num_layers + 1))

    def _item_graph(self, data: HeteroData) -> Sparse:
        # A modality may come as features, as a frozen graph, or as both.
        names = list(self.config.modalities or semantic_modalities(data))
        graphs = [semantic_graph(data, name, self.config.k) for name in names]
        # Row by row, so that an item without the modality keeps its row sum of 1.
        operators = [graph.to_operator(normalisation='row') for graph in graphs]
        return mix(operators, visual_weights(names, self.config.visual_weight))

    def make_sampler(self, data: HeteroData, batch_size: int) -> BPRSampler:
        """Every edge once; negatives are items that occur in the training edges."""
        return BPRSampler(data, batch_size=batch_size, items=train_edges(data)[1].unique())

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        share, sizes = self.config.edge_dropout, (self.num_users, self.num_items)
        if share:
            kept = drop_edges_by_degree(self._edge_index, share, sizes, generator)
            self._thinned = self._powers(kept)
        self.weights.begin_epoch(generator)

    def encode(self) -> Tensor:
        r"""Rows :math:`(U + I, V d)` that enter the graphs, users first: :math:`V` views, each
        of length 1."""
        x = self.features.to(self.user.dtype).split(self.widths, 1)
        item = torch.cat([encoder(part) for encoder, part in zip(self.encoders, x, strict=True)], 1)
        rows = torch.cat([self.user, item])
        return F.normalize(rows.view(len(rows), len(self.widths), -1), dim=2).flatten(1)

    def embed(self) -> tuple[Tensor, Tensor]:
        r""":math:`\mathbf{H}_U` :math:`(U, V d)`, not yet weighted, and :math:`\mathbf{Z}_I`
        :math:`(I, V d)`."""
        propagation = self._thinned if self.training else self._propagation
        user, item = (propagation @ self.encode()).split([self.num_users, self.num_items])
        return user, self._over_items(item)

    def _over_items(self, h: Tensor) -> Tensor:
        carried = h
        for _ in range(self.config.item_layers):
            carried = self.item_graph @ carried
        return h + carried

    def forward(self) -> dict[str, Tensor]:
        user, item = self.embed()
        return {'user': self.weights(user), 'item': item}

    def loss(self, batch: BPRBatch) -> Tensor:
        h_user, z_item = self.embed()
        z_user = self.weights(h_user, keep=self.training)
        size = batch.user.numel()
        neg = batch.neg.reshape(size, -1)
        user = F.embedding(batch.user, z_user)
        rows = F.embedding(torch.cat([batch.pos, neg.reshape(-1)]), z_item)
        s_pos = (user * rows[:size]).sum(1, keepdim=True)
        s_neg = torch.einsum('bnd,bd->bn', rows[size:].view(size, neg.size(1), -1), user)
        penalty = z_user.square().mean() + z_item.square().mean()
        return F.softplus(s_neg - s_pos).mean() + self.config.reg * penalty

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph by
        :func:`~graphrec.models.histories.attach_histories`, their node attached to the
        trained graph with :math:`\mathbf{x}_u = \mathbf{0}` and the users' mean state
        :math:`\boldsymbol\theta`."""
        with torch.no_grad():
            x = self.encode()
            user = attach_histories(histories, x, self._propagation, self.num_users)
            item = self._over_items((self._propagation @ x)[self.num_users :])
            return self.weights.serve(user) @ item.t()

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: LIRDRecConfig
    ) -> dict[str, int]:
        """Bytes beyond gradients and optimiser for two modalities; the features, whose width
        no config knows, are not counted."""
        views = 1 + len(config.modalities or ('visual', 'text'))
        row = views * config.dim * 4
        operator = 2 * num_edges * 8 + (num_users + num_items + 1) * 4
        copies = 2 if config.edge_dropout else 1
        return {
            'parameters': num_users * row,
            'graph': copies * operator + views * num_items * config.k * 16,
            'graph_building': 2 * num_edges * 48,
            'layers': 8 * (num_users + num_items) * row,
            'encoders': 3 * views * num_items * config.hidden * 4,
        }
