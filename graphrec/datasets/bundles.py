"""Folders of users, sessions and bundles: ``<domain>_user_bundle.csv.gz`` and its kin."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import find_table, read_table
from graphrec.errors import FormatError, GraphError
from graphrec.graphs import splits
from graphrec.graphs.columns import parse_time
from graphrec.graphs.ids import clean_ids, node_numbers, united
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.schema import ITEM, SESSION, USER, EdgeType

BUNDLE = 'bundle'
EDGES: dict[str, EdgeType] = {
    'user_bundle': (USER, 'makes', BUNDLE),
    'user_session': (USER, 'opens', SESSION),
    'session_item': (SESSION, 'contains', ITEM),
    'session_bundle': (SESSION, 'holds', BUNDLE),
    'bundle_item': (BUNDLE, 'contains', ITEM),
}
NODES = (USER, ITEM, SESSION, BUNDLE)


def domains(folder: Path) -> list[str]:
    """Names of the domains that the folder holds."""
    return sorted({path.name.split('_user_bundle.')[0] for path in folder.glob('*_user_bundle.*')})


def read_bundles(
    folder: Path,
    domain: str | None = None,
    how: str | None = None,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: splits.Seed = 0,
) -> HeteroData:
    r"""User-item edges plus ``session`` and ``bundle`` nodes with ``('user', 'makes',
    'bundle')``, ``('user', 'opens', 'session')``, ``('session', 'contains', 'item')``,
    ``('session', 'holds', 'bundle')`` and ``('bundle', 'contains', 'item')``;
    ``data['bundle'].intent`` is the intent in words.

    Args:
        folder: The data set.
        domain: One domain; its ids stay as they are. By default all are read, as
            disjoint parts with ids such as ``'food/12'``.
        how, ratios, seed: A split of the user-item edges; none by default.

    Raises:
        FormatError: If a file is missing, damaged or lacks a column.
        GraphError: If the domain is unknown.
    """
    known = domains(folder)
    if domain is not None and domain not in known:
        raise GraphError(f"'domain' is {domain!r}, but '{folder}' holds {known}")
    chosen = known if domain is None else [domain]
    read = {
        stem: pd.concat(
            [_prefixed(_read(folder, f'{d}_{stem}'), d, domain) for d in chosen],
            ignore_index=True,
        )
        for stem in ('user_item', 'items', 'bundle_intent', *EDGES)
    }
    found = {
        node_type: united(
            clean_ids(table[node_type], f'{node_type!r} of {stem}')[0]
            for stem, table in read.items()
            if node_type in table
        )
        for node_type in NODES
    }
    items = read['items'].set_index('item').reindex(found[ITEM]).rename_axis('item').reset_index()
    data = from_tables(
        read['user_item'],
        users=pd.DataFrame({'user': found[USER]}),
        items=items,
        how=how,
        ratios=ratios,
        seed=seed,
        name=folder.name if domain is None else f'{folder.name}/{domain}',
    )
    for node_type in (SESSION, BUNDLE):
        data[node_type].id = found[node_type]
        data[node_type].num_nodes = len(found[node_type])
    intent = np.full(len(found[BUNDLE]), None, dtype=object)
    named = read['bundle_intent']
    texts = named['intent'].astype(object).where(named['intent'].notna(), None)
    intent[node_numbers(found[BUNDLE], named[BUNDLE].to_numpy())] = texts.to_numpy(dtype=object)
    data[BUNDLE].intent = intent
    for stem, edge_type in EDGES.items():
        _add_edges(data, read[stem], stem, edge_type)
    return data


def _read(folder: Path, stem: str) -> pd.DataFrame:
    path = find_table(folder, stem)
    if path is None:
        raise FormatError(f"'{folder}' lacks '{stem}.csv.gz'")
    kind = stem.split('_', 1)[1]
    columns = {'items': ['item'], 'bundle_intent': ['bundle', 'intent']}
    return read_table(path, columns.get(kind, kind.split('_')))


def _prefixed(table: pd.DataFrame, name: str, domain: str | None) -> pd.DataFrame:
    if domain is not None:
        return table
    ids = [c for c in table.columns if c in NODES]
    return table.assign(**{c: f'{name}/' + table[c].astype(str) for c in ids})


def _add_edges(data: HeteroData, table: pd.DataFrame, stem: str, edge_type: EdgeType) -> None:
    src, _, dst = edge_type
    ends = [node_numbers(np.asarray(data[t].id), table[t].to_numpy()) for t in (src, dst)]
    data[edge_type].edge_index = torch.from_numpy(np.stack(ends))
    if 'timestamp' in table:
        seconds = parse_time(table['timestamp'], f"'timestamp' of {stem}")
        data[edge_type].time = torch.from_numpy(np.array(seconds))
