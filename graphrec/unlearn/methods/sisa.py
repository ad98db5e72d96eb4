"""SISA and RecEraser: retrain the shards that held what is forgotten."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import num_items
from graphrec.models.recommender import Recommender
from graphrec.training import fit as train
from graphrec.unlearn.partition import PARTITIONS, interaction_partition, user_partition
from graphrec.unlearn.shard_changes import changed_shards
from graphrec.unlearn.sharded import (
    ShardedConfig,
    ShardedRecommender,
    sorted_keys,
    without_validation,
)
from graphrec.unlearn.task import Outcome, Task, fit_settings


@dataclasses.dataclass(frozen=True)
class SISAOptions:
    r"""Options of :func:`sisa`, for a model that is not sharded yet.

    Attributes:
        num_shards: :math:`K`.
        partition: ``'random'``, ``'user'`` or ``'interaction'``.
        aggregator_epochs: Epochs of what joins the shards.
    """

    num_shards: int = 4
    partition: str = 'random'
    aggregator_epochs: int = 10

    def __post_init__(self) -> None:
        if self.num_shards < 2:
            raise GraphError(f"'num_shards' must be at least 2 (got {self.num_shards})")
        if self.partition not in PARTITIONS:
            raise GraphError(f"'partition' must be one of {PARTITIONS} (got {self.partition!r})")
        if self.aggregator_epochs < 1:
            raise GraphError(
                f"'aggregator_epochs' must be at least 1 (got {self.aggregator_epochs})"
            )


def sisa(task: Task, options: SISAOptions) -> Outcome:
    r"""SISA (see :class:`~graphrec.unlearn.sharded.ShardedRecommender`): every shard that held
    a forgotten pair is trained from its seed again on the edited graph. Removed items and
    features touch every shard, since every shard draws negatives and builds neighbours from
    all items, and so does whatever else all shards have in common (searches, words, attributes)
    where their model reads it. A model that is not sharded is trained in
    shards first, on the graph before the edit; that is counted as preparation.

    Exact (class E) with a random partition: a shard says nothing about pairs of others, and
    no validation edge picks an epoch. With one by embeddings the partition itself was made
    with what is forgotten: a residue, so class A.
    """
    return retrain_touched(task, options, 'mean')


def retrain_touched(task: Task, options: SISAOptions, aggregation: str) -> Outcome:
    """Retrains the shards that an edit touches, and what joins them."""
    begin, preparation = time.perf_counter(), 0.0
    notes: list[str] = []
    original = task.original
    if not isinstance(original, ShardedRecommender):
        original = train_shards(
            original,
            task.original_data,
            fit=task.fit,
            num_shards=options.num_shards,
            partition=options.partition,
            aggregation=aggregation,
            aggregator_epochs=options.aggregator_epochs,
            seed=task.seed,
        )
        preparation = time.perf_counter() - begin
        notes.append('figures before are those of the model without shards')
    model = original.on_graph(task.data)
    shards = touched_shards(task, original, model)
    steps = fit_shards(
        model, task.data, shards, task.fit, original.config.seed, options.aggregator_epochs
    )
    exact = model.config.partition == 'random'
    if not exact:
        notes.append('the partition was made with what is forgotten: a residue')
    reason = f'{len(shards)} of {model.config.num_shards} shards trained anew'
    if model.config.aggregation == 'attention':
        reason += ', and the aggregator'
    return Outcome(model, steps, reason, notes, preparation, guarantee='E' if exact else 'A')


def train_shards(
    model: Recommender,
    data: HeteroData,
    *,
    fit: Mapping[str, Any] | None = None,
    num_shards: int = 4,
    partition: str = 'random',
    aggregation: str = 'mean',
    aggregator_epochs: int = 10,
    seed: int = 0,
) -> ShardedRecommender:
    r"""Trains models like :obj:`model` on shards of the interactions.

    Args:
        model: Gives class and settings, and for a partition by embeddings its own.
        data: The graph.
        fit: Training settings; all epochs are run.
        num_shards: :math:`K`.
        partition: See :mod:`graphrec.unlearn.partition`.
        aggregation: ``'mean'`` or ``'attention'``.
        aggregator_epochs: Epochs of the attention.
        seed: Of partition, draws and training.

    Raises:
        GraphError: If the model is in closed form, or a setting is out of range.
    """
    if not model.is_trainable:
        raise GraphError(
            f'{type(model).__name__} is in closed form: there is nothing to train in shards; build '
            f'it anew from the edited graph'
        )
    settings = dataclasses.asdict(model.config)
    settings.pop('seed', None)
    config = ShardedConfig(
        model=type(model).__name__,
        settings=settings,
        num_shards=num_shards,
        partition=partition,
        aggregation=aggregation,
        seed=seed,
    )
    sharded = ShardedRecommender(data, config)
    if partition != 'random':
        sharded.assign(data, _by_embeddings(model, data, config))
    fit_shards(sharded, data, range(num_shards), fit_settings(fit), seed, aggregator_epochs)
    return sharded


def _by_embeddings(model: Recommender, data: HeteroData, config: ShardedConfig) -> Tensor:
    key = sorted_keys(data)
    user, item = key // num_items(data), key % num_items(data)
    training = model.training
    with torch.no_grad():
        z = model.eval().forward()
    model.train(training)
    generator = torch.Generator().manual_seed(config.seed)
    if config.partition == 'user':
        return user_partition(user, z['user'], config.num_shards, generator)
    return interaction_partition(user, item, (z['user'], z['item']), config.num_shards, generator)


def touched_shards(
    task: Task, original: ShardedRecommender, model: ShardedRecommender
) -> list[int]:
    """Numbers of the shards that have to be trained anew; :obj:`model` is the original on the
    edited graph."""
    cells = any(each.numel() for each in task.forget.modality_cells.values())
    if task.forget.items.numel() or cells:
        return list(range(original.config.num_shards))
    return changed_shards(original, task.original_data, model, task.data, task.fit['batch_size'])


def fit_shards(
    model: ShardedRecommender,
    data: HeteroData,
    numbers: Sequence[int],
    settings: dict[str, Any],
    seed: int,
    aggregator_epochs: int,
) -> int:
    """Trains shards from their seeds, then the aggregator from its own, and counts steps."""
    settings = {**settings, 'patience': None}
    steps = 0
    for number in numbers:
        graph = model.shard_graph(data, number)
        shard = model.make_shard(data, number)
        if graph['user', 'interacts', 'item'].edge_index.size(1):
            train(shard, graph, seed=seed + number, progress=False, **settings)
            sampler = shard.make_sampler(graph, settings['batch_size'])
            steps += settings['epochs'] * len(sampler)
        model.shards[number] = shard
    model.freeze_shards()
    if model.translations is not None:
        model.reset_aggregator()
        settings = {**settings, 'epochs': aggregator_epochs, 'schedule': None}
        kept = without_validation(data)
        train(model, kept, seed=seed, progress=False, **settings)
        steps += aggregator_epochs * len(model.make_sampler(kept, settings['batch_size']))
    model.eval()
    return steps
