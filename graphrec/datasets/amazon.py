"""Amazon reviews as their owners distribute them: 2014 (JSON lines), 2023 (CSV)."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.sources import RECORD
from graphrec.datasets.text import at_line, numbers, read_lines, read_separated, require_file
from graphrec.errors import FormatError
from graphrec.graphs.interactions import from_tables

_KEYS = {
    'reviewerID': 'user', 'asin': 'item', 'overall': 'rating', 'unixReviewTime': 'timestamp',
}  # fmt: skip
_CSV = {
    'user_id': 'user', 'parent_asin': 'item', 'rating': 'rating', 'timestamp': 'timestamp',
}  # fmt: skip
_ENDINGS = ('.json', '.json.gz', '.csv', '.csv.gz')


def read_amazon(path: str | Path, **kwargs: Any) -> HeteroData:
    r"""Reads the reviews of one category.

    The files of 2014, ``reviews_<Category>_5.json.gz``, have a JSON object a line with
    ``reviewerID``, ``asin``, ``overall`` and ``unixReviewTime``; those of 2023,
    ``<Category>.csv.gz``, have the columns ``user_id``, ``parent_asin``, ``rating``
    and ``timestamp`` in milliseconds (turned into seconds). There is no split in these
    files: pass ``how='leave_one_out'`` and so on, or all are training edges.

    Args:
        path: The file, or a folder that holds only one.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        FormatError: If the file is missing or malformed; it names the file and line.
    """
    file = Path(path)
    if file.is_dir():
        there = [f for f in file.iterdir() if f.name != RECORD]
        found = sorted(f for f in there if f.name.endswith(_ENDINGS))
        if len(found) != 1:
            raise FormatError(
                f"'{file}' holds {[f.name for f in found]}, expected one file of reviews; give "
                f'the path of the file itself'
            )
        file = found[0]
    require_file(file, 'a file of Amazon reviews')
    kwargs.setdefault('name', file.name.split('.')[0])
    is_csv = file.name.removesuffix('.gz').endswith('.csv')
    return from_tables(_read_csv(file) if is_csv else _read_json_lines(file), **kwargs)


def _read_json_lines(path: Path) -> pd.DataFrame:
    rows = [_review(line, path, number) for number, line in enumerate(read_lines(path), start=1)]
    table = pd.DataFrame(rows, columns=list(_KEYS.values()))
    return table.assign(**{c: numbers(table, c, path, 1) for c in ('rating', 'timestamp')})


def _review(line: str, path: Path, number: int) -> list[Any]:
    try:
        review = json.loads(line)
    except json.JSONDecodeError as error:
        raise FormatError(f'{at_line(path, number)} is no JSON ({error.msg})') from None
    missing = [key for key in _KEYS if not isinstance(review, dict) or key not in review]
    if missing:
        raise FormatError(f'{at_line(path, number)} has no {missing[0]!r}, as each review should')
    return [review[key] for key in _KEYS]


def _read_csv(path: Path) -> pd.DataFrame:
    table = read_separated(path, ',')
    missing = [column for column in _CSV if column not in table.columns]
    if missing:
        raise FormatError(
            f'{at_line(path, 1)} has no column {missing[0]!r} (got {list(table.columns)})'
        )
    table = table[list(_CSV)].rename(columns=_CSV)
    table['rating'] = numbers(table, 'rating', path, 2)
    table['timestamp'] = numbers(table, 'timestamp', path, 2) / 1000
    return table
