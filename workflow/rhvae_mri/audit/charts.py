"""Small charts as SVG inside the page; their colours are its style sheet's, so they follow its scheme."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
import numpy
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rhvae_mri.figures.style import study_style

_SIZE = (2.9, 1.4)  # inches; the page stretches a chart to the width of its column
_MAXIMUM_BINS = 40

# What is drawn in one of these gets the variable of page.css or audit.css that has this colour in light mode.
_BARS, _THRESHOLD, _FENCE, _TEXT, _LINE = "#0072b2", "#b3261e", "#8a5a00", "#5b636d", "#c9ced4"
_VARIABLES = {_BARS: "d0", _THRESHOLD: "bad", _FENCE: "warn", _TEXT: "muted", _LINE: "line"}

# the name of an element in the figure, followed by what it says where it is pointed at
_SAYS = "says "


def metric_chart(
    entry: Mapping[str, Any], values: Sequence[float], bounds: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Draw and describe the distribution of one metric with its bounds."""
    threshold = {} if entry["threshold"] is None else {"threshold": entry["threshold"]}
    sides = zip(("outliers below", "outliers above"), entry["fences"], strict=True)
    fences = {name: fence for name, fence in sides if fence is not None}
    # a fence far outside would press the images together
    ends = [*values, *threshold.values()]  # perhaps one alone
    low, high = min(ends), max(ends)
    margin = 0.25 * (high - low)
    shown = {name: fence for name, fence in fences.items() if low - margin <= fence <= high + margin}
    name = entry["name"].replace("_", " ")
    label = f"{name} ({entry['unit']})" if entry["unit"] else name
    facts = {"median": entry["median"], **threshold, **fences}
    return {
        "name": name,
        "meaning": entry["meaning"],
        "facts": " ".join(f"{fact.capitalize()}: {number(value)}." for fact, value in facts.items()),
        "svg": histogram(values, label, threshold | shown, bounds),
    }


def histogram(
    values: Sequence[float],
    label: str,
    marks: Mapping[str, float],
    bounds: tuple[float, float] | None = None,
) -> str:
    """Draw a histogram with vertical lines at the threshold (dashed) and at other marks (dotted)."""
    ends = [*values, *marks.values()]
    low, high = bounds or (min(ends), max(ends))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    n_bins = int(numpy.clip(2 * math.sqrt(len(values)), 8, _MAXIMUM_BINS))
    words = (
        f"Histogram of {label} for {len(values)} images: from {number(min(values))} to "
        f"{number(max(values))}, median {number(float(numpy.median(values)))}"
    )
    words += "".join(f"; {name} {number(place)}" for name, place in marks.items()) + "."
    counts, edges = numpy.histogram(values, bins=n_bins, range=(low, high))
    with _chart(label, "images") as (figure, axes):
        bars = axes.bar(edges[:-1], counts, 0.95 * numpy.diff(edges), align="edge", color=_BARS)
        for bar, count, start, stop in zip(bars, counts, edges[:-1], edges[1:], strict=True):
            bar.set_gid(f"{_SAYS}{number(start)} to {number(stop)}: {count}")
        for name, place in marks.items():
            if low <= place <= high:
                colour, style = (_THRESHOLD, "--") if name == "threshold" else (_FENCE, ":")
                axes.axvline(place, color=colour, linestyle=style, gid=f"{_SAYS}{name}: {number(place)}")
        axes.set_xlim(low, high)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return _svg(figure, words)


def intensity_chart(curve: pandas.DataFrame, label: str) -> str:
    """Draw a mean curve with its band (intensity, mean, low, high), on a logarithmic vertical axis."""
    shares = curve[["mean", "low", "high"]].to_numpy()
    top = math.ceil(math.log10(shares.max()))
    bottom = max(math.floor(math.log10(shares[shares > 0].min())), top - 5)
    x = curve["intensity"]
    with _chart(label, "share of voxels") as (figure, axes):
        axes.set_yscale("log", nonpositive="clip")
        axes.fill_between(x, curve["low"], curve["high"], color=_BARS, alpha=0.25, linewidth=0)
        axes.plot(x, curve["mean"], color=_BARS)
        axes.set_xlim(x.min(), x.max())
        axes.set_ylim(10.0**bottom, 10.0**top)
        axes.minorticks_off()
        words = f"Share of voxels by {label}: mean over the images and the band of the middle 80 %."
        return _svg(figure, words)


def number(value: float) -> str:
    """Write a number with three significant digits, large ones without an exponent.

    Examples
    --------
    >>> number(0.12345), number(12345.6), number(2)
    ('0.123', '12346', '2')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


@contextmanager
def _chart(label: str, quantity: str) -> Iterator[tuple[Figure, Axes]]:
    """Give a chart with empty axes; its elements have no id of another chart of the page."""
    with study_style(), matplotlib.rc_context({"svg.hashsalt": label}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(label, color=_TEXT, parse_math=False)  # a name from a table is no formula
        axes.set_ylabel(quantity, color=_TEXT)
        axes.tick_params(color=_LINE, labelcolor=_TEXT)
        axes.grid(axis="y", color=_LINE)
        axes.spines[:].set_color(_LINE)
        yield figure, axes


def _svg(figure: Figure, words: str) -> str:
    """Write the chart as an element of the page, without what only a file of its own needs."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    # matplotlib's own style sheet would hold for the whole page
    content = re.sub(r".*?<style.*?</defs>", "", buffer.getvalue(), count=1, flags=re.DOTALL)
    content = re.sub(rf'<g id="{_SAYS}([^"]*)">', r"<g><title>\1</title>", content)
    content = re.sub(r'<g id="[^"]*">', "<g>", content)
    for colour, name in _VARIABLES.items():
        content = content.replace(colour, f"var(--{name})")
    width, height = (72 * side for side in _SIZE)
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(words)}">'
        f"{content}"
    )
