"""Errors that a user can act on: each names the field, the value and the fix."""

from collections.abc import Iterable
from typing import Any


class GraphError(ValueError):
    """Bad input: a field holds a value that graphrec cannot work with."""


class FormatError(GraphError):
    """A file is missing, unreadable, half-written or not in the named format."""


class UnknownIdError(GraphError, KeyError):
    """An id that the graph does not hold.

    Args:
        message: What is wrong.
        kind: What was asked for, such as ``'users'``.
        ids: All of that kind that are missing; pairs as tuples.
    """

    def __init__(self, message: str = '', kind: str = 'ids', ids: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.ids = tuple(ids)

    def __str__(self) -> str:  # KeyError would print the repr.
        return str(self.args[0]) if self.args else ''


class CapacityError(GraphError, MemoryError):
    """The work would not fit into the memory that it may use."""


class TrainingError(GraphError, ArithmeticError):
    """Training met a value that it cannot go on from (NaN, infinity)."""


class OfflineError(GraphError, OSError):
    """A source on the network could not be reached; says where a file belongs."""

    def __str__(self) -> str:  # OSError would print the errno form.
        return str(self.args[0]) if self.args else ''
