"""Errors that a user can act on: each names the field, the value and the fix."""


class GraphError(ValueError):
    """Bad input: a field holds a value that graphrec cannot work with."""


class FormatError(GraphError):
    """A file is missing, unreadable, half-written or not in the named format."""


class UnknownIdError(GraphError, KeyError):
    """An id that the graph does not hold."""

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
