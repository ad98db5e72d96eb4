"""A page of results: its parts, and the machines that they ran on, at its end."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_page(
    path: Path, parts: Sequence[str], records: Iterable[dict[str, Any]], notes: Sequence[str] = ()
) -> None:
    """Writes the parts and the machines of the records, whole or not at all."""
    machines = sorted({_machine(r['machine']) for r in records if 'machine' in r})
    lines = [f'- {one}' for one in [*machines, *notes]]
    end = ['\n'.join(['## Machine', '', *lines]) + '\n'] if machines else []
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.part')
    temporary.write_text('\n'.join([*parts, *end]), encoding='utf-8')
    os.replace(temporary, path)


def _machine(machine: dict[str, Any]) -> str:
    return (
        f'{machine["processor"]}, {machine["threads"]} threads, '
        f'{machine["gpu"] + ", " if "gpu" in machine else ""}torch {machine["torch"]}, '
        f'Python {machine["python"]}'
    )
