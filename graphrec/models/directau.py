"""DirectAU: alignment and uniformity in place of ranking."""

from dataclasses import dataclass

import torch
from torch import Tensor

from graphrec.contrastive.alignment_uniformity import alignment_uniformity
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.lightgcn import LightGCN, LightGCNConfig, gather_rows


@dataclass(frozen=True)
class DirectAUConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`DirectAU`, with those for LightGCN on Yelp2018. The
    authors' for matrix factorisation (``num_layers=0``) are presets
    (:mod:`graphrec.models.presets`).

    Attributes:
        reg: Weight of half the squared norm of all embeddings, which is what weight decay in
            the authors' optimiser amounts to.
        gamma: :math:`\gamma`, weight of uniformity.
        deduplicate: Whether a user or item that the batch holds twice counts once in
            uniformity. The official code counts the pair, whose distance of 0 puts a floor
            under the loss.
    """

    reg: float = 1e-6
    gamma: float = 2.0
    deduplicate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gamma >= 0:
            raise GraphError(f"'gamma' must not be negative (got {self.gamma})")


class DirectAU(LightGCN):
    r"""DirectAU of `"Towards Representation Alignment and Uniformity in Collaborative
    Filtering" <https://arxiv.org/abs/2206.12811>`_ (Wang et al., KDD 2022) on LightGCN,

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i)} \| \tilde{\mathbf{z}}_u -
        \tilde{\mathbf{z}}_i \|^2 + \frac{\gamma}{2} \big( U(\text{users}) + U(\text{items})
        \big) + \frac{\lambda}{2} \|\mathbf{E}\|^2

    over the interactions of a batch, see :func:`~graphrec.contrastive.uniformity`. Neither
    negatives nor BPR; the batch's negatives are not read. Scores are products.

    Args:
        data: The graph; training edges only.
        config: See :class:`DirectAUConfig`.
    """

    config_class = DirectAUConfig
    config: DirectAUConfig

    def loss(self, batch: BPRBatch) -> Tensor:
        config, size = self.config, batch.user.numel()
        index = torch.cat([batch.user, batch.pos + self.num_users])
        z, _ = gather_rows(self.propagation, self.embedding, index)
        ids = (batch.user, batch.pos) if config.deduplicate else (None, None)
        loss = alignment_uniformity(z[:size], z[size:], *ids, gamma=config.gamma)
        return loss + config.reg / 2 * self.embedding.square().sum()
