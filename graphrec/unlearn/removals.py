"""What an edit asks for as plain data: the normal form that all edits share."""

import dataclasses
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, QUERY, USER, EdgeType

Id = int | str
Pair = tuple[Id, Id]
REVERSE_PREFIX = 'rev_'


@dataclasses.dataclass(frozen=True)
class Removals:
    """A set of removals in original ids.

    Attributes:
        nodes: Ids by node type (``'user'``, ``'item'``, ``'query'``).
        pairs: Pairs of ids by edge type.
        modalities: Item ids by modality; :obj:`None` for all items.
        attributes: Ids by (node type, attribute); :obj:`None` for all nodes.
    """

    nodes: Mapping[str, frozenset[Id]] = dataclasses.field(default_factory=dict)
    pairs: Mapping[EdgeType, frozenset[Pair]] = dataclasses.field(default_factory=dict)
    modalities: Mapping[str, frozenset[Id] | None] = dataclasses.field(default_factory=dict)
    attributes: Mapping[tuple[str, str], frozenset[Id] | None] = dataclasses.field(
        default_factory=dict
    )

    def union(self, other: 'Removals') -> 'Removals':
        """What either asks for, without what the rest implies."""
        return Removals(
            _merged(self.nodes, other.nodes),
            _merged(self.pairs, other.pairs),
            _merged(self.modalities, other.modalities),
            _merged(self.attributes, other.attributes),
        ).normalised()

    def normalised(self) -> 'Removals':
        """The same request without what is implied: reverse edge types turned round, pairs
        and rows of removed nodes left out, and whatever is empty."""
        gone = {kind: self.nodes.get(kind, frozenset()) for kind in (USER, ITEM, QUERY)}
        pairs: dict[EdgeType, frozenset[Pair]] = {}
        for edge_type, given in self.pairs.items():
            (src, _, dst), turned = forward(edge_type, given)
            kept = frozenset(
                pair
                for pair in turned
                if pair[0] not in gone.get(src, ()) and pair[1] not in gone.get(dst, ())
            )
            key = forward(edge_type, ())[0]
            pairs[key] = pairs.get(key, frozenset()) | kept
        return Removals(
            {kind: ids for kind, ids in self.nodes.items() if ids},
            {edge_type: kept for edge_type, kept in pairs.items() if kept},
            _without(self.modalities, lambda key: gone[ITEM]),
            _without(self.attributes, lambda key: gone.get(key[0], frozenset())),
        )

    def __bool__(self) -> bool:
        return bool(self.nodes or self.pairs or self.modalities or self.attributes)


def forward(edge_type: EdgeType, pairs: Iterable[Pair]) -> tuple[EdgeType, frozenset[Pair]]:
    """An edge type and its pairs in the direction in which the schema names them."""
    src, verb, dst = edge_type
    if not verb.startswith(REVERSE_PREFIX):
        return edge_type, frozenset(pairs)
    turned = frozenset((second, first) for first, second in pairs)
    return (dst, verb.removeprefix(REVERSE_PREFIX), src), turned


def _merged(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> dict[Any, Any]:
    merged = dict(first)
    for key, ids in second.items():
        whole = ids is None or (key in merged and merged[key] is None)
        merged[key] = None if whole else merged.get(key, frozenset()) | ids
    return merged


def _without(parts: Mapping[Any, frozenset[Id] | None], gone: Any) -> dict[Any, Any]:
    kept = {key: None if ids is None else ids - gone(key) for key, ids in parts.items()}
    return {key: ids for key, ids in kept.items() if ids is None or ids}


def plain_ids(ids: Any, what: str) -> tuple[Id, ...]:
    """Distinct ids in order, integers as ``int`` and text as ``str``.

    Raises:
        GraphError: If they are a single id, of another type, or of both types.
    """
    if isinstance(ids, (str, bytes)) or not np.iterable(ids):
        raise GraphError(f'{what} need to be a list of ids (got {ids!r}); pass [{ids!r}]')
    plain = {_plain_id(value, what) for value in _listed(ids)}
    if len({type(value) for value in plain}) > 1:
        raise GraphError(f'{what} hold integers and strings; give ids of one type')
    return tuple(sorted(plain))  # type: ignore[type-var]


def plain_pairs(pairs: Any, what: str) -> tuple[Pair, ...]:
    """Distinct pairs of ids in order; a tensor :math:`(2, E)` of two rows is no list of
    pairs and is refused unless it is :math:`(E, 2)`.

    Raises:
        GraphError: If an entry is no pair, or one end holds integers and strings.
    """
    if isinstance(pairs, (str, bytes)) or not np.iterable(pairs):
        raise GraphError(f'{what} need to be a list of pairs of ids (got {pairs!r})')
    found = set()
    for pair in _listed(pairs):
        ends = _listed(pair) if np.iterable(pair) and not isinstance(pair, (str, bytes)) else []
        if len(ends) != 2:
            raise GraphError(f'{what} hold {pair!r}, expected pairs such as (17, 3)')
        found.add((_plain_id(ends[0], what), _plain_id(ends[1], what)))
    for end in (0, 1):
        if len({type(pair[end]) for pair in found}) > 1:
            raise GraphError(f'{what} hold integers and strings at one end; give one type')
    return tuple(sorted(found))  # type: ignore[type-var]


def is_unicode(text: str) -> bool:
    """Whether a text can be written: JSON and Python allow for halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, (Tensor, np.ndarray)) else list(values)


def _plain_id(value: Any, what: str) -> Id:
    if isinstance(value, Tensor) and value.dim() == 0:
        value = value.item()
    if isinstance(value, str):
        if not is_unicode(value):
            raise GraphError(f'{what} hold {value!r}, which is no valid Unicode; correct the id')
        return str(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
        return int(value)
    raise GraphError(
        f'{what} hold {value!r} of type {type(value).__name__}; ids are integers or strings'
    )
