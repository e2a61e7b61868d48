"""Diagrams of the study's networks, drawn from the table of their layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import pandas
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon

from rhvae_mri.figures.looks import INK, QUIET, RESOLUTIONS, Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, colours, key, set_heading
from rhvae_mri.io.errors import StudyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What each model's figure is called.
TITLES = {"CNN": "The classifiers", "RHVAE": "The networks of the RHVAE"}

_ACTIVATIONS = {"ReLU": "ReLU", "LeakyReLU": "leaky ReLU"}
_HEADS = {
    "mean": "mean",
    "log_variance": "log variance",
    "log_diagonal": "log of diagonal",
    "lower": "below diagonal",
}

#: Fully connected layers; those over all voxels of an image have a class of their own.
_DENSE = ("Linear", "VoxelLinear")

#: What can lead from one thing to the next.
_STEPS = ("convolution", "pooling and convolution", "pooling", "linear", "reshaping")

_KEY = "above: channels; below: voxels, or features"

# All in inches.
_ROW, _TOP, _BOTTOM = 1.48, 0.3, 0.52
_TALLEST = 0.62

_PLACES = 13  # things in a line
_OBLIQUE = 0.2  # how far the side of a map goes to the right and up, in parts of its height


class _Element(NamedTuple):
    """One thing in the chain: maps or features, and what made them."""

    shape: tuple[int, ...]
    after: str = ""  # one of _STEPS: the arrow that leads to it
    note: str = ""  # beside that arrow
    name: str = ""  # of one of the two heads


class _Chain(NamedTuple):
    """A network as it is drawn."""

    heading: str
    elements: list[_Element]
    heads: list[_Element]

    @property
    def n_places(self) -> int:
        """How many things it is wide; the names of the heads take a place."""
        return len(self.elements) + (2 if self.heads else 0)


def draw_networks(layers: pandas.DataFrame, *, model: str, simulated: bool) -> Drawing:
    """Draw all networks of one model: one row each, maps as blocks and features as bars."""
    model = model.upper()
    source = layers[layers["model"] == model].dropna(axis="columns", how="all").reset_index(drop=True)
    if source.empty:
        raise StudyError(f"The table of layers has no network of the {model}.")
    return Drawing(source, _figure(source, TITLES[model], simulated), TITLES[model])


def _chain(network: str, resolution: str, rows: pandas.DataFrame) -> _Chain:
    """Reduce the layers of a network to what is drawn."""
    current = _sizes(rows.iloc[0]["input_shape"])
    elements, heads, after, note = [_Element(current)], [], "", ""
    for row in rows.to_dict("records"):
        shape, kind = _sizes(row["output_shape"]), row["kind"]
        name = row["layer"].rpartition(".")[2]
        if name in _HEADS:
            heads.append(_Element(shape, "linear", name=_HEADS[name]))
        elif kind.startswith("Conv"):
            elements.append(_Element(shape, f"{after} and convolution" if after else "convolution"))
            after = ""
        elif "Pool" in kind:
            after = "pooling"
        elif kind == "Flatten" and len(current) > 1:
            if after:
                elements.append(_Element(current, after))
            elements.append(_Element(shape, "reshaping"))
            after = ""
        elif kind == "Dropout":
            note = f"dropout {row['detail']}"
        elif kind in _DENSE:
            elements.append(_Element(shape, "linear", note))
            note = ""
        elif kind == "Unflatten" and len(elements) > 1:  # else it only names the input's one channel
            elements.append(_Element(shape, "reshaping"))
        current = shape
    return _Chain(_heading(network, resolution, rows), elements, heads)


def _heading(network: str, resolution: str, rows: pandas.DataFrame) -> str:
    total = int(rows["n_parameters"].sum())
    dense = int(rows.loc[rows["kind"].isin(_DENSE), "n_parameters"].sum())
    parts = [f"{network.capitalize()}, {RESOLUTIONS.get(resolution, resolution)}: {total:,} parameters"]
    if dense < total:
        parts[0] += f" ({total - dense:,} convolutional, {dense:,} fully connected)"
    parts += [_ACTIVATIONS[kind] for kind in dict.fromkeys(rows["kind"]) if kind in _ACTIVATIONS]
    return ", ".join(parts)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in str(text).split(" x "))


def _figure(source: pandas.DataFrame, title: str, simulated: bool) -> Figure:
    chains = [
        _chain(network, resolution, rows)
        for (network, resolution), rows in source.groupby(["network", "resolution"], sort=False)
    ]
    lines = [-(-chain.n_places // _PLACES) for chain in chains]
    height = _TOP + sum(lines) * _ROW + _BOTTOM
    figure = Figure(figsize=(PAGE_WIDTH, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set(xlim=(0, PAGE_WIDTH), ylim=(0, height))
    shades = colours(_STEPS[:-1]) | {"reshaping": QUIET}
    elements = [one for chain in chains for one in chain.elements]
    largest = max(max(one.shape[1:] or (1,)) for one in elements)
    top = height - _TOP
    for chain, n_lines in zip(chains, lines, strict=True):
        _draw_chain(ax, chain, top, shades, largest)
        top -= n_lines * _ROW
    set_heading(figure, title, simulated=simulated, below=0.06)
    is_strided = "detail" in source and source["detail"].astype(str).str.contains("stride").any()
    is_normalised = source["kind"].str.startswith("BatchNorm").any()
    how = ", stride 2 or after enlarging" if is_strided else ""
    then = "batch normalisation, activation" if is_normalised else "activation"
    labels = {
        "convolution": f"convolution 3×3×3{how}, {then}",
        "pooling and convolution": "max pooling 2×2×2, then such a convolution",
        "pooling": "max pooling 2×2×2",
        "linear": "fully connected, activation unless last",
        "reshaping": "reshaped",
    }
    used = {one.after for one in elements} | {one.after for chain in chains for one in chain.heads}
    handles = [
        key(label, color=shades[step], linewidth=1.1) for step, label in labels.items() if step in used
    ]
    figure.legend(handles=handles, loc="lower center", ncols=3, borderaxespad=0.4)
    if any(len(one.shape) > 3 for one in elements):
        ax.text(PAGE_WIDTH - 0.1, height - 0.06, _KEY, ha="right", va="top", fontsize=6.5)
    return figure


def _draw_chain(ax: Axes, chain: _Chain, top: float, shades: dict[str, str], largest: int) -> None:
    """Draw a network, ``top`` inches above the figure's lower edge, in lines of as many things as fit."""
    ax.text(0.08, top - 0.12, chain.heading, va="center", weight="bold")
    step = min(0.85, (PAGE_WIDTH - 0.1) / min(chain.n_places, _PLACES))

    def position(place: int) -> tuple[float, float]:
        line, column = divmod(place, _PLACES)
        return 0.05 + (column + 0.5) * step, top - 0.74 - line * _ROW

    for place, one in enumerate(chain.elements):
        x, y = position(place)
        _draw_element(ax, one, x, y, largest)
        if place:
            _draw_arrow(ax, (x - step, y), (x, y), one, step, shades)
    for number, head in enumerate(chain.heads):
        x, middle = position(len(chain.elements))
        y = middle + (0.5 - number) * 0.62
        _draw_element(ax, head, x, y, largest)
        _draw_arrow(ax, (x - step, middle), (x, y), head, step, shades)


def _draw_element(ax: Axes, one: _Element, x: float, y: float, largest: int) -> None:
    """Draw maps as a block, features as a bar, with their sizes."""
    if len(one.shape) > 1:
        *channels, depth, rows, columns = one.shape
        tall, side = (_TALLEST * math.sqrt(size / largest) for size in (columns, max(depth, rows)))
        wide = 0.04 + 0.022 * math.log2(channels[0] if channels else 1)
        over = _OBLIQUE * side
        left, right, low, high = x - wide / 2, x + wide / 2, y - tall / 2, y + tall / 2
        _face(ax, "#dfe7ee", (left, low), (right, low), (right, high), (left, high))
        behind = (right + over, high + over)
        _face(ax, "#eff3f6", (left, high), (right, high), behind, (left + over, high + over))
        _face(ax, "#c3d0dc", (right, low), (right + over, low + over), behind, (right, high))
        if channels:
            place = (x + over / 2, high + over + 0.03)
            ax.text(*place, f"{channels[0]}", ha="center", va="bottom", weight="bold")
        sizes = f"{depth}×{rows}\n×{columns}"
    else:
        tall = 0.06 + 0.1 * math.log10(one.shape[0])
        left, right, low, high = x - 0.04, x + 0.04, y - tall / 2, y + tall / 2
        _face(ax, "#dfe7ee", (left, low), (right, low), (right, high), (left, high))
        sizes = f"{one.shape[0]:,}"
    if one.name:
        ax.text(x + 0.1, y, f"{sizes}: {one.name}", ha="left", va="center", fontsize=6.5)
    else:
        ax.text(x, y - _TALLEST / 2 - 0.05, sizes, ha="center", va="top", fontsize=6.5, linespacing=1.1)


def _face(ax: Axes, shade: str, *corners: tuple[float, float]) -> None:
    ax.add_patch(Polygon(corners, facecolor=shade, edgecolor=INK, linewidth=0.5))


def _draw_arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    one: _Element,
    step: float,
    shades: dict[str, str],
) -> None:
    gap = 0.3 * step
    ends = ((max(start[0] + gap + 0.03, 0.02), start[1]), (end[0] - gap * 0.7, end[1]))
    look = Look(arrowstyle="-|>", mutation_scale=5, linewidth=1.1, color=shades[one.after])
    ax.add_patch(FancyArrowPatch(*ends, **look, shrinkA=0, shrinkB=0))
    if one.note:
        place, text = ((start[0] + end[0]) / 2, start[1] + 0.07), one.note.replace(" ", "\n")
        ax.text(*place, text, ha="center", va="bottom", fontsize=6, linespacing=1.0)
