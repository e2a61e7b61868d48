"""Strips of every run's balanced accuracy, with mean, standard deviation and the published mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rhvae_mri.figures.style import (
    BAND,
    INK,
    PAGE_WIDTH,
    QUIET,
    Drawing,
    colours,
    set_heading,
)
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import CONDITION, check_columns, ordered, sort_rows
from rhvae_mri.statistics.published import check_published
from rhvae_mri.statistics.tables import classification_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_METRIC = "balanced_accuracy"
_TITLE = "Balanced accuracy of every run on the test sets"
_CELL = [*CONDITION, "test_cohort"]
_DATA = ["training_data", "resolution", "n_synthetic"]
_SIDE_BY_SIDE_UP_TO = 6  # conditions that fit beside each other in half a page's width
_LEGEND_LINE = 5  # entries of the legend that fit beside each other
_PANEL_HEIGHT = 1.85  # inches
_WIDE_GROUP = 3  # conditions; the name of so wide a group fits on one line
_SLOT = 0.84  # the part of the distance between two conditions that their strips take
_GROUP_NAMES = {
    "real": "real",
    "classic": "classic\naugm.",
    "synthetic": "synthetic",
    "augmented": "synthetic\n+ real",
}
_RESOLUTION_NAMES = {"full": "high\nres.", "downsampled": "down-\nsampled"}


class _Condition(NamedTuple):
    """A place on the horizontal axis."""

    training_data: str
    resolution: str
    n_synthetic: int

    @property
    def tick(self) -> str:
        if not self.n_synthetic:
            return _RESOLUTION_NAMES.get(self.resolution, self.resolution)
        return f"{self.n_synthetic:,}" + ("\nhigh res." if self.resolution == "full" else "")


def strip_source(runs: pandas.DataFrame, table: pandas.DataFrame) -> pandas.DataFrame:
    """Collect one row per run, with the mean, SD and published mean of its condition."""
    check_columns(runs, [*_CELL, "seed", "set", "metric"])
    shown = runs[(runs["set"] == "test") & (runs["metric"] == _METRIC)].drop(columns=["set", "metric"])
    if shown.empty:
        raise StudyError("There is no run with a balanced accuracy on a test set to draw.")
    statistics = ["mean_percent", "sd_percent", "published_mean_percent"]
    of_metric = table.loc[table["metric"] == _METRIC, [*_CELL, *statistics]]
    joined = shown.merge(of_metric, how="left", on=_CELL, validate="many_to_one", indicator="origin")
    if (joined["origin"] != "both").any():
        raise StudyError(
            "The table of means lacks conditions that have runs.",
            cause="The two tables are of different versions of the study.",
            remedy="Run the workflow again.",
        )
    return sort_rows(joined.drop(columns="origin"))


def draw_seeds(runs: pandas.DataFrame, published: pandas.DataFrame, *, simulated: bool) -> Drawing:
    """Draw every run's balanced accuracy: a panel for each architecture and test cohort."""
    source = strip_source(runs, classification_table(runs, check_published(published)))
    return Drawing(source, _figure(source, simulated), _TITLE)


def _figure(source: pandas.DataFrame, simulated: bool) -> Figure:
    distinct = sort_rows(source[_DATA].drop_duplicates())
    conditions = [_Condition(*row) for row in distinct.itertuples(index=False)]
    architectures = ordered("architecture", source["architecture"])
    cohorts = ordered("test_cohort", source["test_cohort"])
    panels = [(architecture, cohort) for architecture in architectures for cohort in cohorts]
    n_columns = len(cohorts) if len(conditions) <= _SIDE_BY_SIDE_UP_TO else 1
    n_rows = len(panels) // n_columns
    shades = colours(ordered("training_set", source["training_set"]))
    figure = Figure(figsize=(PAGE_WIDTH, 0.9 + _PANEL_HEIGHT * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for ax, (architecture, cohort) in zip(axes.flat, panels, strict=True):
        shown = source[(source["architecture"] == architecture) & (source["test_cohort"] == cohort)]
        ax.set_title(f"{architecture.capitalize()} network, {cohort}")
        _draw_panel(ax, shown, conditions, shades)
    for ax in axes[-1]:
        _name_conditions(ax, conditions)
    for ax in axes[:, 0]:
        ax.set_ylabel("balanced accuracy (%)")
    axes[0, 0].set_ylim(*_limits(source))
    axes[0, 0].set_yticks([tick for tick in axes[0, 0].get_yticks() if 0 <= tick <= 100])
    set_heading(figure, _TITLE, simulated=simulated)
    handles = _legend_handles(shades, source["published_mean_percent"].notna().any(), simulated)
    n_lines = 1 if len(handles) <= _LEGEND_LINE else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=math.ceil(len(handles) / n_lines))
    return figure


def _draw_panel(
    ax: Axes, shown: pandas.DataFrame, conditions: list[_Condition], shades: dict[str, str]
) -> None:
    width = _SLOT / len(shades)
    for order, (training_set, shade) in enumerate(shades.items()):
        strips = shown[shown["training_set"] == training_set]
        places = [conditions.index(_Condition(*row)) for row in strips[_DATA].itertuples(index=False)]
        _draw_strips(ax, strips, numpy.array(places) + width * (order + 0.5) - _SLOT / 2, width, shade)
    for place in range(1, len(conditions)):
        if place % 2:
            ax.axvspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=0)
        if conditions[place].training_data != conditions[place - 1].training_data:
            ax.axvline(place - 0.5, color=QUIET, linewidth=0.6)
    ax.axhline(50, color=QUIET, linewidth=0.6, linestyle=(0, (4, 3)))
    ax.set_xlim(-0.5, len(conditions) - 0.5)


def _draw_strips(
    ax: Axes, strips: pandas.DataFrame, centres: numpy.ndarray, width: float, shade: str
) -> None:
    """Draw the runs of one training set, in each condition from left to right by seed.

    ``centres`` has the place of each row's strip. The right end of a strip is kept free for the published
    mean.
    """
    runs = strips.groupby(_DATA)["seed"]
    rank = (runs.cumcount() + 0.5) / runs.transform("size")
    ax.plot(
        centres + width * (0.7 * rank - 0.47),
        strips["value_percent"],
        linestyle="none",
        marker="o",
        markersize=2.6,
        markeredgewidth=0,
        color=shade,
        alpha=0.65,
    )
    first = ~strips.duplicated(_DATA).to_numpy()
    means, middles = strips[first], centres[first] - 0.12 * width
    ax.hlines(
        means["mean_percent"],
        middles - 0.34 * width,
        middles + 0.34 * width,
        color=INK,
        linewidth=1.3,
        zorder=3,
    )
    ax.errorbar(
        middles,
        means["mean_percent"],
        yerr=means["sd_percent"],
        fmt="none",
        ecolor=INK,
        elinewidth=0.8,
        zorder=3,
    )
    ax.plot(
        centres[first] + 0.38 * width,
        means["published_mean_percent"],
        linestyle="none",
        marker="D",
        markersize=3,
        markerfacecolor="white",
        markeredgecolor=shade,
        markeredgewidth=0.9,
        zorder=4,
    )


def _name_conditions(ax: Axes, conditions: list[_Condition]) -> None:
    ax.set_xticks(range(len(conditions)), [condition.tick for condition in conditions])
    kinds = [condition.training_data for condition in conditions]
    for kind in dict.fromkeys(kinds):
        places = [place for place, other in enumerate(kinds) if other == kind]
        name = _GROUP_NAMES.get(kind, kind)
        ax.annotate(
            name.replace("\n", " ") if len(places) >= _WIDE_GROUP else name,
            (sum(places) / len(places), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -26),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="top",
            weight="bold",
        )


def _limits(source: pandas.DataFrame) -> tuple[float, float]:
    """Find limits that hold every run, mean and SD, and the level of chance."""
    ends = numpy.concatenate([source["mean_percent"] + sign * source["sd_percent"] for sign in (-1, 1)])
    shown = numpy.concatenate([ends, source["value_percent"], source["published_mean_percent"], [50, 100]])
    return 10 * numpy.floor((numpy.nanmin(shown) - 2) / 10), numpy.nanmax(shown) + 2


def _legend_handles(shades: dict[str, str], with_published: bool, simulated: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle="none", marker="o", color=shade, label=f"one run, {training_set}")
        for training_set, shade in shades.items()
    ]
    handles.append(Line2D([], [], marker="|", markersize=8, color=INK, label="mean ± SD of the runs"))
    if with_published:
        diamond = Line2D([], [], linestyle="none", marker="D", markerfacecolor="white", markeredgecolor=INK)
        diamond.set_label("published mean" + (" (real participants)" if simulated else ""))
        handles.append(diamond)
    handles.append(Line2D([], [], color=QUIET, linestyle=(0, (4, 3)), linewidth=0.6, label="chance"))
    return handles
