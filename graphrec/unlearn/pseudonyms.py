"""Keyed hashes in the place of ids: whoever lacks the key can neither read nor guess them."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from graphrec.errors import FormatError, GraphError

MIN_BYTES = 16


def read_key(path: str | Path) -> bytes:
    """The key in a file of the controller's, without white space at its ends.

    Raises:
        FormatError: If the file is missing.
        GraphError: If the key is shorter than 16 bytes.
    """
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise FormatError(
            f"the key file '{path}' cannot be read ({error.strerror}); make one with "
            f"'openssl rand -hex 32 > {path}' and keep it where the ledger is not"
        ) from None
    if len(key) < MIN_BYTES:
        raise GraphError(
            f"the key in '{path}' has {len(key)} bytes, which can be guessed; give {MIN_BYTES} or "
            f"more, e.g. of 'openssl rand -hex 32'"
        )
    return key


def keyed_hash(key: bytes, text: str) -> str:
    """HMAC-SHA256 (hex) of a text."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def key_name(key: bytes) -> str:
    """A name by which a ledger knows its key again, from which nobody learns the key."""
    return keyed_hash(key, 'name of the key of a graphrec ledger')[:16]


def pseudonymised(document: dict[str, Any], key: bytes) -> dict[str, Any]:
    r"""The document of an edit with every id replaced by a keyed hash over its node type and
    itself: equal ids of a kind give equal hashes under one key, and unrelated ones under
    another."""

    def hidden(kind: str, value: Any) -> str:
        return keyed_hash(key, json.dumps([kind, value], ensure_ascii=False))

    def listed(kind: str, values: list[Any] | None) -> list[str] | None:
        return None if values is None else sorted(hidden(kind, value) for value in values)

    return {
        'format': document['format'],
        'version': document['version'],
        'nodes': {kind: listed(kind, ids) for kind, ids in document['nodes'].items()},
        'pairs': [
            {
                'edge_type': part['edge_type'],
                'pairs': sorted(
                    [
                        hidden(part['edge_type'][0], first),
                        hidden(part['edge_type'][2], second),
                    ]
                    for first, second in part['pairs']
                ),
            }
            for part in document['pairs']
        ],
        'modalities': {name: listed('item', ids) for name, ids in document['modalities'].items()},
        'attributes': [
            {**part, 'ids': listed(part['node_type'], part['ids'])}
            for part in document['attributes']
        ],
    }
