"""A picture of the nodes around one node, readable at any size of the graph."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import HeteroData

from graphrec.graphs import figures
from graphrec.graphs.export import Neighbourhood, checked_edge_types, neighbourhood
from graphrec.graphs.figures import Box
from graphrec.graphs.labels import label
from graphrec.graphs.schema import INTERACTS, EdgeType

COLUMN_GAP = 1.7
MARGIN = 0.35
HEAD = 1.25


def draw_neighbourhood(
    data: HeteroData,
    around: tuple[str, Any],
    hops: int = 2,
    path: str | os.PathLike[str] = 'neighbourhood.png',
    *,
    max_nodes: int = 40,
    edge_types: Sequence[EdgeType] | None = None,
) -> Path:
    r"""Draws the nodes within :obj:`hops` edges of a node: one column a distance, one
    labelled box a node (title and original id), and all edges among the boxes. Where
    there are more nodes than :obj:`max_nodes`, the most connected are drawn and the
    picture says how many are not (see :func:`graphrec.graphs.export.neighbourhood`).

    Args:
        data: The graph.
        around: Node type and original id, as in ``('user', 17)``.
        hops: Largest distance drawn.
        path: A file ending in ``.png`` or ``.svg``; it appears only when complete.
        max_nodes: Most boxes in the picture.
        edge_types: Edge types to draw; the training edges by default.

    Returns:
        The path written.

    Raises:
        GraphError: If an argument is out of range, or the file cannot be written.
        UnknownIdError: If the id is not in the graph.
    """
    figures.checked_path(path)
    edge_types = checked_edge_types(data, edge_types)
    found = neighbourhood(data, around, hops, max_nodes, edge_types)
    edges = _edges(data, found, edge_types)
    columns = _ordered_columns(found, edges)
    texts = [label(data, node_type, node) for node_type, node in found.nodes]

    title, subtitle = _titles(data, found, hops, edge_types, texts[0])
    heads = [_head(found, hop, edge_types) for hop in range(len(columns))]
    boxes, width, height = _place(columns, texts, heads)
    wide = max(figures.text_width(title, 13), figures.text_width(subtitle)) + 2 * MARGIN
    width = max(width, wide)
    figure, axes = figures.canvas(width, height)
    figures.write(axes, MARGIN, height - 0.32, title, size=13, fontweight='bold')
    figures.write(axes, MARGIN, height - 0.60, subtitle, colour=figures.MUTED)
    top = height - HEAD + 0.22
    for head, column in zip(heads, columns, strict=True):
        left = min(boxes[n].left for n in column)
        right = max(boxes[n].right for n in column)
        figures.write(axes, (left + right) / 2, top, head, align='center', colour=figures.MUTED)
    alpha = float(np.clip(30 / max(len(edges), 1), 0.25, 0.7))
    for first, second in edges:
        _draw_edge(axes, boxes[first], boxes[second], alpha)
    for n, (node_type, _) in enumerate(found.nodes):
        figures.draw_box(axes, boxes[n], texts[n], node_type, strong=n == 0)
    types = list(dict.fromkeys(node_type for node_type, _ in found.nodes))
    figures.draw_type_legend(axes, MARGIN, 0.3, types)
    return figures.save_figure(figure, path)


def _edges(
    data: HeteroData, found: Neighbourhood, edge_types: Sequence[EdgeType]
) -> list[tuple[int, int]]:
    """Pairs of places in ``found.nodes``, the nearer node first, each pair once."""
    place: dict[str, np.ndarray] = {}
    for n, (node_type, node) in enumerate(found.nodes):
        if node_type not in place:
            place[node_type] = np.full(int(data[node_type].num_nodes), -1)
        place[node_type][node] = n
    pairs: set[tuple[int, int]] = set()
    for source_type, relation, target_type in edge_types:
        if source_type not in place or target_type not in place:
            continue
        source, target = data[source_type, relation, target_type].edge_index.cpu().numpy()
        left, right = place[source_type][source], place[target_type][target]
        inside = (left >= 0) & (right >= 0) & (left != right)
        ends = np.sort(np.stack([left[inside], right[inside]]), axis=0)
        pairs.update(zip(*ends.tolist(), strict=True))
    return sorted(pairs)


def _ordered_columns(found: Neighbourhood, edges: list[tuple[int, int]]) -> list[list[int]]:
    """Places by distance, each column ordered by the mean height of its neighbours in
    the columns beside it (the barycentre rule), which leaves few crossings."""
    columns: list[list[int]] = [[] for _ in range(max(found.hop) + 1)]
    for n, hop in enumerate(found.hop):
        columns[hop].append(n)
    near: dict[int, list[int]] = {n: [] for n in range(len(found.nodes))}
    for first, second in edges:
        near[first].append(second)
        near[second].append(first)
    height = {n: row / len(column) for column in columns for row, n in enumerate(column)}
    forward = list(range(1, len(columns)))
    for hop in (forward + forward[-2::-1]) * 4 + forward:
        mean = {n: float(np.mean([height[m] for m in near[n]])) for n in columns[hop] if near[n]}
        columns[hop].sort(key=lambda n: mean.get(n, 0.5))
        for row, n in enumerate(columns[hop]):
            height[n] = (row + 0.5) / len(columns[hop])
    return columns


def _place(
    columns: list[list[int]], texts: list[str], heads: list[str]
) -> tuple[dict[int, Box], float, float]:
    rows = max(len(column) for column in columns)
    height = HEAD + rows * figures.ROW_HEIGHT + 0.6
    middle = 0.6 + rows * figures.ROW_HEIGHT / 2
    boxes, left = {}, MARGIN
    for column, head in zip(columns, heads, strict=True):
        widest = max(figures.box_width(texts[n]) for n in column)
        room = max(widest, figures.text_width(head))
        spread = min(rows / len(column), 1.6) * figures.ROW_HEIGHT
        for row, n in enumerate(column):
            y = middle + ((len(column) - 1) / 2 - row) * spread
            boxes[n] = Box(left + (room - widest) / 2, y, widest)
        left += room + COLUMN_GAP
    return boxes, left - COLUMN_GAP + MARGIN, height


def _draw_edge(axes: Any, first: Box, second: Box, alpha: float) -> None:
    style: dict[str, Any] = {'edgecolor': '#5b6770', 'linewidth': 0.8, 'alpha': alpha}
    if first.left == second.left:  # Same distance: a bow on the right of the column.
        bow = min(0.3 + 0.25 * abs(first.y - second.y), COLUMN_GAP)
        figures.draw_curve(axes, (first.right, first.y), (second.right, second.y), bow, **style)
    else:
        figures.draw_curve(axes, (first.right, first.y), (second.left, second.y), **style)


def _head(found: Neighbourhood, hop: int, edge_types: Sequence[EdgeType]) -> str:
    if hop == 0:
        return 'start'
    types = [
        node_type for (node_type, _), h in zip(found.nodes, found.hop, strict=True) if h == hop
    ]
    total, shown = found.reached[hop], len(types)
    # With several edge types, the hidden nodes may be of other types than the shown.
    known = len(set(types)) == 1 and (shown == total or len(edge_types) == 1)
    noun = types[0] if known else 'node'
    plural = noun if total == 1 else f'{noun[:-1]}ies' if noun.endswith('y') else f'{noun}s'
    count = f'{shown:,} of {total:,}' if shown < total else f'{total:,}'
    return f'{count} {plural}, {hop} edge{"s" if hop > 1 else ""} away'


def _titles(
    data: HeteroData,
    found: Neighbourhood,
    hops: int,
    edge_types: Sequence[EdgeType],
    start: str,
) -> tuple[str, str]:
    name = data.get('name')
    title = f'Around {start}' + (f' in {name}' if name else '')
    kind = (
        'training edges'
        if list(edge_types) == [INTERACTS]
        else f'edges {", ".join(t[1] for t in edge_types)}'
    )
    parts = [f'{hops} hop{"s" if hops != 1 else ""}', kind, f'{len(found.nodes):,} nodes shown']
    if found.num_hidden:
        parts.append(f'{found.num_hidden:,} less connected ones hidden')
    if len(found.nodes) == 1 and not found.num_hidden and hops > 0:
        parts.append('no edges here')
    return title, ' · '.join(parts)
