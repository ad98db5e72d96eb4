"""MGCN: features purified by behaviour, fused by attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.info_nce import info_nce
from graphrec.errors import GraphError
from graphrec.graphs.operators import Sparse
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.semantic import semantic_graph
from graphrec.models.lightgcn import gather_rows
from graphrec.models.multimodal import MultimodalConfig, MultimodalLightGCN


@dataclass(frozen=True)
class MGCNConfig(MultimodalConfig):
    r"""Hyper-parameters of :class:`MGCN`; the published grid of ``contrast_weight`` is 0.001,
    0.01, 0.1, with a learning rate of 1e-3 that falls by 0.96 every 50 epochs.

    Attributes:
        reg: :math:`\lambda`, weight of the squared norm of the batch's final rows.
        k: Neighbours of an item, itself counted.
        contrast_weight: :math:`\lambda_c`.
        temperature: :math:`\tau`, 0.2 as the published code computes, whatever it is given.
        deduplicate: Whether a node that the batch holds twice counts once in the contrast;
            in the published code it is a negative of itself.
    """

    reg: float = 1e-4
    k: int = 10
    contrast_weight: float = 0.01
    temperature: float = 0.2
    deduplicate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperature(self.temperature)
        if self.k < 1:
            raise GraphError(f"'k' must be at least 1 (got {self.k})")
        if not self.contrast_weight >= 0:
            raise GraphError(f"'contrast_weight' must not be negative (got {self.contrast_weight})")


class MGCN(MultimodalLightGCN):
    r"""MGCN of `"Multi-View Graph Convolutional Network for Multimedia Recommendation"
    <https://arxiv.org/abs/2308.03588>`_ (Yu et al., MM 2023). Features are purified by the
    item's embedding and passed to its neighbours and users,

    .. math::
        \mathbf{H}_I^m = \mathbf{S}^m \big( \mathbf{E}_I \odot \sigma(\mathbf{X}^m \mathbf{W}_m
        \mathbf{W}^{\prime}_m + \mathbf{b}_m) \big), \qquad
        \mathbf{H}_U^m = \hat{\mathbf{R}} \mathbf{H}_I^m

    with :math:`\mathbf{S}^m` the cosines of the :math:`k` nearest items, itself included,
    scaled by the square roots of the row sums of both ends, and :math:`\hat{\mathbf{R}}` the
    user block of :math:`\hat{\mathbf{A}}`. Behaviour :math:`\mathbf{c} = \frac{1}{L + 1}
    \sum_l \hat{\mathbf{A}}^l \mathbf{E}` weighs what differs from the common part
    :math:`\mathbf{g}`,

    .. math::
        \mathbf{g} = \sum_m \alpha_m \mathbf{h}^m, \quad
        \boldsymbol{\alpha} = \mathrm{softmax}_m \big( \mathbf{w}^{\top} \tanh(\mathbf{Q}
        \mathbf{h}^m + \mathbf{q}) \big), \quad
        \mathbf{s} = \frac{1}{M + 1} \Big[ \mathbf{g} + \sum_m \sigma(\mathbf{P}_m \mathbf{c} +
        \mathbf{p}_m) \odot (\mathbf{h}^m - \mathbf{g}) \Big]

    .. math::
        \mathbf{z} = \mathbf{c} + \mathbf{s}, \qquad \mathcal{L} = \mathrm{BPR}(\mathbf{Z}) +
        \frac{\lambda}{2 B} \sum \|\mathbf{z}\|^2 + \lambda_c \big[ C(\mathbf{s}_I,
        \mathbf{c}_I) + C(\mathbf{s}_U, \mathbf{c}_U) \big]

    :math:`C` is :func:`~graphrec.contrastive.info_nce` within the batch, of users and of
    positives. The item graphs stay as they are.

    Args:
        data: The graph; training edges and features only.
        config: See :class:`MGCNConfig`.

    Raises:
        GraphError: If a modality has no features.
    """

    config_class = MGCNConfig
    config: MGCNConfig

    def build(self) -> None:
        self.require_features()
        dim = self.config.dim
        self.projection = self.projections()
        #: :math:`\mathbf{W}^{\prime}_m, \mathbf{b}_m` of every modality.
        self.gate = torch.nn.ModuleDict({m: torch.nn.Linear(dim, dim) for m in self.modalities})
        #: :math:`\mathbf{P}_m, \mathbf{p}_m` of every modality.
        self.preference = torch.nn.ModuleDict(
            {m: torch.nn.Linear(dim, dim) for m in self.modalities}
        )
        #: :math:`\mathbf{Q}, \mathbf{q}`.
        self.query = torch.nn.Linear(dim, dim)
        #: :math:`\mathbf{w}`.
        self.attention = torch.nn.Linear(dim, 1, bias=False)

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        for place, name in enumerate(self.modalities):
            graph = semantic_graph(data, name, self.config.k)
            setattr(self, f'_item_graph_{place}', graph.to_operator(weighted=True))
        user, item = self._edge_index
        of_user = torch.bincount(user, minlength=self.num_users).double()
        of_item = torch.bincount(item, minlength=self.num_items).double()
        self._to_users = Sparse.from_edges(
            self._edge_index,
            (of_user[user] * of_item[item]).rsqrt().float(),
            shape=(self.num_users, self.num_items),
        )

    def item_views(self) -> list[Tensor]:
        r""":math:`\mathbf{H}_I^m` :math:`(I, d)` of every modality."""
        item = self.embedding[self.num_users :]
        return [
            getattr(self, f'_item_graph_{place}')
            @ (item * torch.sigmoid(self.gate[name](self.projected(name))))
            for place, name in enumerate(self.modalities)
        ]

    def side(self, behaviour: Tensor, views: Sequence[Tensor]) -> Tensor:
        r""":math:`\mathbf{s}` :math:`(n, d)` of nodes with behaviour :math:`\mathbf{c}`
        :math:`(n, d)` and views :math:`\mathbf{h}^m`, each :math:`(n, d)`."""
        logits = [self.attention(torch.tanh(self.query(h))) for h in views]
        share = torch.stack(logits).softmax(0)
        common = (share * torch.stack(list(views))).sum(0)
        total = common
        for name, h in zip(self.modalities, views, strict=True):
            total = total + torch.sigmoid(self.preference[name](behaviour)) * (h - common)
        return total / (len(views) + 1)

    def forward(self) -> dict[str, Tensor]:
        behaviour = super().forward()
        item_views = self.item_views()
        user_views = [self._to_users @ h for h in item_views]
        return {
            'user': behaviour['user'] + self.side(behaviour['user'], user_views),
            'item': behaviour['item'] + self.side(behaviour['item'], item_views),
        }

    def loss(self, batch: BPRBatch) -> Tensor:
        config, size, nodes = self.config, batch.user.numel(), self.batch_nodes(batch)
        behaviour, _ = gather_rows(self.propagation, self.embedding, nodes)
        views = [
            torch.cat([(self._to_users @ h)[batch.user], h[nodes[size:] - self.num_users]])
            for h in self.item_views()
        ]
        side = self.side(behaviour, views)
        z = behaviour + side
        loss = self.ranking_loss(z, z, batch)
        if config.contrast_weight:
            for first, ids in ((0, batch.user), (size, batch.pos)):
                rows = torch.arange(first, first + size, device=ids.device)
                if config.deduplicate:
                    rows = rows[_one_of_each(ids)]
                contrast = info_nce(side[rows], behaviour[rows], temperature=config.temperature)
                loss = loss + config.contrast_weight * contrast
        return loss

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list: their node
        is attached to the trained graph, their views :math:`\mathbf{h}_u^m` and behaviour
        are its rows of :math:`\hat{\mathbf{A}}`."""
        behaviour = self._history_vectors(histories)
        with torch.no_grad():
            views = [self.attached(histories, h) for h in self.item_views()]
            vectors = behaviour + self.side(behaviour, views)
        return vectors @ self.served()['item'].t()

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: MGCNConfig
    ) -> dict[str, int]:
        """LightGCN's, with graphs and views of two modalities."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        table = (num_users + num_items) * config.dim * 4
        graphs = 2 * config.k * num_items * 24 + 2 * num_edges * 16
        return {**hint, 'item_graphs': graphs, 'views': 2 * 6 * table}


def _one_of_each(ids: Tensor) -> Tensor:
    """Places :math:`(m)`, one of every distinct number among :obj:`ids`."""
    _, group = torch.unique(ids, return_inverse=True)
    place = torch.zeros_like(ids)
    place[group] = torch.arange(ids.numel(), device=ids.device)
    return place[: int(group.max()) + 1]
