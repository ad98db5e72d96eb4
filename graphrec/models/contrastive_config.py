"""The settings that put LightGCN, a view and an objective together."""

from dataclasses import dataclass
from typing import Literal

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.degree_edge_drop import DegreeEdgeDrop
from graphrec.contrastive.edge_drop import EdgeDrop
from graphrec.contrastive.feature_mask import FeatureMask
from graphrec.contrastive.hypergraph_view import HypergraphView
from graphrec.contrastive.modulus_noise import ModulusNoise
from graphrec.contrastive.node_drop import NodeDrop
from graphrec.contrastive.random_walk import RandomWalk
from graphrec.contrastive.svd_view import SVDView
from graphrec.contrastive.uniform_noise import UniformNoise
from graphrec.contrastive.view import View
from graphrec.errors import GraphError
from graphrec.models.lightgcn import LightGCNConfig

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
    r"""Hyper-parameters of :class:`~graphrec.models.ContrastiveLightGCN`, beside those of LightGCN.

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
