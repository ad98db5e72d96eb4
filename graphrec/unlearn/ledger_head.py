"""The head of a ledger: a small file beside it that holds how many rows there are and the
hash of the last one. A chain alone cannot show that its end was cut off."""

import hmac
import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

from graphrec.errors import FormatError, GraphError
from graphrec.storage import read_json, write_json
from graphrec.unlearn.ledger_table import hash_at, is_missing, last_fault, last_hash
from graphrec.unlearn.pseudonyms import keyed_hash


class Head(NamedTuple):
    """How far a ledger had come: number of rows and hash of the last one."""

    size: int
    hash: str

    def __str__(self) -> str:
        return f'{self.size}:{self.hash}'


def head_path(ledger: Path) -> Path:
    """Where the head of a ledger lies."""
    return ledger.with_name(f'{ledger.name}.head')


def write_head(ledger: Path, head: Head, key: bytes | None) -> None:
    """Writes the head whole or not at all; with a key, sealed by it."""
    seal = '' if key is None else keyed_hash(key, f'head {head}')
    write_json(head_path(ledger), {'count': head.size, 'hash': head.hash, 'seal': seal})


def read_head(ledger: Path, key: bytes | None) -> Head:
    """The head of a ledger.

    Raises:
        FormatError: If it is missing or was changed, or the seal is not of this key.
    """
    path = head_path(ledger)
    document = read_json(path)
    try:
        head = Head(int(document['count']), str(document['hash']))
        seal = str(document['seal'])
        if head.size < 0:
            raise ValueError(head.size)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"'{path}' is no head of a ledger ({error!r})") from None
    # Texts beyond ASCII are never compared.
    ours = key is None or (
        seal.isascii() and hmac.compare_digest(seal, keyed_hash(key, f'head {head}'))
    )
    if not ours:
        raise FormatError(f"the seal in '{path}' is not of this key: somebody else wrote it")
    return head


def settle_head(ledger: Path, db: sqlite3.Connection, key: bytes | None) -> None:
    r"""Moves a head that lags by one row to the last row: so it is left by a machine that
    stopped between the two. The caller keeps other writers out (:func:`alone`).

    Raises:
        GraphError: If the head is missing, is not of this key, or does not agree with the
            rows. A row added then, and the head after it, would hide that the end was cut off.
    """
    size, last = last_hash(db)
    try:
        known = read_head(ledger, key)
        problem = _disagreement(db, known, size)
    except FormatError as error:
        problem = str(error)
    if problem:
        raise GraphError(
            f"nothing was added to the ledger '{ledger}', which does not agree with its head "
            f"({problem}); see 'graphrec ledger verify', then put both files back from a copy or "
            f'begin a new ledger'
        )
    if known.size < size:
        write_head(ledger, Head(size, last), key)


def refuse_lone_head(ledger: Path) -> None:
    """Raises :class:`GraphError` if a head knows rows of a ledger that is gone: a new file would
    hide that."""
    path = head_path(ledger)
    if not path.exists():
        return
    try:
        size = read_head(ledger, None).size
    except FormatError:
        size = -1
    # Looked at last: another process may have made both in the meantime.
    if size and is_missing(ledger):
        raise GraphError(
            f"there is no ledger at '{ledger}', but its head '{path.name}' is there; put the "
            f'ledger back, or name a new file'
        )


def _disagreement(db: sqlite3.Connection, known: Head, size: int) -> str:
    if known.size > size:
        return f'{known.size - size} rows at the end are missing'
    if known.size < size - 1:
        return f'{size - known.size} rows were added without moving it'
    if hash_at(db, known.size) != known.hash:
        return f'row {known.size} is not the one that it knows'
    fault = last_fault(db) if known.size < size else ''
    return f'row {size} was added by hand: it holds {fault}' if fault else ''


def parse_receipt(text: str) -> Head:
    """A receipt ``COUNT:HASH`` that was kept elsewhere.

    Raises:
        FormatError: If the text is of another form.
    """
    found = re.fullmatch('([0-9]{1,18}):([0-9a-f]{64})', text.strip())
    if found is None:
        raise FormatError(f"a receipt is written COUNT:HASH, as 'forget' prints it (got {text!r})")
    return Head(int(found[1]), found[2])
