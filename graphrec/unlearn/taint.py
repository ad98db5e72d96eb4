r"""The check by taint: a sentinel in what is forgotten has to leave no trace."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stores import equal, leaves, texts
from graphrec.unlearn.tainted_graph import SENTINELS, tainted_graph, tainted_word


def taint(setting: Setting) -> Check:
    """What the edit takes out is overwritten by a sentinel before it is applied (all values of
    removed nodes and edges of every type, see
    :func:`~graphrec.unlearn.tainted_graph.tainted_graph`): afterwards it is nowhere in the
    graph, every array and text of the graph equals what another sentinel gives, and a new model
    of the class that met the tainted graph and then the edited one holds what a fresh one holds.
    The arrays of the unlearned model itself never met a sentinel; they are the matter of
    :func:`~graphrec.unlearn.residue.walk` and
    :func:`~graphrec.unlearn.dependence.dependence`."""
    graphs, digests = [], []
    for value in SENTINELS:
        tainted = tainted_graph(setting.data, setting.edit, setting.forget, value)
        result = setting.edit.apply(tainted)
        graphs.append((tainted, result.data))
        digests.append(result.summary.digest_after)
    left = sum(_holds(graph, SENTINELS[n]) for n, (_, graph) in enumerate(graphs))
    differs = sum(digest != setting.digest for digest in digests)
    stores = _differing(graphs[0][1], graphs[1][1])
    model = type(setting.unlearned)(graphs[0][0], setting.unlearned.config)
    fresh = type(setting.unlearned)(graphs[1][1], setting.unlearned.config)
    if isinstance(model, ShardedRecommender) and isinstance(fresh, ShardedRecommender):
        model = model.on_graph(graphs[0][1])
        fresh.assign(graphs[1][1], model.assignment)
    else:
        model.refresh(graphs[0][1])
    parameters = {name for name, _ in model.named_parameters()}
    kept = {leaf.path: leaf.value for leaf in leaves(fresh)}
    stale = [
        path
        for path, value, _ in leaves(model)
        if path not in parameters and not (path in kept and equal(value, kept[path]))
    ]
    left += sum(tainted_word(value) in texts(model) for value in SENTINELS)
    counts = {
        'sentinels left': left,
        'digests that differ': differs,
        'stores that differ': stores,
        'stale arrays': len(stale),
    }
    bad = any(counts.values())
    detail = 'two sentinels in the forgotten values left no trace'
    if bad:
        detail = listed('after tainting:', {k: v for k, v in counts.items() if v})
        detail += f' ({", ".join(stale[:3])})' if stale else ''
    return Check('taint', not bad, detail, counts)


def _differing(one: HeteroData, other: HeteroData) -> int:
    """How many arrays of two graphs differ, and whether their texts do."""
    held = {leaf.path: leaf.value for leaf in leaves(other)}
    differ = [path for path, value, _ in leaves(one) if not _same(value, held.get(path))]
    return len(differ) + int(texts(one) != texts(other))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and one.dtype == object and isinstance(other, np.ndarray):
        return repr(one.tolist()) == repr(other.tolist())  # NaN among them equals NaN.
    return equal(one, other)


def _holds(graph: HeteroData, value: float) -> int:
    word, count = tainted_word(value), 0
    for leaf in leaves(graph):
        array = leaf.value
        if isinstance(array, np.ndarray) and array.dtype.kind in 'OU':
            count += sum(str(each) == word for each in array.ravel().tolist())
        elif not isinstance(array, Tensor) or array.layout == torch.strided:
            count += int((array == value).sum())
    return count + int(word in texts(graph))
