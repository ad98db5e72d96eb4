"""Rows of an interaction table as edges: splits, behaviours, attributes, duplicates."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.columns import as_tensor, parse_time
from graphrec.graphs.ids import is_among, node_numbers
from graphrec.graphs.schema import (
    INTERACTS,
    ITEM,
    USER,
    EdgeType,
    holdout,
)

COLUMN_NAMES = {
    'split': 'split',
    'time': 'timestamp',
    'rating': 'rating',
    'behavior': 'behavior',
}
VERBS = {'view': 'views', 'cart': 'carts', 'buy': 'buys', 'click': 'clicks'}
SPLIT_NAMES = {'val': 'valid', 'validation': 'valid', 'dev': 'valid', 'training': 'train'}


def add_interactions(
    data: HeteroData,
    table: pd.DataFrame,
    ends: dict[str, np.ndarray],
    end_columns: tuple[str, str],
    given: dict[str, str],
    min_rating: float | None = None,
    target_behavior: str | None = None,
) -> None:
    r"""Adds the rows of :obj:`table` to :obj:`data` in place; see
    :func:`graphrec.graphs.interactions.from_tables`.

    Args:
        data: A graph with user and item nodes and ``repairs``.
        table: The interactions.
        ends: Original ids of the user and of the item of each row.
        end_columns: Names of the user and of the item column.
        given: Names of the split, time, rating and behaviour columns; a name that the
            table does not have stands for a column left out.
        min_rating: Rows with a lower rating are left out.
        target_behavior: The behaviour to recommend.
    """
    user = node_numbers(data[USER].id, ends[USER])
    item = node_numbers(data[ITEM].id, ends[ITEM])
    label, labels = np.zeros(len(table), dtype=np.int64), ['train']
    if given['split'] in table.columns:
        label, labels = split_labels(table[given['split']], given['split'])
    verb, verbs = _behaviors(table, given['behavior'], label, labels, target_behavior)
    attributes = _edge_attributes(table, end_columns, given)
    keep = _rating_filter(table, given['rating'], min_rating)
    _count(data, 'below_min_rating', int((~keep).sum()))

    kind = verb * len(labels) + label
    key = user * data[ITEM].num_nodes + item
    rows_of: dict[tuple[str, str], np.ndarray] = {}
    for v, verb_name in enumerate(verbs):
        for s, split_name in enumerate(labels):
            rows = np.flatnonzero((kind == v * len(labels) + s) & keep)
            if len(rows) == 0:
                continue
            kept = _first_of_each(key, rows, attributes.get('time'))
            _count(data, 'duplicate_interactions', len(rows) - len(kept))
            rows_of[verb_name, split_name] = kept
    if (INTERACTS[1], 'train') not in rows_of:
        raise GraphError(
            f'no interaction is left for training (splits: {labels}'
            + ('' if min_rating is None else f', ratings below {min_rating} left out')
            + "); label training rows 'train', or make a split with how='random'"
        )
    _drop_seen(data, rows_of, key)
    for (verb_name, split_name), rows in rows_of.items():
        if len(rows) == 0:
            continue
        edge_type = _edge_type(verb_name, split_name)
        data[edge_type].edge_index = torch.from_numpy(np.stack([user[rows], item[rows]]))
        chosen = torch.from_numpy(rows)
        for name, value in attributes.items():
            data[edge_type][name] = value[chosen]


def split_labels(values: pd.Series, column: str) -> tuple[np.ndarray, list[str]]:
    r"""Codes and names of the splits of a column; ``val``, ``validation`` and ``dev``
    are read as ``valid``, letters' case does not matter.

    Raises:
        GraphError: If a row has no split.
    """
    codes, names = pd.factorize(values)
    if (codes < 0).any():
        raise GraphError(
            f'{column!r} is empty in {int((codes < 0).sum())} rows (first one: row '
            f"{int((codes < 0).argmax())}); label every row 'train', 'valid' or 'test'"
        )
    cleaned = [str(name).strip().lower() for name in names]
    cleaned = [SPLIT_NAMES.get(name, name) for name in cleaned]
    distinct = sorted(
        set(cleaned), key=lambda n: ({'train': 0, 'valid': 1, 'test': 2}.get(n, 3), n)
    )
    lookup = np.array([distinct.index(name) for name in cleaned], dtype=np.int64)
    return lookup[codes], distinct


def _edge_type(verb: str, split: str) -> EdgeType:
    if split == 'train':
        return (USER, verb, ITEM)
    return holdout(split if verb == INTERACTS[1] else f'{split}_{verb}')


def _behaviors(
    table: pd.DataFrame, column: str, label: np.ndarray, labels: list[str], target: str | None
) -> tuple[np.ndarray, list[str]]:
    if column not in table.columns:
        if target is not None:
            raise GraphError(
                f"'target_behavior' is {target!r}, but the interactions have no column "
                f'{column!r} (their columns are {list(table.columns)})'
            )
        return np.zeros(len(table), dtype=np.int64), [INTERACTS[1]]
    codes, found = pd.factorize(table[column])
    if (codes < 0).any():
        raise GraphError(
            f'{column!r} is empty in {int((codes < 0).sum())} rows (first one: row '
            f'{int((codes < 0).argmax())}); name a behaviour in every row'
        )
    names = [str(name) for name in found]
    if target is None:
        held = label != labels.index('train') if 'train' in labels else np.ones(len(label), bool)
        candidates = sorted({names[c] for c in pd.unique(codes[held])}) or sorted(names)
        if len(candidates) > 1:
            raise GraphError(
                f'{column!r} holds several behaviours to recommend ({candidates}); choose one, '
                f'e.g. target_behavior={candidates[0]!r}'
            )
        target = candidates[0]
    elif target not in names:
        raise GraphError(f"'target_behavior' is {target!r}, but {column!r} holds {sorted(names)}")
    verbs = [INTERACTS[1] if n == target else VERBS.get(n, n) for n in names]
    if len(set(verbs)) < len(verbs) or any(v.startswith('holdout_') for v in verbs):
        raise GraphError(f'{column!r} holds behaviours with the same edge type: {sorted(names)}')
    return codes.astype(np.int64), verbs


def _edge_attributes(
    table: pd.DataFrame, end_columns: tuple[str, str], given: dict[str, str]
) -> dict[str, Tensor]:
    attributes: dict[str, Tensor] = {}
    source: dict[str, str] = {}
    clock = given['time']
    if clock not in table.columns and clock == COLUMN_NAMES['time']:
        clock = 'time'
    roles = {clock: 'time', given['rating']: 'rating'}
    left_out = {*end_columns, given['split'], given['behavior'], COLUMN_NAMES['split']}
    for column in table.columns:
        if column in left_out:
            continue
        name = roles.get(column, str(column))
        if column == clock:
            seconds = parse_time(table[column], f'{column!r} of the interactions')
            value: Tensor | None = torch.from_numpy(np.array(seconds))
        else:
            value = as_tensor(table[column])
        if value is None and name == 'rating':
            raise GraphError(
                f'{column!r} of the interactions holds ratings that are no numbers (first one: '
                f'{table[column].iloc[0]!r}); convert the column to numbers'
            )
        if value is None:
            continue
        if name in source or name == 'edge_index':
            raise GraphError(
                f'the columns {source.get(name, "edge_index")!r} and {column!r} of the '
                f'interactions would both be the edge attribute {name!r}; rename or drop one'
            )
        source[name] = column
        attributes[name] = value.float() if name == 'rating' else value
    return attributes


def _rating_filter(table: pd.DataFrame, column: str, min_rating: float | None) -> np.ndarray:
    if min_rating is None:
        return np.ones(len(table), dtype=bool)
    if column not in table.columns:
        raise GraphError(
            f"'min_rating' is {min_rating}, but the interactions have no column {column!r} "
            f'(their columns are {list(table.columns)})'
        )
    rating = pd.to_numeric(table[column], errors='coerce').to_numpy(dtype=np.float64)
    if np.isnan(rating).any():
        raise GraphError(
            f"'min_rating' is {min_rating}, but {column!r} holds no number in "
            f'{int(np.isnan(rating).sum())} rows (first one: row {int(np.isnan(rating).argmax())})'
        )
    return rating >= min_rating


def _first_of_each(key: np.ndarray, rows: np.ndarray, time: Tensor | None) -> np.ndarray:
    """Of the rows, the earliest of each key, in the order of the table."""
    chosen = pd.Series(key[rows])
    repeated = chosen.duplicated(keep=False).to_numpy()
    if not repeated.any():
        return rows
    again = rows[repeated]
    if time is not None:
        again = again[np.argsort(time.numpy()[again], kind='stable')]
    first = again[~pd.Series(key[again]).duplicated().to_numpy()]
    return np.sort(np.concatenate([rows[~repeated], first]))


def _drop_seen(
    data: HeteroData, rows_of: dict[tuple[str, str], np.ndarray], key: np.ndarray
) -> None:
    for (verb, split), rows in list(rows_of.items()):
        if split == 'train' or (verb, 'train') not in rows_of:
            continue
        fresh = ~is_among(key[rows], key[rows_of[verb, 'train']])
        _count(data, 'holdout_seen_in_training', int((~fresh).sum()))
        rows_of[verb, split] = rows[fresh]
    for verb, split in list(rows_of):
        if split == 'test' and (verb, 'valid') in rows_of:
            rows = rows_of[verb, 'test']
            fresh = ~is_among(key[rows], key[rows_of[verb, 'valid']])
            _count(data, 'test_seen_in_validation', int((~fresh).sum()))
            rows_of[verb, 'test'] = rows[fresh]


def _count(data: HeteroData, repair: str, rows: int) -> None:
    if rows:
        data.repairs[repair] = data.repairs.get(repair, 0) + rows
