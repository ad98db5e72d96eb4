"""What a command line asks to be forgotten, and where it is recorded."""

import dataclasses
from pathlib import Path

from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, QUERY, USER
from graphrec.unlearn import (
    Edit,
    EditSet,
    Ledger,
    RemoveInteractions,
    RemoveItems,
    RemoveQueries,
    RemoveUsers,
    read_edit,
    read_ids,
    read_key,
    read_pairs,
)


@dataclasses.dataclass(frozen=True)
class Files:
    """The files that say what to forget; ``edges`` is a table of users and items, ``edit``
    the JSON or table of :func:`graphrec.unlearn.read_edit`."""

    users: Path | None = None
    items: Path | None = None
    queries: Path | None = None
    edges: Path | None = None
    edit: Path | None = None

    def read(self, data: HeteroData) -> Edit:
        r"""The union of all files.

        Raises:
            FormatError: If a file is missing, empty or lacks a column.
            GraphError: If no file is named.
        """
        edits: list[Edit] = []
        if self.users is not None:
            edits.append(RemoveUsers(read_ids(self.users, data, USER)))
        if self.items is not None:
            edits.append(RemoveItems(read_ids(self.items, data, ITEM)))
        if self.queries is not None:
            edits.append(RemoveQueries(read_ids(self.queries, data, QUERY)))
        if self.edges is not None:
            edits.append(RemoveInteractions(read_pairs(self.edges, data), INTERACTS))
        if self.edit is not None:
            edits.append(read_edit(self.edit, data))
        found = EditSet(tuple(edits))
        if not found:
            raise GraphError(
                "nothing to forget was named; give '--users', '--items', '--queries', '--edges' "
                "or '--edit' and a file"
            )
        return found


@dataclasses.dataclass(frozen=True)
class Record:
    """Where the record of requests is kept: a ledger file and the key of its ids."""

    ledger: Path | None = None
    private: Path | None = None

    def open(self) -> Ledger | None:
        """The ledger, :obj:`None` where none is kept."""
        if self.ledger is None:
            if self.private is not None:
                raise GraphError("'--private' hides the ids of a ledger: add '--ledger FILE'")
            return None
        return Ledger(self.ledger, None if self.private is None else read_key(self.private))
