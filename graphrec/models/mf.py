"""MF: matrix factorisation by pairwise ranking."""

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.models.incidence import history_incidence
from graphrec.models.recommender import Recommender


@dataclasses.dataclass(frozen=True)
class MFConfig:
    """Settings of :class:`MF`.

    Args:
        dim: Length of a vector.
        reg: Weight of the squared norms of a batch's vectors.
        init_std: Standard deviation of the first vectors.
        sparse: Step only the rows of a batch (lazy Adam: moments of the others rest),
            which is not the dense Adam to the bit but does not grow with the table.
        seed: Draw of the first vectors.
    """

    dim: int = 64
    reg: float = 1e-4
    init_std: float = 0.1
    sparse: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise GraphError(f"'dim' needs to be at least 1 (got {self.dim})")
        if self.reg < 0:
            raise GraphError(f"'reg' needs to be 0 or more (got {self.reg})")
        if self.init_std <= 0:
            raise GraphError(f"'init_std' needs to be above 0 (got {self.init_std})")


class MF(Recommender):
    r"""Matrix factorisation with the pairwise loss BPR (Rendle et al., `"BPR: Bayesian
    Personalized Ranking from Implicit Feedback" <https://arxiv.org/abs/1205.2618>`_,
    UAI 2009). Scores are :math:`s_{ui} = p_u^\top q_i`; over a batch of users
    :math:`u`, items :math:`i` that they have and :math:`n` items :math:`j` each that
    they do not have,

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i)} \frac{1}{n} \sum_j
        -\ln \sigma(s_{ui} - s_{uj}) + \frac{\lambda}{2B} \sum_{(u, i)} \Big(
        \|p_u\|^2 + \|q_i\|^2 + \frac{1}{n} \sum_j \|q_j\|^2 \Big)

    It is LightGCN without layers, so the difference of the two is what the graph adds.

    Args:
        data: The graph; only its size is read.
        config: The settings.
    """

    config_class: ClassVar[type] = MFConfig

    def __init__(self, data: HeteroData, config: MFConfig) -> None:
        super().__init__(data, config)
        shape = (self.num_users + self.num_items, config.dim)
        self.embedding = torch.nn.Parameter(  # Users first, then items.
            torch.empty(shape, device=train_edges(data).device)
        )
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self) -> None:
        """Draws all vectors from a normal distribution, seeded by the config."""
        generator = torch.Generator().manual_seed(self.config.seed)
        # Drawn on the CPU, so that every device starts from the same numbers.
        draw = torch.randn(self.embedding.shape, generator=generator)
        with torch.no_grad():
            self.embedding.copy_(draw * self.config.init_std)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'embedding': ('user', 'item')}

    @property
    def sparse_gradients(self) -> bool:
        return self.config.sparse

    def refresh(self, data: HeteroData) -> None:
        """Nothing is derived from the graph; vectors stay as they are."""
        super().refresh(data)

    def forward(self) -> dict[str, Tensor]:
        """The two halves of the table, ``{'user': [U, d], 'item': [I, d]}``."""
        user, item = self.embedding.split([self.num_users, self.num_items])
        return {'user': user, 'item': item}

    def loss(self, batch: BPRBatch) -> Tensor:
        """BPR with squared norms; negatives :math:`(B)` or :math:`(B, n)`."""
        size = batch.user.numel()
        negatives = batch.neg.reshape(size, -1)
        item = torch.cat([batch.pos, negatives.reshape(-1)]) + self.num_users
        # One gather for all rows: its gradient fills one buffer of the table, not three.
        index = torch.cat([batch.user, item])
        rows = F.embedding(index, self.embedding, sparse=self.config.sparse)
        user, pos, neg = rows.split([size, size, negatives.numel()])
        neg = neg.view(size, -1, neg.size(1))
        gap = (user * pos).sum(1, keepdim=True) - (neg @ user.unsqueeze(2)).squeeze(2)
        norms = user.square().sum() + pos.square().sum() + neg.square().sum() / neg.size(1)
        return F.softplus(-gap).mean() + self.config.reg / 2 * norms / size

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people known by their items. Their vector is the
        mean of their items' vectors, :math:`p = \frac{1}{|H|} \sum_{i \in H} q_i`,
        a ranking that no scale of it would change; without items all scores are 0."""
        history = history_incidence(histories, self.num_items)
        item = self.forward()['item'].detach()
        index = torch.from_numpy(history.indices).to(item.device).long()
        offset = torch.from_numpy(history.indptr[:-1]).to(item.device).long()
        return F.embedding_bag(index, item, offset, mode='mean') @ item.t()
