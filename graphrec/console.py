"""What a command prints: tables for people, one JSON document for programs."""

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table


class Output:
    """Prints for a person, or collects one JSON document for a program. Where the reader goes
    away (``| head -1``), the work goes on and the exit code says how it ended.

    Args:
        as_json: Standard output carries the JSON document of :meth:`finish` alone.
        quiet: Leaves out progress and notes; results are still printed.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.notes: list[str] = []

    @property
    def progress(self) -> bool:
        """Whether a progress bar is welcome (on standard error)."""
        return not (self.as_json or self.quiet)

    def note(self, text: str) -> None:
        """A sentence on the way; it stands under ``notes`` in the JSON document."""
        self.notes.append(text)
        if self.progress:
            _print(text)

    def line(self, text: str) -> None:
        """A result in words; the JSON document carries it in a field of its own."""
        if not self.as_json:
            _print(text)

    def table(self, frame: pd.DataFrame, title: str | None = None) -> None:
        """A table of results; the JSON document carries it in a field of its own."""
        if self.as_json:
            return
        table = Table(title=title, title_justify='left', title_style='bold')
        for name in frame.columns:
            numeric = pd.api.types.is_numeric_dtype(frame[name])
            table.add_column(str(name), justify='right' if numeric else 'left', no_wrap=numeric)
        for row in frame.itertuples(index=False):
            table.add_row(*[show(value) for value in row])
        # A title is text, whatever is in brackets.
        console = _Console(markup=False, emoji=False)
        if not console.is_terminal:
            console.width = max(console.width, 120)
        console.print(table)

    def finish(self, document: dict[str, Any]) -> None:
        """Prints the JSON document where one was asked for."""
        if self.as_json:
            if self.notes:
                document = {**document, 'notes': self.notes}
            _print(json.dumps(plain(document), ensure_ascii=False))


class _Console(Console):
    def on_broken_pipe(self) -> None:
        _print_nowhere()


def _print(text: str) -> None:
    try:
        click.echo(text)
    except BrokenPipeError:
        _print_nowhere()


def _print_nowhere() -> None:
    """Nobody reads any more: what is still to come is dropped, and what waits in a buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def show(value: Any) -> str:
    """A value for a table cell: four decimals, thousands as they are, ``-`` for none."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return '-'
    if isinstance(value, (float, np.floating)):
        return f'{value:.4f}'
    if isinstance(value, (list, tuple)):
        return ', '.join(show(part) for part in value)
    return str(value)


def plain(value: Any) -> Any:
    """Turns a result into what JSON can hold; NaN and infinity become ``null``."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict('records')]
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (set, frozenset)):
        return sorted(plain(part) for part in value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
