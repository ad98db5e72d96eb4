"""Side-by-side timing: the same work, alternating, medians and spread."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

DATA_ROOT = Path(os.environ.get('GRAPHREC_DATA', '../shared/data'))


def alternate(
    steps: dict[str, Callable[[], Any]], rounds: int, warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of every step in every round. All steps take their turn in each round, so
    that a slow moment of the machine meets all of them."""
    for step in steps.values():
        for _ in range(warm_up):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, quartiles and minimum in milliseconds."""
    low, median, high = statistics.quantiles(seconds, n=4, method='inclusive')
    return {
        'median_ms': 1e3 * median,
        'q1_ms': 1e3 * low,
        'q3_ms': 1e3 * high,
        'min_ms': 1e3 * min(seconds),
    }


def builds(made: list[dict[str, float]]) -> dict[str, float]:
    """Seconds and bytes of the same build in several processes."""
    seconds = [run['seconds'] for run in made]
    cell = spread(seconds) if len(seconds) > 1 else {'median_ms': 1e3 * seconds[0]}
    return cell | {key: max(run[key] for run in made) for key in ('peak bytes', 'bytes before')}


def peak_memory(arguments: list[str]) -> int:
    """Peak resident bytes of a fresh Python process running :obj:`arguments`."""
    # Not ru_maxrss: a child begins with its parent's.
    code = (
        'import runpy, sys; sys.argv = sys.argv[1:]; '
        'sys.path.insert(0, sys.argv[0].rsplit("/", 1)[0]); '
        'runpy.run_path(sys.argv[0], run_name="__main__"); '
        'import _jobs; print("peak", _jobs.peak_memory())'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout.strip().rsplit('peak', 1)[1])


def write(path: Path, record: dict[str, Any]) -> None:
    """Writes one JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile('w', dir=path.parent, delete=False) as file:
        json.dump(record, file, indent=1)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def write_section(path: Path | None, name: str, text: str) -> None:
    """Replaces what stands between the marks of a section of a document, if there is one
    to write; new sections go to the end."""
    if path is None:
        return
    begin, end = f'<!-- {name} -->', f'<!-- end of {name} -->'
    document = path.read_text()
    if begin not in document:
        document = f'{document.rstrip()}\n\n{begin}\n{end}\n'
    head, rest = document.split(begin, 1)
    _, tail = rest.split(end, 1)
    path.write_text(f'{head}{begin}\n{text.strip()}\n\n{end}{tail}')


def measured(
    args: argparse.Namespace,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    section: Callable[[dict[str, Any]], str],
    name: str,
) -> int:
    """Measures on the threads asked for, then stores the record, writes its section and shows
    it; the exit code."""
    torch.set_num_threads(args.threads)
    record = measure(args)
    write(args.out, record)
    text = section(record)
    write_section(args.docs, name, text)
    print(text)
    return 0


def report(rows: list[dict[str, Any]], digits: int = 2) -> str:
    """The rows as a Markdown table."""
    frame = pd.DataFrame(rows)
    cells = [[_cell(value, digits) for value in row] for row in frame.itertuples(index=False)]
    lines = ['| ' + ' | '.join(map(str, frame.columns)) + ' |', '|---' * frame.shape[1] + '|']
    return '\n'.join(lines + ['| ' + ' | '.join(row) + ' |' for row in cells])


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return '–' if value != value else f'{value:,.{digits}f}'
    return f'{value:,}' if isinstance(value, int) else str(value)


def parser(description: str | None, out: str) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument('--threads', type=int, default=2, help='torch threads (default: 2)')
    made.add_argument('--out', type=Path, default=Path(out), help=f'JSON (default: {out})')
    made.add_argument('--docs', type=Path, help='document whose section to write again')
    return made
