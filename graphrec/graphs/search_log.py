"""Graphs from a log in which people search, browse and take items."""

from typing import Any

import numpy as np
import pandas as pd
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.columns import require_columns
from graphrec.graphs.interactions import from_tables
from graphrec.graphs.words import tokenize


def from_search_log(
    log: pd.DataFrame,
    *,
    user: str = 'user',
    item: str = 'item',
    query: str = 'query',
    **kwargs: Any,
) -> HeteroData:
    r"""The graph of a log with one row an item that someone took: an interaction, and where
    the row has a query a search event :math:`(u, q, i)` too.

    A query is a text, or a list of words; without a word in it (missing, ``''``, ``[]``)
    the row is no search. A split that is made (:obj:`how`) is one of the pairs, and searches
    follow their pair.

    Args:
        log: The table; ids may be integers or strings.
        user, item, query: Names of the columns.
        kwargs: Further arguments of :func:`graphrec.graphs.interactions.from_tables`, such
            as ``time='when'``, ``how='time_per_user'``, ``items=titles``.

    Raises:
        GraphError: If a column is missing, ids are unusable, or no row has a query.
    """
    if not isinstance(log, pd.DataFrame):
        raise GraphError(f"'log' must be a pandas DataFrame (got {type(log).__name__})")
    require_columns(log, [user, item, query], "'log'")
    texts = np.array([_text(value) for value in log[query]], dtype=object)
    searched = np.array([bool(tokenize(text)) for text in texts], dtype=bool)
    if not searched.any():
        raise GraphError(
            f"no row of 'log' has a word in its column {query!r}; name the column of the queries"
        )
    events = log.assign(**{query: texts})[searched]
    interactions = log.drop(columns=query)
    return from_tables(interactions, queries=events, user=user, item=item, query=query, **kwargs)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        return ' '.join(str(word) for word in value)
    return '' if pd.isna(value) else str(value)
