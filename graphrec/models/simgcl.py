"""SimGCL: LightGCN contrasted between two noisy passes."""

from dataclasses import dataclass

from graphrec.errors import GraphError
from graphrec.models.contrastive_config import ContrastiveLightGCNConfig, ViewName
from graphrec.models.contrastive_lightgcn import ContrastiveLightGCN


@dataclass(frozen=True)
class SimGCLConfig(ContrastiveLightGCNConfig):
    r"""Hyper-parameters of :class:`SimGCL`, with those of the authors' library for Yelp2018.
    See :class:`ContrastiveLightGCNConfig`.

    Attributes:
        view: ``'uniform_noise'``, or ``'modulus_noise'`` to be free of scale.
        strength: :math:`\epsilon`, the length of the noise.
        layer_weights: :math:`a_0, \ldots, a_L`; the mean of layers 1 to :math:`L` if omitted.
    """

    view: ViewName = 'uniform_noise'
    strength: float = 0.1
    contrast_weight: float = 0.5
    temperature: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_layers < 1:
            raise GraphError(f"'num_layers' must be at least 1 (got {self.num_layers})")


class SimGCL(ContrastiveLightGCN):
    r"""SimGCL of `"Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
    Recommendation" <https://arxiv.org/abs/2112.08679>`_ (Yu et al., SIGIR 2022): two passes
    over the whole graph with noise after every layer, and InfoNCE between the unique users
    and the unique positive items of the batch. Layer 0 is left out of all embeddings, those
    served included, so that a node without edges is scored 0.

    Args:
        data: The graph; training edges only.
        config: See :class:`SimGCLConfig`.
    """

    config_class = SimGCLConfig

    @staticmethod
    def default_layer_weights(num_layers: int) -> tuple[float, ...]:
        r""":math:`0, 1 / L, \ldots, 1 / L`."""
        return (0.0,) + (1 / num_layers,) * num_layers
