"""Semantic item graphs infused with co-occurrence, and two alignments."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.info_nce import info_nce
from graphrec.contrastive.semantic_info_nce import semantic_info_nce
from graphrec.errors import GraphError
from graphrec.graphs.cooccurrence import cooccurrence_graph
from graphrec.graphs.mixing import mix
from graphrec.graphs.operators import (
    Polynomial,
    Sparse,
    interaction_operator,
    normalized_adjacency,
)
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.graphs.semantic import semantic_graph, semantic_modalities
from graphrec.models.histories import attach_histories, gather_histories
from graphrec.models.item_features import feature_name, item_features
from graphrec.models.pairwise import batch_nodes, pairwise_loss
from graphrec.models.recommender import Recommender
from graphrec.models.semantic_item_graph_config import SemanticItemGraphConfig


class SemanticItemGraph(Recommender):
    r"""The model of `"Semantic Item Graph Enhancement for Multimodal Recommendation"
    <https://arxiv.org/abs/2508.06154>`_ (Zhang et al., 2025; also named CEAA or SIGER),
    **reconstructed from its abstract**: there is no released code, every choice that the
    abstract leaves open is a setting, and no published number is claimed.

    Co-occurrence :math:`\mathbf{S}^c` is infused into the semantic graph of every modality,
    over which items gather; users gather their items' semantics, and both are fused by
    attention over modalities, :math:`q(\mathbf{x}) = \mathbf{w}^{\top} \tanh(\mathbf{W}
    \mathbf{x} + \mathbf{b})`:

    .. math::
        \tilde{\mathbf{S}}^m = (1 - \gamma) \mathbf{S}^m + \gamma \mathbf{S}^c, \qquad
        \mathbf{H}_i^m = (\tilde{\mathbf{S}}^m)^{L_s} \big( \mathbf{E}_i \odot \sigma(
        \mathrm{MLP}_m(\mathbf{X}^m)) \big), \qquad \mathbf{H}_u^m = \hat{\mathbf{R}} \mathbf{H}_i^m

    .. math::
        \mathbf{h} = \sum_m \mathrm{softmax}_m(q(\mathbf{h}^m)) \, \mathbf{h}^m, \qquad
        \mathbf{z} = \mathbf{b} + \mathbf{h}, \qquad s_{ui} = \mathbf{z}_u^{\top} \mathbf{z}_i

    with LightGCN's :math:`\mathbf{b}`. Trained by BPR with squared norms and

    .. math::
        \lambda_p \mathcal{L}_p + \lambda_a \mathcal{L}_a + \lambda_b \mathcal{L}_b

    over the distinct users and positives of a batch: InfoNCE between two perturbed draws
    (:class:`~graphrec.contrastive.EmbeddingPerturbation`), the modalities against behaviour
    (:func:`~graphrec.contrastive.semantic_info_nce`), and behaviour against
    :math:`\mathbf{h}`. Serving is clean and without randomness.

    The features of a modality with a frozen graph alone may be named after it
    (``x_image_spectral`` beside ``knn_image_index``).

    Args:
        data: The graph; training edges, and features of items.
        config: See :class:`~graphrec.models.semantic_item_graph_config.SemanticItemGraphConfig`.

    Raises:
        GraphError: If the items have no modality, or one has no features to be propagated.
    """

    config_class = SemanticItemGraphConfig
    config: SemanticItemGraphConfig

    def __init__(self, data: HeteroData, config: SemanticItemGraphConfig) -> None:
        super().__init__(data, config)
        device, dim = train_edges(data).device, config.dim
        names = semantic_modalities(data) if config.modalities is None else config.modalities
        if not names:
            raise GraphError(
                "'modalities' is empty: the items have no features ('x_<name>') or frozen graphs"
            )
        #: Names of the modalities.
        self.modalities = tuple(names)
        self.embedding = torch.nn.Parameter(
            torch.empty(self.num_users + self.num_items, dim, device=device)
        )
        self.projections = torch.nn.ModuleList()
        if config.propagated != 'id':
            for x in self._inputs(data):
                layers = (torch.nn.Linear(x.size(1), dim), torch.nn.Linear(dim, dim))
                net = torch.nn.Sequential(layers[0], torch.nn.LeakyReLU(), layers[1])
                self.projections.append(net.to(device))
        self.scorer: torch.nn.Module | None = None
        if config.fusion == 'attention':
            self.scorer = torch.nn.Sequential(
                torch.nn.Linear(dim, dim), torch.nn.Tanh(), torch.nn.Linear(dim, 1, bias=False)
            ).to(device)
        self.perturb = config.perturbation()
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws all parameters anew, from the config's seed unless given a generator."""
        if generator is None:
            generator = torch.Generator().manual_seed(self.config.seed)
        # Drawn on the CPU, so that every device starts from the same numbers.
        draw = torch.randn(self.embedding.shape, generator=generator)
        with torch.no_grad():
            self.embedding.copy_(draw * self.config.init_std)
            for name, parameter in self.named_parameters():
                if name.endswith('weight'):
                    weight = torch.empty(parameter.shape)
                    parameter.copy_(torch.nn.init.xavier_uniform_(weight, generator=generator))
                elif name.endswith('bias'):
                    parameter.zero_()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        config = self.config
        depth = config.num_layers + 1
        self._propagation = Polynomial(normalized_adjacency(data), [1 / depth] * depth)
        history = interaction_operator(data)
        user, item = (
            op.rowptr.diff().clamp(min=1).double().reciprocal() for op in (history, history.T)
        )
        if config.user_side == 'mean':
            self._item_scale = torch.ones_like(item)
            self.gathering = history.scale(rows=user)
        else:
            self._item_scale = item.sqrt()
            self.gathering = history.scale(rows=user.sqrt(), cols=item.sqrt())
        common = cooccurrence_graph(
            data,
            config.collaborative_k,
            score=config.score,
            min_count=config.min_count,
            shrinkage=config.shrinkage,
        )
        #: :math:`\mathbf{S}^c`.
        self.collaborative = common.to_operator(weighted=True, symmetrise=config.symmetrise)
        shares = (1 - config.infusion, config.infusion)
        #: :math:`\tilde{\mathbf{S}}^m`, and the features that go with it.
        self.item_graphs: list[Sparse] = []
        self.features = self._inputs(data) if self.projections else []
        for name in self.modalities:
            near = semantic_graph(
                data, name, config.k, self_loops=config.self_loops, source=config.source
            )
            semantic = near.to_operator(weighted=config.weighted, symmetrise=config.symmetrise)
            graph = mix([semantic, self.collaborative], shares, empty_rows=config.empty_rows)
            self.item_graphs.append(graph)

    def _inputs(self, data: HeteroData) -> list[Tensor]:
        missing = [name for name in self.modalities if feature_name(data, name) is None]
        if missing:
            raise GraphError(
                f"'modalities' names {missing[0]!r}, which has no features to be propagated; give "
                f"'x_{missing[0]}', or set 'propagated' to 'id'"
            )
        return list(item_features(data, self.modalities).values())

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'embedding': ('user', 'item')}

    def behaviour(self) -> Tensor:
        r"""LightGCN's embeddings :math:`\mathbf{b}`, shape :math:`(U + I, d)`."""
        return self._propagation @ self.embedding

    def semantics(self, perturbed: bool = False) -> list[Tensor]:
        r"""The embeddings :math:`\mathbf{h}^m` of every modality, each :math:`(U + I, d)`.

        Args:
            perturbed: Perturb the output of every layer.
        """
        own = self.embedding[self.num_users :]
        views = []
        for place, graph in enumerate(self.item_graphs):
            x = own
            if self.projections:
                x = self.projections[place](self.features[place].to(own.dtype))
                x = own * x.sigmoid() if self.config.propagated == 'gated' else x
            for _ in range(self.config.semantic_layers):
                x = graph @ x
                x = self.perturb(x, self.noise_source()) if perturbed else x
            user = self.gathering @ x
            user = self.perturb(user, self.noise_source()) if perturbed else user
            views.append(torch.cat([user, x]))
        return views

    def fuse(self, views: Sequence[Tensor]) -> Tensor:
        r"""The fused semantics :math:`\mathbf{h}` of rows of every modality."""
        stacked = torch.stack(list(views))
        if self.scorer is None:
            return stacked.mean(0)
        return (self.scorer(stacked).softmax(0) * stacked).sum(0)

    def forward(self) -> dict[str, Tensor]:
        z = self.behaviour()
        if self.config.fusion != 'none':
            z = z + self.fuse(self.semantics())
        return {'user': z[: self.num_users], 'item': z[self.num_users :]}

    def loss(self, batch: BPRBatch) -> Tensor:
        config = self.config
        index = batch_nodes(batch, self.num_users)
        b = z = self.behaviour()
        aligned = config.perturb_weight or config.anchor_weight or config.alignment_weight
        if config.fusion == 'none' and not aligned:
            return pairwise_loss(z[index], self.embedding[index], batch, config.reg)
        views = self.semantics()
        fused = None
        if config.fusion != 'none':
            fused = self.fuse(views)
            z = b + fused
        loss = pairwise_loss(z[index], self.embedding[index], batch, config.reg)
        # Distinct, as a node must not be its own negative.
        groups = (batch.user.unique(), batch.pos.unique() + self.num_users)
        if config.perturb_weight:
            loss = loss + config.perturb_weight * self._perturbed(views, fused, groups)
        for rows in groups:
            if config.anchor_weight:
                loss = loss + config.anchor_weight * semantic_info_nce(
                    b[rows],
                    [view[rows] for view in views],
                    temperature=config.temperature,
                    positive=config.anchor_positive,
                    detach=config.detach_anchor,
                    bf16=config.bf16_contrast,
                )
            if config.alignment_weight and fused is not None:
                loss = loss + config.alignment_weight * info_nce(
                    b[rows],
                    fused[rows],
                    temperature=config.temperature,
                    symmetric=config.symmetric,
                    bf16=config.bf16_contrast,
                )
        return loss

    def _perturbed(
        self, views: list[Tensor], fused: Tensor | None, groups: Sequence[Tensor]
    ) -> Tensor:
        r""":math:`\mathcal{L}_p`: two draws of every table against each other."""
        config, total = self.config, self.embedding.new_zeros(())
        if config.perturb_at == 'layer':
            pairs = list(zip(self.semantics(True), self.semantics(True), strict=True))
        else:
            tables = [fused] if config.perturb_at == 'fused' and fused is not None else views
            pairs = [(table, table) for table in tables]
        for first, second in pairs:
            for rows in groups:
                one, two = first[rows], second[rows]
                if config.perturb_at != 'layer':
                    one, two = (self.perturb(table, self.noise_source()) for table in (one, two))
                total = total + info_nce(
                    one, two, temperature=config.perturb_temperature, bf16=config.bf16_contrast
                )
        return total

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list: a node
        without an embedding of its own is attached to the trained graph, gathers behaviour
        as LightGCN's does and the semantics of its items. Without items all scores are 0."""
        with torch.no_grad():
            user = attach_histories(histories, self.embedding, self._propagation, self.num_users)
            if self.config.fusion != 'none':
                scale = self._item_scale.to(user.dtype).unsqueeze(1)
                views = [view[self.num_users :] * scale for view in self.semantics()]
                power = 1.0 if self.config.user_side == 'mean' else 0.5
                user = user + self.fuse(
                    [gather_histories(histories, view, power) for view in views]
                )
            return user @ self.forward()['item'].t()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        device = self.embedding.device
        self.item_graphs = [graph.to(device) for graph in self.item_graphs]
        self.features = [feature.to(device) for feature in self.features]
        return self

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: SemanticItemGraphConfig
    ) -> dict[str, int]:
        """Bytes that training needs; two modalities are taken for granted."""
        table = (num_users + num_items) * config.dim * 4
        neighbours = 2 * num_items * (config.k + config.collaborative_k)
        return {
            'graph': 4 * num_edges * 8 + 2 * neighbours * 16,
            'graph_building': 2 * num_edges * 48 + 2 * 4096 * 4128 * 4,
            'layers': (4 + 2 * (2 + config.semantic_layers)) * table,
            'similarities': 2 * BLOCK_BYTES,
        }
