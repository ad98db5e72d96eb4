"""XSimGCL: one noisy pass, contrasted across its layers."""

from dataclasses import dataclass

from torch import Tensor

from graphrec.contrastive.view import propagate, readout
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.simgcl import SimGCL, SimGCLConfig


@dataclass(frozen=True)
class XSimGCLConfig(SimGCLConfig):
    r"""Hyper-parameters of :class:`XSimGCL`, with those of the authors' library for Yelp2018.
    See :class:`ContrastiveLightGCNConfig`.

    Attributes:
        strength: :math:`\epsilon`, the length of the noise.
        contrast_layer: :math:`l^*`, from 1 to the number of layers.
    """

    strength: float = 0.2
    contrast_weight: float = 0.2
    temperature: float = 0.15
    contrast_layer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.contrast_layer <= self.num_layers:
            raise GraphError(
                f"'contrast_layer' needs to lie in 1 to num_layers = {self.num_layers} (got "
                f'{self.contrast_layer})'
            )
        if self.view not in ('uniform_noise', 'modulus_noise'):
            raise GraphError(
                f"'view' must be 'uniform_noise' or 'modulus_noise' (got {self.view!r})"
            )
        if self.against != 'view':
            raise GraphError(f"'against' must be 'view' (got {self.against!r})")


class XSimGCL(SimGCL):
    r"""XSimGCL of `"XSimGCL: Towards Extremely Simple Graph Contrastive Learning for
    Recommendation" <https://arxiv.org/abs/2209.02544>`_ (Yu et al., TKDE 2023): a single pass
    with noise after every layer serves the ranking and the contrast,

    .. math::
        \mathcal{L} = \mathcal{L}_{BPR}(\mathbf{Z}^{\prime}) + \lambda_{cl} \,
        \mathcal{L}_{cl} \big( \mathbf{Z}^{\prime}, {\mathbf{H}^{\prime}}^{(l^*)} \big),
        \qquad \mathbf{Z}^{\prime} = \frac{1}{L} \sum_{l = 1}^{L} {\mathbf{H}^{\prime}}^{(l)}

    so that it costs one propagation where SimGCL takes three. Served without noise.

    Args:
        data: The graph; training edges only.
        config: See :class:`XSimGCLConfig`.
    """

    config_class = XSimGCLConfig
    config: XSimGCLConfig

    def loss(self, batch: BPRBatch) -> Tensor:
        config = self.config
        if not config.contrast_weight and not config.strength:
            return super().loss(batch)
        layers = self.noisy_layers()
        z = readout(layers, self.layer_weights.tolist())
        index = self.batch_nodes(batch)
        loss = self.ranking_loss(z[index], self.embedding[index], batch)
        if config.contrast_weight:
            loss = loss + config.contrast_weight * self.contrast(batch, layers)
        return loss

    def noisy_layers(self) -> list[Tensor]:
        """The layers 0 to :math:`L` of a pass with fresh noise, each :math:`(U + I, d)`."""
        return propagate(
            self.view,
            [self.propagation.op],
            self.embedding,
            self.config.num_layers,
            self.noise_source(),
        )

    def _views(self, main, index=None):  # type: ignore[no-untyped-def]
        layers = self.noisy_layers() if main is None else main
        first, second = (
            readout(layers, self.layer_weights.tolist()),
            layers[self.config.contrast_layer],
        )
        return (first, second) if index is None else (first[index], second[index])
