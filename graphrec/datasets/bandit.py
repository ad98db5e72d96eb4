"""Folders of logged slate positions: ``<campaign>_<policy>.csv.gz``."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import find_table, read_table
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.columns import as_tensor, node_columns, parse_time
from graphrec.graphs.ids import clean_ids, node_numbers
from graphrec.graphs.schema import ITEM, EdgeType

IMPRESSION = 'impression'
SHOWS: EdgeType = (IMPRESSION, 'shows', ITEM)
POLICIES = ('random', 'bts')
COLUMNS = ('timestamp', 'item', 'position', 'click', 'propensity')


def campaigns(folder: Path) -> list[str]:
    """Names of the campaigns that the folder holds logs of."""
    found = {
        path.name.removesuffix(f'_{policy}{suffix}')
        for policy in POLICIES
        for suffix in ('.csv', '.csv.gz', '.parquet')
        for path in folder.glob(f'*_{policy}{suffix}')
    }
    return sorted(found)


def read_bandit(folder: Path, domain: str | None = None) -> HeteroData:
    r"""Each logged row is an ``impression`` node with one edge ``('impression', 'shows',
    'item')``, stored in the same order, that has ``position``, ``click``,
    ``propensity`` and ``time`` (seconds since 1970). Impressions have ``campaign``,
    ``policy`` and the other columns of the log.

    Args:
        folder: The data set.
        domain: One campaign; its item ids stay as they are. By default all are read,
            as disjoint parts with ids such as ``'men/3'``.

    Raises:
        FormatError: If a file is damaged or lacks a column.
        GraphError: If the campaign is unknown or a log names an unknown item.
    """
    known = campaigns(folder)
    if domain is not None and domain not in known:
        raise GraphError(f"'domain' is {domain!r}, but '{folder}' holds {known}")
    logs, items = [], []
    for campaign in known if domain is None else [domain]:
        path = find_table(folder, f'{campaign}_items')
        if path is None:
            raise FormatError(f"'{folder}' has logs of {campaign!r} but no '{campaign}_items.csv'")
        table = read_table(path, ['item'])
        items.append(_prefixed(table, campaign, domain))
        for policy in POLICIES:
            path = find_table(folder, f'{campaign}_{policy}')
            if path is not None:
                log = read_table(path, COLUMNS, text=['affinity'])
                logs.append(
                    _prefixed(log.assign(campaign=campaign, policy=policy), campaign, domain)
                )
    return _graph(folder, pd.concat(items, ignore_index=True), pd.concat(logs, ignore_index=True))


def _prefixed(table: pd.DataFrame, campaign: str, domain: str | None) -> pd.DataFrame:
    if domain is not None:
        return table
    return table.assign(item=f'{campaign}/' + table['item'].astype(str))


def _graph(folder: Path, items: pd.DataFrame, logs: pd.DataFrame) -> HeteroData:
    data = HeteroData()
    data.name = folder.name
    data.repairs = {}
    table_ids, _ = clean_ids(items['item'], "'item' of the items table")
    ids = np.sort(table_ids)
    shown, _ = clean_ids(logs['item'], "'item' of the logs")
    item = node_numbers(ids, shown)
    if (item < 0).any():
        raise GraphError(
            f"'{folder}': a log names the item {shown[item < 0].tolist()[0]!r}, "
            f'which the items table does not have'
        )
    data[ITEM].num_nodes = len(ids)
    data[ITEM].id = ids
    rows = np.argsort(table_ids)
    for name, values in node_columns(items, 'item', rows).items():
        data[ITEM][name] = values
    data[IMPRESSION].num_nodes = len(logs)
    data[IMPRESSION].id = np.arange(len(logs))
    everyone = np.arange(len(logs))
    for name, values in node_columns(logs.drop(columns=list(COLUMNS)), '', everyone).items():
        data[IMPRESSION][name] = values
    data[SHOWS].edge_index = torch.from_numpy(np.stack([everyone, item]))
    for name in ('position', 'click', 'propensity'):
        data[SHOWS][name] = as_tensor(logs[name])
    data[SHOWS].time = torch.from_numpy(
        np.array(parse_time(logs['timestamp'], "'timestamp' of the logs"))
    )
    return data
