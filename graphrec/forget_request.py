"""What a command line asks to be forgotten, how, and where it is recorded."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.console import plain
from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, QUERY, USER
from graphrec.models.recommender import Recommender
from graphrec.unlearn import (
    Edit,
    EditSet,
    Ledger,
    RemoveInteractions,
    RemoveItems,
    RemoveQueries,
    RemoveUsers,
    ShardedRecommender,
    read_edit,
    read_ids,
    read_key,
    read_pairs,
)
from graphrec.unlearn.automatic import auto_options
from graphrec.unlearn.forgetting import SHARD_METHODS, check_method
from graphrec.unlearn.methods import method_options
from graphrec.unlearn.task import fit_settings


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

    def open(self, *, make: bool = True) -> Ledger | None:
        """The ledger; :obj:`None` where none is kept, and without :obj:`make` where the file
        is still to be made."""
        if self.ledger is None:
            if self.private is not None:
                raise GraphError("'--private' hides the ids of a ledger: add '--ledger FILE'")
            return None
        key = None if self.private is None else read_key(self.private)
        if not make and (not self.ledger.exists() or not self.ledger.stat().st_size):
            return None
        return Ledger(self.ledger, key)


def how(
    model: Recommender,
    method: str,
    options: Mapping[str, Any] | None,
    fit: Mapping[str, Any] | None,
    compact: bool,
    seed: int,
) -> dict[str, Any]:
    """How to forget, as a part of what a request is known by.

    Raises:
        GraphError: If the method, an option or a setting is unknown, or the method could not
            do it with this model.
    """
    check_method(model, method)
    if compact and (isinstance(model, ShardedRecommender) or method in SHARD_METHODS):
        why = 'keeps all nodes' if method == 'suppress' else 'numbers the nodes of each shard'
        raise GraphError(f"what {method!r} makes {why}; leave out '--compact'")
    chosen = auto_options(options) if method == 'auto' else method_options(method, options or None)
    return {
        'method': method,
        'seed': seed,
        'options': plain(dataclasses.asdict(chosen)),
        'fit': plain(fit_settings(fit)),
        'compact': compact,
    }
