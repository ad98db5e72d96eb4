"""Builds the graph from tables of interactions, users, items and queries."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs import splits
from graphrec.graphs.columns import node_columns, parse_time, require_columns
from graphrec.graphs.ids import clean_ids, node_numbers, require_same_kind, united
from graphrec.graphs.interaction_edges import COLUMN_NAMES, add_interactions, split_labels
from graphrec.graphs.node_features import add_feature
from graphrec.graphs.schema import ITEM, QUERY, USER
from graphrec.graphs.search import add_events, pair_labels


def from_tables(
    interactions: pd.DataFrame,
    *,
    users: pd.DataFrame | None = None,
    items: pd.DataFrame | None = None,
    queries: pd.DataFrame | None = None,
    query_texts: pd.DataFrame | None = None,
    features: Mapping[str, np.ndarray] | None = None,
    user: str = 'user',
    item: str = 'item',
    split: str = 'split',
    time: str = 'timestamp',
    rating: str = 'rating',
    behavior: str = 'behavior',
    query: str = 'query',
    how: str | None = None,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: splits.Seed = 0,
    min_rating: float | None = None,
    target_behavior: str | None = None,
    repair_features: bool = False,
    num_users: int | None = None,
    num_items: int | None = None,
    name: str = '',
) -> HeteroData:
    r"""The graph of a table of interactions, one row an interaction.

    Nodes are all users and items that any table names; ids (integers or strings) are
    kept in ``data['user'].id`` and ``data['item'].id``, sorted. Rows labelled
    ``train`` become ``('user', 'interacts', 'item')``, rows of another split
    ``('user', 'holdout_<split>', 'item')``. Numeric columns become edge attributes:
    the time column ``time``, the rating ``rating``, others under their own name.

    A pair that repeats within a split is kept once, the earliest by time (without
    time, the first row); a held-out pair that is also in training is dropped there;
    one in validation and test stays in validation. All are counted in
    ``data.repairs``.

    Args:
        interactions: The table.
        users, items: Tables with one row an id; their other columns become arrays
            such as ``data['item'].title``, one entry a node, None where unknown.
        queries: Search events, columns user, item and query, optionally time and
            split; without a split an event follows the split of its pair.
        query_texts: Table of the queries: the query column and ``text``. Without it
            the queries are texts themselves.
        features: Rows of item features by modality; floats become ``x_<name>``,
            integers ``code_<name>``. Row :math:`i` belongs to item :math:`i`, or, with
            string ids, to row :math:`i` of :obj:`items`. Rows beyond the ids of the
            tables are items too (new ones, to be recommended), counted in
            ``data.repairs['items_known_by_features_alone']``.
        user, item, split, time, rating, behavior, query: Names of the columns; a
            split, time, rating or behaviour column under its default name is optional.
        how: Makes a split (see :func:`graphrec.graphs.splits.split`) in place of a
            split column; None keeps the column, or without one trains on all rows.
        ratios, seed: Passed on to the split.
        min_rating: Drops rows with a lower rating, counted in
            ``data.repairs['below_min_rating']``; their users and items stay as nodes.
        target_behavior: The behaviour to recommend; others become edge types of their
            own, e.g. ``('user', 'views', 'item')``. Default: the only one held out.
        repair_features: Whether feature rows with NaN count as missing (see
            :func:`graphrec.graphs.node_features.add_feature`).
        num_users, num_items: With integer ids, ids below this number are nodes even
            where no table names them.
        name: Name of the data set.

    Raises:
        GraphError: If a column is missing, ids or features are unusable, the table is
            empty or no row is for training.
    """
    if not isinstance(interactions, pd.DataFrame):
        raise GraphError(
            f"'interactions' must be a pandas DataFrame (got {type(interactions).__name__})"
        )
    given = {'split': split, 'time': time, 'rating': rating, 'behavior': behavior}
    wanted = [user, item] + [v for k, v in given.items() if v != COLUMN_NAMES[k]]
    require_columns(interactions, wanted, "'interactions'")
    if len(interactions) == 0:
        raise GraphError("'interactions' has no rows; give at least one interaction")

    data = HeteroData()
    data.name = name
    data.repairs = {}
    ends: dict[str, np.ndarray] = {}
    tables = {USER: users, ITEM: items}
    table_ids: dict[str, np.ndarray | None] = {}
    event_ids: dict[str, np.ndarray] = {}
    least = {USER: num_users, ITEM: num_items}
    for node_type, column in ((USER, user), (ITEM, item)):
        ends[node_type] = _ids(data, interactions, column, 'the interactions')
        side = tables[node_type]
        table_ids[node_type] = (
            None if side is None else _table_ids(data, side, column, f"'{node_type}s'")
        )
        if queries is not None:
            require_columns(queries, [column], "'queries'")
            event_ids[node_type] = _ids(data, queries, column, 'the queries')
        rows = [len(f) for f in (features or {}).values()] if node_type == ITEM else []
        _add_nodes(
            data,
            node_type,
            ends[node_type],
            {
                f'{column!r} of the {node_type}s table': table_ids[node_type],
                f'{column!r} of the queries': event_ids.get(node_type),
            },
            least[node_type],
            rows,
            column,
        )
        if side is not None:
            position = table_rows(data, node_type, table_ids[node_type])
            for key, values in node_columns(side, column, position).items():
                data[node_type][key] = values

    for modality, values in (features or {}).items():
        add_feature(data, modality, np.asarray(values), table_ids[ITEM], repair_features)
    columns = given if how is None else given | {'split': ''}
    add_interactions(data, interactions, ends, (user, item), columns, min_rating, target_behavior)
    if how is not None:
        data = splits.split(data, how=how, ratios=ratios, seed=seed)
    if queries is not None:
        _add_queries(data, queries, event_ids, query_texts, query, columns)
    return data


def table_rows(data: HeteroData, node_type: str, table_ids: np.ndarray | None) -> np.ndarray:
    """Row of the table for each node, -1 for a node without one."""
    ids = np.asarray(data[node_type].id)
    position = np.full(len(ids), -1, dtype=np.int64)
    if table_ids is not None:
        position[node_numbers(ids, table_ids)] = np.arange(len(table_ids))
    return position


def _ids(data: HeteroData, table: pd.DataFrame, column: str, where: str) -> np.ndarray:
    ids, repaired = clean_ids(table[column], f'{column!r} of {where}')
    if repaired:
        data.repairs['whole_float_ids'] = data.repairs.get('whole_float_ids', 0) + repaired
    return ids


def _table_ids(data: HeteroData, table: pd.DataFrame, column: str, what: str) -> np.ndarray:
    require_columns(table, [column], what)
    ids = _ids(data, table, column, f'the table {what}')
    twice = pd.Index(ids).duplicated()
    if twice.any():
        raise GraphError(
            f'{column!r} of the table {what} holds {ids[twice].tolist()[0]!r} twice; '
            f'give one row an id'
        )
    return ids


def _add_nodes(
    data: HeteroData,
    node_type: str,
    ends: np.ndarray,
    others: dict[str, np.ndarray | None],
    least: int | None,
    feature_rows: list[int],
    column: str,
) -> None:
    parts = [ends]
    for what, ids in others.items():
        if ids is not None:
            require_same_kind(ends, f'{column!r} of the interactions', ids, what)
            parts.append(ids)
    if ends.dtype.kind == 'i':
        largest = max(int(p.max()) for p in parts if len(p))
        smallest = min(int(p.min()) for p in parts if len(p))
        parts.append(np.arange(least or 0, dtype=np.int64))
        rows = max([r for r in feature_rows if smallest >= 0 and largest < r], default=0)
        added = rows - len(united(parts)) if rows > (least or 0) else 0
        if added > 0:
            data.repairs[f'{node_type}s_known_by_features_alone'] = added
        parts.append(np.arange(rows, dtype=np.int64))
    elif least is not None:
        raise GraphError(
            f"'num_{node_type}s' is {least}, but {node_type} ids are strings; leave it out "
            f'and name all ids in a table'
        )
    ids = united(parts)
    data[node_type].id = ids
    data[node_type].num_nodes = len(ids)


def _add_queries(
    data: HeteroData,
    queries: pd.DataFrame,
    ends: dict[str, np.ndarray],
    texts: pd.DataFrame | None,
    column: str,
    given: dict[str, str],
) -> None:
    require_columns(queries, [column], "'queries'")
    asked = _ids(data, queries, column, 'the queries')
    parts = [asked]
    if texts is not None:
        known = _table_ids(data, texts, column, "'query_texts'")
        require_same_kind(asked, f'{column!r} of the queries', known, "'query_texts'")
        parts.append(known)
    ids = united(parts)
    data[QUERY].id = ids
    data[QUERY].num_nodes = len(ids)
    if texts is not None:
        position = table_rows(data, QUERY, known)
        for key, values in node_columns(texts, column, position).items():
            data[QUERY][key] = values
    elif ids.dtype.kind != 'i':
        data[QUERY].text = ids.copy()

    user = node_numbers(data[USER].id, ends[USER])
    item = node_numbers(data[ITEM].id, ends[ITEM])
    if given['split'] in queries.columns:
        codes, names = split_labels(queries[given['split']], given['split'])
        labels = np.array(names, dtype=object)[codes]
    else:
        labels = pair_labels(data, user, item)
    attributes = {}
    if given['time'] in queries.columns:
        seconds = parse_time(queries[given['time']], f'{given["time"]!r} of the queries')
        attributes['time'] = torch.from_numpy(np.array(seconds))
    add_events(data, user, node_numbers(ids, asked), item, labels, attributes)
