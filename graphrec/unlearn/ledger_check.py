"""Checks a ledger: every row, its place in the chain, and the end."""

import dataclasses
from pathlib import Path
from typing import Any

from graphrec.errors import FormatError
from graphrec.unlearn.ledger import may_follow
from graphrec.unlearn.ledger_head import Head, head_path, read_head
from graphrec.unlearn.ledger_schema import schema_notes, schema_problems
from graphrec.unlearn.ledger_table import STATES, Entry, about, connection, entries, origin
from graphrec.unlearn.pseudonyms import key_name


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a check of a ledger found.

    Attributes:
        entries: Number of rows.
        head: Receipt of the ledger as it is, ``COUNT:HASH``.
        problems: What is wrong, a sentence each; empty if nothing is.
        notes: What is not wrong but worth knowing.
    """

    entries: int
    head: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {'intact': self.intact, **dataclasses.asdict(self)}


def verify_ledger(
    path: str | Path, key: bytes | None = None, receipt: Head | None = None
) -> Verification:
    r"""Checks that no row of a ledger was changed, left out, added in between or moved, that
    states follow each other, that tables and triggers are those that this library makes, and
    that the end agrees with the head beside it and with a receipt that was kept elsewhere.
    What it cannot find is told at :class:`~graphrec.unlearn.Ledger`.

    Args:
        path: The ledger.
        key: Its key; without one, the seal of the head is not checked.
        receipt: The head of an earlier day.

    Raises:
        FormatError: If the file is missing, no ledger, or damaged.
    """
    path = Path(path)
    with connection(path) as db:
        db.execute('BEGIN')  # Nobody adds a row between the looks at the rows and at the head.
        rows = entries(db)
        version, name = about(db)
        broken, notes = schema_problems(db, version), schema_notes(db, version, name)
        known, unread = _known_head(path, key)
    start = origin(version, name)
    problems = _chain_problems(rows, start)
    problems += _state_problems(rows)
    if key is not None and key_name(key) != name:
        problems.append('the ledger was not made with this key')
    problems += broken
    last = str(Head(len(rows), rows[-1].hash if rows else start))
    if known is None and version == 1 and not rows and not head_path(path).exists():
        notes.append('the ledger has no head yet, as version 1 left it before the first row')
    elif known is None:
        problems.append(f'the head cannot be trusted: {unread}')
    else:
        problems += _end_problems(rows, start, known, f"'{head_path(path).name}'")
        if known.size == len(rows) - 1:
            notes.append('the machine stopped before the head was moved to the last row')
        elif known.size < len(rows) - 1:
            problems.append(
                f'{len(rows) - known.size} rows were added without moving the head; at most one '
                f'can be by a machine that stopped'
            )
    if receipt is not None:
        problems += _end_problems(rows, start, receipt, 'the receipt')
    if name and key is None:
        notes.append('the seal of the head was not checked: give the key to check it')
    last = last.encode('ascii', 'backslashreplace').decode()  # Printed, whatever it holds.
    return Verification(len(rows), last, tuple(problems), tuple(notes))


def _chain_problems(rows: list[Entry], start: str) -> list[str]:
    problems = []
    previous, number = start, 0
    for row in rows:
        if row.number <= number:
            problems.append(f'row {row.number} comes after row {number}')
        elif row.number != number + 1:
            missing = row.number - number - 1
            problems.append(f'{missing} rows are missing before row {row.number}')
        elif row.previous != previous:
            problems.append(f'row {row.number} does not follow the row before it')
        fault = row.fault()
        if fault:
            problems.append(f'row {row.number} was changed: it holds {fault}')
        elif row.hash != row.chained():
            problems.append(f'row {row.number} was changed')
        previous, number = row.hash, row.number
    return problems


def _state_problems(rows: list[Entry]) -> list[str]:
    problems = []
    reached: dict[str, set[str]] = {}
    for row in rows:
        states = reached.setdefault(row.request, set())
        if row.state in STATES and not may_follow(row.state, len(states)):
            problems.append(f'row {row.number} says {row.state!r} too early or again')
        states.add(row.state)
    return problems


def _known_head(path: Path, key: bytes | None) -> tuple[Head | None, str]:
    """The head beside a ledger, or why there is none to trust."""
    try:
        return read_head(path, key), ''
    except FormatError as error:
        return None, str(error)


def _end_problems(rows: list[Entry], start: str, known: Head, source: str) -> list[str]:
    if known.size > len(rows):
        return [f'{known.size - len(rows)} rows at the end are missing, by {source}']
    if known.size and rows[known.size - 1].hash != known.hash:
        return [f'row {known.size} is not the one that {source} knows']
    if not known.size and start != known.hash:
        return [f'the ledger that {source} knows began in another way']
    return []
