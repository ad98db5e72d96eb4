r"""The check that what a model gives does not depend on what was forgotten."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import QUERY
from graphrec.graphs.search import query_texts
from graphrec.models.recommender import Recommender
from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stores import equal
from graphrec.unlearn.tainted_graph import SENTINELS, tainted_graph

_USERS, _QUERIES = 256, 32


def dependence(setting: Setting) -> Check:
    """What was forgotten is replaced by other values, the edit applied, and a model built on
    the result with the parameters of the unlearned one: that one gives the same embeddings and
    scores, to the last bit, and holds the same buffers, where a buffer is computed from the
    graph. State that a model declares as fitted
    (:meth:`~graphrec.models.Recommender.fitted_buffers`) is handed over, not compared."""
    name, model = 'dependence', setting.unlearned
    changed = tainted_graph(setting.data, setting.edit, setting.forget, SENTINELS[0])
    edited = setting.edit.apply(changed, digests=False).data
    other, _ = copy_on(model, edited)
    held, own = dict(model.named_buffers()), dict(other.named_buffers())
    built = _built_buffers(model, changed, edited)
    kept = [key for key, value in built.items() if not equal(held[key], value)]
    for key in model.fitted_buffers():
        if own[key].shape == held[key].shape:
            own[key].copy_(held[key])
    for key, value in built.items():
        own[key].copy_(value)
    found = _outputs(model, setting.edited)
    differ = _differing(found, _outputs(other, edited))
    if differ and _differing(found, _outputs(model, setting.edited)):
        return Check(name, None, 'the sums of this device differ from one pass to the next')
    counts = {'outputs that differ': len(differ), 'buffers of the graph before': len(kept)}
    detail = f'{len(found)} outputs are the same whatever the forgotten values were'
    if differ or kept:
        detail = listed('found:', {k: n for k, n in counts.items() if n})
        detail += f' ({", ".join([*kept, *differ][:3])})'
    return Check(name, not (differ or kept), detail, counts)


def _built_buffers(model: Recommender, before: HeteroData, edited: HeteroData) -> dict[str, Tensor]:
    """The buffers of the state that are computed from the graph, as the edited one gives them:
    those that the two graphs build differently. Rows of nodes and fitted state are not."""
    if isinstance(model, ShardedRecommender):
        return {}  # The shard of every pair is drawn once and stays.
    named = set(model.state_dict()) & {key for key, _ in model.named_buffers()}
    named -= {*model.node_rows(), *model.fitted_buffers()}
    if not named:
        return {}
    old, new = (
        dict(type(model)(graph, model.config).named_buffers()) for graph in (before, edited)
    )
    named &= new.keys()  # Any other is a matter of the walk.
    return {key: new[key] for key in sorted(named) if not equal(old[key], new[key])}


@torch.no_grad()
def _outputs(model: Recommender, data: HeteroData) -> dict[str, Tensor]:
    """Embeddings of all nodes, scores of the first users, and those of the first queries."""
    training = model.training
    model.eval()
    try:
        found = {f'embeddings of {kind}s': z.detach() for kind, z in model.forward().items()}
    except NotImplementedError:  # In closed form.
        found = {}
    found['scores'] = model.score(torch.arange(min(_USERS, model.num_users)))
    if model.has_queries and QUERY in data.node_types:
        texts = [text for text in query_texts(data) if text][:_QUERIES]
        nobody = torch.full((len(texts),), -1)
        found['scores of queries'] = model.score(nobody, query=texts)
    model.train(training)
    return found


def _differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [key for key, value in one.items() if not equal(value, other[key])]
