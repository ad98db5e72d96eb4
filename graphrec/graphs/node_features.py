"""Item features of every modality: rows brought into node order and checked."""

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.ids import node_numbers
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX

CODE_PREFIX = 'code_'


def row_nodes(ids: np.ndarray, table_ids: np.ndarray | None, rows: int, what: str) -> np.ndarray:
    r"""Node number (int64) of each of :obj:`rows` feature rows. With integer ids, row
    :math:`i` belongs to item :math:`i`; with string ids, or where the largest id lies
    beyond the rows, the rows follow the items table.

    Args:
        ids: Ids of all item nodes.
        table_ids: Ids of the items table in its order, None without a table.
        rows: Number of feature rows.
        what: How an error names the feature.

    Raises:
        GraphError: If there are fewer rows than items, or rows without an item.
    """
    if ids.dtype.kind == 'i' and len(ids) and ids[0] >= 0 and ids[-1] < rows:
        nodes = node_numbers(ids, np.arange(rows))
    elif table_ids is None:
        if ids.dtype.kind == 'i':
            raise GraphError(
                f'{what} has {rows} rows for {len(ids)} items (largest id {int(ids[-1])}); row i '
                f'belongs to item i: give a row for every id, or an items table in row order'
            )
        raise GraphError(
            f'{what} has {rows} rows, but item ids are strings and there is no items table; '
            f'give items=, one row an item in the order of the feature rows'
        )
    elif len(table_ids) != rows:
        raise GraphError(
            f'{what} has {rows} rows for {len(table_ids)} items of the items table; give one '
            f'row an item, in the order of the table'
        )
    else:
        nodes = node_numbers(ids, table_ids)
    if len(pd.unique(nodes)) < len(ids):
        absent = np.setdiff1d(np.arange(len(ids)), nodes)
        raise GraphError(
            f'{what} has {rows} rows for {len(ids)} items ({len(absent)} items have none, first '
            f'one: {ids[absent].tolist()[0]!r}); give every item a row, of zeros if missing'
        )
    return nodes


def add_feature(
    data: HeteroData,
    name: str,
    values: np.ndarray,
    table_ids: np.ndarray | None = None,
    repair: bool = False,
) -> None:
    r"""Adds a modality to :obj:`data` in place: floats as ``x_<name>`` (float32) with
    ``has_<name>`` False for rows of zeros, integers as ``code_<name>`` (int64).

    Args:
        data: A graph whose items have ids.
        name: Name of the modality.
        values: Rows :math:`(n, d)`; see :func:`row_nodes` for whose they are.
        table_ids: Ids of the items table in its order.
        repair: Whether rows with NaN or infinity are set to zero, counted in
            ``data.repairs['features_<name>']``, instead of refused.
    """
    what = f'feature {name!r}'
    if values.ndim != 2 or values.dtype.kind not in 'fiub':
        raise GraphError(
            f'{what} has shape {list(values.shape)} and type {values.dtype}, expected numbers '
            f'of shape [items, d]'
        )
    ids = np.asarray(data[ITEM].id)
    order = np.empty(len(values), dtype=np.int64)
    order[row_nodes(ids, table_ids, len(values), what)] = np.arange(len(values))
    if values.dtype.kind in 'iu':
        data[ITEM][f'{CODE_PREFIX}{name}'] = torch.from_numpy(values[order].astype(np.int64))
        return
    with np.errstate(over='ignore'):
        rows = values[order].astype(np.float32)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = int((~finite).sum())
        if not repair:
            raise GraphError(
                f'{what} holds NaN or infinite values in {bad} of {len(rows)} rows (first one: '
                f'item {ids[~finite].tolist()[0]!r}); clean them, or have these rows counted as '
                f"missing by repair_features=True (on the command line '--load "
                f"repair_features=true')"
            )
        rows[~finite] = 0
        data.repairs[f'features_{name}'] = bad
    present = rows.any(axis=1)
    data[ITEM][f'{FEATURE_PREFIX}{name}'] = torch.from_numpy(rows)
    data[ITEM][f'{PRESENT_PREFIX}{name}'] = torch.from_numpy(present)
