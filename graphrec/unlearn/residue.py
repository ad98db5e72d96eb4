r"""Is anything left of what was forgotten? Exact checks, without thresholds (C2 of the
protocol), but for the rows of removed nodes where their draw is not known.

They cover the edited graph, everything derived from it, and every array that the model holds,
however deep. An array of the size of the nodes that nobody registered fails: what cannot be
accounted for is taken for a leak.
"""

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, QUERY, USER, node_ids, num_items, num_users
from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.dependence import dependence
from graphrec.unlearn.dependencies import DEPENDENCIES, count_pairs, sampler_residue
from graphrec.unlearn.edits import Edit, EditSet, RemoveModality
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.gradients import autograd
from graphrec.unlearn.model_stores import model_stores
from graphrec.unlearn.removed_rows import removed_rows
from graphrec.unlearn.stores import entries, leaves, storages
from graphrec.unlearn.taint import taint

#: Checks that read the graphs and the edit, and no model.
GRAPH_CHECKS = ('structure', 'commutation')

_SPLIT_FIELDS = ('ids', 'pairs', 'items')


def residue(setting: Setting, known: Mapping[str, Check] | None = None) -> list[Check]:
    """All checks, in the order of the protocol. One that cannot be carried out fails.

    Args:
        setting: What is checked.
        known: Checks of :data:`GRAPH_CHECKS` that another model of the request went through.
    """
    known = known or {}
    checks: tuple[tuple[str, Callable[[Setting], Check]], ...] = (
        ('structure', structural),
        ('taint', taint),
        ('walk', walk),
        ('autograd', autograd),
        ('dependence', dependence),
        ('commutation', commutation),
        ('storage', storage),
        ('removed rows', removed_rows),
        ('samplers', samplers),
    )
    return [known.get(name) or _carried_out(name, check, setting) for name, check in checks]


def _carried_out(name: str, check: Callable[[Setting], Check], setting: Setting) -> Check:
    try:
        return check(setting)
    except (GraphError, RuntimeError) as error:  # NotImplementedError is a RuntimeError.
        # An error's text may name an id, which does not belong in a report.
        return Check(name, False, f'could not be carried out ({type(error).__name__})')


def structural(setting: Setting) -> Check:
    """No forgotten pair, node or row in any store of the edited graph, in either direction,
    nor in anything that is registered as derived from it (:data:`DEPENDENCIES`)."""
    forget, edited = setting.forget, setting.edited
    counts = {}
    for edge_type in edited.edge_types:
        found = _edge_residue(edited, edge_type, forget)
        counts[' '.join(edge_type)] = found
    for dependency in DEPENDENCIES:
        for part, value in dependency.build(edited).items():
            found = dependency.residue(part, value, forget, edited)
            counts[f'{dependency.name} ({part})'] = found
    if QUERY in edited.node_types:
        counts['texts of queries'] = _query_residue(setting)
    bad = {name: n for name, n in counts.items() if n}
    detail = listed('traces in', bad) if bad else f'{len(counts)} stores hold no trace'
    return Check('structure', not bad, detail, bad)


def _query_residue(setting: Setting) -> int:
    """Removed queries that still have their text, or an id that is text."""
    number = setting.forget.queries.tolist()
    said = setting.edited[QUERY].get('text')
    left = 0 if said is None else sum(bool(said[n]) for n in number)
    before, after = (node_ids(data, QUERY) for data in (setting.data, setting.edited))
    return left + sum(isinstance(after[n], str) and after[n] == before[n] for n in number)


def _edge_residue(data: HeteroData, edge_type: tuple[str, str, str], forget: ForgetSet) -> int:
    src, verb, dst = edge_type
    gone = {USER: forget.users, ITEM: forget.items, QUERY: forget.queries}
    total = 0
    for name in ('edge_index', 'edge_label_index'):
        index = data[edge_type].get(name)
        if index is None:
            continue
        index = index.cpu()
        for row, kind in ((0, src), (1, dst)):
            if kind in gone:
                total += int(torch.isin(index[row], gone[kind].cpu()).sum())
        # Other behaviours of a pair (a view) are interactions of their own.
        same = 'interacts' in verb or verb.removeprefix('rev_').startswith('holdout_')
        if {src, dst} == {USER, ITEM} and same:
            pairs = index if src == USER else index.flip(0)
            wanted = forget.pairs[0] * num_items(data) + forget.pairs[1]
            total += int(torch.isin(pairs[0] * num_items(data) + pairs[1], wanted.cpu()).sum())
    return total


def walk(setting: Setting) -> Check:
    """Every array in the model, and in the further stores that the caller names, is a
    parameter, a state that the model declares, or what the edited graph gives when the model
    is built anew; anything else of the size of the nodes, or that holds forgotten pairs,
    fails."""
    report = model_stores(setting.unlearned, setting.original, setting.edited, setting.forget)
    bad = dict(report.failures)
    sizes = {num_users(setting.data), num_items(setting.data)}
    sizes.add(sum(sizes) if len(sizes) == 2 else 2 * next(iter(sizes)))
    for name, held in setting.stores.items():
        for leaf in leaves(held, name):
            if any(length in sizes for length in leaf.value.shape):
                bad[leaf.path] = 'of the size of the nodes, not registered'
            found = entries(leaf.value)
            if found is not None and count_pairs(found, setting.forget, setting.edited):
                bad[leaf.path] = 'holds forgotten pairs'
    detail = f'{report.summary()}; nothing unaccounted for'
    if bad:
        shown = '; '.join(f'{path}: {why}' for path, why in list(bad.items())[:4])
        detail = f'{len(bad)} of the stores are not accounted for ({shown})'
    return Check('walk', not bad, detail, {**report.counts, 'not accounted for': len(bad)})


def commutation(setting: Setting) -> Check:
    """Applying the parts of the edit in either order gives the same graph as their union, and
    applying it twice changes nothing more, by the digest of the graph."""
    again = setting.edit.apply(setting.edited).summary
    counts = {
        'twice differs': int(again.digest_after != setting.digest),
        'second is no noop': int(not again.noop),
        'orders that differ': 0,
    }
    parts = halves(setting.edit)
    if parts:
        for first, second in (parts, parts[::-1]):
            middle = first.apply(setting.data, digests=False).data
            digest = second.apply(middle).summary.digest_after
            counts['orders that differ'] += int(digest != setting.digest)
    bad = {name: n for name, n in counts.items() if n}
    order = 'in either order and ' if parts else ''
    detail = f'{order}applied twice, the edit gives one and the same graph'
    return Check('commutation', not bad, listed('found:', bad) if bad else detail, counts)


def halves(edit: Edit) -> tuple[Edit, Edit] | None:
    """Two edits whose union is this one; :obj:`None` for a single removal."""
    parts = list(EditSet((edit,)).edits)
    if len(parts) > 1:
        return EditSet(tuple(parts[:1])), EditSet(tuple(parts[1:]))
    if not parts:
        return None
    (part,) = parts
    for name in _SPLIT_FIELDS:
        values = getattr(part, name, None)
        if isinstance(values, tuple) and len(values) > 1:
            middle = len(values) // 2
            return (
                dataclasses.replace(part, **{name: values[:middle]}),  # type: ignore[type-var]
                dataclasses.replace(part, **{name: values[middle:]}),  # type: ignore[type-var]
            )
    return None


def storage(setting: Setting) -> Check:
    """The edited graph shares no memory with the graph before, nor the unlearned model with
    the original or that graph."""
    before = storages(leaves(setting.data, 'graph'))
    shared = {}
    for what, held, other in (
        ('graph', storages(leaves(setting.edited, 'edited graph')), before),
        ('model and graph', storages(leaves(setting.unlearned, 'model')), before),
        (
            'models',
            storages(leaves(setting.unlearned, 'model')),
            storages(leaves(setting.original, 'original')),
        ),
    ):
        common = held.keys() & other.keys()
        if common:
            shared[f'{what} ({held[min(common)]})'] = len(common)
    detail = 'no memory is shared with the graph and the model before'
    return Check('storage', not shared, listed('shared:', shared) if shared else detail, shared)


def samplers(setting: Setting) -> Check:
    """The sampler that the model trains with draws no removed node and no forgotten
    positive."""
    if not setting.unlearned.is_trainable:
        return Check('samplers', None, 'the model is not trained by samples')
    sampler = setting.unlearned.make_sampler(setting.edited, 1024)
    count = sampler_residue('', sampler, setting.forget, setting.edited)
    detail = 'an epoch draws no removed node and no forgotten positive'
    if count:
        detail = f'{count:,} draws of an epoch are removed nodes or forgotten positives'
    return Check('samplers', not count, detail, {'draws': count})


def has_modality(edit: Edit) -> bool:
    """Whether the edit asks for a modality of items that stay."""
    return any(isinstance(part, RemoveModality) for part in EditSet((edit,)).edits)
