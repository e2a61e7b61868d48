"""Boxes with lines of text and arrows between them, for diagrams in inches from the upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from rhvae_mri.figures.style import BAND, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Height of a line of text and distance of the text from the box's edge, in inches.
LINE, PADDING = 0.125, 0.05


def diagram(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure whose data coordinates are inches, the vertical ones downwards."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, 0))
    return figure, ax


def box_height(lines: Sequence[str]) -> float:
    """Return the height of a box with these lines; 0 without lines, for there is no box then."""
    return len(lines) * LINE + 2 * PADDING if lines else 0.0


def draw_box(
    ax: Axes,
    lines: Sequence[str],
    left: float,
    top: float,
    width: float,
    *,
    extra: float = 0.0,
    edge: str = INK,
    face: str = BAND,
) -> None:
    """Draw a box with lines of text, the first in bold, and ``extra`` inches of room below them."""
    height = box_height(lines) + extra
    ax.add_patch(Rectangle((left, top), width, height, facecolor=face, edgecolor=edge, linewidth=0.7))
    for number, line in enumerate(lines):
        y = top + PADDING + (number + 0.5) * LINE
        weight = "normal" if number else "bold"
        ax.text(left + PADDING, y, line, va="center", fontsize=6.5, weight=weight)


def draw_arrow(ax: Axes, *points: tuple[float, float], shade: str = INK) -> None:
    """Draw an arrow along points, from the first to the last."""
    if len(points) > 2:
        ax.plot(*zip(*points[:-1], strict=True), color=shade, linewidth=0.7, solid_capstyle="butt")
    ax.add_patch(
        FancyArrowPatch(
            points[-2],
            points[-1],
            color=shade,
            arrowstyle="-|>",
            mutation_scale=6,
            linewidth=0.7,
            shrinkA=0,
            shrinkB=0,
        )
    )
