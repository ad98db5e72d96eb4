"""What a graph is like, in numbers and as a picture."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs import figures
from graphrec.graphs.schema import (
    FEATURE_PREFIX,
    INTERACTS,
    ITEM,
    PRESENT_PREFIX,
    USER,
    modalities,
    num_items,
    num_users,
    train_edges,
)

Histogram = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Statistics:
    r"""The description of a graph made by :func:`describe`. Shares lie in
    :math:`[0, 1]`; degrees count training edges, nodes without any included.

    Attributes:
        name: Name of the data set, or an empty text.
        nodes: Number of nodes of every type.
        edges: Number of edges of every type, keyed ``'user interacts item'``.
        active_users: Users with a training edge.
        active_items: Items with a training edge.
        density: :math:`E / (U I)` for :math:`E` training edges.
        user_degree: ``min``, ``median``, ``mean``, ``p90`` and ``max`` over users.
        item_degree: The same over items.
        item_gini: Gini coefficient of the item degrees: 0 if all items are equally
            popular, towards 1 if one item has all edges.
        num_components: Connected components of the training graph over users and
            items; a node without edges is a component of its own.
        num_isolated: Components that are a single node.
        largest_component: Nodes of the largest component.
        cold_items: Items without a training edge.
        cold_item_share: Their share of all items.
        cold_edge_share: For every held-out split, the share of its edges that point
            to cold items.
        users_without_training: For every held-out split, its users that have no
            training edge.
        modalities: For every item modality its dimension ``dim`` and the share
            ``present`` of items that have it.
        repairs: Repairs counted while the graph was built.
        user_histogram: Pairs (degree, number of users), degrees ascending.
        item_histogram: Pairs (degree, number of items), degrees ascending.
    """

    name: str
    nodes: dict[str, int]
    edges: dict[str, int]
    active_users: int
    active_items: int
    density: float
    user_degree: dict[str, float]
    item_degree: dict[str, float]
    item_gini: float
    num_components: int
    num_isolated: int
    largest_component: int
    cold_items: int
    cold_item_share: float
    cold_edge_share: dict[str, float]
    users_without_training: dict[str, int]
    modalities: dict[str, dict[str, float]]
    repairs: dict[str, int]
    user_histogram: Histogram = dataclasses.field(repr=False)
    item_histogram: Histogram = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain types, ready for JSON; without the histograms."""
        values = dataclasses.asdict(self)
        del values['user_histogram'], values['item_histogram']
        return values

    def table(self) -> pd.DataFrame:
        """One row a number: the columns ``group``, ``quantity`` and ``value``."""
        rows: list[tuple[str, str, Any]] = []
        rows += [('nodes', name, count) for name, count in self.nodes.items()]
        rows += [('edges', name, count) for name, count in self.edges.items()]
        rows += [
            ('training', 'users with edges', self.active_users),
            ('training', 'items with edges', self.active_items),
            ('training', 'density', self.density),
            ('training', 'components', self.num_components),
            ('training', 'components of one node', self.num_isolated),
            ('training', 'nodes in the largest component', self.largest_component),
        ]
        rows += [('edges per user', name, value) for name, value in self.user_degree.items()]
        rows += [('edges per item', name, value) for name, value in self.item_degree.items()]
        rows += [
            ('popularity', 'Gini of the items', self.item_gini),
            ('cold start', 'items without training edges', self.cold_items),
            ('cold start', 'their share of the items', self.cold_item_share),
        ]
        for split, share in self.cold_edge_share.items():
            rows.append(('cold start', f'share of {split} edges to them', share))
        for split, count in self.users_without_training.items():
            rows.append(('cold start', f'{split} users without training edges', count))
        for name, entry in self.modalities.items():
            rows.append((f'modality {name}', 'dimension', entry['dim']))
            rows.append((f'modality {name}', 'share of items present', entry['present']))
        rows += [('repairs', name.replace('_', ' '), n) for name, n in self.repairs.items()]
        frame = pd.DataFrame(rows, columns=['group', 'quantity', 'value'])
        frame['value'] = pd.Series([row[2] for row in rows], dtype=object)
        return frame

    def __str__(self) -> str:
        rows = [(g, q, _readable(v)) for g, q, v in self.table().itertuples(index=False)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [self.name or 'graph', '─' * (sum(widths) + 4)]
        before = ''
        for group, quantity, value in rows:
            shown = group if group != before else ''
            before = group
            lines.append(f'{shown:<{widths[0]}}  {quantity:<{widths[1]}}  {value:>{widths[2]}}')
        return '\n'.join(lines)


def describe(data: HeteroData) -> Statistics:
    r"""Counts and shapes of a graph: sizes, degrees, popularity skew, connectedness,
    cold start, modalities, repairs. Two numbers carry a formula: the density
    :math:`E / (U I)`, and the Gini coefficient of item degrees in ascending order,

    .. math::
        G = \frac{\sum_{r=1}^{I} (2 r - I - 1) \, d_r}{I \sum_r d_r}

    A graph of other things than users and items (outfits, say) is described by its
    counts; its training numbers are 0.
    """
    user, item = np.zeros((2, 0), dtype=np.int64)
    if INTERACTS in data.edge_types:
        user, item = train_edges(data).cpu().numpy()
    # Asking a graph for a type that it lacks would add the type.
    count_users = num_users(data) if USER in data.node_types else 0
    count_items = num_items(data) if ITEM in data.node_types else 0
    user_degree = np.bincount(user, minlength=count_users)
    item_degree = np.bincount(item, minlength=count_items)
    sizes = _component_sizes(user, item, count_users, count_items)
    cold = item_degree == 0
    cold_edge_share, users_without_training = {}, {}
    for edge_type in data.edge_types:
        if (edge_type[0], edge_type[2]) != (USER, ITEM) or not edge_type[1].startswith('holdout_'):
            continue
        held_user, held_item = data[edge_type].edge_index.cpu().numpy()
        split = edge_type[1].removeprefix('holdout_')
        cold_edge_share[split] = float(cold[held_item].mean()) if held_item.size else 0.0
        users_without_training[split] = int((user_degree[np.unique(held_user)] == 0).sum())
    pairs = count_users * count_items
    named = modalities(data) if ITEM in data.node_types else []
    return Statistics(
        name=str(data.get('name') or ''),
        nodes={t: int(data[t].num_nodes) for t in data.node_types},
        edges={' '.join(t): int(data[t].edge_index.size(1)) for t in data.edge_types},
        active_users=int((user_degree > 0).sum()),
        active_items=int((item_degree > 0).sum()),
        density=user.size / pairs if pairs else 0.0,
        user_degree=_summary(user_degree),
        item_degree=_summary(item_degree),
        item_gini=gini(item_degree),
        num_components=int(sizes.size),
        num_isolated=int((sizes == 1).sum()),
        largest_component=int(sizes.max(initial=0)),
        cold_items=int(cold.sum()),
        cold_item_share=float(cold.mean()) if count_items else 0.0,
        cold_edge_share=cold_edge_share,
        users_without_training=users_without_training,
        modalities={name: _modality(data, name) for name in named},
        repairs={str(name): int(n) for name, n in (data.get('repairs') or {}).items()},
        user_histogram=_histogram(user_degree),
        item_histogram=_histogram(item_degree),
    )


def gini(values: np.ndarray) -> float:
    r"""Gini coefficient of non-negative :obj:`values`, in :math:`[0, 1 - 1/n]`; 0 for
    an empty or all-zero array."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    total, count = float(ordered.sum()), ordered.size
    if total == 0:
        return 0.0
    rank = np.arange(1, count + 1)
    return float(((2 * rank - count - 1) * ordered).sum() / (count * total))


def draw(statistics: Statistics | HeteroData, path: str | os.PathLike[str]) -> Path:
    r"""Draws the degree distributions of users and items (share of nodes with at least
    so many training edges, both axes logarithmic, nodes without edges left out) and the
    Lorenz curve of item popularity (share of edges on the least popular items).

    Args:
        statistics: What :func:`describe` gave, or a graph.
        path: A file ending in ``.png`` or ``.svg``; it appears only when complete.

    Returns:
        The path written.

    Raises:
        GraphError: If the suffix is another one or the file cannot be written.
    """
    from matplotlib.figure import Figure

    figures.checked_path(path)
    if isinstance(statistics, HeteroData):
        statistics = describe(statistics)
    figure = Figure(figsize=(10.5, 4.6), layout='constrained')
    left, right = figure.subplots(1, 2)
    figure.suptitle(_headline(statistics), fontsize=12, fontweight='bold', parse_math=False)
    _draw_degrees(left, statistics)
    _draw_lorenz(right, statistics)
    for axes in (left, right):
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(True, which='major', color='#e4e4e4', linewidth=0.7)
        axes.set_axisbelow(True)
    return figures.save_figure(figure, path)


def _component_sizes(
    user: np.ndarray, item: np.ndarray, count_users: int, count_items: int
) -> np.ndarray:
    total = count_users + count_items
    if total == 0:
        return np.zeros(0, dtype=np.int64)
    ones = np.ones(user.size, dtype=np.int8)
    graph = scipy.sparse.coo_matrix((ones, (user, count_users + item)), shape=(total, total))
    _, component = scipy.sparse.csgraph.connected_components(graph.tocsr(), directed=False)
    return np.bincount(component)


def _summary(degree: np.ndarray) -> dict[str, float]:
    if degree.size == 0:
        return {'min': 0, 'median': 0.0, 'mean': 0.0, 'p90': 0.0, 'max': 0}
    return {
        'min': int(degree.min()),
        'median': float(np.median(degree)),
        'mean': float(degree.mean()),
        'p90': float(np.quantile(degree, 0.9)),
        'max': int(degree.max()),
    }


def _modality(data: HeteroData, name: str) -> dict[str, float]:
    features = data[ITEM][FEATURE_PREFIX + name]
    marks = data[ITEM].get(PRESENT_PREFIX + name)
    present = marks if isinstance(marks, Tensor) else (features != 0).any(dim=1)
    share = float(present.double().mean()) if present.numel() else 0.0
    return {'dim': int(features.size(1)), 'present': share}


def _histogram(degree: np.ndarray) -> Histogram:
    value, count = np.unique(degree, return_counts=True)
    return tuple(zip(value.tolist(), count.tolist(), strict=True))


def _readable(value: Any) -> str:
    if isinstance(value, int):
        return f'{value:,}'
    if value == 0 or abs(value) >= 0.01:
        return f'{value:,.1f}' if abs(value) >= 100 else f'{value:,.4g}'
    return f'{value:.3g}'


def _headline(statistics: Statistics) -> str:
    users, items = statistics.nodes.get(USER, 0), statistics.nodes.get(ITEM, 0)
    edges = statistics.edges.get(' '.join(INTERACTS), 0)
    sizes = f'{users:,} users, {items:,} items, {edges:,} training edges'
    return f'{statistics.name}: {sizes}' if statistics.name else sizes


def _draw_degrees(axes: Any, statistics: Statistics) -> None:
    pairs = ((USER, statistics.user_histogram), (ITEM, statistics.item_histogram))
    for (node_type, histogram), marker in zip(pairs, 'os', strict=True):
        degree, count = np.array([p for p in histogram if p[0] > 0]).reshape(-1, 2).T
        if degree.size == 0:
            continue
        at_least = count[::-1].cumsum()[::-1] / count.sum()
        axes.loglog(
            degree,
            at_least,
            marker=marker,
            markersize=3,
            linewidth=1,
            drawstyle='steps-pre',
            color=figures.LINE[node_type],
            label=f'{node_type}s',
        )
    axes.set_xlabel('training edges per node')
    axes.set_ylabel('share of nodes with at least so many')
    axes.set_title('Degrees', fontsize=11)
    if axes.lines:
        axes.legend(frameon=False)


def _draw_lorenz(axes: Any, statistics: Statistics) -> None:
    degree, count = np.array(statistics.item_histogram).reshape(-1, 2).T.astype(np.float64)
    axes.plot([0, 1], [0, 1], color='#999999', linestyle=':', label='all items equal')
    if degree.sum() > 0:
        x = np.concatenate([[0], count.cumsum() / count.sum()])
        y = np.concatenate([[0], (degree * count).cumsum() / (degree * count).sum()])
        name = f'items, Gini {statistics.item_gini:.2f}'
        axes.plot(x, y, color=figures.LINE[ITEM], linewidth=2, label=name)
        axes.fill_between(x, y, x, color=figures.FILL[ITEM], alpha=0.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel='share of items, least popular first')
    axes.set_ylabel('share of training edges')
    axes.set_title('Popularity (Lorenz curve)', fontsize=11)
    axes.legend(frameon=False, loc='upper left')
