"""SGL: LightGCN contrasted between two thinned-out graphs."""

from dataclasses import dataclass
from typing import Literal

from graphrec.models.contrastive_config import ContrastiveLightGCNConfig, ViewName
from graphrec.models.contrastive_lightgcn import ContrastiveLightGCN


@dataclass(frozen=True)
class SGLConfig(ContrastiveLightGCNConfig):
    r"""Hyper-parameters of :class:`SGL`, with the official ones for Yelp2018; others are
    presets (:mod:`graphrec.models.presets`). See :class:`ContrastiveLightGCNConfig`.

    Attributes:
        view: ``'edge_drop'`` (SGL-ED), ``'node_drop'`` (SGL-ND) or ``'random_walk'`` (SGL-RW).
        strength: :math:`\rho`, the share dropped.
    """

    view: ViewName = 'edge_drop'
    strength: float = 0.1
    contrast_weight: float = 0.1
    temperature: float = 0.2
    candidates: Literal['batch', 'all'] = 'all'
    count_repeats: bool = True


class SGL(ContrastiveLightGCN):
    r"""SGL of `"Self-supervised Graph Learning for Recommendation"
    <https://arxiv.org/abs/2010.10783>`_ (Wu et al., SIGIR 2021): LightGCN and, between two
    graphs drawn each epoch, InfoNCE of the batch's users and items against all nodes of their
    type (Eqs. 10 to 12). Ranking and contrast are both means over the batch where the
    official code sums both, which leaves their ratio :math:`\lambda_{cl}` as it is.

    Args:
        data: The graph; training edges only.
        config: See :class:`SGLConfig`.
    """

    config_class = SGLConfig
