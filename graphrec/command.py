"""The frame of the command line: common options and how errors end a command."""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from graphrec.console import Output
from graphrec.errors import GraphError

Function = TypeVar('Function', bound=Callable[..., Any])

PROGRAM = 'graphrec'
BAD_INPUT = 2
INTERRUPTED = 130

PATH = click.Path(path_type=Path)

data_argument = click.argument('source', metavar='DATA')
model_argument = click.argument('folder', metavar='MODEL', type=PATH)
load_option = click.option(
    '--load',
    multiple=True,
    metavar='KEY=VALUE',
    help='How to read DATA, e.g. user=customer, format=recbole, min_rating=4; repeatable.',
)
seed_option = click.option(
    '--seed',
    type=click.IntRange(0, 2**63 - 1),  # What a generator takes.
    default=0,
    show_default=True,
    help='Seed of all randomness.',
)
json_option = click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON document and nothing else.'
)
quiet_option = click.option('--quiet', is_flag=True, help='Leave out progress and notes.')


class Commands(click.Group):
    """Ends bad input with one line ``error: ...`` on standard error and exit code 2.
    Anything else that fails is a fault of ours and keeps its traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            fail(error.format_message(), error.exit_code)
        except click.Abort:
            fail('interrupted', INTERRUPTED)
        except (GraphError, OSError) as error:
            fail(describe_error(error))
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # In the order of a day's work, not of the alphabet.


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Prints one line on standard error and ends the process."""
    click.echo(f'error: {" ".join(message.split())}', err=True)
    sys.exit(code)


def describe_error(error: Exception) -> str:
    """The message of an error of ours; for one of the system, the file and the reason."""
    if isinstance(error, OSError) and not isinstance(error, GraphError) and error.strerror:
        return f"'{error.filename}': {error.strerror}" if error.filename else error.strerror
    return str(error)


def runnable(command: str) -> str:
    """A command line that starts with ``graphrec`` as it can be typed here: where the
    script is not on the path, with the folder that it was installed in."""
    script = Path(sys.executable).with_name(PROGRAM)
    if shutil.which(PROGRAM) is None and script.exists():
        return command.replace(PROGRAM, os.path.relpath(script), 1)
    return command


def common_options(function: Function) -> Function:
    """Adds ``--seed``, ``--json`` and ``--quiet``; the last two reach the command as
    ``output``, an :class:`~graphrec.console.Output`."""

    @seed_option
    @json_option
    @quiet_option
    @functools.wraps(function)
    def wrapper(*args: Any, as_json: bool, quiet: bool, **kwargs: Any) -> Any:
        return function(*args, output=Output(as_json, quiet), **kwargs)

    return wrapper  # type: ignore[return-value]
