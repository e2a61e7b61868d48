"""The training curves of all runs of one architecture on one training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rhvae_mri.figures.panels import panel_title
from rhvae_mri.figures.style import INK, PAGE_WIDTH, Drawing, colours, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import sort_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DATA = ["training_data", "n_synthetic", "resolution"]
_QUANTITIES = {"loss": "cross entropy\n(nats)", "balanced_accuracy": "balanced\naccuracy (%)"}
_PARTS = {"train": "training", "validation": "validation"}
_PANELS_ACROSS = 6

# All in inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 0.12, 0.16, 0.62
_PANEL, _BETWEEN, _TITLE = 0.78, 0.09, 0.4
_GAP = 0.2  # between panels side by side


def training_source(histories: pandas.DataFrame, architecture: str, training_set: str) -> pandas.DataFrame:
    """Choose the histories of one architecture on one training set, with accuracies in percent.

    The result is in percent.
    """
    chosen = histories[
        (histories["architecture"] == architecture) & (histories["training_set"] == training_set)
    ]
    if chosen.empty:
        raise StudyError(f"There is no training history of the {architecture} network on {training_set}.")
    accuracies = {name: f"{name}_percent" for name in chosen if name.endswith("balanced_accuracy")}
    percent = chosen.assign(**{name: (100 * chosen[name]).round(4) for name in accuracies})
    losses = {name: percent[name].round(6) for name in percent if name.endswith("_loss")}
    return sort_rows(percent.assign(**losses).rename(columns=accuracies))


def draw_training(
    histories: pandas.DataFrame,
    *,
    architecture: str,
    training_set: str,
    simulated: bool,
) -> Drawing:
    """Draw loss and balanced accuracy of every run by epoch, two panels for each kind of training data."""
    source = training_source(histories, architecture, training_set)
    title = f"Training of the {architecture} network on {training_set}"
    return Drawing(source, _figure(source, title, simulated), title)


def _figure(source: pandas.DataFrame, title: str, simulated: bool) -> Figure:
    rows = _rows_of_panels(source)
    n_columns = max(map(len, rows))
    block = _TITLE + 2 * _PANEL + _BETWEEN
    height = _TOP + len(rows) * block + _BOTTOM
    width = (PAGE_WIDTH - _LEFT - _RIGHT - (n_columns - 1) * _GAP) / n_columns
    figure = Figure(figsize=(PAGE_WIDTH, height))
    shades = dict(zip(_PARTS, colours(list(_PARTS)).values(), strict=True))
    limits = {quantity: _limits(source, quantity) for quantity in _QUANTITIES}
    last_epoch = int(source["epoch"].max())
    for row, conditions in enumerate(rows):
        for column, (label, runs) in enumerate(conditions):
            for place, quantity in enumerate(_QUANTITIES):
                top = _TOP + row * block + _TITLE + place * (_PANEL + _BETWEEN)
                ax = figure.add_axes(
                    (
                        (_LEFT + column * (width + _GAP)) / PAGE_WIDTH,
                        1 - (top + _PANEL) / height,
                        width / PAGE_WIDTH,
                        _PANEL / height,
                    )
                )
                _draw_runs(ax, runs, quantity, shades)
                ax.set_xlim(0, last_epoch * 1.02)
                ax.xaxis.set_major_locator(MaxNLocator(nbins=3 if n_columns > 3 else 6, integer=True))
                ax.set_ylim(*limits[quantity])
                is_lower = place == len(_QUANTITIES) - 1
                has_none_below = row + 1 == len(rows) or column >= len(rows[row + 1])
                ax.tick_params(labelleft=column == 0, labelbottom=is_lower and has_none_below)
                if column == 0:
                    ax.set_ylabel(_QUANTITIES[quantity])
                    ax.yaxis.set_label_coords(-0.34 / width, 0.5)
                if is_lower and has_none_below:
                    ax.set_xlabel("epoch")
                if place == 0:
                    ax.set_title(label, weight="normal", pad=4)
    set_heading(figure, title, simulated=simulated, y=1 - 0.06 / height)
    figure.legend(handles=_legend_handles(shades), loc="lower center", ncols=5, borderaxespad=0.3)
    return figure


def _rows_of_panels(source: pandas.DataFrame) -> list[list[tuple[str, pandas.DataFrame]]]:
    """Arrange the conditions: a row for each kind of data, or several where there are many sizes."""
    kinds: dict[str, list[tuple[str, pandas.DataFrame]]] = {}
    for (kind, n_synthetic, resolution), runs in source.groupby(_DATA, sort=False):
        label = panel_title(kind, n_synthetic, resolution)
        kinds.setdefault(kind if n_synthetic else "no synthetic images", []).append((label, runs))
    return [
        of_kind[first : first + _PANELS_ACROSS]
        for of_kind in kinds.values()
        for first in range(0, len(of_kind), _PANELS_ACROSS)
    ]


def _column(part: str, quantity: str) -> str:
    return f"{part}_{quantity}" + ("_percent" if quantity == "balanced_accuracy" else "")


def _draw_runs(ax: Axes, runs: pandas.DataFrame, quantity: str, shades: dict[str, str]) -> None:
    """Draw every run as a thin line, the mean over the runs as a thick one, and the selected epochs."""
    curves = {
        part: runs.pivot_table(index="epoch", columns="seed", values=_column(part, quantity), dropna=False)
        for part in shades
    }
    for part, shade in shades.items():
        # As pixels: as paths, the hundreds of runs of the published study make files of megabytes.
        ax.plot(curves[part], color=shade, linewidth=0.35, alpha=0.35, rasterized=True)
    for part, shade in shades.items():
        ax.plot(curves[part].mean(axis="columns", skipna=False), color=shade, linewidth=1.3)
    selected = runs[runs["best"] == 1]
    ax.plot(
        selected["epoch"],
        selected[_column("validation", quantity)],
        linestyle="none",
        marker="o",
        markersize=2.4,
        markerfacecolor="white",
        markeredgecolor=INK,
        markeredgewidth=0.5,
        zorder=4,
    )


def _limits(source: pandas.DataFrame, quantity: str) -> tuple[float, float]:
    """Find limits for all panels; a few losses far above all others would press them flat."""
    values = source[[_column(part, quantity) for part in _PARTS]].to_numpy(float)
    values = values[numpy.isfinite(values)]
    if quantity == "loss":
        return 0.0, 1.05 * float(numpy.percentile(values, 99.5)) if len(values) else 1.0
    lowest = float(values.min()) if len(values) else 50.0
    return 10 * numpy.floor(min(lowest, 50.0) / 10) - 2, 103.0


def _legend_handles(shades: dict[str, str]) -> list[Line2D]:
    handles = [Line2D([], [], color=shades[part], linewidth=1.3, label=name) for part, name in _PARTS.items()]
    handles.append(Line2D([], [], color=INK, linewidth=1.3, label="mean of the runs"))
    handles.append(Line2D([], [], color=INK, linewidth=0.35, label="one run"))
    selected = Line2D([], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor=INK)
    selected.set_label("selected epoch")
    return [*handles, selected]
