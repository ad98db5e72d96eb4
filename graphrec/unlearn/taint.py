r"""The check by taint: a sentinel in what is forgotten has to leave no trace."""

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import (
    FEATURE_PREFIX,
    INTERACTS,
    ITEM,
    QUERY,
    modalities,
    num_items,
)
from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.dependencies import forgotten_rows
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.sharded import ShardedRecommender
from graphrec.unlearn.stores import equal, leaves, texts

#: Two values that no data holds, for the taint check; exact in float32 and as integers.
SENTINELS = (77_777_792.0, 55_555_584.0)


def taint(setting: Setting) -> Check:
    """The forgotten features and values of edges are overwritten by a sentinel before the
    edit: afterwards it is nowhere, everything equals what another sentinel gives, and a model
    that met the tainted graph and then the edited one holds what a fresh one holds."""
    graphs, digests = [], []
    for value in SENTINELS:
        tainted = tainted_graph(setting.data, setting.forget, value)
        result = setting.edit.apply(tainted)
        graphs.append((tainted, result.data))
        digests.append(result.summary.digest_after)
    left = sum(_holds(leaves(graph), SENTINELS[n]) for n, (_, graph) in enumerate(graphs))
    differs = sum(digest != setting.digest for digest in digests)
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
    counts = {'sentinels left': left, 'digests that differ': differs, 'stale arrays': len(stale)}
    bad = any(counts.values())
    detail = 'two sentinels in the forgotten values left no trace'
    if bad:
        detail = listed('after tainting:', {k: v for k, v in counts.items() if v})
        detail += f' ({", ".join(stale[:3])})' if stale else ''
    return Check('taint', not bad, detail, counts)


def tainted_word(value: float) -> str:
    """A word that nobody searches."""
    return f'sentinel{value:.0f}'


def tainted_graph(data: HeteroData, forget: ForgetSet, value: float) -> HeteroData:
    """A copy with :obj:`value` in every forgotten feature row, in every value of a forgotten
    training edge and, as a word, in the text of every removed query."""
    tainted = copy.copy(data)
    for name in modalities(data):
        rows = forgotten_rows(name, forget)
        key = f'{FEATURE_PREFIX}{name}'
        x = data[ITEM][key].clone()
        x[rows.to(x.device)] = value
        tainted[ITEM][key] = x
    if QUERY in data.node_types and 'text' in data[QUERY]:
        said = list(data[QUERY].text)
        for number in forget.queries.tolist():
            said[number] = tainted_word(value)
        tainted[QUERY].text = np.array([*said, None], dtype=object)[:-1]
    store, items = data[INTERACTS], num_items(data)
    key = store.edge_index[0] * items + store.edge_index[1]
    gone = torch.isin(key.cpu(), (forget.pairs[0] * items + forget.pairs[1]).cpu())
    for name, old in store.items():
        per_edge = isinstance(old, Tensor) and name != 'edge_index' and old.dim() > 0
        if per_edge and old.size(0) == gone.numel() and old.dtype != torch.bool:
            new = old.clone()
            new[gone.to(new.device)] = torch.as_tensor(value).to(new.dtype)
            tainted[INTERACTS][name] = new
    return tainted


def _holds(found: Iterable[Any], value: float) -> int:
    count = 0
    for leaf in found:
        array = leaf.value
        if isinstance(array, Tensor) and array.layout == torch.strided and array.dim():
            count += int((array == value).sum())
    return count
