"""LGMRec: local graphs of behaviour and features, and global learned hypergraphs."""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.blockwise_info_nce import check_temperature
from graphrec.contrastive.blockwise_logsumexp import BLOCK_BYTES
from graphrec.contrastive.info_nce import info_nce
from graphrec.contrastive.remaining_rows import remaining_rows
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial, interaction_operator
from graphrec.graphs.sampling import BPRBatch
from graphrec.models.incidence import history_incidence
from graphrec.models.multimodal import MultimodalConfig, MultimodalLightGCN, unit
from graphrec.models.pairwise import pairwise_loss


@dataclass(frozen=True)
class LGMRecConfig(MultimodalConfig):
    r"""Hyper-parameters of :class:`LGMRec`; defaults are those for Baby, see
    :meth:`LGMRec.preset`.

    Attributes:
        reg: :math:`\lambda`, weight of the norms (not squared) of the batch's final rows.
        freeze_features: As in the authors' code; False trains them along.
        num_feature_layers: :math:`L_f`, steps of features in the user-item graph.
        num_hyperedges: :math:`A`, of each modality.
        keep: Share of the entries of :math:`\mathbf{H}` kept in training; they are rescaled.
        global_weight: :math:`\alpha`.
        num_global_layers: :math:`n_h`.
        hyperedge_temperature: :math:`\tau_h` of the Gumbel softmax.
        temperature: :math:`\tau` of the contrast.
        contrast_weight: :math:`\lambda_c`; goes with a sum over the batch.
        gumbel_in_serving: Whether Gumbel noise is drawn in serving too, as in the authors'
            code: scores differ from call to call.
    """

    reg: float = 1e-6
    freeze_features: bool = True
    num_feature_layers: int = 2
    num_hyperedges: int = 4
    keep: float = 0.5
    global_weight: float = 0.3
    num_global_layers: int = 1
    hyperedge_temperature: float = 0.2
    temperature: float = 0.2
    contrast_weight: float = 1e-4
    gumbel_in_serving: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_temperature(self.temperature)
        if not self.hyperedge_temperature > 0:
            raise GraphError(
                f"'hyperedge_temperature' must be above 0 (got {self.hyperedge_temperature})"
            )
        if not 0 < self.keep <= 1:
            raise GraphError(f"'keep' must lie in (0, 1] (got {self.keep})")
        for name in ('num_hyperedges', 'num_global_layers'):
            if getattr(self, name) < 1:
                raise GraphError(f'{name!r} must be at least 1 (got {getattr(self, name)})')
        for name in ('num_feature_layers', 'global_weight', 'contrast_weight'):
            if not getattr(self, name) >= 0:
                raise GraphError(f'{name!r} must not be negative (got {getattr(self, name)})')


class LGMRec(MultimodalLightGCN):
    r"""LGMRec of `"LGMRec: Local and Global Graph Learning for Multimodal Recommendation"
    <https://arxiv.org/abs/2312.16400>`_ (Guo et al., AAAI 2024). Local: behaviour and, for
    each modality, features and the means of each user's,

    .. math::
        \mathbf{C} = \frac{1}{L + 1} \sum_l \hat{\mathbf{A}}^l \mathbf{E}, \quad
        \mathbf{F}^m = \hat{\mathbf{A}}^{L_f} \begin{bmatrix} \mathbf{D}_U^{-1} \mathbf{R}
        \mathbf{X}^m \mathbf{W}_m \\ \mathbf{X}^m \mathbf{W}_m \end{bmatrix}

    Global: items and users belong to :math:`A` hyperedges,

    .. math::
        \mathbf{H}_I^m = \mathrm{softmax} \Big( \frac{\mathbf{X}^m \mathbf{V}_m + \boldsymbol{
        \gamma}}{\tau_h} \Big), \quad \mathbf{H}_U^m = \mathrm{softmax} \Big( \frac{\mathbf{R}
        \mathbf{X}^m \mathbf{V}_m + \boldsymbol{\gamma}}{\tau_h} \Big)

    with Gumbel noise :math:`\boldsymbol{\gamma}` and dropout in training; from
    :math:`\mathbf{G}_I^m = \mathbf{C}_I`, repeated :math:`n_h` times,

    .. math::
        \mathbf{\Lambda} = (\mathbf{H}_I^m)^{\top} \mathbf{G}_I^m, \quad
        \mathbf{G}_I^m \leftarrow \mathbf{H}_I^m \mathbf{\Lambda}, \quad
        \mathbf{G}_U^m \leftarrow \mathbf{H}_U^m \mathbf{\Lambda}

    .. math::
        \mathbf{Z} = \mathbf{C} + \sum_m \mathrm{unit}(\mathbf{F}^m) + \alpha \,
        \mathrm{unit} \Big( \sum_m \mathbf{G}^m \Big)

    .. math::
        \mathcal{L} = \mathrm{BPR}(\mathbf{Z}) + \lambda_c \sum_{m < m'} \big[ C(\mathbf{G}_U^m,
        \mathbf{G}_U^{m'}) + C(\mathbf{G}_I^m, \mathbf{G}_I^{m'}) \big] + \frac{\lambda}{B}
        \big( \|\mathbf{Z}_u\|_F + \|\mathbf{Z}_i\|_F + \|\mathbf{Z}_j\|_F \big)

    :math:`C` is :func:`~graphrec.contrastive.info_nce` against all nodes, summed over the
    users and positives of the batch, as often as it has them. :math:`\mathbf{H}` is dense,
    :math:`O((U + I) A d)`.

    Args:
        data: The graph; training edges and features only.
        config: See :class:`LGMRecConfig`.

    Raises:
        GraphError: If a modality has no features.
    """

    config_class = LGMRecConfig
    config: LGMRecConfig

    def build(self) -> None:
        self.require_features()
        self.projection = self.projections()
        #: :math:`\mathbf{V}_m` of every modality.
        self.membership = torch.nn.ModuleDict(
            {
                name: torch.nn.Linear(
                    self.feature(name).size(1), self.config.num_hyperedges, bias=False
                )
                for name in self.modalities
            }
        )

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        self.interactions = interaction_operator(data)
        degree = self.interactions.rowptr.diff().clamp(min=1)
        self._means = self.interactions.scale(rows=degree.reciprocal())

    def memberships(self, item_logits: Tensor, user_logits: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\mathbf{H}_I` :math:`(I, A)` and :math:`\mathbf{H}_U` :math:`(U, A)`, with
        noise and dropout in training. A removed item is in no hyperedge."""
        of_item, there = self._soft(item_logits), self.remaining['item']
        if there is not None:
            there = there.to(of_item.device)
            of_item = torch.zeros_like(of_item).index_copy(0, there, of_item[there])
        return of_item, self._soft(user_logits)

    def _soft(self, logits: Tensor) -> Tensor:
        if self.training or self.config.gumbel_in_serving:
            waiting = torch.empty_like(logits).exponential_(generator=self.noise_source())
            logits = logits - waiting.clamp(min=torch.finfo(waiting.dtype).tiny).log()
        soft = (logits / self.config.hyperedge_temperature).softmax(1)
        if self.training and self.config.keep < 1:
            draw = torch.empty_like(soft).uniform_(generator=self.noise_source())
            soft = soft * (draw < self.config.keep) / self.config.keep
        return soft

    def global_views(self, item: Tensor) -> list[Tensor]:
        r""":math:`\mathbf{G}^m` :math:`(U + I, d)` of every modality, users first, from
        :math:`\mathbf{C}_I` :math:`(I, d)`."""
        views = []
        for name in self.modalities:
            logits = self.membership[name](self.feature(name))
            of_item, of_user = self.memberships(logits, self.interactions @ logits)
            views.append(torch.cat(self._hyper_pass(item, of_item, of_user)))
        return views

    def _hyper_pass(self, item: Tensor, of_item: Tensor, of_user: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.config.num_global_layers):
            centre = of_item.t() @ item
            item, user = of_item @ centre, of_user @ centre
        return user, item

    def local_features(self, name: str, num_layers: int | None = None) -> Tensor:
        r""":math:`\mathbf{F}^m` :math:`(U + I, d)`, after :obj:`num_layers` steps in place of
        :math:`L_f`."""
        steps = self.config.num_feature_layers if num_layers is None else num_layers
        item = self.projected(name)
        features = torch.cat([self._means @ item, item])
        return Polynomial(self.propagation.op, [0.0] * steps + [1.0]) @ features

    def embed(self) -> tuple[Tensor, list[Tensor]]:
        r""":math:`\mathbf{Z}` :math:`(U + I, d)` and the :math:`\mathbf{G}^m`."""
        behaviour = self.propagation @ self.embedding
        views = self.global_views(behaviour[self.num_users :])
        z = behaviour + self.config.global_weight * unit(torch.stack(views).sum(0))
        for name in self.modalities:
            z = z + unit(self.local_features(name))
        return z, views

    def forward(self) -> dict[str, Tensor]:
        z, _ = self.embed()
        return {'user': z[: self.num_users], 'item': z[self.num_users :]}

    def loss(self, batch: BPRBatch) -> Tensor:
        config, size = self.config, batch.user.numel()
        z, views = self.embed()
        rows = z[self.batch_nodes(batch)]
        loss = pairwise_loss(rows, rows, batch, 0.0)
        if config.reg:
            parts = rows[:size], rows[size : 2 * size], rows[2 * size :]
            norms = sum(torch.linalg.vector_norm(part) for part in parts)
            loss = loss + config.reg * norms / size
        if config.contrast_weight:
            for one, other in combinations(views, 2):
                loss = loss + config.contrast_weight * self._contrast(one, other, batch)
        return loss

    def _contrast(self, one: Tensor, other: Tensor, batch: BPRBatch) -> Tensor:
        halves = [view.split([self.num_users, self.num_items]) for view in (one, other)]
        terms = [
            info_nce(
                *remaining_rows(there, z1, z2, ids),
                'all',
                temperature=self.config.temperature,
                count_repeats=True,
                reduction='sum',
            )
            for there, z1, z2, ids in zip(
                self.remaining.values(), *halves, (batch.user, batch.pos), strict=True
            )
        ]
        return terms[0] + terms[1]

    @torch.no_grad()
    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list :math:`H`:
        their node is attached to the trained graph, and their hyperedges are those of the
        sum of their items' logits. Noise and dropout are never drawn."""
        training = self.training
        self.eval()
        behaviour = self.propagation @ self.embedding
        z = self._history_vectors(histories)
        history = torch.from_numpy(history_incidence(histories, self.num_items).toarray()).to(z)
        total = torch.zeros_like(z)
        for name in self.modalities:
            z = z + unit(self._history_features(histories, history, name))
            logits = self.membership[name](self.feature(name))
            of_item, of_person = self.memberships(logits, history @ logits)
            total += self._hyper_pass(behaviour[self.num_users :], of_item, of_person)[0]
        z = z + self.config.global_weight * unit(total)
        item = self.served()['item']
        self.train(training)
        return z @ item.t()

    def _history_features(self, histories: list[Tensor], history: Tensor, name: str) -> Tensor:
        steps = self.config.num_feature_layers
        if steps:
            return self.attached(histories, self.local_features(name, steps - 1)[self.num_users :])
        return history @ self.projected(name) / history.sum(1, keepdim=True).clamp(min=1)

    @classmethod
    def memory_hint(  # type: ignore[override]
        cls, num_users: int, num_items: int, num_edges: int, config: LGMRecConfig
    ) -> dict[str, int]:
        """LightGCN's, with tables and hyperedges of two modalities and a block of
        similarities."""
        hint = super().memory_hint(num_users, num_items, num_edges, config)
        nodes = num_users + num_items
        return {
            **hint,
            'tables': 2 * 8 * nodes * config.dim * 4,
            'hyperedges': 2 * 5 * nodes * config.num_hyperedges * 4,
            'similarities': 2 * BLOCK_BYTES,
        }
