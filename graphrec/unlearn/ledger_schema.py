"""The tables and triggers of a ledger, and what the file of an earlier version lacks."""

import contextlib
import sqlite3
from collections.abc import Iterator

VERSION = 2
#: In a ledger of version 1, rows could be replaced, and digests are never keyed.
READABLE = (1, VERSION)
#: 'grec' in ASCII: tells a ledger from other SQLite files.
APPLICATION_ID = 0x67726563

FIRST = """
CREATE TABLE about (
    version INTEGER NOT NULL,
    key_name TEXT NOT NULL
);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('received', 'applied', 'audited')),
    time TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
);
CREATE UNIQUE INDEX entries_once ON entries (request, state) WHERE state <> 'audited';
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
WHEN NEW.number <> (SELECT COALESCE(MAX(number), 0) + 1 FROM entries)
BEGIN SELECT RAISE(ABORT, 'the ledger only grows at its end'); END;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: no entry is changed'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: no entry is deleted'); END;
CREATE TRIGGER about_stays BEFORE UPDATE ON about
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: its head is not changed'); END;
CREATE TRIGGER about_remains BEFORE DELETE ON about
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: its head is not deleted'); END;
"""
# REPLACE deletes what is in the way, and only fires triggers against that where a connection asks
# for it. So it is refused before.
SECOND = """
CREATE TRIGGER entries_are_new BEFORE INSERT ON entries
WHEN EXISTS (
    SELECT 1 FROM entries WHERE number = NEW.number OR hash = NEW.hash
    OR (request = NEW.request AND state = NEW.state AND state <> 'audited')
)
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: no entry is replaced'); END;
CREATE TRIGGER about_is_one BEFORE INSERT ON about
WHEN EXISTS (SELECT 1 FROM about)
BEGIN SELECT RAISE(ABORT, 'the ledger only grows: its head is not replaced'); END;
"""


def create(db: sqlite3.Connection, key_name: str) -> None:
    """Makes the tables and triggers of a ledger whose key is called so."""
    for statement in _statements(FIRST + SECOND):
        db.execute(statement)
    db.execute('INSERT INTO about VALUES (?, ?)', (VERSION, key_name))
    db.execute(f'PRAGMA application_id = {APPLICATION_ID}')


def add_triggers(db: sqlite3.Connection) -> None:
    """Adds the triggers of version 2 that the file lacks. Those of version 1 are not put back:
    that they were taken out is to be found."""
    held = _parts(db).keys() | _made(FIRST).keys()
    for name, (_, sql) in _made(FIRST + SECOND).items():
        if name not in held:
            db.execute(sql)


def schema_problems(db: sqlite3.Connection, version: int) -> list[str]:
    """How tables and triggers of a ledger differ from those that this library makes, a
    sentence each. Their text is compared: a trigger of the right name may do nothing."""
    held, made = _parts(db), _made(FIRST + SECOND)
    needed = _made(FIRST) if version == 1 else made
    missing = {name: kind for name, (kind, _) in needed.items() if name not in held}
    problems = []
    if 'trigger' in missing.values():
        problems.append('the triggers that refuse changes were taken out')
    for name, kind in missing.items():
        if kind != 'trigger':
            problems.append(f'the {kind} {name!r} was taken out')
    for name, (kind, sql) in held.items():
        if name not in made:
            problems.append(f'the {kind} {name!r} was added')
        elif (kind, sql) != made[name]:
            problems.append(f'the {kind} {name!r} was changed')
    return problems


def schema_notes(db: sqlite3.Connection, version: int, key_name: str) -> list[str]:
    """What an earlier version of the file did not promise."""
    if version == VERSION:
        return []
    lacks = _made(FIRST + SECOND).keys() - _parts(db).keys()
    until = 'until it is next opened to add to it' if lacks else 'until its triggers were added to'
    notes = [f'the ledger is of version 1: rows could be replaced {until}']
    if key_name:
        notes.append(
            'the ledger is of version 1: the digests of graph and model are not keyed, and whoever '
            'has the data before can find a single id by them; begin a new ledger to hide it'
        )
    return notes


def _made(script: str) -> dict[str, tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(':memory:')) as db:
        for statement in _statements(script):
            db.execute(statement)
        return _parts(db)


def _parts(db: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Kind and text of what somebody made, by name; SQLite's own is left out."""
    rows = db.execute("SELECT name, type, sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'")
    return {name: (kind, sql) for name, kind, sql in rows}


def _statements(script: str) -> Iterator[str]:
    statement = ''
    for line in script.splitlines():
        statement += line + '\n'
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ''
