"""LightGCL: LightGCN contrasted with its pass through the leading singular vectors."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive.blockwise_info_nce import blockwise_info_nce
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.contrastive_config import ContrastiveLightGCNConfig, ViewName
from graphrec.models.contrastive_lightgcn import ContrastiveLightGCN


@dataclass(frozen=True)
class LightGCLConfig(ContrastiveLightGCNConfig):
    r"""Hyper-parameters of :class:`LightGCL`, with the official ones for Yelp; others are
    presets (:mod:`graphrec.models.presets`). See :class:`ContrastiveLightGCNConfig`.

    Attributes:
        num_layers: :math:`L`.
        reg: :math:`\lambda_2`, weight of the squared norm of *all* embeddings.
        rank: :math:`q`.
        negative_items: Whether the batch's negative items are anchors too (official code).
        normalize: Whether similarities are cosines; the official code takes products.
        clamp: The positive term is clamped to this range :math:`[-c, c]`, outside of which it
            has no gradient (official code); :obj:`None` for no clamp.
    """

    num_layers: int = 2
    reg: float = 1e-7
    view: ViewName = 'svd'
    against: Literal['view', 'main'] = 'main'
    contrast_weight: float = 0.2
    temperature: float = 0.2
    candidates: Literal['batch', 'all'] = 'all'
    negative_items: bool = True
    count_repeats: bool = True
    rank: int = 5
    normalize: bool = False
    clamp: float | None = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clamp is not None and not self.clamp > 0:
            raise GraphError(f"'clamp' needs to be above 0 or None (got {self.clamp})")
        for name, only in (('candidates', 'all'), ('objective', 'info_nce')):
            if getattr(self, name) != only:
                raise GraphError(f'{name!r} must be {only!r} (got {getattr(self, name)!r})')


class LightGCL(ContrastiveLightGCN):
    r"""LightGCL of `"LightGCL: Simple Yet Effective Graph Contrastive Learning for
    Recommendation" <https://arxiv.org/abs/2302.08191>`_ (Cai et al., ICLR 2023): embeddings
    are sums over layers, and those of :class:`~graphrec.contrastive.SVDView`,
    :math:`\mathbf{g}`, are to recognise those of the main pass, :math:`\mathbf{z}`,

    .. math::
        \mathcal{L}_{cl} = \frac{1}{B} \sum_b \Big[ \log \sum_{c} e^{\mathbf{g}_b^{\top}
        \mathbf{z}_c / \tau} - \mathrm{clamp}\big( \mathbf{g}_b^{\top} \mathbf{z}_b / \tau,
        -5, 5 \big) \Big]

    for the users and for the items of the batch, among all nodes of the type. The official
    code exponentiates without subtracting a maximum and overflows for long embeddings; the
    log-sum-exp here does not.

    Args:
        data: The graph; training edges only.
        config: See :class:`LightGCLConfig`.
    """

    config_class = LightGCLConfig
    config: LightGCLConfig

    @staticmethod
    def default_layer_weights(num_layers: int) -> tuple[float, ...]:
        r""":math:`a_l = 1`."""
        return (1.0,) * (num_layers + 1)

    def ranking_loss(self, z: Tensor, e: Tensor, batch: BPRBatch) -> Tensor:
        ranking = super().ranking_loss(z, e.detach()[:0], batch)
        return ranking + self.config.reg * self.embedding.square().sum()

    def objective(self, z1: Tensor, z2: Tensor, ids: Tensor | None = None) -> Tensor:
        config = self.config
        assert ids is not None
        ids, count = ids.unique(return_counts=True)
        weight = count.to(z1.dtype) if config.count_repeats else count.new_ones(count.shape).float()
        weight = weight if config.reduction == 'sum' else weight / weight.sum()
        rows = z1[ids]
        if config.normalize:
            rows, z2 = F.normalize(rows, dim=1), F.normalize(z2, dim=1)
        positive = (rows * z2[ids]).sum(1) / config.temperature
        if config.clamp is not None:
            positive = positive.clamp(-config.clamp, config.clamp)
        total = blockwise_info_nce(
            rows,
            z2,
            None,
            temperature=config.temperature,
            weight=weight,
            bf16=config.bf16_contrast,
        )
        return total - weight @ positive
