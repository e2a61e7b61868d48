"""How networks were trained: the curves of all runs of an architecture, and the losses of the RHVAEs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from rhvae_mri.figures import looks
from rhvae_mri.figures.looks import Look
from rhvae_mri.figures.panels import arrange_conditions
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, Page, colours, key, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import check_columns, list_generators, ordered, sort_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTITIES = {"loss": "cross entropy\n(nats)", "balanced_accuracy": "balanced\naccuracy (%)"}
_PARTS = {"train": "training", "validation": "validation"}
_PANELS_ACROSS = 6

# All in inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 0.12, 0.16, 0.62
_PANEL, _BETWEEN, _TITLE, _TITLE_LINE = 0.78, 0.09, 0.4, 0.12
_GAP = 0.2  # between panels side by side

#: Of each row of panels of the losses the columns of the history.
_TERMS = (["loss", "reconstruction"], ["prior", "momentum", "posterior"])
_STEP_SIZES = ["learning_rate", "leapfrog_step_size"]
_RECOVERY = Look(color=looks.QUIET, linewidth=0.8, linestyle=(0, (1, 1)))


def draw_training(
    histories: pandas.DataFrame, *, architecture: str, training_set: str, simulated: bool
) -> Drawing:
    """Draw loss and balanced accuracy of every run by epoch, two panels for each kind of training data."""
    source = _training_source(histories, architecture, training_set)
    named = len(list_generators(histories)) > 1
    rows = arrange_conditions(source, _PANELS_ACROSS, together=False, named=named)
    n_columns = max(map(len, rows))
    title_height = _TITLE + (_TITLE_LINE if named else 0)
    block = title_height + 2 * _PANEL + _BETWEEN
    width = (PAGE_WIDTH - _LEFT - _RIGHT - (n_columns - 1) * _GAP) / n_columns
    page = Page(_TOP + len(rows) * block + _BOTTOM)
    shades = dict(zip(_PARTS, colours(list(_PARTS)).values(), strict=True))
    limits = {quantity: _limits(source, quantity) for quantity in _QUANTITIES}
    last_epoch = int(source["epoch"].max())
    for row, conditions in enumerate(rows):
        for column, (label, runs) in enumerate(conditions):
            is_low = row + 1 == len(rows) or column >= len(rows[row + 1])
            for place, (quantity, name) in enumerate(_QUANTITIES.items()):
                top = _TOP + row * block + title_height + place * (_PANEL + _BETWEEN)
                ax = page.axes(_LEFT + column * (width + _GAP), top, width, _PANEL)
                _draw_runs(ax, runs, quantity, shades)
                ax.set(xlim=(0, last_epoch * 1.02), ylim=limits[quantity])
                ax.xaxis.set_major_locator(MaxNLocator(nbins=3 if n_columns > 3 else 6, integer=True))
                ax.tick_params(labelleft=column == 0, labelbottom=bool(place) and is_low)
                if column == 0:
                    ax.set_ylabel(name)
                    ax.yaxis.set_label_coords(-0.34 / width, 0.5)
                if place == 0:
                    ax.set_title(label, weight="normal", pad=4)
                elif is_low:
                    ax.set_xlabel("epoch")
    title = f"Training of the {architecture} network on {training_set}"
    set_heading(page.figure, title, simulated=simulated, below=0.06)
    handles = [key(name, color=shades[part], linewidth=1.3) for part, name in _PARTS.items()]
    handles += [key("mean of the runs", **looks.MEAN), key("one run", color=looks.INK, linewidth=0.35)]
    handles.append(key("selected epoch", **looks.RING))
    page.figure.legend(handles=handles, loc="lower center", ncols=5, borderaxespad=0.3)
    return Drawing(source, page.figure, title)


def _training_source(histories: pandas.DataFrame, architecture: str, training_set: str) -> pandas.DataFrame:
    """Choose the histories of one architecture on one training set, with accuracies in percent."""
    chosen = histories.query("architecture == @architecture and training_set == @training_set")
    if chosen.empty:
        raise StudyError(f"There is no training history of the {architecture} network on {training_set}.")
    accuracies = {name: f"{name}_percent" for name in chosen if name.endswith("balanced_accuracy")}
    percent = chosen.assign(**{name: (100 * chosen[name]).round(4) for name in accuracies})
    losses = {name: percent[name].round(6) for name in percent if name.endswith("_loss")}
    return sort_rows(percent.assign(**losses).rename(columns=accuracies))


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
    rings = looks.RING | Look(markersize=2.4, markeredgewidth=0.5)
    ax.plot(selected["epoch"], selected[_column("validation", quantity)], **rings, zorder=4)


def _limits(source: pandas.DataFrame, quantity: str) -> tuple[float, float]:
    """Find limits for all panels; a few losses far above all others would press them flat."""
    values = source[[_column(part, quantity) for part in _PARTS]].to_numpy(float)
    values = values[numpy.isfinite(values)]
    if quantity == "loss":
        return 0.0, 1.05 * float(numpy.percentile(values, 99.5)) if len(values) else 1.0
    return 10 * numpy.floor(min([50.0, *values]) / 10) - 2, 103.0


def draw_losses(
    histories: Sequence[pandas.DataFrame], *, models: Sequence[tuple[str, str]], simulated: bool
) -> Drawing:
    """Draw the loss of every RHVAE (training set, diagnosis) and its terms by epoch, a column for each."""
    source = _loss_source(histories, models)
    columns = [
        (training_set, diagnosis)
        for training_set in ordered("training_set", source["training_set"])
        for diagnosis in sorted(set(source.loc[source["training_set"] == training_set, "diagnosis"]))
    ]
    figure = Figure(figsize=(PAGE_WIDTH, 0.75 + 1.35 * len(_TERMS)), layout="constrained")
    axes = figure.subplots(len(_TERMS), len(columns), sharex=True, sharey="row", squeeze=False)
    lines = {
        name: Look(color=shade, linestyle=(0, (3, 1.5)) if name == "reconstruction" else "-")
        for name, shade in colours([*_TERMS[0], *_TERMS[1]]).items()
    }
    for column, (training_set, diagnosis) in enumerate(columns):
        history = source.query("training_set == @training_set and diagnosis == @diagnosis")
        axes[0, column].set_title(f"{diagnosis}, {training_set}")
        for ax, terms in zip(axes[:, column], _TERMS, strict=True):
            _draw_terms(ax, history, {term: lines[term] for term in terms})
        axes[-1, column].set_xlabel("epoch")
    for ax, terms in zip(axes[:, 0], _TERMS, strict=True):
        # with a whole number of nats between two ticks
        low, high = numpy.min(source[terms].to_numpy()), numpy.max(source[terms].to_numpy())
        margin = max(0.06 * (high - low), 2.0)
        ax.set_xscale("log")
        ax.set_ylabel("nats per image")
        ax.set_ylim(low - margin, high + margin)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    figure.align_ylabels(axes[:, 0])
    title = "Training of the RHVAEs: the loss and its terms"
    set_heading(figure, title, simulated=simulated)
    handles = [key(term, **look) for term, look in lines.items()]
    handles.append(key("weights kept (lowest loss)", **looks.RING))
    if source["recovered"].any():
        handles.append(key("went on with smaller steps", **_RECOVERY))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return Drawing(source, figure, title)


def _loss_source(
    histories: Sequence[pandas.DataFrame], models: Sequence[tuple[str, str]]
) -> pandas.DataFrame:
    """Put the histories of the RHVAEs together and mark the epochs that a reader asks about."""
    tables = {}
    for model, history in zip(models, histories, strict=True):
        name = f"the RHVAE of {model[1]} on {model[0]}"
        check_columns(history, ["epoch", *_TERMS[0], *_TERMS[1], *_STEP_SIZES], where=name)
        steps = history[_STEP_SIZES]
        judged = "hold_out_loss" if "hold_out_loss" in history else "loss"
        tables[model] = history.assign(
            selected=(history.index == history[judged].idxmin()).astype(int),
            recovered=(steps < steps.shift()).any(axis="columns").astype(int),
        )
    names = ["training_set", "diagnosis"]
    return pandas.concat(tables, names=names).reset_index(names).reset_index(drop=True)


def _draw_terms(ax: Axes, history: pandas.DataFrame, lines: dict[str, Look]) -> None:
    for term, look in lines.items():
        ax.plot(history["epoch"], history[term], **look)
    for epoch in history.loc[history["recovered"] == 1, "epoch"]:
        ax.axvline(epoch, **_RECOVERY, zorder=1)
    kept = history[history["selected"] == 1]
    for term in lines:
        ax.plot(kept["epoch"], kept[term], **looks.RING | Look(markersize=3, markeredgewidth=0.6), zorder=4)
