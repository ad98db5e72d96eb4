"""LightGCN."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.edge_drop import drop_edges
from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial, Sparse, bipartite_adjacency
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import train_edges
from graphrec.models.histories import attach_histories
from graphrec.models.pairwise import batch_nodes, pairwise_loss
from graphrec.models.recommender import Recommender


@dataclass(frozen=True)
class LightGCNConfig:
    r"""Hyper-parameters of :class:`LightGCN`, with the paper's defaults.

    Attributes:
        dim: Size of the embeddings.
        num_layers: :math:`L \geq 0`; 0 is matrix factorisation.
        layer_weights: :math:`a_0, \ldots, a_L`; uniform :math:`1/(L+1)` if omitted.
        reg: :math:`\lambda`, weight of the squared norm of the batch's embeddings.
        edge_dropout: Share of training edges left out, drawn anew every epoch; the
            rest is renormalised. Serving uses all of them.
        bf16: Propagate in bfloat16, which moves half the bytes.
        init_std: Standard deviation of the initial draw.
        seed: Seed of the initial draw.
    """

    dim: int = 64
    num_layers: int = 3
    layer_weights: tuple[float, ...] | None = None
    reg: float = 1e-4
    edge_dropout: float = 0.0
    bf16: bool = False
    init_std: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise GraphError(f"'dim' must be at least 1 (got {self.dim})")
        if self.num_layers < 0:
            raise GraphError(f"'num_layers' must not be negative (got {self.num_layers})")
        if self.reg < 0:
            raise GraphError(f"'reg' must not be negative (got {self.reg})")
        if not 0 <= self.edge_dropout < 1:
            raise GraphError(f"'edge_dropout' needs to lie in [0, 1) (got {self.edge_dropout})")
        if self.layer_weights is not None:
            if len(self.layer_weights) != self.num_layers + 1:
                raise GraphError(
                    f"'layer_weights' has {len(self.layer_weights)} entries, expected "
                    f'num_layers + 1 = {self.num_layers + 1}'
                )
            # A list from JSON or the command line compares equal to the original.
            object.__setattr__(self, 'layer_weights', tuple(map(float, self.layer_weights)))


class LightGCN(Recommender):
    r"""LightGCN of `"LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation" <https://arxiv.org/abs/2002.02126>`_ (He et al., SIGIR 2020).

    .. math::
        \mathbf{Z} = \sum_{l=0}^{L} a_l \hat{\mathbf{A}}^l \mathbf{E}, \qquad
        s_{ui} = \mathbf{z}_u^{\top} \mathbf{z}_i

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_{(u, i, j)} \Big[ \ln \big(1 +
        e^{s_{uj} - s_{ui}} \big) + \frac{\lambda}{2} \big( \|\mathbf{e}_u\|^2 +
        \|\mathbf{e}_i\|^2 + \|\mathbf{e}_j\|^2 \big) \Big]

    with :math:`\hat{\mathbf{A}}` the symmetrically normalised adjacency of the training
    edges without self-loops (Eqs. 3, 4, 15). The sum of powers is evaluated by Horner's
    rule, so no layer is stored. A node without edges keeps
    :math:`a_0 \mathbf{e}`. With :math:`n` negatives a positive their terms are averaged.

    Args:
        data: The graph; training edges only.
        config: See :class:`LightGCNConfig`.
    """

    config_class = LightGCNConfig

    def __init__(self, data: HeteroData, config: LightGCNConfig) -> None:
        super().__init__(data, config)
        num_nodes = self.num_users + self.num_items
        device = train_edges(data).device
        self.embedding = torch.nn.Parameter(torch.empty(num_nodes, config.dim, device=device))
        weights = config.layer_weights or self.default_layer_weights(config.num_layers)
        #: :math:`a_0, \ldots, a_L`.
        self.layer_weights = torch.tensor(weights, device=device)
        self.reset_parameters()
        self.refresh(data)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws the embeddings anew, from the config's seed unless given a generator."""
        if generator is None:
            generator = torch.Generator().manual_seed(self.config.seed)
        # Drawn on the CPU, so that every device starts from the same numbers.
        draw = torch.randn(self.embedding.shape, generator=generator)
        with torch.no_grad():
            self.embedding.copy_(draw * self.config.init_std)

    @staticmethod
    def default_layer_weights(num_layers: int) -> tuple[float, ...]:
        r""":math:`a_0, \ldots, a_L` where the config gives none: uniform."""
        return (1 / (num_layers + 1),) * (num_layers + 1)

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        user, item = train_edges(data)
        # In one order, so that a draw does not depend on how the graph stores its edges.
        order = torch.argsort(user * self.num_items + item)
        self._edge_index = torch.stack([user[order], item[order]])
        self.adjacency = self._operator(self._edge_index)
        self._propagation = Polynomial(self.adjacency, self.layer_weights.tolist())
        self._thinned = self._propagation

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {'embedding': ('user', 'item')}

    def begin_epoch(self, generator: torch.Generator) -> None:
        super().begin_epoch(generator)
        if self.config.edge_dropout:
            kept = self.thin(generator)
            self._thinned = Polynomial(self._operator(kept), self._propagation.coefficients)

    def thin(self, generator: torch.Generator) -> Tensor:
        """The edges :math:`(2, E')` of an epoch, a uniform draw."""
        return drop_edges(self._edge_index, self.config.edge_dropout, generator)

    @property
    def propagation(self) -> Polynomial:
        """The operator from embeddings to final ones: over the edges of the epoch in
        training, over all of them in serving."""
        return self._thinned if self.training else self._propagation

    def forward(self) -> dict[str, Tensor]:
        z = self.propagation @ self.embedding
        return {'user': z[: self.num_users], 'item': z[self.num_users :]}

    def pair_scores(self, user: Tensor, item: Tensor) -> Tensor:
        index = torch.cat([user, item + self.num_users])
        z, _ = gather_rows(self.propagation, self.embedding, index)
        return (z[: user.numel()] * z[user.numel() :]).sum(1)

    def loss(self, batch: BPRBatch) -> Tensor:
        # One gather each for final and initial rows: autograd's scatter is dense.
        z, e = gather_rows(self.propagation, self.embedding, self.batch_nodes(batch))
        return self.ranking_loss(z, e, batch)

    def batch_nodes(self, batch: BPRBatch) -> Tensor:
        """Numbers of the nodes of a batch, users first: its users, its positives, and the
        negatives of one triple after the other."""
        return batch_nodes(batch, self.num_users)

    def ranking_loss(self, z: Tensor, e: Tensor, batch: BPRBatch) -> Tensor:
        """The loss from the final rows :obj:`z` and the initial rows :obj:`e` of
        :meth:`batch_nodes`."""
        return pairwise_loss(z, e, batch, self.config.reg)

    def propagate_layers(self) -> list[Tensor]:
        r"""The layers :math:`\hat{\mathbf{A}}^l \mathbf{E}`, :math:`l = 0 \ldots L`, each
        :math:`(U + I, d)`, without gradient; for explanations."""
        layers = [self.embedding.detach()]
        for _ in range(self.config.num_layers):
            layers.append(self.adjacency @ layers[-1])
        return layers

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list
        :math:`H`: their node is attached to the trained graph, with
        :math:`\mathbf{e}_u = \mathbf{0}` and the items' layers as they are,

        .. math::
            \mathbf{z}_u = \sum_{l=1}^{L} a_l \sum_{i \in H}
            \frac{1}{\sqrt{|H| d_i}} \mathbf{h}_i^{(l-1)}

        For :math:`L = 0` it is the mean of :math:`\mathbf{e}_i`."""
        item = (self._propagation @ self.embedding.detach())[self.num_users :]
        return self._history_vectors(histories) @ item.t()

    def _history_vectors(self, histories: list[Tensor]) -> Tensor:
        return attach_histories(histories, self.embedding, self._propagation, self.num_users)

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: LightGCNConfig
    ) -> dict[str, int]:
        """Bytes that training needs beyond parameters, gradients and optimiser."""
        table = (num_users + num_items) * config.dim * 4
        operator = 2 * num_edges * 8 + (num_users + num_items + 1) * 4
        copies = 2 if config.edge_dropout else 1
        # Building sorts int64 keys of both directions beside the operator.
        return {
            'graph': copies * operator,
            'graph_building': 2 * num_edges * 48,
            'layers': 3 * table,
        }

    def _operator(self, edge_index: Tensor) -> Sparse:
        adjacency = bipartite_adjacency(edge_index, self.num_users, self.num_items)
        return adjacency.to(dtype=torch.bfloat16) if self.config.bf16 else adjacency


def gather_rows(op: Polynomial, x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    r"""Rows :obj:`index` :math:`(s)` of ``op @ x`` and of :obj:`x`, each :math:`(s, d)`; only
    the rows asked for are computed in the last product."""
    return _GatherRows.apply(x, op, index)


class _GatherRows(torch.autograd.Function):
    """Rows of ``op @ x`` and of ``x``, with both gradients written into one buffer."""

    @staticmethod
    def forward(ctx, x: Tensor, op: Polynomial, index: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
        ctx.op = op
        ctx.save_for_backward(index)
        return op.apply_rows(x, index), x.index_select(0, index)

    @staticmethod
    def backward(ctx, grad_z: Tensor, grad_x: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        (index,) = ctx.saved_tensors
        grad = ctx.op.T.apply_scattered(grad_z, index)
        return grad.index_add_(0, index, grad_x), None, None
