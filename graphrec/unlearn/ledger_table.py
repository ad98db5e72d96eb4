"""The file of a ledger: an SQLite table to which rows can be added, and nothing else."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from graphrec.errors import FormatError, GraphError
from graphrec.unlearn.ledger_schema import APPLICATION_ID, READABLE, VERSION
from graphrec.unlearn.removals import is_unicode

STATES = ('received', 'applied', 'audited')
WAIT_SECONDS = 30.0


class Entry(NamedTuple):
    """A row of a ledger: a request reached a state. ``body`` is canonical JSON."""

    number: int
    request: str
    state: str
    time: str
    body: str
    previous: str
    hash: str

    def facts(self) -> dict[str, Any]:
        """The body as a dictionary."""
        return json.loads(self.body)

    def fault(self) -> str:
        """What it holds that no ledger writes; empty if there is nothing of the kind."""
        if not all(isinstance(text, str) and is_unicode(text) for text in self[1:]):
            return 'something else than text'
        if self.state not in STATES:
            return f'the state {self.state!r}'
        try:
            facts = self.facts()
            whole = isinstance(facts, dict) and is_unicode(canonical(facts))
        except (ValueError, RecursionError):
            whole = False
        return '' if whole else 'facts that cannot be read'

    def chained(self) -> str:
        """The SHA-256 (hex) that the row should have: over its content and the hash of the
        row before."""
        content = [self.number, self.request, self.state, self.time, self.body, self.previous]
        return sha256(canonical(content))


def canonical(document: Any) -> str:
    """JSON that is the same for equal documents."""
    return json.dumps(
        document, sort_keys=True, separators=(',', ':'), ensure_ascii=False, allow_nan=False
    )


def sha256(text: str) -> str:
    """SHA-256 (hex) of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def origin(version: int, key_name: str) -> str:
    """What the first row takes for the hash of the row before."""
    return sha256(canonical(['graphrec ledger', version, key_name]))


@contextmanager
def connection(
    path: Path, make: Callable[[sqlite3.Connection], None] | None = None
) -> Iterator[sqlite3.Connection]:
    r"""The open file; where there is none yet, :obj:`make` fills it in one transaction.

    Raises:
        FormatError: If the file is missing and :obj:`make` is :obj:`None`, is no ledger
            or is damaged.
        GraphError: If it cannot be written, or another process holds it.
    """
    if make is None and is_missing(path):
        raise FormatError(f"there is no ledger at '{path}'")
    db = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        # A byte that is no UTF-8 is seen by whoever looks at its row, not by all.
        db.text_factory = lambda text: text.decode(errors='surrogateescape')
        db.execute('PRAGMA synchronous = FULL')
        db.execute('PRAGMA recursive_triggers = ON')  # A REPLACE deletes: let it be refused.
        if make is not None and _is_empty(db):
            with alone(db):
                if _is_empty(db):  # No other process was faster.
                    make(db)
        _check(db, path)
        yield db
    except sqlite3.OperationalError as error:
        if str(error).startswith('no such'):  # A table or a column.
            raise FormatError(f"'{path}' is a damaged ledger ({error})") from error
        raise GraphError(
            f"the ledger '{path}' cannot be opened or written ({error}); check permission and "
            f'free space, and that no other process holds it'
        ) from error
    except sqlite3.IntegrityError:
        raise
    except UnicodeDecodeError as error:  # SQLite quotes damaged text in what it says is wrong.
        raise FormatError(f"'{path}' is a damaged ledger (its tables cannot be read)") from error
    except sqlite3.DatabaseError as error:
        raise FormatError(f"'{path}' is no ledger, or a damaged one ({error})") from error
    except OSError as error:
        raise GraphError(f"the ledger '{path}' cannot be made ({error.strerror})") from error
    finally:
        if db is not None:
            db.close()


@contextmanager
def alone(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that keeps other writers out, done whole or not at all."""
    db.execute('BEGIN IMMEDIATE')
    try:
        yield
    except BaseException:
        db.execute('ROLLBACK')
        raise
    db.execute('COMMIT')


def is_missing(path: Path) -> bool:
    """Whether there is no ledger, or none yet in an empty file."""
    return not path.exists() or path.stat().st_size == 0


def _is_empty(db: sqlite3.Connection) -> bool:
    content = db.execute('SELECT COUNT(*) FROM sqlite_master').fetchone()[0]
    return not content and not db.execute('PRAGMA application_id').fetchone()[0]


def _check(db: sqlite3.Connection, path: Path) -> None:
    if db.execute('PRAGMA application_id').fetchone()[0] != APPLICATION_ID:
        raise FormatError(f"'{path}' is an SQLite file of something else, not a ledger")
    version, key_name = about(db)
    if not isinstance(key_name, str) or not is_unicode(key_name):
        raise FormatError(f"'{path}' is a damaged ledger (its key is called {key_name!r})")
    if version not in READABLE:
        raise FormatError(f"'{path}' has version {version!r}; this graphrec reads up to {VERSION}")


def about(db: sqlite3.Connection) -> tuple[int, str]:
    """Version and name of the key (empty without one)."""
    rows = db.execute('SELECT version, key_name FROM about').fetchall()
    return rows[0] if len(rows) == 1 else (-1, '')


def entries(db: sqlite3.Connection) -> list[Entry]:
    """All rows in order."""
    columns = ', '.join(Entry._fields)
    rows = [Entry(*row) for row in db.execute(f'SELECT {columns} FROM entries ORDER BY number')]
    for row in rows:
        _require_number(row.number)
    return rows


def last_hash(db: sqlite3.Connection) -> tuple[int, str]:
    """Number and hash of the last row."""
    row = db.execute('SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1').fetchone()
    if row is not None:
        _require_number(row[0])
    return row or (0, origin(*about(db)))


def _require_number(number: Any) -> None:
    if not isinstance(number, int):  # The column is no longer the key of the table.
        raise sqlite3.DatabaseError(f'a row with the number {number!r}')


def hash_at(db: sqlite3.Connection, number: int) -> str | None:
    """Hash of a row, of what stands before the first for 0; :obj:`None` if it is not there."""
    if number == 0:
        return origin(*about(db))
    row = db.execute('SELECT hash FROM entries WHERE number = ?', (number,)).fetchone()
    return row[0] if row else None


def last_fault(db: sqlite3.Connection) -> str:
    """What the last row holds that no ledger writes; empty if nothing, or there is no row."""
    columns = ', '.join(Entry._fields)
    rows = db.execute(f'SELECT {columns} FROM entries ORDER BY number DESC LIMIT 1').fetchall()
    return ''.join(Entry(*row).fault() for row in rows)
