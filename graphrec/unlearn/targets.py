"""The targets of an edit on one graph: original ids turned into node numbers."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError, UnknownIdError
from graphrec.graphs.schema import (
    INTERACTS,
    ITEM,
    REMOVED,
    USER,
    EdgeType,
    index_of,
    modalities,
)
from graphrec.graphs.semantic import frozen_modalities
from graphrec.unlearn.references import (
    BELONGINGS,
    MODALITY_PREFIXES,
    OWNERSHIP,
    checked_numbers,
    target_of,
)
from graphrec.unlearn.removals import Removals
from graphrec.unlearn.store_values import per_node

HOLDOUT = 'holdout_'
_FEW = 5  # Ids that an error names.
_INDICES = ('edge_index', 'edge_label_index')


@dataclasses.dataclass
class Targets:
    r"""What an edit aims at in a graph. A mask is over the nodes of a type and also marks
    those that an earlier edit has removed already.

    Attributes:
        nodes: Masks of the nodes to remove, by node type.
        pairs: Sorted keys (source number times the number of destinations plus the
            destination's) of the pairs to remove, by edge type.
        modalities: Masks of the items that lose a modality, by its name.
        attributes: Masks of the nodes that lose an attribute, by (node type, attribute).
        unknown: Requested ids and pairs that are not in the graph, by kind.
    """

    nodes: dict[str, Tensor]
    pairs: dict[EdgeType, Tensor]
    modalities: dict[str, Tensor]
    attributes: dict[tuple[str, str], Tensor]
    unknown: dict[str, int]


def find_targets(data: HeteroData, removals: Removals, strict: bool) -> Targets:
    r"""Looks the ids of :obj:`removals` up in :obj:`data`.

    Raises:
        UnknownIdError: If :obj:`strict` and an id or a pair is not in the graph.
        GraphError: If a node type, edge type, modality or attribute does not exist, an
            attribute does not hold one value a node, or ids are of another type than the
            graph's.
    """
    finder = _Finder(data, strict)
    nodes = {t: finder.mask(t, ids, _plural(t)) for t, ids in removals.nodes.items()}
    pairs: dict[EdgeType, Tensor] = {}
    for edge_type, given in removals.pairs.items():
        pairs[edge_type] = finder.keys(edge_type, given)
    lost: dict[str, Tensor] = {}
    for name, ids in removals.modalities.items():
        known = sorted({*modalities(data), *frozen_modalities(data), *codes(data)})
        if name not in known:
            raise GraphError(f'the items have no modality {name!r}; they have {known}')
        mask = finder.mask(ITEM, ids, f'items that lose {name!r}')
        for each in [name, *derived_from(data, name)]:
            lost[each] = lost[each] | mask if each in lost else mask
    attributes = {}
    for (node_type, name), ids in removals.attributes.items():
        _require_attribute(data, node_type, name)
        attributes[node_type, name] = finder.mask(
            node_type, ids, f'{_plural(node_type)} that lose {name}'
        )
    _add_belongings(data, nodes, pairs)
    return Targets(nodes, pairs, lost, attributes, finder.unknown)


def _plural(node_type: str) -> str:
    return node_type[:-1] + 'ies' if node_type.endswith('y') else node_type + 's'


def _require_attribute(data: HeteroData, node_type: str, name: str) -> None:
    if node_type not in data.node_types:
        raise GraphError(
            f'the graph has no attribute data[{node_type!r}].{name} to remove (it has the nodes '
            f'{data.node_types})'
        )
    known = [
        key
        for key, value in per_node(data, node_type).items()
        if target_of(node_type, key, value) is None
        and not (node_type == ITEM and key.startswith(MODALITY_PREFIXES))
    ]
    if name not in known:
        lacks = f'the graph has no attribute data[{node_type!r}].{name} to remove'
        if name in data[node_type]:
            lacks = f'data[{node_type!r}].{name} does not hold one value a node; none is removed'
        raise GraphError(f'{lacks} (the attributes of {node_type} nodes are {sorted(known)})')


def derived_from(data: HeteroData, name: str) -> list[str]:
    """The modalities that were computed from this one: ``image_spectral`` from ``image``."""
    others = [each for each in modalities(data) if each.startswith(f'{name}_')]
    if name in frozen_modalities(data):
        return others
    return [each for each in others if each == f'{name}_spectral']


def copies_of(data: HeteroData, edge_type: EdgeType) -> list[EdgeType]:
    """The edge types that may hold a pair of :obj:`edge_type` again, in its direction:
    itself and its held-out parts."""
    src, verb, dst = edge_type
    if verb.startswith(HOLDOUT):
        return [edge_type]
    verbs = {t[1] for t in data.edge_types if (t[0], t[2]) == (src, dst)}
    others = {v for v in verbs if not v.startswith(HOLDOUT)} - {INTERACTS[1]}
    found = [edge_type]
    for name in sorted(verbs):
        owner = next((v for v in others if name.endswith(f'_{v}')), INTERACTS[1])
        # Search events name their held-out parts after the split alone.
        plain = (src, dst) != (USER, ITEM)
        if name.startswith(HOLDOUT) and (plain or owner == verb):
            found.append((src, name, dst))
    return found


def marked(data: HeteroData, node_type: str) -> Tensor:
    """The nodes that are removed already, as a mask."""
    mark = data[node_type].get(REMOVED)
    if mark is None:
        return torch.zeros(int(data[node_type].num_nodes), dtype=torch.bool)
    return mark.cpu().clone()


def codes(data: HeteroData) -> list[str]:
    """Names of the modalities that come as codes."""
    return [key.removeprefix('code_') for key in data[ITEM].to_dict() if key.startswith('code_')]


def is_among(keys: Tensor, known: Tensor) -> Tensor:
    """Which keys occur in the sorted keys :obj:`known`."""
    if known.numel() == 0:
        return torch.zeros_like(keys, dtype=torch.bool)
    known = known.to(keys.device)
    place = torch.searchsorted(known, keys).clamp_(max=known.numel() - 1)
    return known[place] == keys


class _Finder:
    def __init__(self, data: HeteroData, strict: bool) -> None:
        self.data = data
        self.strict = strict
        self.unknown: dict[str, int] = {}

    def numbers(self, node_type: str, ids: Iterable[Any]) -> np.ndarray:
        if node_type not in self.data.node_types:
            raise GraphError(
                f'the graph has no {node_type} nodes to remove (it has {self.data.node_types})'
            )
        return index_of(self.data, node_type, ids, strict=False)

    def miss(self, kind: str, missing: list[Any], asked: int) -> None:
        if missing and self.strict:
            first = ', '.join(repr(each) for each in missing[:_FEW])
            more = f' and {len(missing) - _FEW} more' if len(missing) > _FEW else ''
            raise UnknownIdError(
                f'{len(missing)} of {asked} {kind} are not in the graph: {first}{more}; leave them '
                'out, or have them counted (--ignore-unknown; in Python strict=False)',
                kind,
                missing,
            )
        if missing:
            self.unknown[kind] = len(missing)

    def mask(self, node_type: str, ids: frozenset[Any] | None, kind: str) -> Tensor:
        if ids is None:
            return torch.ones(int(self.data[node_type].num_nodes), dtype=torch.bool)
        asked = sorted(ids)
        found = self.numbers(node_type, asked)
        missing = [each for each, number in zip(asked, found, strict=True) if number < 0]
        self.miss(kind, missing, len(asked))
        mask = torch.zeros(int(self.data[node_type].num_nodes), dtype=torch.bool)
        mask[torch.from_numpy(found[found >= 0])] = True
        return mask

    def keys(self, edge_type: EdgeType, pairs: frozenset[Any]) -> Tensor:
        copies = [t for t in copies_of(self.data, edge_type) if t in self.data.edge_types]
        if not copies:
            raise GraphError(
                f'the graph has no edges {edge_type} to remove pairs from (it has '
                f'{self.data.edge_types})'
            )
        asked = sorted(pairs)
        src = torch.from_numpy(self.numbers(edge_type[0], [pair[0] for pair in asked]))
        dst = torch.from_numpy(self.numbers(edge_type[2], [pair[1] for pair in asked]))
        known = (src >= 0) & (dst >= 0)
        width = int(self.data[edge_type[2]].num_nodes)
        key = src * width + dst
        stores = [self.data[t] for t in copies]
        edges = [store[n].cpu() for store in stores for n in _INDICES if n in store]
        there = torch.cat([each[0] * width + each[1] for each in edges]).unique()
        held = (known & is_among(key, there)).tolist()
        missing = [pair for pair, found in zip(asked, held, strict=True) if not found]
        self.miss(f'pairs {" ".join(edge_type)}', missing, len(asked))
        return key[known].sort().values


def _add_belongings(
    data: HeteroData, nodes: dict[str, Tensor], pairs: dict[EdgeType, Tensor]
) -> None:
    """Adds in place what belongs to a removed node and goes with it. A node with several
    owners goes with the first of them, so that the order of edits does not matter."""
    for (node_type, name), owner in BELONGINGS.items():
        if node_type not in data.node_types or owner not in nodes:
            continue
        if target_of(node_type, name, data[node_type].get(name)) != owner:
            continue
        number = checked_numbers(data, node_type, name, owner).cpu()
        gone = (number >= 0) & nodes[owner][number.clamp(min=0)]
        nodes[node_type] = nodes[node_type] | gone if node_type in nodes else gone
    for edge_type in OWNERSHIP:
        if edge_type not in data.edge_types:
            continue
        owner, _, node_type = edge_type
        src, dst = data[edge_type].edge_index.cpu()
        cut = torch.zeros_like(src, dtype=torch.bool)
        if owner in nodes:
            cut |= nodes[owner][src]
        if edge_type in pairs:
            cut |= is_among(src * int(data[node_type].num_nodes) + dst, pairs[edge_type])
        gone = torch.zeros(int(data[node_type].num_nodes), dtype=torch.bool)
        gone[dst[cut]] = True
        nodes[node_type] = nodes[node_type] | gone if node_type in nodes else gone
