r"""The record of what was asked to be forgotten, when, how, and what came of it."""

import contextlib
import datetime
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from graphrec.errors import FormatError, GraphError
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.ledger_head import Head, head_path, refuse_lone_head, settle_head, write_head
from graphrec.unlearn.ledger_schema import add_triggers, create
from graphrec.unlearn.ledger_table import (
    STATES,
    Entry,
    about,
    alone,
    canonical,
    connection,
    entries,
    last_hash,
    sha256,
)
from graphrec.unlearn.pseudonyms import key_name, keyed_hash, pseudonymised

#: Names of facts that are digests begin so: ``graph_before``, ``model_after``.
DIGESTS = ('graph_', 'model_')


def may_follow(state: str, reached: int) -> bool:
    """Whether a request that reached so many states may reach this one next."""
    return state == STATES[min(reached, len(STATES) - 1)]


class Request(NamedTuple):
    """Where a request stands: its rows in the order in which they were added."""

    id: str
    history: tuple[Entry, ...]

    @property
    def entries(self) -> dict[str, Entry]:
        """The last row of each state that it reached, in the order of states; earlier audits
        are in the history alone."""
        found = {entry.state: entry for entry in self.history}
        return {state: found[state] for state in STATES if state in found}

    @property
    def state(self) -> str:
        """The last state that it reached."""
        return list(self.entries)[-1]

    def facts(self) -> dict[str, Any]:
        """All that its entries say, later ones over earlier ones."""
        found: dict[str, Any] = {}
        for entry in self.entries.values():
            found |= entry.facts()
        return found


def read_requests(path: str | Path) -> list[Request]:
    """All requests of a ledger in the order in which they came; no key is needed.

    Raises:
        FormatError: If the file is missing or no ledger, or rows of it were changed or taken out
            so that they tell of no request: see :func:`verify_ledger`.
    """
    with connection(Path(path)) as db:
        return _requests(path, entries(db))


def _requests(path: str | Path, rows: list[Entry]) -> list[Request]:
    found: dict[str, list[Entry]] = {}
    for row in rows:
        fault, history = row.fault(), found.setdefault(row.request, [])
        if not fault and not may_follow(row.state, len({each.state for each in history})):
            fault = f'{row.state!r} too early or again'
        if fault:
            raise FormatError(
                f"row {row.number} of the ledger '{path}' holds {fault}; 'graphrec ledger verify' "
                f'says what was done to it'
            )
        history.append(row)
    return [Request(name, tuple(history)) for name, history in found.items()]


def read_request(path: str | Path, name: str) -> Request:
    """One request of a ledger, by its name or the beginning of it.

    Raises:
        GraphError: If no request, or more than one, is called so.
    """
    found = [each for each in read_requests(path) if each.id.startswith(name)]
    if len(found) != 1 or not name:
        raise GraphError(f"{len(found)} requests of '{path}' are called {name!r}")
    return found[0]


class Ledger:
    r"""An append-only record of requests in one SQLite file.

    A request is ``received``, then ``applied``, then ``audited`` (once or again); each state
    is a row of its own with a time (UTC), appended in one transaction. A row holds the
    SHA-256 of its content and of the row before, so that :func:`verify_ledger` finds a row
    that was changed, left out or moved. Triggers refuse to change, replace and delete rows. A
    second small file (``<ledger>.head``) holds the number of rows and the last hash, so that a
    cut-off end is found too; no row is added to a ledger that does not agree with it.

    The removed content is never kept: no features, no scores, no interactions besides the
    ids of the request, and these only as HMAC-SHA256 under :obj:`key` where one is given.
    The digest of the request is keyed then as well, and so is every fact named ``graph_...``
    or ``model_...`` (:meth:`blinded`): whoever has the data before finds the id behind a plain
    hash by trying all. Whoever destroys the key makes the record unlinkable to people.

    What remains open: the other facts of a private ledger are plain. The figures of a run, such
    as the number of interactions that went, narrow down who it was for somebody who has the data
    before. The files beside the edited data (``forget.json``, ``audit.json``) hold plain
    digests; keep them as you keep the data themselves, which show the same person who is missing.

    What no such file can show: that somebody with write access to both files (and the key,
    where there is one) wrote the whole record anew, or put both back to an earlier day; nor
    that a single row was added at the end by hand and passes for one of a machine that stopped.
    Keep the receipt (:meth:`head`) of a day elsewhere to find the first two in its rows.

    Args:
        path: The file; made where there is none.
        key: Key of the ids, at least 16 bytes; :func:`read_key` reads it from a file.

    Raises:
        GraphError: If the ledger was made with another key, with one and none is given, or
            without one; or the file cannot be written.
        FormatError: If the file is no ledger.
    """

    def __init__(self, path: str | Path, key: bytes | None = None) -> None:
        self.path = Path(path)
        self.key = key
        name = '' if key is None else key_name(key)
        refuse_lone_head(self.path)
        with connection(self.path, self._make) as db:
            self._version, held = about(db)
            if held != name:
                have = 'with a key' if held else 'without one'
                have = 'with another key' if held and name else have
                raise GraphError(
                    f"the ledger '{self.path}' was made {have}; open it so, or name a new file"
                )
            with alone(db):
                if self._version == 1:
                    self._bring_up_to_date(db)
                with contextlib.suppress(GraphError):  # Told where a row is to be added.
                    settle_head(self.path, db, key)

    def edit_digest(self, edit: Edit) -> str:
        """The digest by which the ledger knows an edit: keyed where it has a key."""
        return edit.digest() if self.key is None else keyed_hash(self.key, edit.to_json())

    def blinded(self, digest: str) -> str:
        r"""A digest of a graph or a model as the ledger holds it, to compare with one that it
        holds: keyed where the ledger is private, the digest itself otherwise.

        A private ledger of version 1 goes on as it began, with plain ones
        (:func:`verify_ledger` says so).
        """
        if self.key is None or self._version == 1:
            return digest
        return keyed_hash(self.key, f'digest {digest}')

    def receive(self, edit: Edit, facts: Mapping[str, Any] | None = None) -> str:
        r"""Appends a new request and returns its name.

        Args:
            edit: What is to be forgotten.
            facts: What else to record, ready for JSON. Digests named ``graph_...`` and
                ``model_...`` are stored :meth:`blinded`.

        Raises:
            GraphError: If the rows do not agree with the head: see :func:`verify_ledger`.
        """
        document = json.loads(edit.to_json())
        if self.key is not None:
            document = pseudonymised(document, self.key)
        digest = self.edit_digest(edit)
        body = {**self._stored(facts), 'edit': document, 'edit_digest': digest}
        with connection(self.path) as db:
            with alone(db):
                settle_head(self.path, db, self.key)
                request = sha256(f'{last_hash(db)[1]} {digest}')[:12]
                self._append(db, request, 'received', body)
            self._move_head(db)
        return request

    def advance(self, request: str, state: str, facts: Mapping[str, Any] | None = None) -> None:
        r"""Appends that a request reached its next state.

        Args:
            request: Its name.
            state: The state.
            facts: As for :meth:`receive`.

        Raises:
            GraphError: If there is no such request, it does not stand right before, or the
                rows do not agree with the head: see :func:`verify_ledger`.
        """
        with connection(self.path) as db:
            with alone(db):
                settle_head(self.path, db, self.key)
                rows = [entry for entry in entries(db) if entry.request == request]
                if not rows:
                    raise GraphError(f"the ledger '{self.path}' has no request {request!r}")
                found = _requests(self.path, rows)[0]
                if not may_follow(state, len(found.entries)):
                    raise GraphError(
                        f'request {request} is {found.state}; it cannot become {state}'
                    )
                self._append(db, request, state, self._stored(facts))
            self._move_head(db)

    def requests(self) -> list[Request]:
        """All requests in the order in which they came."""
        return read_requests(self.path)

    def request(self, name: str) -> Request:
        """One request; see :func:`read_request`."""
        return read_request(self.path, name)

    def find(self, edit: Edit, facts: Mapping[str, Any]) -> Request | None:
        """The last request for this edit that was received with these facts (digests as they
        are, not :meth:`blinded`)."""
        digest, facts = self.edit_digest(edit), self._stored(facts)
        for request in reversed(self.requests()):
            held = request.entries['received'].facts()
            if held.get('edit_digest') == digest and all(
                held.get(k) == v for k, v in facts.items()
            ):
                return request
        return None

    def head(self) -> Head:
        """Number of rows and hash of the last one: the receipt to keep elsewhere."""
        with connection(self.path) as db:
            return Head(*last_hash(db))

    def _stored(self, facts: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            name: self.blinded(value)
            if name.startswith(DIGESTS) and isinstance(value, str)
            else value
            for name, value in (facts or {}).items()
        }

    def _make(self, db: sqlite3.Connection) -> None:
        create(db, '' if self.key is None else key_name(self.key))
        # Before the commit: no ledger is ever without its head.
        write_head(self.path, Head(*last_hash(db)), self.key)

    def _bring_up_to_date(self, db: sqlite3.Connection) -> None:
        add_triggers(db)
        if not last_hash(db)[0] and not head_path(self.path).exists():
            write_head(self.path, Head(*last_hash(db)), self.key)

    def _append(
        self, db: sqlite3.Connection, request: str, state: str, body: dict[str, Any]
    ) -> None:
        number, previous = last_hash(db)
        time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')
        entry = Entry(number + 1, request, state, time, canonical(body), previous, '')
        places = ', '.join('?' * len(Entry._fields))
        row = entry._replace(hash=entry.chained())
        db.execute(f'INSERT INTO entries VALUES ({places})', row)

    def _move_head(self, db: sqlite3.Connection) -> None:
        # After the commit and under the lock: the head may lag behind a machine that stopped
        # in between, but never runs ahead of the rows.
        with alone(db):
            write_head(self.path, Head(*last_hash(db)), self.key)
