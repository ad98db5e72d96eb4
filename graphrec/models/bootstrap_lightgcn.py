"""What BUIR and SelfCF share: a predictor on top of LightGCN, and the score with it."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.models.lightgcn import LightGCN, LightGCNConfig
from graphrec.models.recommender import Recommender


class Predictor(torch.nn.Linear):
    r""":math:`q(\mathbf{z}) = \mathbf{W} \mathbf{z} + \mathbf{b}`, drawn from a seed.

    Args:
        dim: :math:`d`.
        seed: Seed of the draw, uniform in :math:`\pm 1 / \sqrt{d}`.
    """

    def __init__(self, dim: int, seed: int) -> None:
        self.seed = seed
        super().__init__(dim, dim)

    def reset_parameters(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        for parameter in (self.weight, self.bias):
            draw = torch.rand(parameter.shape, generator=generator) * 2 - 1
            with torch.no_grad():
                parameter.copy_(draw / self.in_features**0.5)


class BootstrapLightGCN(LightGCN):
    r"""LightGCN with a predictor :math:`q` and the score of an online network with itself,

    .. math::
        s_{ui} = q(\mathbf{z}_u)^{\top} \mathbf{z}_i + \mathbf{z}_u^{\top} q(\mathbf{z}_i)

    which is a product of vectors twice as long: :meth:`forward` gives
    :math:`[q(\mathbf{z}_u), \mathbf{z}_u]` and :math:`[\mathbf{z}_i, q(\mathbf{z}_i)]`. Its
    subclasses give the loss.
    """

    def __init__(self, data: HeteroData, config: LightGCNConfig) -> None:
        super().__init__(data, config)
        self.predictor = Predictor(config.dim, config.seed).to(self.embedding.device)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        if hasattr(self, 'predictor'):
            self.predictor.reset_parameters()

    # The predictor is in forward alone.
    pair_scores = Recommender.pair_scores

    def forward(self) -> dict[str, Tensor]:
        z = super().forward()
        user, item = z['user'], z['item']
        return {
            'user': torch.cat([self.predictor(user), user], 1),
            'item': torch.cat([item, self.predictor(item)], 1),
        }

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        """LightGCN's vectors of people outside the graph, with this score."""
        user = self._history_vectors(histories)
        with torch.no_grad():
            training = self.training
            item = self.eval().forward()['item']
            self.train(training)
            return torch.cat([self.predictor(user), user], 1) @ item.t()
