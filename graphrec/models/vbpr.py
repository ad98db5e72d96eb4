"""VBPR: matrix factorisation whose items also have what their features say."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.models.incidence import history_incidence
from graphrec.models.item_features import check_modalities, item_features
from graphrec.models.recommender import Recommender
from graphrec.models.seeded_init import xavier_


@dataclass(frozen=True)
class VBPRConfig:
    r"""Hyper-parameters of :class:`VBPR`.

    Attributes:
        dim: :math:`d`, length of the factors and of the projected features, each.
        reg: :math:`\lambda`, weight of the norms (MMRec: from 1e-5 to 2).
        biases: Whether items have a bias and features a visual bias, as in the paper of 2016;
            the projection then has no :math:`\mathbf{b}`.
        freeze_features: Whether features are inputs; otherwise they are trained along.
        modalities: Names of those to use; all if omitted.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    reg: float = 1e-4
    biases: bool = False
    freeze_features: bool = True
    modalities: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise GraphError(f"'dim' must be at least 1 (got {self.dim})")
        if not self.reg >= 0:
            raise GraphError(f"'reg' must not be negative (got {self.reg})")
        object.__setattr__(self, 'modalities', check_modalities(self.modalities))


class VBPR(Recommender):
    r"""VBPR of `"VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback"
    <https://arxiv.org/abs/1510.01784>`_ (He and McAuley, AAAI 2016), in the form of MMRec,

    .. math::
        s_{ui} = \mathbf{p}_u^{\top} \mathbf{q}_i, \qquad
        \mathbf{q}_i = [\mathbf{e}_i \,|\, \mathbf{W} \mathbf{x}_i + \mathbf{b}]
        \in \mathbb{R}^{2d}

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i, j)} \ln \big(1 + e^{s_{uj} - s_{ui}} \big) +
        \frac{\lambda}{B} \Big( \|\mathbf{P}_B\|_F + \|\mathbf{Q}_B^+\|_F +
        \|\mathbf{Q}_B^-\|_F \Big)

    where :math:`\mathbf{x}_i` holds the features of all modalities side by side, and the norms
    (not squared) are of the batch's rows. With :attr:`~VBPRConfig.biases` the paper's own
    :math:`s_{ui} = \beta_i + {\boldsymbol\beta'}^{\top} \mathbf{x}_i + \mathbf{p}_u^{\top}
    \mathbf{q}_i` with :math:`\mathbf{b} = \mathbf{0}`; an item's row in the norms then
    ends with its bias. No edge is passed over: an item without interactions is ranked by its
    features. With :math:`n` negatives a positive their terms are averaged.

    Args:
        data: The graph; features only.
        config: See :class:`VBPRConfig`.

    Raises:
        GraphError: If the items have no features.
    """

    config_class = VBPRConfig
    config: VBPRConfig
    features: Tensor

    def __init__(self, data: HeteroData, config: VBPRConfig) -> None:
        super().__init__(data, config)
        device = train_edges(data).device
        x = self._inputs(data)
        self.user = torch.nn.Parameter(torch.empty(self.num_users, 2 * config.dim, device=device))
        self.item = torch.nn.Parameter(torch.empty(self.num_items, config.dim, device=device))
        self.projection = torch.nn.Linear(
            x.size(1), config.dim, bias=not config.biases, device=device
        )
        if config.biases:
            self.item_bias = torch.nn.Parameter(torch.empty(self.num_items, device=device))
            self.feature_bias = torch.nn.Parameter(torch.empty(x.size(1), device=device))
        if not config.freeze_features:
            self.features = torch.nn.Parameter(x.clone())
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self) -> None:
        """Draws all tables by Xavier's rule, seeded by the config; biases start at 0.
        Trained features stay as they are."""
        generator = torch.Generator().manual_seed(self.config.seed)
        for table in (self.user, self.item):
            xavier_(table, generator)
        xavier_(self.projection.weight, generator, normal=True)
        if self.config.biases:
            torch.nn.init.zeros_(self.item_bias)
            torch.nn.init.zeros_(self.feature_bias)
        else:
            torch.nn.init.zeros_(self.projection.bias)

    def refresh(self, data: HeteroData) -> None:
        """Reads the features anew, unless they are trained."""
        super().refresh(data)
        if self.config.freeze_features:
            self.features = self._inputs(data)

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        rows: dict[str, tuple[str, ...]] = {'user': ('user',), 'item': ('item',)}
        if self.config.biases:
            rows['item_bias'] = ('item',)
        return rows | dict.fromkeys(self.feature_rows(), ('item',))

    def feature_rows(self) -> tuple[str, ...]:
        return () if self.config.freeze_features else ('features',)

    def _inputs(self, data: HeteroData) -> Tensor:
        return torch.cat(list(item_features(data, self.config.modalities).values()), 1)

    def forward(self) -> dict[str, Tensor]:
        r"""``{'user': [U, 2 d], 'item': [I, 2 d]}``; with biases one column more, 1 for
        a user and the bias of an item."""
        user: Tensor = self.user
        if self.config.biases:
            user = torch.cat([user, user.new_ones(self.num_users, 1)], 1)
        return {'user': user, 'item': self._item_rows()}

    def _item_rows(self, index: Tensor | None = None) -> Tensor:
        x: Tensor = self.features
        e: Tensor = self.item
        if index is not None:
            x, e = F.embedding(index, x), F.embedding(index, e)
        x = x.to(e.dtype)
        parts = [e, self.projection(x)]
        if self.config.biases:
            own = self.item_bias if index is None else self.item_bias[index]
            parts.append((own + x @ self.feature_bias).unsqueeze(1))
        return torch.cat(parts, 1)

    def loss(self, batch: BPRBatch) -> Tensor:
        size = batch.user.numel()
        neg = batch.neg.reshape(size, -1)
        # Every item of the batch is projected once.
        items, place = torch.unique(torch.cat([batch.pos, neg.reshape(-1)]), return_inverse=True)
        rows = F.embedding(place, self._item_rows(items))
        q_pos, q_neg = rows[:size], rows[size:]
        p = F.embedding(batch.user, self.user)
        longer = F.pad(p, (0, 1), value=1.0) if self.config.biases else p
        s_neg = torch.einsum('bnd,bd->bn', q_neg.view(size, neg.size(1), -1), longer)
        margin = s_neg - (longer * q_pos).sum(1, keepdim=True)
        norms = p.norm() + q_pos.norm() + q_neg.norm() / neg.size(1) ** 0.5
        return F.softplus(margin).mean() + self.config.reg * norms / size

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people known by their items, whose vector is the mean of
        their items', :math:`\mathbf{p} = \frac{1}{|H|} \sum_{i \in H} \mathbf{q}_i`; without
        items it is 0, which leaves the biases."""
        history = history_incidence(histories, self.num_items)
        with torch.no_grad():
            item = self._item_rows()
            index = torch.from_numpy(history.indices).to(item.device).long()
            offset = torch.from_numpy(history.indptr[:-1]).to(item.device).long()
            user = F.embedding_bag(index, item, offset, mode='mean')
            if self.config.biases:
                user[:, -1] = 1
            return user @ item.t()

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: VBPRConfig
    ) -> dict[str, int]:
        """Bytes beyond gradients and optimiser; features, whose width no config knows, are
        counted only where they are trained and the model is built."""
        parameters = (2 * num_users + num_items) * config.dim * 4
        return {'parameters': parameters, 'items': 4 * num_items * config.dim * 4}
