"""Edits from files: the JSON of an edit, or a table of ids."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from graphrec.errors import FormatError
from graphrec.graphs.schema import INTERACTS, ITEM, QUERY, USER, is_integer_id, node_ids
from graphrec.unlearn.documents import from_json
from graphrec.unlearn.edits import (
    Edit,
    EditSet,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
    parts_of,
)
from graphrec.unlearn.removals import Id

COLUMNS = (USER, ITEM, QUERY, 'modality')
REMARK = 'why'


def edit_from_json(text: str) -> Edit:
    """The edit whose ``to_json()`` gave :obj:`text`.

    Raises:
        FormatError: If the text is no edit.
    """
    return EditSet(tuple(parts_of(from_json(text))))


def read_edit(path: str | Path, data: HeteroData | None = None) -> Edit:
    r"""Reads an edit from JSON (``.json``) or from a table (``.csv``) with a header. What
    a table removes follows from its columns:

    ============================  ====================================================
    columns                       removes
    ============================  ====================================================
    ``user``                      the users
    ``item``                      the items
    ``query``                     the queries
    ``user, item``                the interactions
    ``item, modality``            that modality of the item
    ============================  ====================================================

    In a table with all of several columns, an empty cell narrows the row to the others:
    a row of ``user,item`` with ``17,`` removes user 17, and ``,visual`` in
    ``item,modality`` the whole modality. A column ``why`` is for the reader alone; any other
    is refused, since a row may mean less than what the known columns say. An id that holds a
    comma or a quote stands in quotes, a quote in it twice: ``"12"" vinyl, red"``. Spaces around
    an id are dropped.

    Args:
        path: The file.
        data: The graph, whose ids say whether those of a table are integers or text;
            without it, a column of whole numbers (``3``, not ``03``) is taken for integers.

    Raises:
        FormatError: If the file is missing, empty, or no such table or document, or holds
            a column, an entry or a kind of node that is not known.
    """
    path = Path(path)
    text = _text(path)
    if path.suffix.lower() == '.json' or text.lstrip().startswith('{'):
        return EditSet(tuple(parts_of(from_json(text, f"'{path}'"))))
    rows = _rows(path, text)
    kinds = {c: _reader(c, (row[c] for row in rows if c in row), data, path) for c in COLUMNS[:3]}
    return EditSet(tuple(_row_edits(rows, kinds, path)))


def read_ids(path: str | Path, data: HeteroData, node_type: str) -> tuple[Id, ...]:
    """The ids of one node type in a file: one a line, or a table with a column named
    after the node type.

    A file whose first line names that column is a table, read as :func:`read_edit` reads one.
    Every line of any other file is an id as it stands, commas and quotes included; only the
    spaces around it are dropped.

    Raises:
        FormatError: If the file is missing or empty; if a line with a comma or a quote, which
            looks like a table, is no id of the graph; or if the first line is both a header
            and an id of the graph that no row names.
    """
    path = Path(path)
    text = _text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.split('\n'), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise FormatError(f"'{path}' holds no {node_type} ids; write one a line")
    known = set(node_ids(data, node_type).tolist()) if node_type in data.node_types else set()
    if _names(lines[0][1], node_type):
        ids = [row[node_type] for row in _table(path, text) if row[node_type]]
        if not ids:
            raise FormatError(f"'{path}' holds no {node_type} ids in its column {node_type!r}")
        if lines[0][1] in known and lines[0][1] not in ids:
            raise FormatError(
                f"'{path}' begins with {lines[0][1]!r}, which is a header and an id of this graph; "
                f'leave the line out if it is the header, or write a header {node_type!r} above '
                f'it if it is the id'
            )
    else:
        for number, line in lines:
            if (',' in line or '"' in line) and line not in known:
                raise FormatError(
                    f"'{path}' line {number} is {line!r}, which is no {node_type!r} of this graph "
                    f'as it stands; write one id a line, or a table with a column {node_type!r} '
                    f'in its header'
                )
        ids = [line for _, line in lines]
    return tuple(_reader(node_type, ids, data, path)(value) for value in ids)


def _names(line: str, column: str) -> bool:
    """Whether a line is a header that names a column."""
    try:
        return any(column in [cell.strip() for cell in row] for row in csv.reader([line]))
    except csv.Error:
        return False


def read_pairs(path: str | Path, data: HeteroData) -> tuple[tuple[Id, Id], ...]:
    """The pairs of a table with columns ``user`` and ``item``.

    Raises:
        FormatError: If the file is missing or empty, a column is missing, or a cell empty.
    """
    path = Path(path)
    table = _table(path, _text(path))
    for column in (USER, ITEM):
        if column not in table[0]:
            raise FormatError(
                f"'{path}' has the columns {list(table[0])}, but no {column!r}; pairs need "
                f"a header 'user,item'"
            )
    bad = next((n for n, row in enumerate(table, 2) if not row[USER] or not row[ITEM]), None)
    if bad is not None:
        raise FormatError(f"'{path}' line {bad} has an empty cell; give a user and an item")
    user = _reader(USER, (row[USER] for row in table), data, path)
    item = _reader(ITEM, (row[ITEM] for row in table), data, path)
    return tuple((user(row[USER]), item(row[ITEM])) for row in table)


def _text(path: Path) -> str:
    try:
        return path.read_text('utf-8-sig')
    except OSError as error:
        raise FormatError(f"'{path}' cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FormatError(f"'{path}' is no text file in UTF-8") from None


def _table(path: Path, text: str) -> list[dict[str, str]]:
    try:
        # Strict: what stands beside quotes would be put together to another id.
        table = [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), strict=True)
        ]
    except csv.Error as error:
        raise FormatError(f"'{path}' is no table that can be read ({error})") from None
    table = [row for row in table if row not in ([], [''])]
    if len(table) < 2:
        raise FormatError(f"'{path}' holds no rows under its header; there is nothing to forget")
    header = table[0]
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise FormatError(f"'{path}' has the column {twice[0]!r} twice; put its ids in one")
    for number, row in enumerate(table[1:], 2):
        if len(row) != len(header):
            raise FormatError(
                f"'{path}' line {number} has {len(row)} cells, its header has {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in table[1:]]


def _rows(path: Path, text: str) -> list[dict[str, str]]:
    rows = _table(path, text)
    given = [column for column in rows[0] if column in COLUMNS]
    unknown = [column for column in rows[0] if column not in (*COLUMNS, REMARK)]
    if given and unknown:
        raise FormatError(
            f"'{path}' has the columns {unknown}, which an edit does not know; it knows "
            f'{list(COLUMNS)}, and {REMARK!r} for remarks. Take out what says nothing about what '
            f'to forget, and write the rest in these'
        )
    allowed = ([USER], [ITEM], [QUERY], [ITEM, USER], [ITEM, 'modality'])
    if sorted(given) not in [sorted(columns) for columns in allowed]:
        raise FormatError(
            f"'{path}' has the columns {list(rows[0])}; an edit has 'user', 'item', 'query', "
            f"'user,item' or 'item,modality'"
        )
    return [{column: row[column] for column in given} for row in rows]


def _row_edits(
    rows: list[dict[str, str]], kinds: Mapping[str, Callable[[str], Id]], path: Path
) -> Iterable[Edit]:
    found: dict[str, list[Any]] = {'user': [], 'item': [], 'query': [], 'pair': []}
    modalities: dict[str, list[Id] | None] = {}
    for number, row in enumerate(rows, 2):
        ids = {c: kinds[c](row[c]) for c in (USER, ITEM, QUERY) if row.get(c)}
        if 'modality' in row:
            if not row['modality']:
                raise FormatError(f"'{path}' line {number} names no modality")
            held = modalities.setdefault(row['modality'], [])
            if ITEM not in ids:
                modalities[row['modality']] = None
            elif held is not None:
                held.append(ids[ITEM])
        elif not ids:
            raise FormatError(f"'{path}' line {number} is empty")
        elif len(ids) == 2:
            found['pair'].append((ids[USER], ids[ITEM]))
        else:
            found[next(iter(ids))] += ids.values()
    yield RemoveUsers(tuple(found['user']))
    yield RemoveItems(tuple(found['item']))
    yield RemoveQueries(tuple(found['query']))
    yield RemoveInteractions(tuple(found['pair']), INTERACTS)
    for name, items in modalities.items():
        yield RemoveModality(name, None if items is None else tuple(items))


def _reader(
    column: str, values: Iterable[str], data: HeteroData | None, path: Path
) -> Callable[[str], Id]:
    """How the text of a cell becomes an id."""
    given = [value for value in values if value]
    whole = all(is_integer_id(value) for value in given)
    integers = whole
    if data is not None and column in data.node_types:
        integers = node_ids(data, column).dtype.kind in 'iu'
    if integers and not whole:
        bad = next(value for value in given if not is_integer_id(value))
        raise FormatError(
            f"'{path}' holds the {column} {bad!r}, but ids are integers in this graph, written as "
            f'17 or -3'
        )
    return int if integers else str
