"""Balanced accuracy against the size of the synthetic set, beside published values and real images alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from rhvae_mri.figures.style import INK, PAGE_WIDTH, QUIET, Drawing, colours, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import CONDITION, check_columns, ordered, sort_rows
from rhvae_mri.statistics.published import PUBLISHED_RESOLUTION, check_published

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_METRIC = "balanced_accuracy"
_TITLE = "Balanced accuracy by the number of synthetic images"
_CELL = [*CONDITION, "test_cohort"]
#: The kinds of training data with synthetic images, and those without, with their names.
_CURVES = {"synthetic": "synthetic", "augmented": "synthetic + real"}
_LEVELS = {"real": "real alone", "classic": "real, classic augmentation"}
_BAND_STRENGTH = 0.18
_DASHED = (0, (4, 2))
_PANEL_HEIGHT = 1.75  # inches
_APART = 0.03  # how far the two kinds of data are moved apart, in decades of the size


def size_source(
    runs: pandas.DataFrame, estimates: pandas.DataFrame, published: pandas.DataFrame
) -> pandas.DataFrame:
    """Collect what the figure shows: one row per run, with the estimates of its condition."""
    check_columns(runs, [*_CELL, "seed", "set", "metric"])
    is_shown = (runs["set"] == "test") & (runs["metric"] == _METRIC)
    is_shown &= runs["resolution"] == PUBLISHED_RESOLUTION
    shown = runs[is_shown].drop(columns=["set", "metric"])
    if shown.empty:
        raise StudyError("There is no run with a balanced accuracy on a test set to draw.")
    of_metric = estimates.loc[
        estimates["metric"] == _METRIC, [*_CELL, "mean_percent", "low_percent", "high_percent"]
    ]
    joined = shown.merge(of_metric, how="left", on=_CELL, validate="many_to_one", indicator="origin")
    if (joined["origin"] != "both").any():
        raise StudyError(
            "The table of estimates lacks conditions that have runs.",
            cause="The two tables are of different versions of the study.",
            remedy="Run the workflow again.",
        )
    theirs = published[published["metric"] == _METRIC].drop(columns="metric")
    theirs = theirs.assign(resolution=PUBLISHED_RESOLUTION)
    return sort_rows(joined.drop(columns="origin").merge(theirs, how="left", on=_CELL))


def draw_sizes(
    runs: pandas.DataFrame,
    estimates: pandas.DataFrame,
    published: pandas.DataFrame,
    *,
    simulated: bool,
) -> Drawing:
    """Draw balanced accuracy by number of synthetic images: by architecture, training set and cohort."""
    source = size_source(runs, estimates, check_published(published))
    return Drawing(source, _figure(source, simulated), _TITLE)


def _figure(source: pandas.DataFrame, simulated: bool) -> Figure:
    architectures = ordered("architecture", source["architecture"])
    columns = [
        (training_set, cohort)
        for training_set in ordered("training_set", source["training_set"])
        for cohort in ordered("test_cohort", source["test_cohort"])
    ]
    figure = Figure(figsize=(PAGE_WIDTH, 0.95 + _PANEL_HEIGHT * len(architectures)), layout="constrained")
    axes = figure.subplots(len(architectures), len(columns), sharex=True, sharey=True, squeeze=False)
    shades = colours([*_CURVES, "classic"]) | {"real": INK}
    sizes = sorted({int(size) for size in source["n_synthetic"]} - {0})
    for row, architecture in enumerate(architectures):
        for ax, (training_set, cohort) in zip(axes[row], columns, strict=True):
            chosen = source[
                (source["architecture"] == architecture)
                & (source["training_set"] == training_set)
                & (source["test_cohort"] == cohort)
            ]
            _draw_panel(ax, chosen, shades)
            ax.set_title(f"{training_set}, test on {cohort}" if row == 0 else "")
        axes[row, 0].set_ylabel(f"{architecture.capitalize()} network\nbalanced accuracy (%)")
    _set_limits(axes[0, 0], sizes, source)
    for ax in axes[-1]:
        ax.set_xlabel("synthetic images")
    set_heading(figure, _TITLE, simulated=simulated)
    entries = _legend_entries(source, shades, simulated)
    figure.legend(
        handles=list(entries.values()),
        labels=list(entries),
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _draw_panel(ax: Axes, chosen: pandas.DataFrame, shades: dict[str, str]) -> None:
    """Draw one panel: real images as a band, the two kinds of synthetic sets as curves with intervals."""
    for kind in _LEVELS:
        for one in chosen[chosen["training_data"] == kind].head(1).itertuples():
            shade = shades[kind]
            ax.axhspan(one.low_percent, one.high_percent, color=shade, alpha=_BAND_STRENGTH, linewidth=0)
            ax.axhline(one.mean_percent, color=shade, linewidth=0.9)
            ax.axhline(one.published_mean_percent, color=shade, linewidth=0.7, linestyle=_DASHED)
    for number, kind in enumerate(_CURVES):
        shade, runs = shades[kind], chosen[chosen["training_data"] == kind]
        if runs.empty:
            continue
        factor = 10 ** (_APART * (number - 0.5))
        ax.plot(
            runs["n_synthetic"] * 10 ** (3 * _APART * (number - 0.5)),
            runs["value_percent"],
            linestyle="none",
            marker="o",
            markersize=1.8,
            markeredgewidth=0,
            color=shade,
            alpha=0.35,
        )
        means = runs.drop_duplicates("n_synthetic")
        places = means["n_synthetic"] * factor
        ends = abs(means[["low_percent", "high_percent"]].sub(means["mean_percent"], axis="index")).T
        ax.errorbar(
            places,
            means["mean_percent"],
            yerr=ends,
            color=shade,
            elinewidth=1.0,
            linewidth=1.3,
            marker="o",  # a single size has no line
            markersize=2.6,
        )
        ax.plot(
            places,
            means["published_mean_percent"],
            color=shade,
            linewidth=0.7,
            linestyle=_DASHED,
            marker="D",
            markersize=3,
            markerfacecolor="white",
            markeredgewidth=0.8,
            zorder=4,
        )


def _set_limits(ax: Axes, sizes: list[int], source: pandas.DataFrame) -> None:
    """Set limits and ticks of all panels."""
    values = source[["value_percent", "low_percent", "high_percent", "published_mean_percent"]].to_numpy(
        float
    )
    ax.set_ylim(numpy.nanmin(values) - 2, min(numpy.nanmax(values) + 2, 102))
    if sizes:
        ax.set_xscale("log")
        margin = 1.25 if len(sizes) > 1 else 2
        ax.set_xlim(sizes[0] / margin, sizes[-1] * margin)
        ax.set_xticks(sizes, [_short(size) for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())


def _short(size: int) -> str:
    """Write thousands as 1k: six sizes are to fit below a narrow panel."""
    return f"{size / 1000:g}k" if size >= 1000 else str(size)


def _legend_entries(source: pandas.DataFrame, shades: dict[str, str], simulated: bool) -> dict[str, Any]:
    """What each label of the legend stands beside."""
    present = set(source["training_data"])
    entries: dict[str, Any] = {
        name: Line2D([], [], color=shades[kind], linewidth=1.3)
        for kind, name in _CURVES.items()
        if kind in present
    }
    for kind, name in _LEVELS.items():
        if kind in present:
            band = Patch(color=shades[kind], alpha=_BAND_STRENGTH, linewidth=0)
            entries[f"{name}: mean and interval"] = (band, Line2D([], [], color=shades[kind], linewidth=0.9))
    entries["interval of a mean"] = Line2D([], [], color=QUIET, marker="|", markersize=8, linestyle="none")
    entries["one run"] = Line2D([], [], color=QUIET, marker="o", linestyle="none")
    if source["published_mean_percent"].notna().any():
        label = "published" + (" (real participants)" if simulated else "")
        entries[label] = Line2D([], [], color=QUIET, linewidth=0.7, linestyle=_DASHED, marker="D")
        entries[label].set_markerfacecolor("white")
    return entries
