"""A picture of weighted paths that start at one node and speak for another."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from graphrec.graphs import figures
from graphrec.graphs.figures import Box

POSITIVE, NEGATIVE = '#1b7f79', '#c8452d'
KEYS = (
    (POSITIVE, 'raises the score', 0.75),
    (NEGATIVE, 'lowers it', 0.75),
    (figures.MUTED, 'pale: from the end of a path to its match', 0.28),
)
COLUMN_GAP = 1.1
MARGIN = 0.35
HEAD = 1.15
FOOT = 0.75
LANE = 0.36


class DrawnPath(NamedTuple):
    """Boxes of a path, each (node type, text), from the common start on; what the path
    contributes to the score."""

    boxes: tuple[tuple[str, str], ...]
    contribution: float


class _Branch:
    """A box of the tree that paths with a common beginning share."""

    def __init__(self, box: tuple[str, str]) -> None:
        self.box = box
        self.next: dict[tuple[str, str], _Branch] = {}
        self.ends: list[float] = []

    @property
    def net(self) -> float:
        return sum(self.ends) + sum(branch.net for branch in self.next.values())

    @property
    def strongest(self) -> float:
        below = [branch.strongest for branch in self.next.values()]
        return max([abs(end) for end in self.ends] + below)


def draw_paths(
    paths: list[DrawnPath],
    target: tuple[str, str],
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
    via: str = '',
) -> Path:
    r"""Draws paths from left to right: boxes are nodes, paths with a common beginning
    share it, width grows with the size of the contribution and colour is its sign. A
    pale line leads from the end of a path to the node that the score is for.

    Args:
        paths: At least one path; all start with the same box.
        target: Box of the node that the paths speak for.
        path: A file ending in ``.png`` or ``.svg``; it appears only when complete.
        title: First line.
        subtitle: Second line.
        via: Heading of the boxes that come second.

    Returns:
        The path written.

    Raises:
        GraphError: If the suffix is another one or the file cannot be written.
    """
    figures.checked_path(path)
    root = _Branch(paths[0].boxes[0])
    for one in paths:
        branch = root
        for box in one.boxes[1:]:
            branch = branch.next.setdefault(box, _Branch(box))
        branch.ends.append(one.contribution)

    columns = [0.0] * max(len(one.boxes) for one in paths)
    for one in paths:
        for depth, (_, text) in enumerate(one.boxes):
            columns[depth] = max(columns[depth], figures.box_width(text))
    columns[0] += 0.1  # The first box is bold.
    lefts = [MARGIN + sum(columns[:n]) + n * COLUMN_GAP for n in range(len(columns))]
    end = lefts[-1] + columns[-1] + 0.9
    signed = [f'{one.contribution:+.3g}' for one in paths]
    number_width = max(figures.text_width(text) for text in [*signed, 'contribution']) + 0.16
    target_box_left = end + number_width + 0.9
    target_width = figures.box_width(target[1]) + 0.1
    width = target_box_left + target_width + MARGIN
    wide = max(figures.text_width(title, 13) * 1.1, figures.text_width(subtitle)) + 2 * MARGIN
    keys = sum(0.67 + figures.text_width(text) for _, text, _ in KEYS) + 1.6
    width = max(width, wide, keys + 2 * MARGIN)
    height = HEAD + FOOT + LANE * len(paths)
    figure, axes = figures.canvas(width, height)
    figures.write(axes, MARGIN, height - 0.32, title, size=13, fontweight='bold')
    figures.write(axes, MARGIN, height - 0.60, subtitle, colour=figures.MUTED)

    middle = FOOT + LANE * len(paths) / 2
    target_box = Box(target_box_left, middle, target_width)
    lanes = iter(height - HEAD - LANE * (n + 0.5) for n in range(len(paths)))
    # A path that goes on shares its first line with others: the sums set the scale.
    scale = max([abs(branch.net) for branch in root.next.values()] + [root.strongest])
    picture = _Picture(axes, lefts, columns, end, number_width, target_box, scale or 1.0, lanes)
    picture.draw(root, 0)
    top = height - HEAD + 0.2
    centre = end + number_width / 2
    figures.write(axes, centre, top, 'contribution', align='center', colour=figures.MUTED)
    if via and len(lefts) > 1:
        centre = lefts[1] + columns[1] / 2
        figures.write(axes, centre, top, via, align='center', colour=figures.MUTED)
    figures.draw_box(axes, target_box, target[1], target[0], strong=True)
    types = list(dict.fromkeys([b[0] for one in paths for b in one.boxes] + [target[0]]))
    x = figures.draw_type_legend(axes, MARGIN, 0.3, types) + 0.25
    for colour, text, alpha in KEYS:
        axes.plot([x, x + 0.35], [0.3, 0.3], color=colour, linewidth=3.5, alpha=alpha)
        figures.write(axes, x + 0.42, 0.3, text)
        x += 0.42 + figures.text_width(text) + 0.25
    return figures.save_figure(figure, path)


class _Picture(NamedTuple):
    axes: Any
    lefts: list[float]
    columns: list[float]
    end: float
    number_width: float
    target: Box
    scale: float
    lanes: Any

    def draw(self, branch: _Branch, depth: int) -> Box:
        """Draws a branch and all that follows; a box stands at the middle of its lanes."""
        heights: list[float] = []
        ends: list[tuple[float, float]] = []
        following: list[tuple[Box, float]] = []
        parts: list[tuple[float, _Branch | float]] = [(abs(value), value) for value in branch.ends]
        parts += [(after.strongest, after) for after in branch.next.values()]
        for _, part in sorted(parts, key=lambda pair: -pair[0]):
            if isinstance(part, _Branch):
                box = self.draw(part, depth + 1)
                following.append((box, part.net))
                heights.append(box.y)
            else:
                ends.append((next(self.lanes), part))
                heights.append(ends[-1][0])
        y = (heights[0] + heights[-1]) / 2
        node_type, text = branch.box
        here = Box(self.lefts[depth], y, self.columns[depth])
        figures.draw_box(self.axes, here, text, node_type, strong=depth == 0)
        for box, net in following:
            self._curve((here.right, y), (box.left, box.y), net)
        for lane, value in ends:
            bend = min(here.right + COLUMN_GAP, self.end)
            self._curve((here.right, y), (bend, lane), value, pale=True, onward=self.end)
            centre = self.end + self.number_width / 2
            colour = POSITIVE if value >= 0 else NEGATIVE
            figures.write(self.axes, centre, lane, f'{value:+.3g}', align='center', colour=colour)
            leave = (self.end + self.number_width, lane)
            self._curve(leave, (self.target.left, self.target.y), value, pale=True)
        return here

    def _curve(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        value: float,
        pale: bool = False,
        onward: float | None = None,
    ) -> None:
        style: dict[str, Any] = {
            'edgecolor': POSITIVE if value >= 0 else NEGATIVE,
            'linewidth': 0.8 + 7 * abs(value) / self.scale,
            'alpha': 0.28 if pale else 0.75,
        }
        figures.draw_curve(self.axes, start, end, onward=onward, **style)
