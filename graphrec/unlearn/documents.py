"""Edits as JSON."""

import json
from typing import Any

from graphrec.errors import FormatError, GraphError
from graphrec.unlearn.removals import Id, Removals, plain_ids, plain_pairs

FORMAT, VERSION = 'graphrec edit', 1


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
    """The removals that :func:`to_json` wrote.

    Raises:
        FormatError: If the text is no such document.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f'{what} is no JSON ({error})') from None
    if not isinstance(document, dict) or document.get('format') != FORMAT:
        raise FormatError(f"{what} is no '{FORMAT}'; write one with edit.to_json()")
    if document.get('version') != VERSION:
        raise FormatError(
            f'{what} has version {document.get("version")!r}; this graphrec reads {VERSION}'
        )
    try:
        return _read(document, what).normalised()
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f'{what} lacks an entry or holds a wrong one ({error!r})') from None
    except GraphError as error:
        raise FormatError(f'{what}: {error}') from None


def _read(document: dict[str, Any], what: str) -> Removals:
    def ids(values: Any) -> frozenset[Id] | None:
        return None if values is None else frozenset(plain_ids(values, f'ids of {what}'))

    return Removals(
        nodes={kind: frozenset(ids(v) or ()) for kind, v in document['nodes'].items()},
        pairs={
            _edge_type(part['edge_type']): frozenset(plain_pairs(part['pairs'], what))
            for part in document['pairs']
        },
        modalities={name: ids(values) for name, values in document['modalities'].items()},
        attributes={
            (part['node_type'], part['name']): ids(part['ids']) for part in document['attributes']
        },
    )


def _edge_type(names: list[str]) -> tuple[str, str, str]:
    src, verb, dst = names
    return src, verb, dst
