"""MMHCL: contrast with user and item hypergraphs."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.info_nce import info_nce
from graphrec.contrastive.remaining_rows import remaining_rows
from graphrec.errors import GraphError
from graphrec.graphs.hypergraph import item_hypergraph, user_hypergraph
from graphrec.graphs.operators import (
    Operator,
    Polynomial,
    Product,
    interaction_operator,
    normalized_adjacency,
)
from graphrec.graphs.sampling import BPRBatch, BPRSampler
from graphrec.graphs.schema import train_edges
from graphrec.graphs.semantic import semantic_graph, semantic_modalities
from graphrec.models.histories import attach_histories, gather_histories
from graphrec.models.mmhcl_config import MMHCLConfig
from graphrec.models.pairwise import batch_nodes, pairwise_loss
from graphrec.models.recommender import Recommender


class MMHCL(Recommender):
    r"""MMHCL of `"MMHCL: Multi-Modal Hypergraph Contrastive Learning for Recommendation"
    <https://arxiv.org/abs/2504.16576>`_ (TOMM 2025), by the official code where the paper
    is silent. With :math:`\bar{\mathbf{x}}` the backbone's embeddings
    (the mean of layers of LightGCN), :math:`\mathbf{S}_u` and :math:`\mathbf{S}_i` of
    :func:`~graphrec.graphs.hypergraph.user_hypergraph` and
    :func:`~graphrec.graphs.hypergraph.item_hypergraph`,

    .. math::
        \mathbf{h}_u = \mathbf{S}_u^{L_u} \mathbf{S}_u^{0}, \qquad
        \mathbf{h}_i = \mathbf{S}_i^{L_i} \mathbf{S}_i^{0}, \qquad
        \mathbf{z} = \bar{\mathbf{x}} + \mathbf{h} / \|\mathbf{h}\|_2, \qquad
        s_{ui} = \mathbf{z}_u^{\top} \mathbf{z}_i

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR} + \lambda \mathcal{L}_{Reg} + \beta_i
        C(\mathbf{z}_i, \mathbf{h}_i) + \beta_u C(\mathbf{z}_u, \mathbf{h}_u)

    with :math:`C` the one-way contrast over all nodes and both views of
    :func:`~graphrec.contrastive.info_nce`, whose matrix is never held. Features enter only
    through neighbours, so frozen neighbour graphs serve as well. An item
    without a modality is alone in its hyperedge; a user who shares no item has
    :math:`\mathbf{h}_u = \mathbf{0}`.

    Args:
        data: The graph; training edges, and features or frozen neighbours of items.
        config: See :class:`~graphrec.models.mmhcl_config.MMHCLConfig`.

    Raises:
        GraphError: If the items have no modality that the item hypergraph can be made of.
    """

    config_class = MMHCLConfig
    config: MMHCLConfig

    def __init__(self, data: HeteroData, config: MMHCLConfig) -> None:
        super().__init__(data, config)
        device = train_edges(data).device

        def table(rows: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.empty(rows, config.dim, device=device))

        #: First-order embeddings, users first.
        self.embedding = table(self.num_users + self.num_items)
        #: Second-order embeddings, where the hypergraph is in use.
        self.user_embedding = table(self.num_users) if config.user_weight else None
        self.item_embedding = table(self.num_items) if config.item_weight else None
        layers = 2 * config.num_layers if config.backbone == 'ngcf' else 0
        #: :math:`\mathbf{W}_1, \mathbf{W}_2` of every layer of NGCF.
        self.transforms = torch.nn.ModuleList(
            torch.nn.Linear(config.dim, config.dim, device=device) for _ in range(layers)
        )
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws all parameters anew, from the config's seed unless given a generator."""
        if generator is None:
            generator = torch.Generator().manual_seed(self.config.seed)

        def xavier(rows: int) -> Tensor:
            draw = torch.empty(rows, self.config.dim)
            return torch.nn.init.xavier_uniform_(draw, generator=generator)

        # Drawn on the CPU, so that every device starts from the same numbers.
        if self.config.init_std is None:
            first = torch.cat([xavier(self.num_users), xavier(self.num_items)])
        else:
            first = torch.randn(self.embedding.shape, generator=generator) * self.config.init_std
        with torch.no_grad():
            self.embedding.copy_(first)
            for second in (self.user_embedding, self.item_embedding):
                if second is not None:
                    second.copy_(xavier(second.size(0)))
            for name, parameter in self.transforms.named_parameters():
                parameter.copy_(
                    xavier(self.config.dim) if name.endswith('weight') else torch.zeros(())
                )

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        config = self.config
        self.adjacency = normalized_adjacency(data)
        depth = config.num_layers + 1
        self._propagation = Polynomial(self.adjacency, [1 / depth] * depth)
        self._history = interaction_operator(data)
        self.user_graph: Operator | None = None
        self.item_graph: Operator | None = None
        if config.user_weight and config.user_layers:
            self.user_graph = user_hypergraph(data)
        if config.item_weight:
            names = semantic_modalities(data) if config.modalities is None else config.modalities
            if not names:
                raise GraphError(
                    "'modalities' is empty: the items have no features ('x_<name>') or frozen "
                    "graphs; give some, or 'item_weight=0' to do without the item hypergraph"
                )
            self.item_graph = item_hypergraph(
                [semantic_graph(data, m, config.k, source=config.source) for m in names]
            )

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {'embedding': ('user', 'item')}
        if self.user_embedding is not None:
            rows['user_embedding'] = ('user',)
        if self.item_embedding is not None:
            rows['item_embedding'] = ('item',)
        return rows

    def make_sampler(self, data: HeteroData, batch_size: int) -> BPRSampler:
        """Users uniform, one of their items each, negatives of ``negatives_from``."""
        items = None
        if self.config.negatives_from == 'train_items':
            items = train_edges(data)[1].unique()
        return BPRSampler(data, batch_size=batch_size, uniform='users', items=items)

    def first_order(self) -> Tensor:
        r"""The backbone's embeddings :math:`\bar{\mathbf{x}}`, shape :math:`(U + I, d)`."""
        layers = self.config.num_layers
        if self.config.backbone == 'mf':
            return self.embedding
        if self.config.backbone == 'lightgcn':
            return self._propagation @ self.embedding
        x: Tensor = self.embedding
        outputs = [x]
        for layer in range(layers):
            near = self.adjacency @ x
            own, pair = self.transforms[2 * layer], self.transforms[2 * layer + 1]
            x = F.leaky_relu(own(near), 0.01) + F.leaky_relu(pair(x * near), 0.01)
            x = self._dropped(x)
            outputs.append(F.normalize(x, dim=1))
        return torch.stack(outputs).mean(0)

    def second_order(self) -> tuple[Tensor | None, Tensor | None]:
        r"""The hypergraphs' embeddings :math:`\mathbf{h}_u` :math:`(U, d)` and
        :math:`\mathbf{h}_i` :math:`(I, d)`; :obj:`None` for one that is off."""
        config = self.config
        return (
            _propagate(self.user_graph, self.user_embedding, config.user_layers),
            _propagate(self.item_graph, self.item_embedding, config.item_layers),
        )

    def forward(self) -> dict[str, Tensor]:
        return self._combine(*self.second_order())

    def loss(self, batch: BPRBatch) -> Tensor:
        config, second = self.config, self.second_order()
        z = self._combine(*second)
        rows = torch.cat([z['user'], z['item']])[batch_nodes(batch, self.num_users)]
        loss = pairwise_loss(rows, rows, batch, config.reg)
        for weight, kind, h in zip(
            (config.user_weight, config.item_weight), z, second, strict=True
        ):
            if h is not None:
                final, h, _ = remaining_rows(self.remaining[kind], z[kind], h)
                loss = loss + weight * self.contrast(final, h)
        return loss

    def contrast(self, z: Tensor, h: Tensor) -> Tensor:
        r""":math:`C(\mathbf{z}, \mathbf{h})` over all rows, or over drawn ones."""
        size, sample = z.size(0), self.config.contrast_sample
        if sample is None or sample >= size:
            return info_nce(
                z,
                h,
                temperature=self.config.temperature,
                negatives='both',
                bf16=self.config.bf16_contrast,
            )
        anchors, candidates = (
            torch.randperm(size, generator=self.noise_source(), device=z.device)[:sample]
            for _ in range(2)
        )
        return info_nce(
            z, h, anchors, candidates, temperature=self.config.temperature, negatives='both'
        )

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list: a node
        without embeddings of its own is attached to the trained graph. Its backbone part is
        that of LightGCN (the mean of its items' vectors for ``'mf'``), its hypergraph part

        .. math::
            \mathbf{h} = \mathbf{y} / \|\mathbf{y}\|_2, \qquad \mathbf{y} = \sum_{i \in H}
            \big( \mathbf{R}^{\top} \mathbf{S}_u^{L_u - 1} \mathbf{S}_u^{0} \big)_i

        Raises:
            GraphError: If the backbone is NGCF, which has no such form.
        """
        config = self.config
        if config.backbone == 'ngcf':
            raise GraphError("MMHCL cannot serve unknown users with 'backbone' 'ngcf'")
        with torch.no_grad():
            if config.backbone == 'mf':
                user = gather_histories(histories, self.embedding[self.num_users :], 1.0)
            else:
                user = attach_histories(
                    histories, self.embedding, self._propagation, self.num_users
                )
            if self.user_graph is not None:
                y = _propagate(self.user_graph, self.user_embedding, config.user_layers - 1)
                assert y is not None
                near = gather_histories(histories, self._history.T @ y, 1.0)
                user = user + F.normalize(near, dim=1)
            return user @ self.forward()['item'].t()

    def _combine(self, user: Tensor | None, item: Tensor | None) -> dict[str, Tensor]:
        first = self.first_order().split([self.num_users, self.num_items])
        pairs = zip(('user', 'item'), first, (user, item), strict=True)
        return {kind: x if h is None else x + F.normalize(h, dim=1) for kind, x, h in pairs}

    def _dropped(self, x: Tensor) -> Tensor:
        share = self.config.ngcf_dropout
        if not self.training or not share:
            return x
        drawn = torch.rand(x.shape, generator=self.noise_source(), device=x.device)
        return x * (drawn >= share) / (1 - share)

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: MMHCLConfig
    ) -> dict[str, int]:
        """Bytes that training needs; two modalities are taken for granted."""
        table = (num_users + num_items) * config.dim * 4
        neighbours = 2 * config.k * num_items
        users, items = config.user_weight > 0, config.item_weight > 0
        second = (users * num_users + items * num_items) * config.dim * 4
        return {
            'parameters': table + second,
            'graph': (2 + 2 * users) * num_edges * 8 + items * 2 * neighbours * 8,
            'graph_building': 2 * num_edges * 48 + items * 2 * 4096 * 4128 * 4,
            'layers': (4 + 2 * config.num_layers * (config.backbone == 'ngcf')) * table,
            'contrast': 8 * second,
            'similarities': 2 * BLOCK_BYTES,
        }


def _propagate(graph: Operator | None, x: Tensor | None, layers: int) -> Tensor | None:
    return x if x is None or graph is None or not layers else Product([graph] * layers) @ x
