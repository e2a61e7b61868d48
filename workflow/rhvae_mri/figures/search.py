"""The random search: the ranked candidates with all folds, and the accuracy over each hyper-parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rhvae_mri.figures import looks
from rhvae_mri.figures.looks import Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, colours, key, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import check_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column of the leaderboard to its axis' label and scale. Whole numbers have a tick each.
_PANELS = {
    "n_blocks": ("convolutional blocks", "whole"),
    "first_channels": ("filters in the first block", "choice"),
    "n_convolutions": ("convolutions in all", "whole"),
    "n_fully_connected": ("fully connected layers", "whole"),
    "dropout": ("dropout", "linear"),
    "learning_rate": ("learning rate", "log"),
    "weight_decay": ("weight decay", "log"),
    "n_parameters": ("parameters", "log"),
}
_STATISTICS = ["rank", "candidate", "status", "mean_percent", "sd_percent", "se_percent"]
_COLUMNS = 4  # panels beside each other
_ROW_HEIGHT = 1.55  # inches
_WINNER_BAND = "#e3e6e9"
_WINNER = looks.MARK | Look(marker="D", markerfacecolor="none", markeredgecolor=looks.INK)
_UNSEEN = Look(color=looks.INK, linewidth=0.8, linestyle=(0, (1, 2)))


def draw_search(
    leaderboard: pandas.DataFrame, summary: Mapping[str, Any], *, resolution: str, simulated: bool
) -> Drawing:
    """Draw a random search."""
    check_columns(leaderboard, ["candidate", "status", *_PANELS])
    folds = leaderboard.filter(regex=r"^fold_\d+_percent$").columns
    source = leaderboard[[*_STATISTICS, *folds, *_PANELS]]
    ranked = source[source["rank"].notna()]
    if ranked.empty:
        raise StudyError("The leaderboard has no ranked candidate to draw.")
    n_rows = 1 + -(-len(_PANELS) // _COLUMNS)
    figure = Figure(figsize=(PAGE_WIDTH, 0.9 + _ROW_HEIGHT * n_rows), layout="constrained")
    axes = figure.add_gridspec(n_rows, _COLUMNS, height_ratios=[1.3] + [1] * (n_rows - 1))
    shade, *_ = colours(["fold"]).values()
    _draw_ranks(figure.add_subplot(axes[0, :]), ranked, summary, shade)
    for position, (column, (label, scale)) in enumerate(_PANELS.items()):
        row, place = divmod(position, _COLUMNS)
        ax = figure.add_subplot(axes[row + 1, place])
        _draw_hyperparameter(ax, ranked, column, scale, shade)
        ax.set_xlabel(label)
        if place == 0:
            ax.set_ylabel("mean bal. accuracy (%)")
    title = _title(summary, resolution)
    set_heading(figure, title, simulated=simulated)
    handles = [
        key("one fold; below: one candidate", **looks.MARK, color=shade),
        key("mean of the folds", **looks.MEAN),
        key("winner", **_WINNER),
        Patch(color=_WINNER_BAND, label=f"winner's mean ± SE ({summary['winner']['se_percent']:.1f})"),
        key(f"winners on unseen folds ({summary['unseen_fold_percent']:.1f})", **_UNSEEN),
        key("chance", **looks.CHANCE),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return Drawing(source, figure, title)


def _title(summary: Mapping[str, Any], resolution: str) -> str:
    """What the figure shows, and what it leaves out."""
    left_out = {"diverged": summary["n_diverged"], "given up": summary["n_stopped"]}
    missing = "".join(f", {number} {fate} and not shown" for fate, number in left_out.items() if number)
    return (
        f"Random search, {looks.RESOLUTIONS[resolution]}: {summary['n_candidates']} candidates, "
        f"{summary['n_folds']} folds{missing}"
    )


def _draw_ranks(ax: Axes, ranked: pandas.DataFrame, summary: Mapping[str, Any], shade: str) -> None:
    """Draw each candidate's folds above its rank, with their mean."""
    winner, places = summary["winner"], ranked["rank"].to_numpy(dtype=float)
    low, high = (winner["mean_percent"] + sign * winner["se_percent"] for sign in (-1, 1))
    ax.axhspan(low, high, color=_WINNER_BAND, linewidth=0, zorder=0)
    for column in ranked.filter(regex=r"^fold_\d+_percent$"):
        ax.plot(places, ranked[column], **looks.RUNS, color=shade)
    ax.hlines(ranked["mean_percent"], places - 0.35, places + 0.35, **looks.MEAN, zorder=3)
    ax.axhline(summary["unseen_fold_percent"], **_UNSEEN)
    ax.axhline(50, **looks.CHANCE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(0.5, len(ranked) + 0.5)
    ax.set_xlabel("rank by mean balanced accuracy")
    ax.set_ylabel("balanced accuracy (%)")


def _draw_hyperparameter(ax: Axes, ranked: pandas.DataFrame, column: str, scale: str, shade: str) -> None:
    """Draw the candidates' mean accuracy against one hyper-parameter."""
    values = ranked[column].to_numpy(dtype=float)
    if scale == "choice":
        choices, values = numpy.unique(values, return_inverse=True)
        ax.set_xticks(range(len(choices)), [f"{choice:g}" for choice in choices])
        ax.set_xlim(-0.5, len(choices) - 0.5)
    elif scale == "log":
        values = _draw_log_axis(ax, values)
    elif scale == "whole":
        ax.set_xlim(values.min() - 0.5, values.max() + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.plot(values, ranked["mean_percent"], **looks.RUNS, color=shade)
    winner = ranked["rank"].to_numpy(dtype=float) == 1
    ax.plot(values[winner], ranked["mean_percent"][winner], **_WINNER, markersize=4)


def _draw_log_axis(ax: Axes, values: numpy.ndarray) -> numpy.ndarray:
    """Mark whole decades, and zero one decade below them; return where the values are on the axis."""
    positive = values[values > 0]
    exponents = numpy.log10(positive) if len(positive) else numpy.zeros(1)
    low, high = int(numpy.floor(exponents.min())), int(numpy.ceil(exponents.max()))
    high = max(high, low + 1)
    ticks = {exponent: f"1e{exponent}" for exponent in range(low, high + 1)}
    if len(positive) < len(values):
        ticks[low - 1] = "0"
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.set_xlim(min(ticks) - 0.3, high + 0.3)
    places = numpy.full(len(values), float(low - 1))
    places[values > 0] = numpy.log10(positive)
    return places
