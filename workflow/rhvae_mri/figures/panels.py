"""Figures with one small panel for each condition of an architecture, in a block per training set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.style import PAGE_WIDTH
from rhvae_mri.statistics.conditions import data_label, ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DATA = ["training_data", "n_synthetic", "resolution"]
_PANELS_ACROSS = 7

# All in inches.
_LEFT, _RIGHT, _TOP = 0.5, 0.08, 0.18
_TITLE, _TITLE_LINE = 0.1, 0.12
_BLOCK_TITLE = 0.2
_BLOCK_GAP = 0.06
_GAP = 0.1


class Panel(NamedTuple):
    """A panel, and what it is of."""

    ax: Axes
    rows: pandas.DataFrame
    is_left: bool  #: whether it is the first of its row
    is_low: bool  #: whether no panel is below it in its block


def lay_out_panels(
    source: pandas.DataFrame, *, height: float | None = None, bottom: float, axis_names: float = 0.3
) -> tuple[Figure, Iterator[Panel]]:
    """Lay out a panel for each condition of a table."""
    blocks = {
        name: _arrange(source[source["training_set"] == name])
        for name in ordered("training_set", source["training_set"])
    }
    n_columns = max(len(row) for rows in blocks.values() for row in rows)
    n_columns = max(n_columns, 4)  # wider panels show no more
    width = (PAGE_WIDTH - _LEFT - _RIGHT - (n_columns - 1) * _GAP) / n_columns
    panel_height = height or width
    heights = [panel_height + _title_height(row) for rows in blocks.values() for row in rows]
    total = _TOP + sum(heights) + len(blocks) * (_BLOCK_TITLE + axis_names + _BLOCK_GAP) - _BLOCK_GAP + bottom
    figure = Figure(figsize=(PAGE_WIDTH, total))

    def panels() -> Iterator[Panel]:
        top = _TOP
        for name, rows in blocks.items():
            figure.text(0.06 / PAGE_WIDTH, 1 - (top + 0.15) / total, name, weight="bold")
            top += _BLOCK_TITLE
            for number, row in enumerate(rows):
                top += _title_height(row)
                for column, (label, part) in enumerate(row):
                    left = (_LEFT + column * (width + _GAP)) / PAGE_WIDTH
                    low = 1 - (top + panel_height) / total
                    ax = figure.add_axes((left, low, width / PAGE_WIDTH, panel_height / total))
                    ax.set_title(label, weight="normal", pad=3)
                    is_low = number + 1 == len(rows) or column >= len(rows[number + 1])
                    ax.tick_params(labelleft=column == 0, labelbottom=is_low)
                    yield Panel(ax, part, column == 0, is_low)
                top += panel_height
            top += axis_names + _BLOCK_GAP

    return figure, panels()


def panel_title(training_data: str, n_synthetic: int, resolution: str) -> str:
    """Name the data of a condition on two lines where that is long: panels are narrow.

    Examples
    --------
    >>> panel_title("augmented", 500, "downsampled").splitlines()
    ['500 synthetic', '+ real']
    """
    if training_data == "classic":
        return "classic\n(high resolution)" if resolution == "full" else "classic\naugmentation"
    label = data_label(training_data, n_synthetic, resolution)
    return label.replace(" (", "\n(").replace(" + ", "\n+ ")


def _title_height(row: list[tuple[str, pandas.DataFrame]]) -> float:
    return _TITLE + _TITLE_LINE * max(label.count("\n") + 1 for label, _ in row)


def _arrange(rows: pandas.DataFrame) -> list[list[tuple[str, pandas.DataFrame]]]:
    """Arrange the conditions of a training set: in one row if it holds them, else a row per kind of data."""
    kinds: dict[str, list[tuple[str, pandas.DataFrame]]] = {}
    for (kind, n_synthetic, resolution), part in rows.groupby(_DATA, sort=False):
        label = panel_title(kind, n_synthetic, resolution)
        kinds.setdefault(kind if n_synthetic else "no synthetic images", []).append((label, part))
    everything = [one for of_kind in kinds.values() for one in of_kind]
    return [
        group[first : first + _PANELS_ACROSS]
        for group in ([everything] if len(everything) <= _PANELS_ACROSS else kinds.values())
        for first in range(0, len(group), _PANELS_ACROSS)
    ]
