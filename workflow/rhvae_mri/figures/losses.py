"""The losses of the RHVAEs: the loss and its terms by epoch, one column of panels for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from rhvae_mri.figures.style import INK, PAGE_WIDTH, QUIET, Drawing, colours, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import check_columns, ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Training of the RHVAEs: the loss and its terms"
#: Of each row of panels the columns of the history, with their names.
_ROWS = (
    {"loss": "loss", "reconstruction": "reconstruction"},
    {"prior": "prior", "momentum": "momentum", "posterior": "posterior"},
)
_STEP_SIZES = ["learning_rate", "leapfrog_step_size"]
_PANEL_HEIGHT = 1.35  # inches


def loss_source(histories: Mapping[tuple[str, str], pandas.DataFrame]) -> pandas.DataFrame:
    """Put the histories of the RHVAEs together and mark the epochs that a reader asks about."""
    tables = []
    for (training_set, diagnosis), history in histories.items():
        name = f"the RHVAE of {diagnosis} on {training_set}"
        columns = ["epoch", *(column for row in _ROWS for column in row), *_STEP_SIZES]
        check_columns(history, columns, where=name)
        if history.empty:
            raise StudyError(f"The history of {name} has no epoch.")
        steps = history[_STEP_SIZES]
        smaller = (steps < steps.shift()).any(axis="columns")
        lowest = history.index == history["loss"].idxmin()
        tables.append(
            history.assign(
                training_set=training_set,
                diagnosis=diagnosis,
                selected=lowest.astype(int),
                recovered=smaller.astype(int),
            )
        )
    if not tables:
        raise StudyError("There is no history of an RHVAE to draw.")
    joined = pandas.concat(tables, ignore_index=True)
    names = ["training_set", "diagnosis"]
    return joined[[*names, *(column for column in joined if column not in names)]]


def draw_losses(
    histories: Sequence[pandas.DataFrame],
    *,
    models: Sequence[tuple[str, str]],
    simulated: bool,
) -> Drawing:
    """Draw the loss of every RHVAE (training set, diagnosis) and its terms by epoch."""
    source = loss_source(dict(zip(models, histories, strict=True)))
    return Drawing(source, _figure(source, simulated), _TITLE)


def _figure(source: pandas.DataFrame, simulated: bool) -> Figure:
    models = [
        (training_set, diagnosis)
        for training_set in ordered("training_set", source["training_set"])
        for diagnosis in sorted(set(source.loc[source["training_set"] == training_set, "diagnosis"]))
    ]
    figure = Figure(figsize=(PAGE_WIDTH, 0.75 + len(_ROWS) * _PANEL_HEIGHT), layout="constrained")
    axes = figure.subplots(len(_ROWS), len(models), sharex=True, sharey="row", squeeze=False)
    shades = colours([name for row in _ROWS for name in row])
    for column, (training_set, diagnosis) in enumerate(models):
        chosen = (source["training_set"] == training_set) & (source["diagnosis"] == diagnosis)
        axes[0, column].set_title(f"{diagnosis}, {training_set}")
        for ax, terms in zip(axes[:, column], _ROWS, strict=True):
            _draw_terms(ax, source[chosen], terms, shades)
        axes[-1, column].set_xlabel("epoch")
    for ax, terms in zip(axes[:, 0], _ROWS, strict=True):
        ax.set_xscale("log")
        ax.set_ylabel("nats per image")
        ax.set_ylim(*_limits(source[list(terms)]))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    figure.align_ylabels(axes[:, 0])
    set_heading(figure, _TITLE, simulated=simulated)
    figure.legend(handles=_legend_handles(shades, source), loc="outside lower center", ncols=4)
    return figure


def _draw_terms(
    ax: Axes, history: pandas.DataFrame, terms: Mapping[str, str], shades: dict[str, str]
) -> None:
    for term in terms:
        ax.plot(
            history["epoch"],
            history[term],
            color=shades[term],
            linestyle=(0, (3, 1.5)) if term == "reconstruction" else "-",
        )
    for epoch in history.loc[history["recovered"] == 1, "epoch"]:
        ax.axvline(epoch, color=QUIET, linewidth=0.8, linestyle=(0, (1, 1)), zorder=1)
    kept = history[history["selected"] == 1]
    for term in terms:
        ax.plot(
            kept["epoch"],
            kept[term],
            linestyle="none",
            marker="o",
            markersize=3,
            markerfacecolor="white",
            markeredgecolor=INK,
            markeredgewidth=0.6,
            zorder=4,
        )


def _limits(values: pandas.DataFrame) -> tuple[float, float]:
    """Find limits that hold all values, with a whole number of nats between two ticks."""
    low, high = float(values.min(axis=None)), float(values.max(axis=None))
    margin = max(0.06 * (high - low), 2.0)
    return low - margin, high + margin


def _legend_handles(shades: dict[str, str], source: pandas.DataFrame) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color=shades[term],
            label=label,
            linestyle=(0, (3, 1.5)) if term == "reconstruction" else "-",
        )
        for row in _ROWS
        for term, label in row.items()
    ]
    kept = Line2D([], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor=INK)
    kept.set_label("weights kept (lowest loss)")
    handles.append(kept)
    if source["recovered"].any():
        recovery = Line2D([], [], color=QUIET, linewidth=0.8, linestyle=(0, (1, 1)))
        recovery.set_label("went on with smaller steps")
        handles.append(recovery)
    return handles
