"""What to forget, as immutable values in original ids: removals that can be united,
written, hashed and applied to a graph."""

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import (
    INTERACTS,
    ITEM,
    QUERY,
    USER,
    EdgeType,
)
from graphrec.unlearn.applying import apply_removals
from graphrec.unlearn.documents import to_json
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.references import MODALITY_PREFIXES, REFERENCES
from graphrec.unlearn.removals import Id, Pair, Removals, plain_ids, plain_pairs

STRUCTURAL = ('id', 'num_nodes', 'is_removed')


class Edit:
    """A set of removals from a graph. Edits are immutable, hashable and unite with ``|``:
    in any order, as often as you like, to the same edit."""

    def removals(self) -> Removals:
        """What the edit asks for, in normal form."""
        raise NotImplementedError

    def __or__(self, other: 'Edit') -> 'EditSet':
        if not isinstance(other, Edit):
            return NotImplemented
        return EditSet((self, other))

    def __bool__(self) -> bool:
        return bool(self.removals())

    def to_json(self) -> str:
        """The normal form as JSON; :func:`edit_from_json` reads it."""
        return to_json(self.removals())

    def digest(self) -> str:
        """SHA-256 (hex) of the normal form: equal for equal requests."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def apply(
        self,
        data: HeteroData,
        strict: bool = False,
        compact: bool = False,
        digests: bool = True,
    ) -> EditResult:
        r"""The graph without what the edit removes, in new storage; :obj:`data` stays as it
        is. To apply an edit twice is to apply it once, and several edits one after
        another, in any order, are their union at once.

        Nodes keep their numbers: removed ones stay as empty rows, marked in
        ``data[node_type].is_removed``, so that embeddings stay aligned. What is removed
        of a node, a pair and a modality is told at the classes of the edits.

        Args:
            data: The graph.
            strict: Whether an id or a pair that the graph does not hold is refused; by
                default it is counted in the summary.
            compact: Whether removed nodes are dropped and the others renumbered, with the
                new numbers in ``result.id_map``.
            digests: Whether the summary has the digests of the graph before and after
                (:func:`graphrec.unlearn.graph_digest`).

        Raises:
            UnknownIdError: If :obj:`strict` and an id or pair is not in the graph.
            GraphError: If an id is of another type than the graph's, a modality, an
                attribute or an edge type does not exist, an attribute does not hold one value
                a node, or the graph holds something of which nobody can say whose it is.
        """
        return apply_removals(data, self.removals(), strict, compact, digests)


@dataclasses.dataclass(frozen=True)
class RemoveUsers(Edit):
    r"""Removes users: their edges in every edge type and every split (interactions,
    behaviours, friends), their searches with the items that these found (and the queries that
    nobody else asked), their sessions,
    and every attribute. The emptied node keeps its number and its id.

    Args:
        ids: Original ids.
    """

    ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'ids', plain_ids(self.ids, 'the users to remove'))

    def removals(self) -> Removals:
        return Removals(nodes={USER: frozenset(self.ids)}).normalised()


@dataclasses.dataclass(frozen=True)
class RemoveItems(Edit):
    r"""Removes items: their edges in every edge type and every split, the searches that
    ended at them, the entity that they are in a knowledge graph, every attribute, and every
    modality: rows of zeros, ``has_<modality>`` False (made where the graph has none), the
    rows of frozen neighbour graphs, and every mention in the rows of other items.

    Args:
        ids: Original ids.
    """

    ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'ids', plain_ids(self.ids, 'the items to remove'))

    def removals(self) -> Removals:
        return Removals(nodes={ITEM: frozenset(self.ids)}).normalised()


@dataclasses.dataclass(frozen=True)
class RemoveQueries(Edit):
    r"""Removes queries: their search events in every split, their words, text and other
    attributes. The interactions that the searches led to stay. An id that is text may be the
    query itself, so it becomes ``'<removed query 3>'`` with the number of the node.

    Args:
        ids: Original ids.
    """

    ids: tuple[Id, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'ids', plain_ids(self.ids, 'the queries to remove'))

    def removals(self) -> Removals:
        return Removals(nodes={QUERY: frozenset(self.ids)}).normalised()


@dataclasses.dataclass(frozen=True)
class RemoveInteractions(Edit):
    r"""Removes pairs, every copy of them: repeated edges, the reverse edge type, labels
    (``edge_label_index``), held-out edges of the same pair, and for
    ``('user', 'interacts', 'item')`` the search events of the pair and its place in the
    user's sessions. A pair of ``('user', 'searches', 'query')`` or of
    ``('query', 'finds', 'item')`` takes whole search events with it, and a user who no
    longer opened a session takes that session.

    Args:
        pairs: Pairs of original ids, in the direction of :obj:`edge_type`.
        edge_type: The edge type; a reverse one (``rev_...``) stands for its forward type.
    """

    pairs: tuple[Pair, ...]
    edge_type: EdgeType = INTERACTS

    def __post_init__(self) -> None:
        object.__setattr__(self, 'pairs', plain_pairs(self.pairs, 'the pairs to remove'))
        edge_type = tuple(self.edge_type) if not isinstance(self.edge_type, str) else ()
        if len(edge_type) != 3 or not all(isinstance(part, str) for part in edge_type):
            raise GraphError(
                f"'edge_type' needs to be three names such as {INTERACTS} (got {self.edge_type!r})"
            )
        object.__setattr__(self, 'edge_type', edge_type)

    def removals(self) -> Removals:
        return Removals(pairs={self.edge_type: frozenset(self.pairs)}).normalised()


@dataclasses.dataclass(frozen=True)
class RemoveModality(Edit):
    r"""Removes one modality of items, for instance an item's image: ``x_<name>`` and
    ``code_<name>``, features derived from a frozen graph (``x_<name>_spectral``),
    ``has_<name>``, the row in ``knn_<name>`` and every mention in the rows of others.

    Args:
        name: The modality: ``'visual'`` for ``x_visual``.
        items: Original ids; :obj:`None` removes the modality of all items.
    """

    name: str
    items: tuple[Id, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise GraphError(f"'name' needs to be that of a modality (got {self.name!r})")
        if self.items is not None:
            items = plain_ids(self.items, f'the items that lose {self.name!r}')
            object.__setattr__(self, 'items', items)

    def removals(self) -> Removals:
        ids = None if self.items is None else frozenset(self.items)
        return Removals(modalities={self.name: ids}).normalised()


@dataclasses.dataclass(frozen=True)
class RemoveAttribute(Edit):
    r"""Removes an attribute of nodes (a title, an age, a price): numbers become 0, codes
    -1, text and other objects :obj:`None`. Modalities of items are
    :class:`RemoveModality`'s; ids and node references are not attributes.

    Args:
        node_type: ``'user'``, ``'item'`` or another node type.
        name: The attribute.
        ids: Original ids; :obj:`None` removes it of all nodes.
    """

    node_type: str
    name: str
    ids: tuple[Id, ...] | None = None

    def __post_init__(self) -> None:
        for field in ('node_type', 'name'):
            value = getattr(self, field)
            if not isinstance(value, str) or not value:
                raise GraphError(f"'{field}' needs to be a name (got {value!r})")
        place = f'data[{self.node_type!r}].{self.name}'
        if self.name in STRUCTURAL or (self.node_type, self.name) in REFERENCES:
            raise GraphError(f'{place} is part of the structure; remove the nodes instead')
        if self.node_type == ITEM and self.name.startswith(MODALITY_PREFIXES):
            raise GraphError(f'{place} belongs to a modality; remove it with RemoveModality')
        if self.ids is not None:
            ids = plain_ids(self.ids, f'the {self.node_type} ids that lose {self.name!r}')
            object.__setattr__(self, 'ids', ids)

    def removals(self) -> Removals:
        ids = None if self.ids is None else frozenset(self.ids)
        return Removals(attributes={(self.node_type, self.name): ids}).normalised()


@dataclasses.dataclass(frozen=True)
class EditSet(Edit):
    r"""A union of edits in normal form: one edit of a kind, ids in order, and nothing that
    another part implies (a removed user's pairs). Equal requests are equal sets.

    Args:
        edits: The edits, in any order; sets of edits too.
    """

    edits: tuple[Edit, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.edits, Edit):
            object.__setattr__(self, 'edits', (self.edits,))
        union = Removals()
        for edit in self.edits:
            if not isinstance(edit, Edit):
                raise GraphError(f"'edits' hold {edit!r} of type {type(edit).__name__}, no edit")
            union = union.union(edit.removals())
        object.__setattr__(self, 'edits', tuple(parts_of(union)))

    def removals(self) -> Removals:
        union = Removals()
        for edit in self.edits:
            union = union.union(edit.removals())
        return union


def parts_of(removals: Removals) -> Iterable[Edit]:
    """The edits that together ask for this, one of a kind, in a fixed order."""
    kinds: dict[str, Any] = {USER: RemoveUsers, ITEM: RemoveItems, QUERY: RemoveQueries}
    for node_type, kind in kinds.items():
        if removals.nodes.get(node_type):
            yield kind(tuple(removals.nodes[node_type]))
    for edge_type in sorted(removals.pairs):
        yield RemoveInteractions(tuple(removals.pairs[edge_type]), edge_type)
    for name in sorted(removals.modalities):
        items = removals.modalities[name]
        yield RemoveModality(name, None if items is None else tuple(items))
    for node_type, name in sorted(removals.attributes):
        ids = removals.attributes[node_type, name]
        yield RemoveAttribute(node_type, name, None if ids is None else tuple(ids))
