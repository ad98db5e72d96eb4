"""A recommender of shards: one model on each part of the interactions, and what joins them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec import models
from graphrec.errors import GraphError
from graphrec.graphs.sampling import BPRBatch
from graphrec.graphs.schema import HOLDOUT_VALID, INTERACTS, QUERY, num_items, train_edges
from graphrec.graphs.search import search_digest
from graphrec.models.pairwise import batch_nodes, pairwise_loss
from graphrec.models.recommender import Recommender
from graphrec.models.seeded_init import fan_in_
from graphrec.unlearn.carrying import carried_state
from graphrec.unlearn.partition import PARTITIONS, random_partition

AGGREGATIONS = ('mean', 'attention')


@dataclasses.dataclass(frozen=True)
class ShardedConfig:
    r"""Settings of :class:`ShardedRecommender`.

    Attributes:
        model: Class of the shards' models, a name in :mod:`graphrec.models`.
        settings: Settings of theirs.
        num_shards: :math:`K`.
        partition: ``'random'``, ``'user'`` or ``'interaction'``.
        aggregation: ``'mean'`` of the shards' scores, or ``'attention'``.
        hidden: Width of the attention.
        reg: Weight of the squared norms in the aggregator's loss.
        seed: Of the partition and of all draws; shard :math:`k` adds :math:`k`.
    """

    model: str = 'LightGCN'
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    num_shards: int = 4
    partition: str = 'random'
    aggregation: str = 'mean'
    hidden: int = 32
    reg: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in models.__all__ or self.model == 'Recommender':
            raise GraphError(f"'model' names no model of graphrec.models (got {self.model!r})")
        if self.num_shards < 2:
            raise GraphError(f"'num_shards' must be at least 2 (got {self.num_shards})")
        if self.partition not in PARTITIONS:
            raise GraphError(f"'partition' must be one of {PARTITIONS} (got {self.partition!r})")
        if self.aggregation not in AGGREGATIONS:
            raise GraphError(
                f"'aggregation' must be one of {AGGREGATIONS} (got {self.aggregation!r})"
            )


class ShardedRecommender(Recommender):
    r"""Models of parts of the interactions, each over all nodes, so that forgetting retrains
    only parts: `"SISA" <https://arxiv.org/abs/1912.03817>`_ (Bourtoule et al., S&P 2021) with
    the mean of scores,

    .. math::
        s_{ui} = \frac{1}{K} \sum_s \mathbf{z}_{u}^{s \top} \mathbf{z}_i^s

    and `"RecEraser" <https://arxiv.org/abs/2201.06820>`_ (Chen et al., WWW 2022) with
    translations and attention, trained on all retained interactions while the shards rest,

    .. math::
        \mathbf{e}^s = \mathbf{W}_s \mathbf{z}^s + \mathbf{b}_s, \quad \alpha^s =
        \mathrm{softmax}_s \big( \mathbf{h}^{\top} \mathrm{relu}(\mathbf{V} \mathbf{e}^s +
        \mathbf{c}) \big), \quad \mathbf{e} = \sum_s \alpha^s \mathbf{e}^s, \quad
        s_{ui} = \mathbf{e}_u^{\top} \mathbf{e}_i

    with :math:`\mathbf{W}_s = \mathbf{I}` and :math:`\mathbf{b}_s = \mathbf{0}` at first (users
    and items share them: reconstructed). It costs :math:`K` tables and, at retraining,
    every shard with a forgotten pair: with :math:`n` random pairs an expected
    :math:`K (1 - (1 - 1/K)^n)` of them, so nearly all from :math:`3 K` pairs on. Only
    interactions are shared out: searches and features that the model reads are in every shard,
    and to forget one of these retrains all.

    Made by :func:`graphrec.unlearn.train_shards`; saved by :func:`graphrec.save` and loaded
    by :func:`graphrec.load_model`.

    Args:
        data: The graph.
        config: See :class:`ShardedConfig`.
    """

    config_class = ShardedConfig
    config: ShardedConfig
    assignment: Tensor

    def __init__(self, data: HeteroData, config: ShardedConfig) -> None:
        super().__init__(data, config)
        key = sorted_keys(data)
        # Shard of every training edge in the order of its key.
        self.register_buffer('assignment', random_partition(key, config.num_shards, config.seed))
        self.shards = torch.nn.ModuleList(
            self.make_shard(data, number) for number in range(config.num_shards)
        )
        dim, device = self._dim(), key.device
        self.translations: torch.nn.ModuleList | None = None
        if config.aggregation == 'attention':
            self.translations = torch.nn.ModuleList(
                torch.nn.Linear(dim, dim, device=device) for _ in range(config.num_shards)
            )
            self.attention = torch.nn.Sequential(
                torch.nn.Linear(dim, config.hidden, device=device),
                torch.nn.ReLU(),
                torch.nn.Linear(config.hidden, 1, bias=False, device=device),
            )
        self._tables: Tensor | None = None
        self.freeze_shards()  # A shard is trained by itself, before it comes here.
        self.reset_aggregator()
        self.refresh(data)

    def make_shard(self, data: HeteroData, number: int) -> Recommender:
        """An untrained model of shard :obj:`number` of :obj:`data`, by the assignment."""
        cls = getattr(models, self.config.model)
        settings = dict(self.config.settings)
        if 'seed' in cls.config_class.__dataclass_fields__:
            settings['seed'] = self.config.seed + number
        shard: Recommender = cls.from_graph(self.shard_graph(data, number), **settings)
        return shard

    def shard_graph(self, data: HeteroData, number: int) -> HeteroData:
        """The graph of a shard: all nodes and features, its training edges, no held-out ones
        (which epoch is best on them would depend on what is forgotten elsewhere)."""
        own = data.clone()
        for edge_type in own.edge_types:
            if edge_type != INTERACTS and edge_type[1].startswith('holdout_'):
                del own[edge_type]
        key = sorted_keys(data)[self.assignment == number]
        del own[INTERACTS]
        items = num_items(data)
        own[INTERACTS].edge_index = torch.stack([key // items, key % items])
        return own

    def assign(self, data: HeteroData, assignment: Tensor) -> None:
        """Gives every training edge of :obj:`data`, in the order of its key, to a shard."""
        self.assignment = assignment.clone()
        self.refresh(data)

    def on_graph(self, data: HeteroData) -> Self:
        """A copy on an edited graph, in which retained pairs stay in their shard."""
        copy = type(self)(data, self.config)
        apart = ('assignment', 'shards.')
        state = {k: v for k, v in self.state_dict().items() if not k.startswith(apart)}
        copy.load_state_dict(state, strict=False)
        place = torch.searchsorted(self._keys, copy._keys).clamp(max=self._keys.numel() - 1)
        if not torch.equal(self._keys[place], copy._keys):
            raise GraphError('the graph has interactions that belong to no shard; an edit removes')
        copy.assign(data, self.assignment[place])
        for old, new in zip(self.shards, copy.shards, strict=True):
            assert isinstance(old, Recommender)
            assert isinstance(new, Recommender)
            new.load_state_dict(carried_state(old, new), strict=False)
        return copy.eval()

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        self._data, self._keys = data, sorted_keys(data)
        if self._keys.numel() != self.assignment.numel():
            raise GraphError('the training edges changed: use on_graph(data)')
        for number, shard in enumerate(self.shards):
            assert isinstance(shard, Recommender)
            shard.refresh(self.shard_graph(data, number))
        self._tables = None

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        return {
            f'shards.{number}.{name}': types
            for number, shard in enumerate(self.shards)
            for name, types in shard.node_rows().items()  # type: ignore[operator]
        }

    def word_rows(self) -> dict[str, tuple[str, ...]]:
        return {
            f'shards.{number}.{name}': words
            for number, shard in enumerate(self.shards)
            for name, words in shard.word_rows().items()  # type: ignore[operator]
        }

    @classmethod
    def data_digest(cls, data: HeteroData) -> str:
        """As of a model of searches where there are any: shards may be that."""
        return search_digest(data) if QUERY in data.node_types else super().data_digest(data)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        # Refreshed first: what a refresh begins anew, a shard's epoch, is state and comes back.
        if 'assignment' in state_dict:
            self.assignment = state_dict['assignment'].to(self.assignment.device).clone()
        self.refresh(self._data)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        """Shards stay in evaluation mode: only the aggregator is trained here, on embeddings
        that are kept no longer than that."""
        super().train(mode)
        self.shards.eval()
        if not mode:
            self._tables = None
        return self

    @torch.no_grad()
    def reset_aggregator(self) -> None:
        """Draws what joins the shards anew."""
        if self.translations is None:
            return
        generator = torch.Generator().manual_seed(self.config.seed)
        for linear in self.translations:
            torch.nn.init.eye_(linear.weight)  # type: ignore[arg-type]
            torch.nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        for module in self.attention:
            if isinstance(module, torch.nn.Linear):
                fan_in_(module, generator)

    def freeze_shards(self) -> None:
        """Leaves only the aggregator to be trained."""
        self.shards.requires_grad_(False)
        self._tables = None

    def tables(self) -> Tensor:
        r"""Final embeddings of the shards :math:`(K, U + I, d)`, users first."""
        if self._tables is not None:
            return self._tables
        rows = []
        with torch.no_grad():
            for shard in self.shards:
                z = shard.eval().forward()
                rows.append(torch.cat([z['user'], z['item']]))
        tables = torch.stack(rows)
        self._tables = tables if self.training else None
        return tables

    def forward(self) -> dict[str, Tensor]:
        z = self._joined(self.tables())
        return {'user': z[: self.num_users], 'item': z[self.num_users :]}

    def loss(self, batch: BPRBatch) -> Tensor:
        """BPR of the aggregator on a batch; the shards rest."""
        if self.translations is None:
            raise GraphError('the mean of shards is not trained; retrain shards by forgetting')
        z = self._joined(self.tables()[:, batch_nodes(batch, self.num_users)])
        return pairwise_loss(z, z, batch, self.config.reg)

    def _joined(self, tables: Tensor) -> Tensor:
        if self.translations is None:
            # A product of the rows side by side is the sum over shards.
            wide = tables.transpose(0, 1).flatten(1)
            return wide / self.config.num_shards**0.5
        moved = torch.stack([w(z) for w, z in zip(self.translations, tables, strict=True)])
        return (F.softmax(self.attention(moved), dim=0) * moved).sum(0)

    def _dim(self) -> int:
        with torch.no_grad():
            return int(self.shards[0].eval().forward()['user'].size(1))


def sorted_keys(data: HeteroData) -> Tensor:
    """A number for every training edge, ascending."""
    user, item = train_edges(data)
    return (user * num_items(data) + item).sort().values


def without_validation(data: HeteroData) -> HeteroData:
    """The graph without validation edges, so that training runs for all its epochs."""
    kept = data.clone()
    if HOLDOUT_VALID in kept.edge_types:
        del kept[HOLDOUT_VALID]
    return kept
