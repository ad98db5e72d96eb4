"""LightGCN with a contrastive objective between two views: any view, any objective."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.contrastive.alignment_uniformity import alignment_uniformity
from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.bootstrap import bootstrap
from graphrec.contrastive.decorrelation import decorrelation
from graphrec.contrastive.hypergraph_view import HypergraphView
from graphrec.contrastive.info_nce import info_nce
from graphrec.contrastive.remaining_rows import remaining_rows
from graphrec.contrastive.view import Bipartite, propagate, readout
from graphrec.graphs.operators import Operator, Polynomial
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.contrastive_config import ContrastiveLightGCNConfig, make_view
from graphrec.models.lightgcn import LightGCN, gather_rows


class ContrastiveLightGCN(LightGCN):
    r"""LightGCN whose embeddings must also agree between two views of the graph,

    .. math::
        \mathcal{L} = \mathcal{L}_{LightGCN} + \lambda_{cl} \big( \mathcal{L}_{cl}(
        \mathbf{Z}^{(1)}_U, \mathbf{Z}^{(2)}_U) + \mathcal{L}_{cl}(\mathbf{Z}^{(1)}_I,
        \mathbf{Z}^{(2)}_I) \big)

    over the users and items of each batch. SGL, SimGCL and LightGCL are settings of it with
    names of their own; ``contrast_weight=0`` is LightGCN, step for step. Graphs of a view are
    drawn once an epoch, noise at every step; serving uses neither.

    Args:
        data: The graph; training edges only.
        config: See :class:`ContrastiveLightGCNConfig`.
    """

    config_class = ContrastiveLightGCNConfig
    config: ContrastiveLightGCNConfig
    _drawn: list[list[Operator]]

    def __init__(self, data: HeteroData, config: ContrastiveLightGCNConfig) -> None:
        super().__init__(data, config)
        self.view = make_view(config, self.num_users)
        if isinstance(self.view, torch.nn.Module):
            self.view.to(self.embedding.device)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        view = getattr(self, 'view', None)
        if isinstance(view, HypergraphView):
            view.reset_parameters()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        self._drawn = []

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.config.contrast_weight and self.view.fresh:
            self._drawn = self._draw(generator)

    def loss(self, batch: BPRBatch) -> Tensor:
        weight = self.config.contrast_weight
        if not weight:
            return super().loss(batch)
        if self.config.against == 'view':
            return super().loss(batch) + weight * self.contrast(batch)
        # The main pass serves the ranking and the contrast.
        layers = self._main_layers()
        z = readout(layers, self.layer_weights.tolist())
        index = self.batch_nodes(batch)
        ranking = self.ranking_loss(z[index], self.embedding[index], batch)
        return ranking + weight * self.contrast(batch, layers)

    def contrast(self, batch: BPRBatch, main: Sequence[Tensor] | None = None) -> Tensor:
        r""":math:`\mathcal{L}_{cl}` of users and items, without its weight.

        Args:
            batch: Names the anchors.
            main: The layers of the main pass, computed if needed and omitted.
        """
        config = self.config
        if config.against == 'main' and main is None:
            main = self._main_layers()
        users, items = batch.user, batch.pos
        if config.negative_items:
            items = torch.cat([items, batch.neg.reshape(-1)])
        if config.candidates == 'all':
            first, second = self._views(main)
            halves = [z.split([self.num_users, self.num_items]) for z in (first, second)]
            there = self.remaining.values()
            user, item = (
                remaining_rows(*one) for one in zip(there, *halves, (users, items), strict=True)
            )
            return self.objective(*user) + self.objective(*item)
        users, items = users.unique(), items.unique()
        first, second = self._views(main, torch.cat([users, items + self.num_users]))
        cut = users.numel()
        return self.objective(first[:cut], second[:cut]) + self.objective(first[cut:], second[cut:])

    def objective(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Tensor:
        """The objective of two views :math:`(N, d)` of the nodes of a type, for the anchors
        :obj:`ids`, or for all rows, which are then the nodes of a batch."""
        config = self.config
        if config.objective == 'alignment_uniformity':
            return alignment_uniformity(z1, z2)
        if config.objective == 'decorrelation':
            return decorrelation(z1, z2)
        if config.objective == 'bootstrap':
            return bootstrap(z1, z2)
        return info_nce(
            z1,
            z2,
            ids,
            config.candidates,
            temperature=config.temperature,
            negatives='other' if config.objective == 'info_nce' else 'both',
            symmetric=config.objective == 'nt_xent',
            count_repeats=config.count_repeats,
            reduction=config.reduction,
            bf16=config.bf16_contrast,
        )

    def _views(
        self, main: Sequence[Tensor] | None, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Both sides :math:`(N, d)`, or their rows :obj:`index`."""
        if not self._drawn:
            generator = torch.Generator(self.embedding.device).manual_seed(self.config.seed)
            self._drawn = self._draw(generator)
        first = self._pass(self._drawn[0], main, index)
        if self.config.against == 'view':
            return first, self._pass(self._drawn[1], None, index)
        assert main is not None
        second = readout(main, self.layer_weights.tolist())
        return first, second if index is None else second[index]

    def _pass(
        self, operators: Sequence[Operator], main: Sequence[Tensor] | None, index: Tensor | None
    ) -> Tensor:
        weights = self.layer_weights.tolist()
        if self.view.is_linear and len(operators) == 1:
            propagation = Polynomial(operators[0], weights)
            if index is None:
                return propagation @ self.embedding
            return gather_rows(propagation, self.embedding, index)[0]
        layers = propagate(
            self.view, operators, self.embedding, self.config.num_layers, self.noise_source(), main
        )
        z = readout(layers, weights)
        return z if index is None else z[index]

    def _main_layers(self) -> list[Tensor]:
        layers: list[Tensor] = [self.embedding]
        for _ in range(self.config.num_layers):
            layers.append(self.propagation.op @ layers[-1])
        return layers

    def _draw(self, generator: torch.Generator) -> list[list[Operator]]:
        """The operators of one view, or of two to be compared."""
        sides = 2 if self.config.against == 'view' else 1
        if self.view.keeps_graph:
            return [[self.propagation.op]] * sides
        graph = Bipartite(self._edge_index, self.num_users, self.num_items)
        drawn = []
        for _ in range(sides):
            operators = self.view.operators(graph, self.config.num_layers, generator)
            if self.config.bf16:
                operators = [op.to(dtype=torch.bfloat16) for op in operators]
            drawn.append(operators)
        return drawn

    def _apply(self, fn, recurse: bool = True) -> Self:  # type: ignore[no-untyped-def]
        super()._apply(fn, recurse)
        self._drawn = []
        return self

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: ContrastiveLightGCNConfig
    ) -> dict[str, int]:
        """LightGCN's, with the views' graphs and tables and a block of similarities."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        if not config.contrast_weight:
            return hint
        table = (num_users + num_items) * config.dim * 4
        graphs = config.num_layers if config.view == 'random_walk' else 1
        sides = 2 if config.against == 'view' else 1
        if config.view.endswith(('drop', 'walk')):
            hint['views'] = sides * graphs * (16 * num_edges + (num_users + num_items) * 4)
        return {**hint, 'view_tables': 8 * table, 'similarities': 2 * BLOCK_BYTES}
