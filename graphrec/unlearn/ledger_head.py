"""The head of a ledger: a small file beside it that holds how many rows there are and the
hash of the last one. A chain alone cannot show that its end was cut off."""

import hmac
from pathlib import Path
from typing import NamedTuple

from graphrec.errors import FormatError
from graphrec.storage import read_json, write_json
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
    except (KeyError, ValueError) as error:
        raise FormatError(f"'{path}' is no head of a ledger ({error!r})") from None
    if key is not None and not hmac.compare_digest(seal, keyed_hash(key, f'head {head}')):
        raise FormatError(f"the seal in '{path}' is not of this key: somebody else wrote it")
    return head


def parse_receipt(text: str) -> Head:
    """A receipt ``COUNT:HASH`` that was kept elsewhere.

    Raises:
        FormatError: If the text is of another form.
    """
    count, _, digest = text.strip().partition(':')
    if not count.isdigit() or len(digest) != 64:
        raise FormatError(f"a receipt is written COUNT:HASH, as 'forget' prints it (got {text!r})")
    return Head(int(count), digest)
