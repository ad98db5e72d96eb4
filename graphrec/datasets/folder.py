"""The package's own layout on disk: one folder a data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.datasets.auctions import read_auctions
from graphrec.datasets.bandit import campaigns, read_bandit
from graphrec.datasets.bundles import domains, read_bundles
from graphrec.datasets.folder_writing import write_folder
from graphrec.datasets.graph_parts import FILE_NAME, decoded, unpack
from graphrec.datasets.outfits import read_outfits
from graphrec.datasets.sessions import read_sessions
from graphrec.datasets.side_tables import add_neighbours, add_side_tables, add_words
from graphrec.datasets.tables import (
    find_table,
    read_archive,
    read_array,
    read_table,
    require_folder,
)
from graphrec.errors import FormatError, GraphError
from graphrec.graphs import splits
from graphrec.graphs.ids import clean_ids, node_numbers
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.node_features import add_feature
from graphrec.graphs.schema import ITEM, USER

__all__ = ['is_folder', 'layout', 'read_folder', 'write_folder']

LOOKED_FOR = (
    'interactions.csv, .csv.gz or .parquet',
    'sessions.npz',
    'outfits.npz',
    'auctions.npz',
    '<domain>_user_bundle.csv.gz',
    '<campaign>_random.csv.gz',
    FILE_NAME,
)

_IDS = [[f'node/{t}', 'id'] for t in (USER, ITEM)]


def layout(folder: Path) -> str | None:
    """Which of the package's layouts a folder has, None if none of them."""
    if find_table(folder, 'interactions') is not None:
        return 'interactions'
    for name in ('sessions', 'outfits', 'auctions'):
        if (folder / f'{name}.npz').is_file():
            return name
    if domains(folder):
        return 'bundles'
    if campaigns(folder):
        return 'bandit'
    return 'parts' if (folder / FILE_NAME).is_file() else None


def is_folder(path: str | Path) -> bool:
    """Whether :func:`read_folder` knows the layout of the folder."""
    return layout(require_folder(path)) is not None


def read_folder(
    path: str | Path,
    *,
    how: str | None = None,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: splits.Seed = 0,
    min_rating: float | None = None,
    target_behavior: str | None = None,
    domain: str | None = None,
    modalities: list[str] | None = None,
    repair_features: bool = False,
    id_type: type | None = None,
    user: str = 'user',
    item: str = 'item',
    **columns: str,
) -> HeteroData:
    r"""Reads a data set folder.

    Every table may be ``.csv``, ``.csv.gz`` or ``.parquet``. ``interactions`` is
    required; ``users``, ``items``, ``queries``, ``triplets`` and the tables of
    :func:`graphrec.datasets.side_tables.add_side_tables` are read where they are, and so
    are ``item_<modality>.npy`` (features), ``item_<modality>_codes.npy``,
    ``item_<modality>_knn.npz`` and ``item_words.npz``. Folders of sessions, outfits,
    auctions, bundles and bandit logs are known by their files.

    Args:
        path: The folder.
        how, ratios, seed: Makes a split in place of that in the file, see
            :func:`graphrec.graphs.splits.split`.
        min_rating, target_behavior, repair_features: See
            :func:`graphrec.graphs.interactions.from_tables`.
        domain: One part of a folder that holds several (bundles, bandit logs).
        modalities: Names of the item modalities to read; all by default.
        id_type: ``str`` to read ids as strings, whatever they look like; ``int`` to read
            ``007`` as 7. By default ids are integers only if no character is lost by it:
            one ``007`` makes all ids of its column strings.
        user, item, **columns: Names of the columns, ``split=``, ``time=``,
            ``rating=``, ``behavior=`` and ``query=`` as in ``from_tables``.

    Raises:
        FormatError: If a file is missing, unreadable, half-written, empty or lacks a
            column.
        GraphError: If the tables do not fit together.
    """
    folder = require_folder(path)
    kind = layout(folder)
    if kind is None:
        raise FormatError(
            f"'{folder}' holds no data set (looked for {', '.join(LOOKED_FOR)}; it holds "
            f'{sorted(p.name for p in folder.iterdir())[:10]})'
        )
    if domain is not None and kind not in ('bundles', 'bandit'):
        raise GraphError(f"'domain' is {domain!r}, but '{folder}' holds a single data set")
    made: dict[str, Any] = {'how': how, 'ratios': ratios, 'seed': seed}
    table_options: dict[str, Any] = {
        'min_rating': min_rating,
        'target_behavior': target_behavior,
        'modalities': modalities,
        'id_type': id_type,
        **columns,
    }
    if kind == 'interactions':
        return _read_interactions(
            folder, user, item, repair_features=repair_features, **made, **table_options
        )
    _refuse(folder, table_options if kind == 'bundles' else {'how': how, **table_options})
    if kind == 'bundles':
        return read_bundles(folder, domain, **made)
    if kind == 'bandit':
        return read_bandit(folder, domain)
    if kind == 'parts':
        data = HeteroData()
        unpack(data, read_archive(folder / FILE_NAME), {})
        return data
    readers = {'sessions': read_sessions, 'outfits': read_outfits, 'auctions': read_auctions}
    return readers[kind](folder)


def _refuse(folder: Path, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise GraphError(
                f"'{name}' (got {value!r}) does not apply to '{folder}', which has no table of "
                f'interactions; leave it out'
            )


def _read_interactions(
    folder: Path,
    user: str,
    item: str,
    modalities: list[str] | None,
    id_type: type | None,
    **options: Any,
) -> HeteroData:
    if id_type not in (None, str, int):
        raise GraphError(f"'id_type' must be str, int or None (got {id_type!r})")
    parts = read_archive(folder / FILE_NAME) if (folder / FILE_NAME).is_file() else {}
    packed = {user: _packed_ids(parts, USER), item: _packed_ids(parts, ITEM)}
    strings = [name for name, ids in packed.items() if ids is not None and ids.dtype == object]
    text = (user, item) if id_type is str else tuple(strings)
    path = find_table(folder, 'interactions')
    assert path is not None  # The layout was found by it.
    exact = () if id_type is int else (user, item)
    interactions = read_table(path, (user, item), text=text, ids=exact)
    sides = {}
    for stem, column in (('users', user), ('items', item)):
        side = find_table(folder, stem)
        if side is not None:
            sides[stem] = read_table(side, (column,), text=text, exact=True)
    query = options.get('query', 'query')
    events, query_texts = _read_queries(folder, user, item, query, id_type)
    floats, codes, neighbours = _item_files(folder, modalities)
    features = {name: read_array(file) for name, file in floats.items()}
    code_rows = {name: read_array(file) for name, file in codes.items()}

    data = from_tables(
        interactions,
        users=sides.get('users'),
        items=sides.get('items'),
        queries=events,
        query_texts=query_texts,
        features=features,
        user=user,
        item=item,
        num_items=_catalogue(folder, interactions[item], code_rows, neighbours),
        name=folder.name,
        **options,
    )
    table_ids = None
    if 'items' in sides:
        table_ids = clean_ids(sides['items'][item], f"{item!r} of '{folder.name}/items'")[0]
    for name, values in code_rows.items():
        add_feature(data, name, values, table_ids)
    for name, file in neighbours.items():
        add_neighbours(data, file, name, table_ids)
    if (folder / 'item_words.npz').is_file():
        add_words(data, folder, table_ids)
    add_side_tables(data, folder, id_type)
    _add_parts(data, parts)
    return data


def _item_files(
    folder: Path, modalities: list[str] | None
) -> tuple[dict[str, Path], dict[str, Path], dict[str, Path]]:
    floats, codes, neighbours = {}, {}, {}
    for file in sorted(folder.glob('item_*.npy')):
        name = file.stem.removeprefix('item_')
        if name.endswith('_codes'):
            codes[name.removesuffix('_codes')] = file
        else:
            floats[name] = file
    for file in sorted(folder.glob('item_*_knn.npz')):
        neighbours[file.stem.removeprefix('item_').removesuffix('_knn')] = file
    if modalities is None:
        return floats, codes, neighbours
    known = sorted({*floats, *codes, *neighbours})
    unknown = [name for name in modalities if name not in known]
    if unknown:
        raise GraphError(f"'modalities' names {unknown[0]!r}, but '{folder}' holds {known}")
    return (
        {k: v for k, v in floats.items() if k in modalities},
        {k: v for k, v in codes.items() if k in modalities},
        {k: v for k, v in neighbours.items() if k in modalities},
    )


def _catalogue(
    folder: Path, ids: pd.Series, codes: dict[str, np.ndarray], neighbours: dict[str, Path]
) -> int | None:
    """How many items the row-wise files hold, where rows are numbered by integer ids."""
    rows = [len(values) for values in codes.values()]
    rows += [len(read_archive(file, ('index',))['index']) for file in neighbours.values()]
    if (folder / 'item_words.npz').is_file():
        rows.append(len(read_archive(folder / 'item_words.npz', ('indptr',))['indptr']) - 1)
    if not rows or ids.dtype.kind not in 'iu' or ids.min() < 0 or ids.max() >= max(rows):
        return None
    return max(rows)


def _read_queries(
    folder: Path, user: str, item: str, query: str, id_type: type | None
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    ids = (user, item, query) if id_type is str else ()
    exact = () if id_type is int else (user, item, query)
    triplets = find_table(folder, 'triplets')
    queries = find_table(folder, 'queries')
    if triplets is not None:
        events = read_table(triplets, (user, item, query), text=ids, ids=exact)
        if 'date' in events and 'timestamp' not in events:
            events = events.rename(columns={'date': 'timestamp'})
        if queries is None:
            return events, None
        return events, read_table(queries, (query, 'text'), text=('text', *ids), exact=True)
    if queries is None:
        return None, None
    return read_table(queries, (user, item, query), text=(query, *ids), ids=exact), None


def _packed_ids(parts: dict[str, np.ndarray], node_type: str) -> np.ndarray | None:
    """The ids of a node type in the order that the parts number them."""
    for kind in ('array', 'objects'):
        if f'node/{node_type}|id|{kind}' in parts:
            return decoded(parts[f'node/{node_type}|id|{kind}'], kind)
    return None


def _add_parts(data: HeteroData, parts: dict[str, np.ndarray]) -> None:
    numbers = {}
    for node_type in (USER, ITEM):
        ids = _packed_ids(parts, node_type)
        if ids is not None:
            numbers[node_type] = node_numbers(np.asarray(data[node_type].id), ids)
    rest = {key: v for key, v in parts.items() if key.split('|')[:2] not in _IDS}
    unpack(data, rest, numbers)
