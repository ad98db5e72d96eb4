"""Blanks what a graph says about nodes: attribute rows, modalities, and references to them
from other nodes."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import (
    FEATURE_PREFIX,
    ITEM,
    PRESENT_PREFIX,
    QUERY,
    REMOVED,
    modalities,
)
from graphrec.graphs.semantic import frozen_modalities
from graphrec.unlearn.references import checked_numbers, is_neighbour_list, target_of
from graphrec.unlearn.store_values import per_node
from graphrec.unlearn.targets import Targets, codes, marked

CODE_PREFIX = 'code_'


@dataclasses.dataclass
class Blanked:
    r"""What was blanked.

    Attributes:
        rows: Rows that held something, by ``'<node type>.<attribute>'``.
        mentions: References that were cut in rows that stay.
        cells: Numbers of the items that lost a modality which they had.
    """

    rows: dict[str, int]
    mentions: dict[str, int]
    cells: dict[str, Tensor]


def blank_nodes(data: HeteroData, targets: Targets) -> Blanked:
    """Blanks in place what the targets say and marks the removed nodes."""
    done = Blanked({}, {}, {})
    if ITEM in data.node_types:
        _blank_modalities(data, targets, done)
    for node_type in data.node_types:
        removed = targets.nodes.get(node_type)
        for name, value in per_node(data, node_type).items():
            mask = targets.attributes.get((node_type, name))
            if removed is not None:
                mask = removed if mask is None else mask | removed
            if mask is not None and mask.any():
                _blank(data, node_type, name, value, mask, done)
            _cut_mentions(data, node_type, name, value, targets, done)
    if QUERY in targets.nodes and 'id' in data[QUERY]:
        _blank_query_ids(data, targets.nodes[QUERY], done)
    for node_type, mask in targets.nodes.items():
        if mask.any():
            data[node_type][REMOVED] = _like(data, marked(data, node_type) | mask)
    return done


def _blank_query_ids(data: HeteroData, mask: Tensor, done: Blanked) -> None:
    """Ids of queries that are text may be the query itself: those of the masked ones give way
    to their number."""
    ids = np.asarray(data[QUERY].id)
    if ids.dtype.kind in 'iu' or not mask.any():
        return
    ids = ids.astype(object)
    fresh = {number: removed_query_id(number) for number in mask.nonzero().squeeze(1).tolist()}
    changed = [number for number, name in fresh.items() if ids[number] != name]
    for number in changed:
        ids[number] = fresh[number]
    _count(done.rows, f'{QUERY}.id', len(changed))
    data[QUERY].id = ids


def removed_query_id(number: int) -> str:
    """The id of a removed query whose own was text."""
    return f'<removed query {number}>'


def _blank_modalities(data: HeteroData, targets: Targets, done: Blanked) -> None:
    removed = targets.nodes.get(ITEM)
    for name in sorted({*modalities(data), *frozen_modalities(data), *codes(data)}):
        mask = targets.modalities.get(name)
        if removed is not None:
            mask = removed if mask is None else mask | removed
        if mask is None or not mask.any():
            continue
        store, lost = data[ITEM], torch.zeros_like(mask)
        features, present = f'{FEATURE_PREFIX}{name}', f'{PRESENT_PREFIX}{name}'
        index = f'knn_{name}_index'
        if present not in store and (features in store or index in store):
            rows = store[features].any(dim=1) if features in store else None
            every = torch.ones(mask.numel(), dtype=torch.bool)
            has = every if rows is None else rows
            store[present] = _like(data, has.cpu() & ~mask)
        if index in store:
            lost |= _cut_neighbours(data, name, mask, done)
        for attribute in (features, present, f'{CODE_PREFIX}{name}'):
            if attribute in store:
                lost |= _blank(data, ITEM, attribute, store[attribute], mask, done)
        done.cells[name] = lost.nonzero().squeeze(1)


def _cut_neighbours(data: HeteroData, name: str, mask: Tensor, done: Blanked) -> Tensor:
    """Empties the frozen rows of the masked items and cuts them out of all others; returns
    which of them were in the graph."""
    store, attribute = data[ITEM], f'knn_{name}_index'
    index, similarity = store[attribute], store.get(f'knn_{name}_similarity')
    checked_numbers(data, ITEM, attribute, ITEM)
    gone = mask.to(index.device)
    named = (index >= 0) & gone[index.clamp(min=0)]
    own = (index >= 0) & gone.unsqueeze(1)
    lost = own.any(dim=1)
    lost[index[named]] = True
    _count(done.rows, f'{ITEM}.{attribute}', int(own.any(dim=1).sum()))
    _count(done.mentions, f'{ITEM}.{attribute}', int((named & ~gone.unsqueeze(1)).sum()))
    index[named | own] = -1
    if similarity is not None:
        similarity[named.to(similarity.device) | gone.to(similarity.device).unsqueeze(1)] = 0
    return lost.cpu()


def _cut_mentions(
    data: HeteroData, node_type: str, name: str, value: Any, targets: Targets, done: Blanked
) -> None:
    target = target_of(node_type, name, value)
    if target not in targets.nodes or is_neighbour_list(name):
        return
    number = checked_numbers(data, node_type, name, target)
    named = (number >= 0) & targets.nodes[target].to(number.device)[number.clamp(min=0)]
    _count(done.mentions, f'{node_type}.{name}', int(named.sum()))
    number[named] = -1


def _blank(
    data: HeteroData, node_type: str, name: str, value: Any, mask: Tensor, done: Blanked
) -> Tensor:
    """Blanks rows in place and returns which of them held something."""
    empty = _empty(node_type, name, value)
    if isinstance(value, Tensor):
        rows = mask.to(value.device)
        held = (value != empty).flatten(1).any(dim=1) if value.dim() > 1 else value != empty
        held = (held & rows).cpu()
        value[rows] = empty
    else:
        held = mask.clone()
        cells = list(value) if isinstance(value, tuple) else value
        for place in mask.nonzero().squeeze(1).tolist():
            held[place] = not _equal(cells[place], empty)
            cells[place] = empty
        if isinstance(value, tuple):
            data[node_type][name] = tuple(cells)
    _count(done.rows, f'{node_type}.{name}', int(held.sum()))
    return held


def _empty(node_type: str, name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        missing = name.startswith(CODE_PREFIX) or target_of(node_type, name, value) is not None
        return -1 if missing and not value.is_floating_point() else 0
    if isinstance(value, (list, tuple)) or value.dtype == object:
        return None
    return np.zeros((), dtype=value.dtype)[()]


def _equal(value: Any, empty: Any) -> bool:
    return value is empty if empty is None else bool(np.all(value == empty))


def _like(data: HeteroData, mask: Tensor) -> Tensor:
    """The mask on the device of the graph."""
    first = next((v for s in data.stores for v in s.values() if isinstance(v, Tensor)), mask)
    return mask.to(first.device)


def _count(counts: dict[str, int], key: str, number: int) -> None:
    if number:
        counts[key] = counts.get(key, 0) + number
