"""Curves of every condition of an architecture on the test sets: ROC curves and reliability curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pandas
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rhvae_mri.figures.panels import lay_out_panels
from rhvae_mri.figures.style import QUIET, Drawing, colours, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import CONDITION, check_columns, ordered, sort_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = [*CONDITION, "test_cohort"]
_LEGEND = 0.42  # inches

# of the ticks 0, 0.5 and 1: centred, those of neighbouring panels would run into each other
_ALIGNMENTS: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")


def draw_roc(
    curves: pandas.DataFrame,
    estimates: pandas.DataFrame,
    *,
    architecture: str,
    simulated: bool,
) -> Drawing:
    """Draw the mean ROC curve over the runs of every condition, with its band."""
    areas = estimates.loc[estimates["metric"] == "auc", [*_CELL, "mean_percent"]]
    areas = areas.rename(columns={"mean_percent": "auc_percent"})
    source = _choose(curves, ("false_positive_rate", "sensitivity"), architecture)
    source = source.merge(areas, how="left", on=_CELL)
    title = f"ROC curves of the {architecture} network"
    figure, shades = _figure(source, _draw_roc, "false positive rate", "sensitivity")
    band = Patch(color=QUIET, alpha=0.4, linewidth=0)
    _finish(figure, title, shades, "mean of the runs", "chance", band, simulated)
    return Drawing(source, figure, title)


def draw_reliability(
    curves: pandas.DataFrame,
    *,
    architecture: str,
    simulated: bool,
) -> Drawing:
    """Draw the share of AD among the images of a predicted probability, for every condition."""
    source = _choose(curves, (), architecture)
    title = f"Calibration of the {architecture} network: predicted and observed AD"
    figure, shades = _figure(source, _draw_reliability, "predicted probability", "observed share")
    bar = Line2D([], [], color=QUIET, linestyle="none", marker="|", markersize=8)
    _finish(figure, title, shades, "images of all runs", "perfect calibration", bar, simulated)
    return Drawing(source, figure, title)


def _choose(curves: pandas.DataFrame, columns: tuple[str, ...], architecture: str) -> pandas.DataFrame:
    check_columns(curves, [*_CELL, *columns])
    chosen = curves[curves["architecture"] == architecture]
    if chosen.empty:
        raise StudyError(f"There is no curve of the {architecture} network to draw.")
    return sort_rows(chosen)


def _figure(
    source: pandas.DataFrame,
    draw: Callable[[Axes, pandas.DataFrame, str, int], None],
    x_label: str,
    y_label: str,
) -> tuple[Figure, dict[str, str]]:
    cohorts = ordered("test_cohort", source["test_cohort"])
    shades = colours(cohorts)
    figure, panels = lay_out_panels(source, bottom=_LEGEND)
    for panel in panels:
        ax = panel.ax
        ax.plot([0, 1], [0, 1], color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        for number, (cohort, shade) in enumerate(shades.items()):
            draw(ax, panel.rows[panel.rows["test_cohort"] == cohort], shade, number)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        for tick, alignment in zip(ax.xaxis.get_major_ticks(), _ALIGNMENTS, strict=True):
            tick.label1.set_horizontalalignment(alignment)
        if panel.is_low:
            ax.set_xlabel(x_label)
        if panel.is_left:
            ax.set_ylabel(y_label)
    return figure, shades


def _draw_roc(ax: Axes, curve: pandas.DataFrame, shade: str, number: int) -> None:
    if curve.empty:
        return
    rate = curve["false_positive_rate"]
    ax.fill_between(rate, curve["low"], curve["high"], color=shade, alpha=0.2, linewidth=0)
    ax.plot(rate, curve["sensitivity"], color=shade, linewidth=1.1)
    area = curve["auc_percent"].iloc[0]
    if pandas.notna(area):
        # legible where a curve runs through it
        ground = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
        place = (0.97, 0.2 - 0.14 * number)
        ax.text(*place, f"AUC {area:.1f} %", color=shade, ha="right", fontsize=6, bbox=ground)


def _draw_reliability(ax: Axes, curve: pandas.DataFrame, shade: str, number: int) -> None:
    known = curve.dropna(subset=["mean_probability", "observed_fraction"])
    ends = abs(known[["low", "high"]].sub(known["observed_fraction"], axis="index")).T
    ax.errorbar(
        known["mean_probability"],
        known["observed_fraction"],
        yerr=ends,
        color=shade,
        linewidth=1.0,
        elinewidth=0.7,
        marker="o",
        markersize=2.2,
        clip_on=False,
        zorder=3 + number,
    )


def _finish(
    figure: Figure,
    title: str,
    shades: dict[str, str],
    what: str,
    diagonal: str,
    interval: Artist,
    simulated: bool,
) -> None:
    """Write heading and legend."""
    set_heading(figure, title, simulated=simulated, y=1 - 0.05 / figure.get_figheight())
    handles: list[Artist] = [
        Line2D([], [], color=shade, linewidth=1.1, label=f"{cohort}, {what}")
        for cohort, shade in shades.items()
    ]
    interval.set_label("interval over participants and runs")
    handles.append(interval)
    handles.append(Line2D([], [], color=QUIET, linestyle=(0, (4, 3)), linewidth=0.6, label=diagonal))
    figure.legend(handles=handles, loc="lower center", ncols=4, borderaxespad=0.4)
