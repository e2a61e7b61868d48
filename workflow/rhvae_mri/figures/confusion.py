"""Confusion matrices of every condition of an architecture on one test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.panels import lay_out_panels
from rhvae_mri.figures.style import Drawing, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import CONDITION, check_columns, sort_rows
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The counts of a matrix: rows are true classes, columns predicted ones, AD first.
_COUNTS = (("true_positives", "false_negatives"), ("false_positives", "true_negatives"))
_FOOTER = 0.34  # inches
_DARK = 0.7  # the share of its row above which a cell is so dark that its text is white


def draw_confusion(
    counts: pandas.DataFrame,
    *,
    architecture: str,
    cohort: str,
    simulated: bool,
) -> Drawing:
    """Draw the confusion matrix of every condition: mean and standard deviation over the runs."""
    names = [f"{name}_mean" for row in _COUNTS for name in row]
    check_columns(counts, [*CONDITION, "test_cohort", *names])
    source = counts[(counts["architecture"] == architecture) & (counts["test_cohort"] == cohort)]
    if source.empty:
        raise StudyError(f"There is no confusion matrix of the {architecture} network on {cohort}.")
    source = sort_rows(source)
    title = f"Confusion matrices of the {architecture} network on the test set of {cohort}"
    return Drawing(source, _figure(source, title, simulated), title)


def _figure(source: pandas.DataFrame, title: str, simulated: bool) -> Figure:
    figure, panels = lay_out_panels(source, bottom=_FOOTER)
    for panel in panels:
        _draw_matrix(panel.ax, panel.rows.iloc[0])
        if panel.is_low:
            panel.ax.set_xlabel("predicted class")
        if panel.is_left:
            panel.ax.set_ylabel("true class")
    height = figure.get_figheight()
    set_heading(figure, title, simulated=simulated, y=1 - 0.05 / height)
    figure.text(
        0.01,
        0.06 / height,
        "Participants, mean ± standard deviation over the runs. The shade is the share of the row.",
        va="bottom",
    )
    return figure


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
