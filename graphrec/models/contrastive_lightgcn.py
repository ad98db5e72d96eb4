"""LightGCN with a contrastive objective between two views: any view, any objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.contrastive.alignment_uniformity import alignment_uniformity
from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.bootstrap import bootstrap
from graphrec.contrastive.decorrelation import decorrelation
from graphrec.contrastive.degree_edge_drop import DegreeEdgeDrop
from graphrec.contrastive.edge_drop import EdgeDrop
from graphrec.contrastive.feature_mask import FeatureMask
from graphrec.contrastive.hypergraph_view import HypergraphView
from graphrec.contrastive.info_nce import info_nce
from graphrec.contrastive.modulus_noise import ModulusNoise
from graphrec.contrastive.node_drop import NodeDrop
from graphrec.contrastive.random_walk import RandomWalk
from graphrec.contrastive.svd_view import SVDView
from graphrec.contrastive.uniform_noise import UniformNoise
from graphrec.contrastive.view import Bipartite, View, propagate, readout
from graphrec.errors import GraphError
from graphrec.graphs.operators import Operator, Polynomial
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.lightgcn import LightGCN, LightGCNConfig, gather_rows

ViewName = Literal[
    'edge_drop',
    'node_drop',
    'random_walk',
    'degree_edge_drop',
    'uniform_noise',
    'modulus_noise',
    'feature_mask',
    'svd',
    'hypergraph',
]
ObjectiveName = Literal[
    'info_nce', 'both_views', 'nt_xent', 'alignment_uniformity', 'decorrelation', 'bootstrap'
]
_INFO_NCE = ('info_nce', 'both_views', 'nt_xent')
_READS_MAIN = ('svd', 'hypergraph')


@dataclass(frozen=True)
class ContrastiveLightGCNConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`ContrastiveLightGCN`, beside those of LightGCN.

    Attributes:
        view: What changes on the way through the graph, see :mod:`graphrec.contrastive`.
        strength: The view's :math:`\rho`, :math:`\epsilon` or dropout; nothing to ``'svd'``.
        against: What the view is compared with: a second draw of the ``'view'`` or the
            ``'main'`` pass. ``'svd'`` and ``'hypergraph'`` read the layers of the main pass
            and are compared with it.
        objective: What is asked of the two.
        contrast_weight: :math:`\lambda_{cl}`; 0 is LightGCN.
        temperature: :math:`\tau` of the InfoNCE family.
        candidates: ``'batch'``, the nodes of the batch, or ``'all'`` of the type (InfoNCE
            family).
        negative_items: Whether the batch's negative items are anchors too.
        count_repeats: With ``'all'``, whether a node counts as often as the batch has it.
        reduction: ``'mean'`` or ``'sum'`` over the anchors of a batch (InfoNCE family).
        rank: :math:`q` of ``'svd'``.
        num_hyperedges: Learned hyperedges of each type of ``'hypergraph'``.
        bf16_contrast: Multiply similarities in bfloat16 (InfoNCE family).
    """

    view: ViewName = 'edge_drop'
    strength: float = 0.1
    against: Literal['view', 'main'] = 'view'
    objective: ObjectiveName = 'info_nce'
    contrast_weight: float = 0.1
    temperature: float = 0.2
    candidates: Literal['batch', 'all'] = 'batch'
    negative_items: bool = False
    count_repeats: bool = False
    reduction: Literal['mean', 'sum'] = 'mean'
    rank: int = 5
    num_hyperedges: int = 128
    bf16_contrast: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.contrast_weight >= 0:
            raise GraphError(f"'contrast_weight' must not be negative (got {self.contrast_weight})")
        check_temperature(self.temperature)
        for name, known in (
            ('view', ViewName.__args__),  # type: ignore[attr-defined]
            ('objective', ObjectiveName.__args__),  # type: ignore[attr-defined]
            ('against', ('view', 'main')),
            ('candidates', ('batch', 'all')),
            ('reduction', ('mean', 'sum')),
        ):
            if getattr(self, name) not in known:
                raise GraphError(f'{name!r} must be one of {known} (got {getattr(self, name)!r})')
        if self.view in _READS_MAIN and self.against != 'main':
            raise GraphError(
                f"the view {self.view!r} reads the main pass; set 'against' to 'main' (got "
                f'{self.against!r})'
            )
        if self.objective not in _INFO_NCE and self.candidates == 'all':
            raise GraphError(
                f"'candidates' must be 'batch' for the objective {self.objective!r}, which has "
                f'none (got {self.candidates!r})'
            )
        if self.view != 'hypergraph':  # Its weights need the size of the graph.
            make_view(self)


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
    _generator: torch.Generator | None

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
        self._forget_draws()

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.config.contrast_weight:
            self._generator = generator
            if self.view.fresh:
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
            (user1, item1), (user2, item2) = halves
            return self.objective(user1, user2, users) + self.objective(item1, item2, items)
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
            self._drawn = self._draw(self._seeded())
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
        if self._generator is None:
            self._generator = self._seeded()
        layers = propagate(
            self.view, operators, self.embedding, self.config.num_layers, self._generator, main
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

    def _seeded(self) -> torch.Generator:
        return torch.Generator(self.embedding.device).manual_seed(self.config.seed)

    def _forget_draws(self) -> None:
        self._drawn = []
        self._generator = None

    def _apply(self, fn, recurse: bool = True) -> Self:  # type: ignore[no-untyped-def]
        super()._apply(fn, recurse)
        self._forget_draws()
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


def make_view(config: ContrastiveLightGCNConfig, num_users: int = 0) -> View:
    """The view that a config names."""
    strength = config.strength
    if config.view == 'svd':
        return SVDView(config.rank)
    if config.view == 'hypergraph':
        return HypergraphView(
            num_users, config.dim, config.num_hyperedges, strength, seed=config.seed
        )
    makers = {
        'edge_drop': EdgeDrop,
        'node_drop': NodeDrop,
        'random_walk': RandomWalk,
        'degree_edge_drop': DegreeEdgeDrop,
        'uniform_noise': UniformNoise,
        'modulus_noise': ModulusNoise,
        'feature_mask': FeatureMask,
    }
    return makers[config.view](strength)
