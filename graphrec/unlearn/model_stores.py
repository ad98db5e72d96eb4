"""Accounting for every array that a model holds, against one built anew from the graph."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.contrastive.rescaled_edge_drop import RescaledEdgeDrop
from graphrec.graphs.schema import QUERY, num_items, num_users, train_edges
from graphrec.graphs.search import search_events
from graphrec.graphs.sparse import Sparse
from graphrec.models.recommender import Recommender
from graphrec.unlearn.dependencies import count_pairs
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.stores import (
    Leaf,
    cached_forms_agree,
    entries,
    equal,
    leaves,
    parts_of_leaf,
    texts,
)

#: What models make on first use, by attribute, with the function that makes it of a model
#: without it: known stores that a model built anew does not hold yet.
LAZY: dict[str, Callable[[Any], Any]] = {
    '_dropper': lambda model: RescaledEdgeDrop(model.adjacency, model.num_users),
    '_drawn': lambda model: model._draw(model.noise_source()),
}

#: Cached properties of what models hold, by the model's attribute: the reference computes them,
#: so that they are compared.
CACHED = {'words': 'numbers', '_blocks': 'readers'}

ROWS = 'rows of nodes'
PARAMETER = 'other parameters'
STATE = 'declared state'
REBUILT = 'equal to a rebuild'
DRAW = 'draws within rebuilt graphs'
SMALL = 'small, without pairs'


@dataclass
class StoreReport:
    """How many arrays are of each kind, and why others failed, by their place."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """The counts in words."""
        return ', '.join(f'{n} {kind}' for kind, n in self.counts.items() if n)


def model_stores(
    model: Recommender, original: Recommender, edited: HeteroData, forget: ForgetSet
) -> StoreReport:
    r"""Classifies every array in :obj:`model`.

    The reference is a model of the same class and settings, built from the edited graph and
    given the same parameters: whatever the model computes from a graph is in it as it should
    be. An array passes as

    - rows of nodes (:meth:`~graphrec.models.Recommender.node_rows`), whose removed ones are
      checked apart;
    - another parameter, not of the size of the nodes, and of the shape that a rebuild gives it
      (a row for every word left);
    - declared state (:meth:`~graphrec.models.Recommender.fitted_buffers`) that is not the
      original's;
    - equal to the reference's, bit for bit;
    - the draw of an epoch: a sparse graph or a list of edges all of whose entries the
      reference's graphs of that shape hold;
    - small: of no length that counts nodes, words or training edges, and without forgotten
      pairs.

    No text may be anywhere that the reference does not hold.
    """
    reference, _ = copy_on(model, edited)
    for name, build in LAZY.items():
        if hasattr(reference, name) and not getattr(reference, name) and getattr(model, name):
            setattr(reference, name, build(reference))
    for name, cached in CACHED.items():
        held = getattr(reference, name, [])
        for part in held if isinstance(held, list) else [held]:
            getattr(part, cached, None)
    rebuilt = {leaf.path: leaf.value for leaf in leaves(reference)}
    graphs = _graphs(rebuilt, edited)
    users, items = num_users(edited), num_items(edited)
    sizes = {users, items, users + items, forget.pairs.size(1), train_edges(edited).size(1)}
    sizes |= {train_edges(edited).size(1) + forget.pairs.size(1)}
    sizes |= _search_sizes(edited, forget)
    sizes |= {len(words) for m in (original, reference) for words in m.word_rows().values()}
    sizes |= {size + 1 for size in sizes}  # Row pointers.
    sizes -= {0, 1, 2}
    parameters = dict(model.named_parameters())
    before = dict(original.named_buffers())
    shapes = {name: value.shape for name, value in reference.named_parameters()}
    rows, words, fitted = model.node_rows(), model.word_rows(), set(model.fitted_buffers())
    report = StoreReport()
    for leaf in leaves(model):
        path, value, _ = leaf
        if path in fitted:
            old = before.get(path)
            stale = old is not None and old.numel() > 1 and equal(value, old) and old.any()
            kind = 'state of the original, not found anew' if stale else STATE
            _note(report, path, kind, bool(stale))
        elif path in rows:
            _note(report, path, ROWS, False)
        elif path in parameters:
            sized = value.dim() > 0 and value.size(0) in {users, items, users + items}
            kind = PARAMETER
            if sized and path not in words:
                kind = 'a parameter of the size of the nodes, not declared'
            elif value.shape != shapes.get(path):
                kind = 'a parameter of another shape than a rebuild gives it'
            _note(report, path, kind, kind != PARAMETER)
        elif _is_rebuilt(leaf, rebuilt):
            held = not isinstance(value, Sparse) or cached_forms_agree(value)
            kind = REBUILT if held else 'a cached form that differs from its operator'
            _note(report, path, kind, not held)
        else:
            why = _unregistered(value, graphs, sizes, forget, edited)
            _note(report, path, why or _kind(value, graphs), bool(why))
    stray = texts(model) - texts(reference) - {model.training_digest}
    if stray:  # A text may be a query, which does not belong in a report.
        report.failures['texts'] = f'{len(stray)} that no rebuild gives'
    if model.training_digest != reference.training_digest:
        report.failures['training_digest'] = 'of another graph'
    return report


def _note(report: StoreReport, path: str, kind: str, failed: bool) -> None:
    if failed:
        report.failures[path or 'model'] = kind
    else:
        report.counts[kind] += 1


def _is_rebuilt(leaf: Leaf, rebuilt: dict[str, Any]) -> bool:
    return leaf.path in rebuilt and equal(leaf.value, rebuilt[leaf.path])


def _search_sizes(edited: HeteroData, forget: ForgetSet) -> set[int]:
    """Lengths that count queries and search events, before and after."""
    if QUERY not in edited.node_types:
        return set()
    left, gone = search_events(edited).user.numel(), forget.events.size(1)
    return {int(edited[QUERY].num_nodes), left, gone, left + gone}


def _graphs(rebuilt: dict[str, Any], edited: HeteroData) -> dict[tuple[int, ...], Tensor]:
    """Keys (row times columns plus column) of all entries of rebuilt graphs, by shape."""
    users, items = num_users(edited), num_items(edited)
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for value in rebuilt.values():
        if isinstance(value, Sparse):
            pairs = entries(value)
            assert pairs is not None
            found.setdefault(value.shape, []).append(pairs[0] * value.shape[1] + pairs[1])
    user, item = train_edges(edited).cpu()
    found.setdefault((users, items), []).append(user * items + item)
    return {shape: torch.cat(keys).unique() for shape, keys in found.items()}


def _unregistered(
    value: Any,
    graphs: dict[tuple[int, ...], Tensor],
    sizes: set[int],
    forget: ForgetSet,
    edited: HeteroData,
) -> str:
    """Why an array that no rebuild gives cannot stay; empty if it can."""
    found = entries(value)
    if found is not None and count_pairs(found, forget, edited):
        return 'holds forgotten pairs'
    if _is_draw(value, graphs):
        return ''
    lengths = {length for part in parts_of_leaf(value) for length in part.shape}
    if lengths & sizes or set(value.shape) & sizes:
        return 'of the size of the nodes or edges, not registered and not equal to a rebuild'
    if isinstance(value, np.ndarray) and value.dtype.kind in 'OUS' and value.size:
        return 'text or objects, not registered'
    return ''


def _kind(value: Any, graphs: dict[tuple[int, ...], Tensor]) -> str:
    return DRAW if _is_draw(value, graphs) else SMALL


def _is_draw(value: Any, graphs: dict[tuple[int, ...], Tensor]) -> bool:
    found = entries(value)
    if found is None or not found.numel():
        return False
    if isinstance(value, Sparse):
        known = graphs.get(value.shape)
        key = found[0] * value.shape[1] + found[1]
        return (
            known is not None and cached_forms_agree(value) and bool(torch.isin(key, known).all())
        )
    for (rows, columns), known in graphs.items():
        inside = (found[0] < rows) & (found[1] < columns) & (found >= 0).all(0)
        if inside.all() and bool(torch.isin(found[0] * columns + found[1], known).all()):
            return True
    return False
