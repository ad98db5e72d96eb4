"""What all pictures share: columns of labelled boxes joined by curves, and a file
that is there whole or not at all. Nothing here touches matplotlib's global state."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphrec.errors import GraphError
from graphrec.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = ('.png', '.svg')
FILL = {'user': '#dbe9f6', 'item': '#fde6cf', 'query': '#dff0df', 'session': '#e9e2f3'}
LINE = {'user': '#2a6099', 'item': '#c26a12', 'query': '#3a843a', 'session': '#6d4ba0'}
INK = '#222222'
MUTED = '#666666'

FONT_SIZE = 9.0
BOX_HEIGHT = 0.25  # All lengths are in inches.
ROW_HEIGHT = 0.33
PADDING = 0.10


class Box(NamedTuple):
    """A labelled box: its left edge, the height of its centre, its width (inches)."""

    left: float
    y: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width


def checked_path(path: str | os.PathLike[str]) -> Path:
    r"""The path of a picture.

    Raises:
        GraphError: If it ends in neither ``.png`` nor ``.svg``, or its folder is absent.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise GraphError(
            f"'path' ends in {target.suffix!r} (got {str(target)!r}); "
            f'pictures are written as {" or ".join(SUFFIXES)}'
        )
    if not target.parent.is_dir():
        raise GraphError(f"the folder of 'path' does not exist (got {str(target)!r}); make it")
    return target


def save_figure(figure: 'Figure', path: str | os.PathLike[str]) -> Path:
    r"""Writes a figure as PNG (150 dpi) or SVG, by the suffix of :obj:`path`: under a
    temporary name in the same folder first, so that no half-written picture is left.

    Raises:
        GraphError: If the suffix is another one or the folder cannot be written.
    """
    import matplotlib

    target = checked_path(path)
    kind = target.suffix.lower().removeprefix('.')
    # Dates and random ids off: the same graph gives the same bytes.
    metadata: Any = {'Date': None} if kind == 'svg' else None
    with replacing(target) as temporary, warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        with matplotlib.rc_context({'svg.hashsalt': 'graphrec'}):
            figure.savefig(temporary, format=kind, dpi=150, facecolor='white', metadata=metadata)
    return target


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        width, _, _ = text_to_path.get_text_width_height_descent(
            text, FontProperties(size=size), ismath=False
        )
    return float(width) / 72


def box_width(text: str) -> float:
    """Width of the box around :obj:`text`, in inches."""
    return text_width(text) + 2 * PADDING


def canvas(width: float, height: float) -> 'tuple[Figure, Axes]':
    """An empty figure whose data units are inches, origin at the lower left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return figure, axes


def write(
    axes: 'Axes',
    x: float,
    y: float,
    text: str,
    size: float = FONT_SIZE,
    align: str = 'left',
    colour: str = INK,
    **more: Any,
) -> None:
    """Plain text (a dollar sign is a dollar sign) at a point in inches."""
    axes.text(
        x,
        y,
        text,
        fontsize=size,
        ha=align,
        va='center',
        color=colour,
        parse_math=False,
        zorder=5,
        **more,
    )


def draw_box(axes: 'Axes', box: Box, text: str, node_type: str, strong: bool = False) -> None:
    """A rounded box in the colour of its node type with its label inside."""
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (box.left, box.y - BOX_HEIGHT / 2),
            box.width,
            BOX_HEIGHT,
            boxstyle='round,pad=0,rounding_size=0.08',
            facecolor=FILL.get(node_type, '#eeeeee'),
            edgecolor=LINE.get(node_type, '#777777'),
            linewidth=2.0 if strong else 0.8,
            zorder=3,
        )
    )
    weight = 'bold' if strong else 'normal'
    write(axes, box.left + box.width / 2, box.y, text, align='center', fontweight=weight)


def draw_curve(
    axes: 'Axes',
    start: tuple[float, float],
    end: tuple[float, float],
    bow: float | None = None,
    onward: float | None = None,
    **style: Any,
) -> None:
    """A curve that leaves and arrives horizontally, or with :obj:`bow` swings out that
    far to the right, or goes straight on to :obj:`onward`; keywords as for
    ``PathPatch``."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    middle = (start[0] + end[0]) / 2 if bow is None else max(start[0], end[0]) + bow
    points = [start, (middle, start[1]), (middle, end[1]), end]
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    if onward is not None:
        points.append((onward, end[1]))
        codes.append(Curve.LINETO)
    style = {'facecolor': 'none', 'capstyle': 'butt', 'zorder': 1, **style}
    axes.add_patch(PathPatch(Curve(points, codes), **style))


def draw_type_legend(axes: 'Axes', x: float, y: float, node_types: Sequence[str]) -> float:
    """One small box a node type from left to right; returns where the legend ends."""
    for node_type in node_types:
        box = Box(x, y, box_width(node_type))
        draw_box(axes, box, node_type, node_type)
        x = box.right + 0.12
    return x
