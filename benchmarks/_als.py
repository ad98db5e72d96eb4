"""ALS of the library ``implicit`` behind the interface of our models."""

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.models.incidence import incidence
from graphrec.models.recommender import Recommender

try:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits
except ImportError:
    AlternatingLeastSquares = None


@dataclasses.dataclass(frozen=True)
class ALSConfig:
    r"""Settings of :class:`ALS`: :obj:`alpha` is the confidence in an interaction beside
    1 for all other pairs."""

    factors: int = 64
    regularization: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    num_threads: int = 2
    seed: int = 0


class ALS(Recommender):
    """Implicit alternating least squares (Hu, Koren and Volinsky, "Collaborative
    Filtering for Implicit Feedback Datasets", ICDM 2008), computed by ``implicit``.

    Args:
        data: The graph; only its training edges are read.
        config: The settings.

    Raises:
        GraphError: If ``implicit`` is not installed.
    """

    config_class: ClassVar[type] = ALSConfig
    user_emb: Tensor
    item_emb: Tensor

    def __init__(self, data: HeteroData, config: ALSConfig) -> None:
        super().__init__(data, config)
        if AlternatingLeastSquares is None:
            raise GraphError("ALS needs the package 'implicit' (pip install implicit)")
        for name in ('user_emb', 'item_emb'):
            self.register_buffer(name, torch.empty(0))
        self.refresh(data)

    def refresh(self, data: HeteroData) -> None:
        config = self.config
        # implicit has its own threads; those of BLAS below them would only be in the way.
        with threadpool_limits(1, 'blas'):
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.regularization,
                alpha=config.alpha,
                iterations=config.iterations,
                num_threads=config.num_threads,
                random_state=config.seed,
            )
            model.fit(incidence(data), show_progress=False)
        self.user_emb = torch.from_numpy(model.user_factors)
        self.item_emb = torch.from_numpy(model.item_factors)

    def forward(self) -> dict[str, Tensor]:
        return {'user': self.user_emb, 'item': self.item_emb}
