"""Small panels, one for each condition of an architecture: ROC and reliability curves, confusion matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy
import pandas
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rhvae_mri.figures.looks import CHANCE, QUIET, Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, Page, colours, key, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import (
    CONDITION,
    DATA,
    check_columns,
    data_label,
    list_generators,
    ordered,
    sort_rows,
)
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = [*CONDITION, "test_cohort"]
_PANELS_ACROSS = 7

# All in inches.
_LEFT, _RIGHT, _TOP = 0.5, 0.08, 0.18
_TITLE, _TITLE_LINE = 0.1, 0.12
_BLOCK_TITLE, _BLOCK_GAP, _GAP = 0.2, 0.06, 0.1
_AXIS_NAMES, _FOOTER, _LEGEND = 0.3, 0.34, 0.42

#: The counts of a confusion matrix: rows are true classes, columns predicted ones, AD first.
_COUNTS = (("true_positives", "false_negatives"), ("false_positives", "true_negatives"))
_DARK = 0.7  # the share of its row above which a cell is so dark that its text is white

#: The conditions of a row of panels: the title of each, and its rows of the table.
Row = list[tuple[str, pandas.DataFrame]]


def arrange_conditions(
    rows: pandas.DataFrame, across: int, *, together: bool, named: bool = False
) -> list[Row]:
    """Arrange the conditions of a table: a row for each kind of data, or several where there are many sizes.

    ``together`` they are in one row if it holds them. The sizes of a generator are in one row if it holds
    them, with those of other generators where there is room; titles name generators if they are ``named``.
    """
    kinds: dict[str, dict[str, Row]] = {}
    for (kind, generator, n_synthetic, resolution), part in rows.groupby(list(DATA), sort=False):
        label = panel_title(kind, generator, n_synthetic, resolution, named=named)
        of_kind = kinds.setdefault(kind if n_synthetic else "no synthetic images", {})
        of_kind.setdefault(generator, []).append((label, part))
    everything = [one for of_kind in kinds.values() for group in of_kind.values() for one in group]
    if together and len(everything) <= across:
        return [everything]
    arranged: list[Row] = []
    for of_kind in kinds.values():
        of_rows: list[Row] = [[]]
        for group in of_kind.values():
            parts = [group[first : first + across] for first in range(0, len(group), across)]
            if len(of_rows[-1]) + len(parts[0]) <= across:
                of_rows[-1] = of_rows[-1] + parts.pop(0)
            of_rows += parts
        arranged += of_rows
    return arranged


def panel_title(
    training_data: str, generator: str, n_synthetic: int, resolution: str, *, named: bool = False
) -> str:
    """Name the data of a condition on several lines where that is long: panels are narrow.

    Examples
    --------
    >>> panel_title("augmented", "vae", 500, "downsampled", named=True).splitlines()
    ['500 synthetic', '+ real', '(vae)']
    """
    if training_data == "classic":
        return "classic\n(high resolution)" if resolution == "full" else "classic\naugmentation"
    label = data_label(training_data, generator, n_synthetic, resolution, named=named)
    return label.replace(" (", "\n(").replace(" + ", "\n+ ")


def _title_height(row: Row) -> float:
    return _TITLE + _TITLE_LINE * max(label.count("\n") + 1 for label, _ in row)


def _lay_out(
    source: pandas.DataFrame, x_label: str, y_label: str, bottom: float, named: bool
) -> tuple[Figure, Iterator[tuple[Axes, pandas.DataFrame]]]:
    """Lay out a square panel for each condition of a table, in a block for each training set."""
    blocks = {
        name: arrange_conditions(
            source[source["training_set"] == name], _PANELS_ACROSS, together=True, named=named
        )
        for name in ordered("training_set", source["training_set"])
    }
    # wider panels show no more
    n_columns = max(4, *(len(row) for rows in blocks.values() for row in rows))
    width = (PAGE_WIDTH - _LEFT - _RIGHT - (n_columns - 1) * _GAP) / n_columns
    heights = [width + _title_height(row) for rows in blocks.values() for row in rows]
    total = _TOP + sum(heights) + len(blocks) * (_BLOCK_TITLE + _AXIS_NAMES + _BLOCK_GAP) - _BLOCK_GAP
    page = Page(total + bottom)

    def panels() -> Iterator[tuple[Axes, pandas.DataFrame]]:
        top = _TOP
        for name, rows in blocks.items():
            page.write(0.06, top + 0.15, name, weight="bold")
            top += _BLOCK_TITLE
            for number, row in enumerate(rows):
                top += _title_height(row)
                for column, (label, part) in enumerate(row):
                    ax = page.axes(_LEFT + column * (width + _GAP), top, width, width)
                    ax.set_title(label, weight="normal", pad=3)
                    is_low = number + 1 == len(rows) or column >= len(rows[number + 1])
                    ax.tick_params(labelleft=column == 0, labelbottom=is_low)
                    yield ax, part
                    ax.set_xlabel(x_label if is_low else "")
                    ax.set_ylabel("" if column else y_label)
                top += width
            top += _AXIS_NAMES + _BLOCK_GAP

    return page.figure, panels()


def draw_confusion(counts: pandas.DataFrame, *, architecture: str, cohort: str, simulated: bool) -> Drawing:
    """Draw the confusion matrix of every condition: mean and standard deviation over the runs."""
    check_columns(counts, [*_CELL, *(f"{name}_mean" for row in _COUNTS for name in row)])
    source = counts[(counts["architecture"] == architecture) & (counts["test_cohort"] == cohort)]
    if source.empty:
        raise StudyError(f"There is no confusion matrix of the {architecture} network on {cohort}.")
    source = sort_rows(source)
    named = len(list_generators(counts)) > 1
    figure, panels = _lay_out(source, "predicted class", "true class", _FOOTER, named)
    for ax, rows in panels:
        _draw_matrix(ax, rows.iloc[0])
    title = f"Confusion matrices of the {architecture} network on the test set of {cohort}"
    set_heading(figure, title, simulated=simulated, below=0.05)
    text = "Participants, mean ± standard deviation over the runs. The shade is the share of the row."
    figure.text(0.01, 0.06 / figure.get_figheight(), text, va="bottom")
    return Drawing(source, figure, title)


def _draw_matrix(ax: Axes, row: pandas.Series) -> None:
    means = numpy.array([[row[f"{name}_mean"] for name in names] for names in _COUNTS], dtype=float)
    totals = means.sum(axis=1, keepdims=True)
    shares = numpy.divide(means, totals, out=numpy.zeros_like(means), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (line, column), mean in numpy.ndenumerate(means):
        sd = row.get(f"{_COUNTS[line][column]}_sd")
        text = f"{mean:.1f}" if pandas.isna(sd) else f"{mean:.1f}\n± {sd:.1f}"
        shade = "white" if shares[line, column] > _DARK else "black"
        ax.text(column, line, text, ha="center", va="center", fontsize=6.5, color=shade)
    ax.set_xticks([0, 1], CLASSES)
    ax.set_yticks([0, 1], CLASSES)
    ax.axhline(0.5, color="white", linewidth=1)
    ax.axvline(0.5, color="white", linewidth=1)
    ax.grid(False)
    ax.tick_params(length=0)


def draw_roc(
    curves: pandas.DataFrame, estimates: pandas.DataFrame, *, architecture: str, simulated: bool
) -> Drawing:
    """Draw the mean ROC curve over the runs of every condition, with its band."""
    areas = estimates.loc[estimates["metric"] == "auc", [*_CELL, "mean_percent"]]
    areas = areas.rename(columns={"mean_percent": "auc_percent"})
    source = _choose(curves, ("false_positive_rate", "sensitivity"), architecture)
    source = source.merge(areas, how="left", on=_CELL)
    title = f"ROC curves of the {architecture} network"
    band = Patch(color=QUIET, alpha=0.4, linewidth=0)
    texts = ("false positive rate", "sensitivity", "mean of the runs", "chance")
    named = len(list_generators(curves)) > 1
    return Drawing(source, _draw_panels(source, _draw_roc, title, texts, band, named, simulated), title)


def draw_reliability(curves: pandas.DataFrame, *, architecture: str, simulated: bool) -> Drawing:
    """Draw the share of AD among the images of a predicted probability, for every condition."""
    source = _choose(curves, (), architecture)
    title = f"Calibration of the {architecture} network: predicted and observed AD"
    bar = key("", color=QUIET, linestyle="none", marker="|", markersize=8)
    texts = ("predicted probability", "observed share", "images of all runs", "perfect calibration")
    named = len(list_generators(curves)) > 1
    return Drawing(
        source, _draw_panels(source, _draw_reliability, title, texts, bar, named, simulated), title
    )


def _choose(curves: pandas.DataFrame, columns: tuple[str, ...], architecture: str) -> pandas.DataFrame:
    check_columns(curves, [*_CELL, *columns])
    chosen = curves[curves["architecture"] == architecture]
    if chosen.empty:
        raise StudyError(f"There is no curve of the {architecture} network to draw.")
    return sort_rows(chosen)


def _draw_panels(
    source: pandas.DataFrame,
    draw: Callable[[Axes, pandas.DataFrame, str, int], None],
    title: str,
    texts: tuple[str, str, str, str],
    interval: Artist,
    named: bool,
    simulated: bool,
) -> Figure:
    """Draw the curves of every condition and cohort.

    ``texts`` name the axes, a curve and the diagonal; titles name generators where they are to be ``named``.
    """
    x_label, y_label, what, diagonal = texts
    shades = colours(ordered("test_cohort", source["test_cohort"]))
    figure, panels = _lay_out(source, x_label, y_label, _LEGEND, named)
    for ax, rows in panels:
        ax.plot([0, 1], [0, 1], **CHANCE, zorder=1)
        for number, (cohort, shade) in enumerate(shades.items()):
            draw(ax, rows[rows["test_cohort"] == cohort], shade, number)
        ticks: Any = ([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_xticks(*ticks)
        ax.set_yticks(*ticks)
        # centred, those of neighbouring panels would run into each other
        for tick, alignment in zip(ax.xaxis.get_major_ticks(), ("left", "center", "right"), strict=True):
            tick.label1.set(horizontalalignment=alignment)
    set_heading(figure, title, simulated=simulated, below=0.05)
    interval.set_label("interval over participants and runs")
    handles: list[Artist] = [
        *(key(f"{cohort}, {what}", color=shade, linewidth=1.1) for cohort, shade in shades.items()),
        interval,
        key(diagonal, **CHANCE),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=4, borderaxespad=0.4)
    return figure


def _draw_roc(ax: Axes, curve: pandas.DataFrame, shade: str, number: int) -> None:
    if curve.empty:
        return
    rate = curve["false_positive_rate"]
    ax.fill_between(rate, curve["low"], curve["high"], color=shade, alpha=0.2, linewidth=0)
    ax.plot(rate, curve["sensitivity"], color=shade, linewidth=1.1)
    area = curve["auc_percent"].iloc[0]
    if pandas.notna(area):
        # legible where a curve runs through it
        ground = Look(facecolor="white", alpha=0.7, linewidth=0, pad=0.5)
        place = (0.97, 0.2 - 0.14 * number)
        ax.text(*place, f"AUC {area:.1f} %", color=shade, ha="right", fontsize=6, bbox=ground)


def _draw_reliability(ax: Axes, curve: pandas.DataFrame, shade: str, number: int) -> None:
    known = curve.dropna(subset=["mean_probability", "observed_fraction"])
    observed = known["observed_fraction"]
    ends = abs(known[["low", "high"]].sub(observed, axis="index")).T
    look = Look(linewidth=1.0, elinewidth=0.7, marker="o", markersize=2.2, clip_on=False)
    ax.errorbar(known["mean_probability"], observed, yerr=ends, **look, color=shade, zorder=3 + number)
