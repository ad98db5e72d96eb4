"""Whether a model can have learned anything of what an edit took out."""

from typing import Any

from torch_geometric.data import HeteroData

from graphrec.models.recommender import Recommender
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stores import same_contents

_BATCH = 4096

#: What is said of such a request.
UNTOUCHED = (
    'what was removed is in nothing that this model is built from or trained on, so it could '
    'not have learned it'
)


def is_untouched(
    model: Recommender, data: HeteroData, edited: HeteroData, forget: ForgetSet
) -> bool:
    """Whether a model of this class and these settings is built from the same and trained on
    the same in both graphs: every array and text of an untrained one and of its sampler is the
    same, bit by bit. So it is for an attribute or a behaviour that the model does not read, and
    for held-out pairs (on which a training may have chosen its last epoch).

    Args:
        model: Whose class and settings count; its parameters do not.
        data: The graph before.
        edited: The graph after.
        forget: What was taken out; where training pairs, users or items are among it, the
            answer is no without looking.
    """
    if any(each.numel() for each in (forget.pairs, forget.users, forget.items)):
        return False
    if isinstance(model, ShardedRecommender):
        shards = zip(range(len(model.shards)), model.shards, strict=True)
        return all(
            _is_same(shard, model.shard_graph(data, n), model.shard_graph(edited, n))
            for n, shard in shards
        )
    return _is_same(model, data, edited)


def _is_same(model: Any, data: HeteroData, edited: HeteroData) -> bool:
    return same_contents(_beginning(model, data), _beginning(model, edited))


def _beginning(model: Recommender, data: HeteroData) -> list[Any]:
    """An untrained model of the class, and what it would draw batches from."""
    fresh = type(model)(data, model.config)
    return [fresh, fresh.make_sampler(data, _BATCH) if fresh.is_trainable else None]
