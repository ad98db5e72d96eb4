"""Which shards an edit changes: those that would be trained on anything else than before."""

from typing import Any

from torch_geometric.data import HeteroData

from graphrec.graphs.schema import INTERACTS
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stores import same_contents


def changed_shards(
    before: ShardedRecommender,
    data_before: HeteroData,
    after: ShardedRecommender,
    data_after: HeteroData,
    batch_size: int,
) -> list[int]:
    r"""Numbers of the shards whose training would begin with something else after an edit: with
    other parameters, operators, features, words or batches, whatever their model reads of the
    graph. What it does not read (a title, a split) changes none.

    Args:
        before: The model on the graph before the edit.
        data_before: That graph.
        after: The model on the edited graph (:meth:`ShardedRecommender.on_graph`).
        data_after: The edited graph.
        batch_size: Of the training.
    """
    numbers = range(before.config.num_shards)
    if same_contents(_shared(before, data_before), _shared(after, data_after)):
        return [
            number
            for number in numbers
            if not same_contents(_own(before, data_before, number), _own(after, data_after, number))
        ]
    return [
        number
        for number in numbers
        if not same_contents(
            _beginning(before, data_before, number, batch_size),
            _beginning(after, data_after, number, batch_size),
        )
    ]


def _shared(model: ShardedRecommender, data: HeteroData) -> HeteroData:
    """What all shards have in common."""
    graph = model.shard_graph(data, 0)
    del graph[INTERACTS]
    return graph


def _own(model: ShardedRecommender, data: HeteroData, number: int) -> Any:
    return model.shard_graph(data, number)[INTERACTS]


def _beginning(model: ShardedRecommender, data: HeteroData, number: int, batch_size: int) -> Any:
    """The untrained model of a shard and what it would draw batches from."""
    graph = model.shard_graph(data, number)
    shard = model.make_shard(data, number)
    trained = graph[INTERACTS].edge_index.size(1) > 0
    return [shard, shard.make_sampler(graph, batch_size) if trained else None]
