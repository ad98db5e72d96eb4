"""Settings of the semantic item graph model."""

from dataclasses import dataclass
from typing import Literal

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.embedding_perturbation import EmbeddingPerturbation, Intensity
from graphrec.errors import GraphError

_CHOICES = {
    'propagated': ('gated', 'features', 'id'),
    'user_side': ('adjacency', 'mean'),
    'fusion': ('attention', 'mean', 'none'),
    'perturb_at': ('modality', 'layer', 'fused'),
    'anchor_positive': ('sum', 'mean'),
}


@dataclass(frozen=True)
class SemanticItemGraphConfig:
    r"""Hyper-parameters of :class:`~graphrec.models.SemanticItemGraph`. **All defaults are
    reconstructed**: the abstract gives none.

    Attributes:
        dim: Size of the embeddings.
        num_layers: Layers of the behaviour view.
        semantic_layers: :math:`L_s`, steps over the item graphs.
        modalities: Their names; all that features or frozen graphs are of if omitted.
        source: Of neighbours: ``'features'``, ``'frozen'`` graphs, or ``'auto'``.
        k: Neighbours of an item in a modality.
        self_loops: Whether an item is its own first neighbour.
        weighted: Weigh neighbours by cosine (MGCN) instead of 1 (FREEDOM).
        symmetrise: ``'max'``, ``'mean'`` or ``'none'``, for every item graph.
        collaborative_k: Neighbours of an item by co-occurrence.
        score: Of co-occurrence: ``'cosine'``, ``'count'``, ``'jaccard'`` or ``'pmi'``.
        min_count: Least users in common.
        shrinkage: :math:`t` of the factor :math:`c / (c + t)`.
        infusion: :math:`\gamma`, share of the collaborative graph in every item graph.
        empty_rows: Items without co-occurrence: ``'keep'`` the whole semantic row, or
            ``'shrink'`` it by :math:`1 - \gamma` as the formula has it.
        propagated: What passes over the item graphs: ``'gated'`` ids (MGCN), ``'features'``
            or ``'id'``.
        user_side: Users gather their items by ``'adjacency'`` weights or their ``'mean'``.
        fusion: Over modalities: ``'attention'``, ``'mean'``, or ``'none'`` for behaviour alone.
        eps: :math:`\epsilon`, strength of the perturbation.
        intensity: How it follows the modulus, see
            :class:`~graphrec.contrastive.EmbeddingPerturbation`.
        clip: Bounds of the intensity.
        intensity_gradient: Whether the intensity is trained.
        perturb_at: After propagation (``'modality'``), at every ``'layer'`` of it, or on the
            ``'fused'`` embeddings.
        perturb_weight: :math:`\lambda_p`.
        anchor_weight: :math:`\lambda_a`.
        alignment_weight: :math:`\lambda_b`.
        temperature: :math:`\tau` of both alignments.
        perturb_temperature: :math:`\tau_p`.
        anchor_positive: ``'sum'`` or ``'mean'``, see
            :func:`~graphrec.contrastive.semantic_info_nce`.
        detach_anchor: Whether semantics move to behaviour alone.
        symmetric: Whether the second alignment goes both ways.
        bf16_contrast: Similarities in bfloat16.
        reg: :math:`\lambda`, weight of the squared norms of the batch's initial rows.
        init_std: Standard deviation of the initial draw of embeddings.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    num_layers: int = 2
    semantic_layers: int = 1
    modalities: tuple[str, ...] | None = None
    source: Literal['auto', 'features', 'frozen'] = 'auto'
    k: int = 10
    self_loops: bool = False
    weighted: bool = False
    symmetrise: Literal['max', 'mean', 'none'] = 'max'
    collaborative_k: int = 10
    score: Literal['cosine', 'count', 'jaccard', 'pmi'] = 'cosine'
    min_count: int = 1
    shrinkage: float = 0.0
    infusion: float = 0.5
    empty_rows: Literal['keep', 'shrink'] = 'keep'
    propagated: Literal['gated', 'features', 'id'] = 'gated'
    user_side: Literal['adjacency', 'mean'] = 'adjacency'
    fusion: Literal['attention', 'mean', 'none'] = 'attention'
    eps: float = 0.1
    intensity: Intensity = 'proportional'
    clip: tuple[float, float] = (0.1, 10.0)
    intensity_gradient: bool = False
    perturb_at: Literal['modality', 'layer', 'fused'] = 'modality'
    perturb_weight: float = 0.01
    anchor_weight: float = 0.01
    alignment_weight: float = 0.01
    temperature: float = 0.2
    perturb_temperature: float = 0.2
    anchor_positive: Literal['sum', 'mean'] = 'sum'
    detach_anchor: bool = True
    symmetric: bool = False
    bf16_contrast: bool = False
    reg: float = 1e-4
    init_std: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise GraphError(f'{name!r} must be one of {known} (got {getattr(self, name)!r})')
        for name in ('dim', 'k', 'collaborative_k'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        weights = ('perturb_weight', 'anchor_weight', 'alignment_weight', 'reg')
        for name in ('num_layers', 'semantic_layers', *weights):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        if not 0 <= self.infusion <= 1:
            raise GraphError(f"'infusion' needs to lie in [0, 1] (got {self.infusion})")
        check_temperature(self.temperature)
        if not self.perturb_temperature > 0:
            raise GraphError(
                f"'perturb_temperature' needs to be above 0 (got {self.perturb_temperature})"
            )
        for name in ('modalities', 'clip'):
            if getattr(self, name) is not None:  # A list from JSON equals the original.
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self.perturbation()
        if self.fusion == 'none' and (self.alignment_weight or self.perturb_at == 'fused'):
            raise GraphError(
                "'fusion' is 'none', but there is something to do with fused embeddings; set "
                "'alignment_weight' to 0 and 'perturb_at' to 'modality' or 'layer'"
            )

    def perturbation(self) -> EmbeddingPerturbation:
        """The perturbation that these settings describe."""
        return EmbeddingPerturbation(
            self.eps, self.intensity, self.clip, intensity_gradient=self.intensity_gradient
        )
