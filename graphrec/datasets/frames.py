"""Graphs from what is in memory already: a DataFrame, a scipy sparse matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.interactions import from_tables


def from_frame(
    frame: pd.DataFrame, *, user: str = 'user', item: str = 'item', **kwargs: Any
) -> HeteroData:
    r"""The graph of a table with one row an interaction.

    Args:
        frame: The table; ids may be integers or strings.
        user, item: Names of the id columns.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`,
            such as ``split='fold'``, ``time='when'``, ``how='leave_one_out'``.

    Raises:
        GraphError: If a column is missing or holds what is no id.
    """
    return from_tables(frame, user=user, item=item, **kwargs)


def from_scipy(
    matrix: Any,
    *,
    valid: Any = None,
    test: Any = None,
    user_ids: Sequence[Any] | None = None,
    item_ids: Sequence[Any] | None = None,
    **kwargs: Any,
) -> HeteroData:
    r"""The graph of sparse matrices, users in rows and items in columns.

    Every row and column is a node, empty ones too. Stored zeros are dropped and
    counted in ``data.repairs['explicit_zeros']``. Values other than 1 become the edge
    attribute ``rating``.

    Args:
        matrix: Training interactions, a scipy sparse matrix or array.
        valid, test: Held-out interactions, same shape.
        user_ids, item_ids: Original ids of the rows and columns, default their numbers.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`.

    Raises:
        GraphError: If a matrix is not sparse, shapes or ids do not match, or a value is
            NaN or infinite.
    """
    given = {'train': ('matrix', matrix), 'valid': ('valid', valid), 'test': ('test', test)}
    parts = {split: part for split, part in given.items() if part[1] is not None}
    tables, zeros = [], 0
    for split, (name, value) in parts.items():
        if not scipy.sparse.issparse(value):
            raise GraphError(
                f"'{name}' needs to be a scipy sparse matrix (got {type(value).__name__}); wrap "
                f'it, e.g. scipy.sparse.csr_array(...)'
            )
        if value.shape != parts['train'][1].shape:
            raise GraphError(
                f"'{name}' has shape {value.shape}, expected {parts['train'][1].shape} as 'matrix'"
            )
        coo = value.tocoo()
        weight = np.asarray(coo.data)
        if weight.dtype.kind not in 'biuf' or not np.isfinite(weight).all():
            raise GraphError(f"'{name}' holds NaN, infinite or complex values; clean them first")
        keep = weight != 0
        zeros += int((~keep).sum())
        table = pd.DataFrame({'user': coo.row[keep], 'item': coo.col[keep], 'split': split})
        tables.append(table.assign(rating=weight[keep].astype(np.float32)))
    frame = pd.concat(tables, ignore_index=True)
    if len(frame) == 0:
        raise GraphError(f"'matrix' of shape {matrix.shape} has no entries; give at least one")
    if (frame['rating'] == 1).all():
        frame = frame.drop(columns='rating')
    num_users, num_items = matrix.shape
    rows = _ids('user_ids', user_ids, num_users)
    columns = _ids('item_ids', item_ids, num_items)
    frame['user'] = rows[frame['user'].to_numpy()]
    frame['item'] = columns[frame['item'].to_numpy()]
    data = from_tables(
        frame,
        users=pd.DataFrame({'user': rows}),
        items=pd.DataFrame({'item': columns}),
        **kwargs,
    )
    if zeros:
        data.repairs['explicit_zeros'] = zeros
    return data


def _ids(name: str, ids: Sequence[Any] | None, count: int) -> np.ndarray:
    if ids is None:
        return np.arange(count)
    values = np.asarray(ids)
    if values.shape != (count,):
        raise GraphError(f"'{name}' has shape {values.shape}, expected {count} ids")
    if values.dtype.kind == 'U':
        values = values.astype(object)
    if pd.Index(values).has_duplicates:
        twice = pd.Index(values)[pd.Index(values).duplicated()][0]
        raise GraphError(f"'{name}' holds {twice!r} twice; ids must be unique")
    return values
