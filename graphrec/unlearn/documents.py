"""Edits as JSON."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import ITEM, QUERY, USER
from graphrec.unlearn.removals import Id, Removals, is_unicode, plain_ids, plain_pairs

FORMAT, VERSION = 'graphrec edit', 1
KINDS = (USER, ITEM, QUERY)
ENTRIES = ('format', 'version', 'nodes', 'pairs', 'modalities', 'attributes')


def to_json(removals: Removals) -> str:
    """A normal form as canonical JSON: equal requests give equal text."""
    document = {
        'format': FORMAT,
        'version': VERSION,
        'nodes': {kind: sorted(ids) for kind, ids in removals.nodes.items()},
        'pairs': [
            {'edge_type': list(edge_type), 'pairs': [list(pair) for pair in sorted(pairs)]}
            for edge_type, pairs in sorted(removals.pairs.items())
        ],
        'modalities': {name: _ordered(ids) for name, ids in removals.modalities.items()},
        'attributes': [
            {'node_type': node_type, 'name': name, 'ids': _ordered(ids)}
            for (node_type, name), ids in sorted(removals.attributes.items())
        ],
    }
    return json.dumps(document, sort_keys=True, separators=(',', ':'), ensure_ascii=False)


def _ordered(ids: frozenset[Id] | None) -> list[Id] | None:
    return None if ids is None else sorted(ids)


def from_json(text: str, what: str = 'the edit') -> Removals:
    """The removals that :func:`to_json` wrote. Nothing in the document is passed over: what is
    left out without a word would not be forgotten.

    Raises:
        FormatError: If the text is no such document, or holds an entry or a kind of node that
            is not known, or one twice.
    """
    try:
        document = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, what))
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f'{what} is no JSON ({error})') from None
    if not isinstance(document, dict) or document.get('format') != FORMAT:
        raise FormatError(f"{what} is no '{FORMAT}'; write one with edit.to_json()")
    if document.get('version') != VERSION:
        raise FormatError(
            f'{what} has version {document.get("version")!r}; this graphrec reads {VERSION}'
        )
    try:
        found = _read(document, what).normalised()
        if not is_unicode(to_json(found)):  # Ids were looked at: a name of something.
            raise FormatError(f'{what} holds a name that is no valid Unicode; correct it')
        return found
    except FormatError:
        raise
    except GraphError as error:
        raise FormatError(f'{what}: {error}') from None
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f'{what} lacks an entry or holds a wrong one ({error!r})') from None


def _once(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f'{what} holds {twice!r} twice in one place; write one list of both')
    return found


def _read(document: dict[str, Any], what: str) -> Removals:
    def ids(values: Any) -> frozenset[Id] | None:
        return None if values is None else frozenset(plain_ids(values, f'ids of {what}'))

    _known(document, ENTRIES, f'{what} holds the entries')
    _known(document['nodes'], KINDS, f"'nodes' of {what} holds the kinds")
    found = Removals(
        nodes={
            kind: frozenset(plain_ids(values, f'{kind} ids of {what}'))
            for kind, values in document['nodes'].items()
        },
        modalities={name: ids(values) for name, values in document['modalities'].items()},
    )
    for part in document['pairs']:  # One by one: an edge type may come twice.
        _known(part, ('edge_type', 'pairs'), f"'pairs' of {what} holds the entries")
        pairs = frozenset(plain_pairs(part['pairs'], what))
        found = found.union(Removals(pairs={_edge_type(part['edge_type'], what): pairs}))
    for part in document['attributes']:
        _known(part, ('node_type', 'name', 'ids'), f"'attributes' of {what} holds the entries")
        place = (part['node_type'], part['name'])
        found = found.union(Removals(attributes={place: ids(part['ids'])}))
    return found


def _known(given: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise FormatError(f'{place} {unknown}, which are none of {list(known)}')


def _edge_type(names: Any, what: str) -> tuple[str, str, str]:
    if not isinstance(names, list) or [type(name) for name in names] != [str, str, str]:
        raise FormatError(
            f"'edge_type' in {what} needs to be a list of three names (got {names!r})"
        )
    return names[0], names[1], names[2]
