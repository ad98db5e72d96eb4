"""Settings of MMHCL."""

from dataclasses import dataclass
from typing import Literal

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.errors import GraphError


@dataclass(frozen=True)
class MMHCLConfig:
    r"""Hyper-parameters of :class:`~graphrec.models.MMHCL`, with those of the official code
    (TikTok); see :mod:`graphrec.models.presets` for the others.

    Attributes:
        dim: Size of the embeddings.
        backbone: First order: ``'lightgcn'``, ``'ngcf'`` or ``'mf'`` (no propagation).
        num_layers: :math:`L` of the backbone.
        user_layers: :math:`L_u`, steps over the user hypergraph.
        item_layers: :math:`L_i`, steps over the item hypergraph.
        user_weight: :math:`\beta_u`; 0 takes the user hypergraph out altogether.
        item_weight: :math:`\beta_i`; 0 takes the item hypergraph out altogether.
        temperature: :math:`\tau`.
        k: Neighbours of an item in a modality, itself counted.
        modalities: Their names; all that features or frozen graphs are of if omitted.
        source: Of neighbours: ``'features'``, ``'frozen'`` graphs, or ``'auto'``.
        reg: :math:`\lambda`, weight of the squared norms of the batch's **final** rows.
        negatives_from: Negatives among ``'all'`` items (official), where items without
            training edges are pushed down, or ``'train_items'`` alone.
        contrast_sample: Contrast so many anchors with as many candidates, drawn
            at every step, instead of all. **A departure from the paper** that trades
            variance for time.
        bf16_contrast: Similarities in bfloat16.
        ngcf_dropout: Share of NGCF's messages left out in training.
        init_std: Normal first-order embeddings of this deviation, as LightGCN draws them;
            Xavier's uniform draw if omitted.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    backbone: Literal['lightgcn', 'ngcf', 'mf'] = 'lightgcn'
    num_layers: int = 2
    user_layers: int = 3
    item_layers: int = 2
    user_weight: float = 0.03
    item_weight: float = 0.07
    temperature: float = 0.6
    k: int = 5
    modalities: tuple[str, ...] | None = None
    source: Literal['auto', 'features', 'frozen'] = 'auto'
    reg: float = 1e-3
    negatives_from: Literal['all', 'train_items'] = 'all'
    contrast_sample: int | None = None
    bf16_contrast: bool = False
    ngcf_dropout: float = 0.1
    init_std: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        for name, known in (
            ('backbone', ('lightgcn', 'ngcf', 'mf')),
            ('negatives_from', ('all', 'train_items')),
        ):
            if getattr(self, name) not in known:
                raise GraphError(f'{name!r} must be one of {known} (got {getattr(self, name)!r})')
        for name in ('num_layers', 'user_layers', 'item_layers', 'reg'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        for name in ('user_weight', 'item_weight'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')
        for name in ('dim', 'k', 'contrast_sample'):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {value})')
        if not 0 <= self.ngcf_dropout < 1:
            raise GraphError(f"'ngcf_dropout' needs to lie in [0, 1) (got {self.ngcf_dropout})")
        if self.modalities is not None:  # A list from JSON equals the original.
            object.__setattr__(self, 'modalities', tuple(self.modalities))
