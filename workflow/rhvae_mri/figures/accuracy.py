"""Balanced accuracy on the test sets: strips of every run, and curves by the number of synthetic images."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from rhvae_mri.figures import looks
from rhvae_mri.figures.looks import Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, colours, key, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import (
    CONDITION,
    DATA,
    check_columns,
    list_doubts,
    list_generators,
    ordered,
    sort_rows,
)
from rhvae_mri.statistics.published import PUBLISHED_RESOLUTION, check_published
from rhvae_mri.statistics.tables import classification_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_METRIC = "balanced_accuracy"
_CELL = [*CONDITION, "test_cohort"]
_LABEL = "balanced accuracy (%)"

# Of the strips: how many places on the horizontal axis fit into half a page's width, and which of their names
# fit on one line; the part of the distance between two that their strips take.
_SIDE_BY_SIDE_UP_TO, _WIDE_GROUP, _SLOT = 6, 3, 0.84
_GROUP_NAMES = {"classic": "classic\naugm.", "augmented": "synthetic\n+ real"}
_RESOLUTION_NAMES = {"full": "high\nres.", "downsampled": "down-\nsampled"}
_UPRIGHT = 6.0  # size of upright names
_LINE = 110  # letters in a line of the heading
_MANY, _SMALL = 30, Look(markersize=1.5)  # places of which the strips are so narrow that dots are smaller
_ENTRY = 0.06  # inches that another entry of a legend takes, three in a line
_LEGEND_LINE = 5  # entries of the legend that fit beside each other

# Of the curves: the kinds of training data with synthetic images, and those without, with their names; how
# far the two kinds are moved apart, in decades of the size, and the part of the distance between two sizes
# that more curves take together; the marks of generators and the lines of kinds where there are several.
_CURVES = {"synthetic": "synthetic", "augmented": "synthetic + real"}
_LEVELS = {"real": "real alone", "classic": "real, classic augmentation"}
_APART, _TOGETHER = 0.03, 0.6
_MARKS = ("o", "s", "^", "v", "P")
_LINES = {
    "synthetic": Look(linestyle=(0, (1, 1)), markerfacecolor="white", markersize=3.2),
    "augmented": Look(linestyle="-", markersize=3.2),
}
_PUBLISHED = Look(linewidth=0.7, linestyle=(0, (4, 2)))
_INTERVAL = Look(alpha=0.18, linewidth=0)


def _source(runs: pandas.DataFrame, table: pandas.DataFrame, statistics: list[str]) -> pandas.DataFrame:
    """Collect one row per run on a test set, with the statistics of its condition."""
    check_columns(runs, [*_CELL, "seed", "set", "metric"])
    shown = runs[(runs["set"] == "test") & (runs["metric"] == _METRIC)].drop(columns=["set", "metric"])
    if shown.empty:
        raise StudyError("There is no run with a balanced accuracy on a test set to draw.")
    of_metric = table.loc[table["metric"] == _METRIC, [*_CELL, *statistics]]
    joined = shown.merge(of_metric, how="left", on=_CELL, validate="many_to_one", indicator="origin")
    if (joined["origin"] != "both").any():
        raise StudyError(
            "The table of means or estimates lacks conditions that have runs.",
            cause="The tables are of different versions of the study.",
            remedy="Run the workflow again.",
        )
    return sort_rows(joined.drop(columns="origin"))


def draw_seeds(
    runs: pandas.DataFrame, published: pandas.DataFrame, comparisons: pandas.DataFrame, *, simulated: bool
) -> Drawing:
    """Draw every run's balanced accuracy: a panel for each architecture and test cohort."""
    means = classification_table(runs, check_published(published))
    source = _source(runs, means, ["mean_percent", "sd_percent", "published_mean_percent"])
    conditions = sort_rows(source[list(DATA)].drop_duplicates())
    placed = source.merge(conditions.assign(place=conditions.index), on=list(DATA), how="left")
    panels = [
        (architecture, cohort)
        for architecture in ordered("architecture", source["architecture"])
        for cohort in ordered("test_cohort", source["test_cohort"])
    ]
    n_columns = source["test_cohort"].nunique() if len(conditions) <= _SIDE_BY_SIDE_UP_TO else 1
    n_rows = len(panels) // n_columns
    figure = Figure(figsize=(PAGE_WIDTH, 0.9 + 1.85 * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    shades = colours(ordered("training_set", source["training_set"]))
    for ax, (architecture, cohort) in zip(axes.flat, panels, strict=True):
        ax.set_title(f"{architecture.capitalize()} network, {cohort}")
        shown = placed.query("architecture == @architecture and test_cohort == @cohort")
        for order, (training_set, shade) in enumerate(shades.items()):
            strips = shown[shown["training_set"] == training_set]
            width = _SLOT / len(shades)
            centres = strips["place"].to_numpy() + width * (order + 0.5) - _SLOT / 2
            dots = looks.RUNS | Look(color=shade) | (_SMALL if len(conditions) > _MANY else {})
            _draw_strips(ax, strips, centres, width, dots)
        _part_conditions(ax, conditions)
    for ax in axes[-1]:
        _name_conditions(ax, conditions)
    for ax in axes[:, 0]:
        ax.set_ylabel(_LABEL)
    axes[0, 0].set_ylim(*_limits(source))
    axes[0, 0].set_yticks([tick for tick in axes[0, 0].get_yticks() if 0 <= tick <= 100])
    title = "Balanced accuracy of every run on the test sets"
    set_heading(figure, title + _doubts(comparisons), simulated=simulated)
    handles = [key(f"one run, {name}", **looks.MARK, color=shade) for name, shade in shades.items()]
    handles.append(key("mean ± SD of the runs", marker="|", markersize=8, color=looks.INK))
    if source["published_mean_percent"].notna().any():
        label = "published mean" + (" (real participants)" if simulated else "")
        handles.append(key(label, **looks.RING | Look(marker="D")))
    handles.append(key("chance", **looks.CHANCE))
    n_lines = 1 if len(handles) <= _LEGEND_LINE else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=math.ceil(len(handles) / n_lines))
    return Drawing(source, figure, title)


def _draw_strips(
    ax: Axes, strips: pandas.DataFrame, centres: numpy.ndarray, width: float, dots: Look
) -> None:
    """Draw the runs of one training set, in each condition from left to right by seed.

    The right end of a strip is kept free for the published mean.
    """
    runs = strips.groupby("place")["seed"]
    rank = (runs.cumcount() + 0.5) / runs.transform("size")
    ax.plot(centres + width * (0.7 * rank - 0.47), strips["value_percent"], **dots)
    first = ~strips.duplicated("place").to_numpy()
    means, middles = strips[first], centres[first] - 0.12 * width
    height, reach = means["mean_percent"], 0.34 * width
    ax.hlines(height, middles - reach, middles + reach, **looks.MEAN, zorder=3)
    ax.errorbar(
        middles, height, yerr=means["sd_percent"], fmt="none", ecolor=looks.INK, elinewidth=0.8, zorder=3
    )
    diamonds = looks.RING | Look(marker="D", markersize=3, markeredgecolor=dots["color"], markeredgewidth=0.9)
    ax.plot(centres[first] + 0.38 * width, means["published_mean_percent"], **diamonds, zorder=4)


def _part_conditions(ax: Axes, conditions: pandas.DataFrame) -> None:
    before = conditions.shift()
    for place in range(1, len(conditions)):
        if place % 2:
            ax.axvspan(place - 0.5, place + 0.5, color=looks.BAND, linewidth=0, zorder=0)
        if conditions["training_data"][place] != before["training_data"][place]:
            ax.axvline(place - 0.5, color=looks.QUIET, linewidth=0.6)
        elif conditions["generator"][place] != before["generator"][place]:
            ax.axvline(place - 0.5, color=looks.QUIET, linewidth=0.5, linestyle=(0, (1, 2)))
    ax.axhline(50, **looks.CHANCE)
    ax.set_xlim(-0.5, len(conditions) - 0.5)


def _name_conditions(ax: Axes, conditions: pandas.DataFrame) -> None:
    grouped, below = conditions, 26.0
    if len(list_generators(conditions)) > 1:
        # upright, because there are many; real images have their whole name there, in a group that is narrow
        names = [
            f"{one.generator}, {one.n_synthetic:,}"
            if one.n_synthetic
            else one.training_data + (", high res." if one.resolution == "full" else "")
            for one in conditions.itertuples()
        ]
        ax.tick_params(axis="x", labelrotation=90, labelsize=_UPRIGHT)
        grouped = conditions[conditions["n_synthetic"] > 0]
        below = 10 + 0.6 * _UPRIGHT * max(len(names[place]) for place in grouped.index)
    else:
        names = [
            f"{one.n_synthetic:,}" + ("\nhigh res." if one.resolution == "full" else "")
            if one.n_synthetic
            else _RESOLUTION_NAMES.get(one.resolution, one.resolution)
            for one in conditions.itertuples()
        ]
    ax.set_xticks(range(len(conditions)), names)
    for kind, group in grouped.groupby("training_data", sort=False):
        name = _GROUP_NAMES.get(kind, kind)
        ax.annotate(
            name.replace("\n", " ") if len(group) >= _WIDE_GROUP else name,
            (group.index.to_series().mean(), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -below),
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


def draw_sizes(
    runs: pandas.DataFrame,
    estimates: pandas.DataFrame,
    published: pandas.DataFrame,
    comparisons: pandas.DataFrame,
    *,
    simulated: bool,
) -> Drawing:
    """Draw balanced accuracy by number of synthetic images: by architecture, training set and cohort."""
    check_columns(runs, ["resolution"])
    of_size = runs[runs["resolution"] == PUBLISHED_RESOLUTION]
    theirs = check_published(published).query("metric == @_METRIC").drop(columns="metric")
    theirs = theirs.assign(resolution=PUBLISHED_RESOLUTION)
    source = _source(of_size, estimates, ["mean_percent", "low_percent", "high_percent"])
    source = sort_rows(source.merge(theirs, how="left", on=_CELL))
    architectures = ordered("architecture", source["architecture"])
    columns = [
        (training_set, cohort)
        for training_set in ordered("training_set", source["training_set"])
        for cohort in ordered("test_cohort", source["test_cohort"])
    ]
    curves, shades = _choose_looks(source)
    more = max(0, len(curves) - len(_CURVES))
    height = (2.4 if more else 1.75) * len(architectures)
    figure = Figure(figsize=(PAGE_WIDTH, 0.95 + height + _ENTRY * more), layout="constrained")
    axes = figure.subplots(len(architectures), len(columns), sharex=True, sharey=True, squeeze=False)
    sizes = sorted({int(size) for size in source["n_synthetic"]} - {0})
    for row, architecture in enumerate(architectures):
        for ax, (training_set, cohort) in zip(axes[row], columns, strict=True):
            panel = source.query(
                "architecture == @architecture and training_set == @training_set and test_cohort == @cohort"
            )
            _draw_curves(ax, panel, curves, shades, _distance(sizes, len(curves)))
            ax.set_title(f"{training_set}, test on {cohort}" if row == 0 else "")
        axes[row, 0].set_ylabel(f"{architecture.capitalize()} network\n{_LABEL}")
    _set_limits(axes[0, 0], source, sizes)
    for ax in axes[-1]:
        ax.set_xlabel("synthetic images")
    title = "Balanced accuracy by the number of synthetic images"
    set_heading(figure, title + _doubts(comparisons), simulated=simulated)
    entries = _legend_entries(source, curves, shades, simulated)
    figure.legend(handles=list(entries.values()), labels=list(entries), loc="outside lower center", ncols=3)
    return Drawing(source, figure, title)


def _doubts(comparisons: pandas.DataFrame) -> str:
    """Say of which generators a gain is doubtful, in lines below a heading."""
    names = [doubt.partition(":")[0] for doubt in list_doubts(comparisons)]
    text = f"A gain is doubtful (tables/flags.tsv says why): {', '.join(names)}" if names else ""
    return "".join(f"\n{line}" for line in textwrap.wrap(text, _LINE))


def _choose_looks(source: pandas.DataFrame) -> tuple[dict[tuple[str, str], Look], dict[str, str]]:
    """Choose the look of each curve, by kind and generator, and the colour of real images, by kind.

    Several generators have a mark each, as colours alone are not told apart in grey.
    """
    generators = list_generators(source)
    several = len(generators) > 1
    shades = colours([*(generators if several else _CURVES), "classic"])
    curves = {
        (kind, generator): Look(color=shades[generator], marker=mark) | _LINES[kind]
        if several
        else Look(color=shades[kind], marker="o", markersize=2.6)
        for kind in _CURVES
        for generator, mark in zip(generators, _MARKS, strict=False)
    }
    return curves, {"real": looks.INK, "classic": shades["classic"]}


def _distance(sizes: list[int], n_curves: int) -> float:
    """Return how far the curves are moved apart, in decades of the size."""
    if n_curves <= len(_CURVES):
        return _APART
    return _TOGETHER * min(numpy.diff(numpy.log10(sizes)), default=1) / n_curves


def _draw_curves(
    ax: Axes,
    chosen: pandas.DataFrame,
    curves: dict[tuple[str, str], Look],
    shades: dict[str, str],
    distance: float,
) -> None:
    """Draw one panel: real images as a band, each kind and generator of synthetic sets as a curve."""
    for kind in _LEVELS:
        for one in chosen[chosen["training_data"] == kind].head(1).itertuples():
            ax.axhspan(one.low_percent, one.high_percent, color=shades[kind], **_INTERVAL)
            ax.axhline(one.mean_percent, color=shades[kind], linewidth=0.9)
            ax.axhline(one.published_mean_percent, color=shades[kind], **_PUBLISHED)
    beside = 3 if len(curves) <= len(_CURVES) else 1  # the runs of few curves have room beside the means
    for number, ((kind, generator), curve) in enumerate(curves.items()):
        runs = chosen[(chosen["training_data"] == kind) & (chosen["generator"] == generator)]
        if runs.empty:
            continue
        shade, apart = Look(color=curve["color"]), distance * (number - (len(curves) - 1) / 2)
        dots = looks.RUNS | Look(markersize=1.8, alpha=0.35)
        ax.plot(runs["n_synthetic"] * 10 ** (beside * apart), runs["value_percent"], **dots, **shade)
        means = runs.drop_duplicates("n_synthetic")
        places, height = means["n_synthetic"] * 10**apart, means["mean_percent"]
        ends = abs(means[["low_percent", "high_percent"]].sub(height, axis="index")).T
        # a single size has no line
        ax.errorbar(places, height, yerr=ends, elinewidth=1.0, linewidth=1.3, **curve)
        look = Look(marker="D", markersize=3, markerfacecolor="white", markeredgewidth=0.8)
        ax.plot(places, means["published_mean_percent"], **_PUBLISHED, **look, **shade, zorder=4)


def _set_limits(ax: Axes, source: pandas.DataFrame, sizes: list[int]) -> None:
    """Set limits and ticks of all panels."""
    columns = ["value_percent", "low_percent", "high_percent", "published_mean_percent"]
    values = source[columns].to_numpy(float)
    ax.set_ylim(numpy.nanmin(values) - 2, min(numpy.nanmax(values) + 2, 102))
    if sizes:
        ax.set_xscale("log")
        margin = 1.25 if len(sizes) > 1 else 2
        ax.set_xlim(sizes[0] / margin, sizes[-1] * margin)
        # thousands as 1k: six sizes are to fit below a narrow panel
        ax.set_xticks(sizes, [f"{size / 1000:g}k" if size >= 1000 else str(size) for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())


def _legend_entries(
    source: pandas.DataFrame, curves: dict[tuple[str, str], Look], shades: dict[str, str], simulated: bool
) -> dict[str, Any]:
    """What each label of the legend stands beside."""
    present = set(source["training_data"])
    drawn = set(zip(source["training_data"], source["generator"], strict=True))
    several = len(curves) > len(_CURVES)
    entries: dict[str, Any] = {}
    for kind, generator in (one for one in curves if one in drawn):
        look = curves[kind, generator] if several else Look(color=curves[kind, generator]["color"])
        name = _CURVES[kind] + (f" ({generator})" if several else "")
        entries[name] = Line2D([], [], linewidth=1.3, **look)
    for kind, name in _LEVELS.items():
        if kind in present:
            band = Patch(color=shades[kind], **_INTERVAL)
            entries[f"{name}: mean and interval"] = (band, Line2D([], [], color=shades[kind], linewidth=0.9))
    entries["interval of a mean"] = Line2D(
        [], [], color=looks.QUIET, marker="|", markersize=8, linestyle="none"
    )
    entries["one run"] = Line2D([], [], color=looks.QUIET, **looks.MARK)
    if source["published_mean_percent"].notna().any():
        label = "published" + (" (real participants)" if simulated else "")
        entries[label] = Line2D([], [], color=looks.QUIET, **_PUBLISHED, marker="D", markerfacecolor="white")
    return entries
