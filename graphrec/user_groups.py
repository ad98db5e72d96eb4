r"""Means of per-user metrics by group of users."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import USER, num_users, train_edges
from graphrec.graphs.search import search_events


def means_by_group(
    data: HeteroData,
    users: Tensor,
    per_user: pd.DataFrame,
    groups: str | Mapping[Any, Any],
    num_groups: int = 4,
) -> pd.DataFrame:
    r"""Means of every metric by group, with ``num_users``.

    Args:
        data: The graph.
        users: User numbers, in the order of the table.
        per_user: The table: ``user``, ``num_heldout`` and a column a metric.
        groups: ``'activity'``, quantiles of the number of training items; ``'searches'``,
            users with and without training searches; the name of a user column of the
            graph; or a dict from user id to group. Users without a group are in
            ``'unknown'``.
        num_groups: Number of activity quantiles.

    Raises:
        GraphError: If the graph has no such column.
    """
    if isinstance(groups, str) and groups == 'activity':
        degree = torch.bincount(train_edges(data)[0].cpu(), minlength=num_users(data))
        label = _quantiles(degree[users].numpy(), num_groups)
    elif isinstance(groups, str) and groups == 'searches':
        active = torch.isin(users.cpu(), search_events(data).user.cpu()).numpy()
        label = _ordered(pd.Series(np.where(active, 'searches', 'no searches')))
    elif isinstance(groups, str):
        column = data[USER].get(groups, None)
        if column is None or len(column) != num_users(data):
            raise GraphError(
                f"'groups' is {groups!r}, but the users have no such column (they have "
                f"{sorted(data[USER].keys())}); use 'activity', 'searches', a column or a dict"
            )
        label = _ordered(pd.Series(np.asarray(column)[users.numpy()]))
    else:
        label = _ordered(per_user['user'].map(dict(groups)))
    by_label = per_user.drop(columns=['user', 'num_heldout']).groupby(label, observed=True)
    means = by_label.mean()
    means.insert(0, 'num_users', by_label.size())
    means.index = pd.Index(means.index.astype(object), name='group')
    return means


def _ordered(label: pd.Series) -> pd.Series:
    """The labels in sorted order where they can be sorted, ``'unknown'`` last."""
    known = label.dropna().unique().tolist()
    with contextlib.suppress(TypeError):  # Labels of several types: by first appearance.
        known.sort()
    known = [value for value in known if value != 'unknown']
    filled = label.astype(object).where(label.notna(), 'unknown')
    return pd.Series(pd.Categorical(filled, categories=[*known, 'unknown'], ordered=True))


def _quantiles(degree: np.ndarray, num_groups: int) -> pd.Series:
    """Groups of about equal size by degree; equal degrees stay together."""
    if num_groups < 1:
        raise GraphError(f"'num_groups' needs to be at least 1 (got {num_groups})")
    edges = np.unique(np.quantile(degree, np.linspace(0, 1, num_groups + 1)[1:-1]))
    _, code = np.unique(np.searchsorted(edges, degree, side='left'), return_inverse=True)
    by_code = pd.Series(degree).groupby(code)
    ranges = zip(by_code.min(), by_code.max(), strict=True)
    names = [f'{lo}' if lo == hi else f'{lo}-{hi}' for lo, hi in ranges]
    names = [f'{name} training items' for name in names]
    return pd.Series(pd.Categorical.from_codes(code, categories=names, ordered=True))
