"""Slices of images: real beside synthetic ones, the two mixed without labels, and what an RHVAE has learned.

The last are grids of the images that `rhvae_mri.generators.assessment.pictures` stored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy
import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.looks import Look
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, Page, set_heading, white_level
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.preprocess.grid import PLANES
from rhvae_mri.study.grid import generator_of
from rhvae_mri.study.names import CLASSES
from rhvae_mri.study.seeds import derive_seed

#: The plane of single slices: it cuts through hippocampi and ventricles.
PLANE = "coronal"

# All in inches, except for the gap of the first figure, which is in parts of a column.
_EDGE, _HEADING = 0.06, 0.26
_COLUMN_GAP, _MARGIN, _HEADER, _SLICES_FOOTER = 0.04, 0.3, 0.62, 0.3
_PER_ROW, _MIXED_GAP, _MIXED_TITLE, _NUMBER, _MIXED_FOOTER = 8, 0.05, 0.2, 0.15, 0.3
_GAP, _BETWEEN = 0.03, 0.12  # between images, and between panels
_PANEL_TITLE, _COLUMN_TITLES, _CAPTION = 0.18, 0.16, 0.14
_FOOTER, _SPACE = 0.13, 0.12  # of a line, and above


class Example(NamedTuple):
    """A real or synthetic image (x, y, z), and which of its kind and class it is."""

    kind: str
    diagnosis: str
    position: int
    image_id: str
    volume: numpy.ndarray


def choose_examples(names: Iterable[str], count: int, seed: int) -> list[str]:
    """Choose images to show, at random rather than by eye."""
    candidates = sorted(set(names))
    if len(candidates) <= count:
        return candidates
    places = numpy.random.default_rng(seed).choice(len(candidates), size=count, replace=False)
    return [candidates[place] for place in sorted(places)]


def read_examples(
    real: str | os.PathLike[str],
    split: pandas.DataFrame,
    synthetic: Sequence[str | os.PathLike[str]],
    *,
    training_set: str,
    count: int,
    seed: int,
    figure: str,
) -> list[Example]:
    """Read a few real images of a training set and a few of the synthetic images made from it."""
    examples: list[Example] = []
    members = split[split[training_set] == 1]
    for kind in ("real", "synthetic"):
        for diagnosis, made in zip(CLASSES, synthetic, strict=True):
            with ImageStack(real if kind == "real" else made) as images:
                of_class = members.loc[members["diagnosis"] == diagnosis, "image_id"]
                names = of_class.tolist() if kind == "real" else images.keys
                chosen = choose_examples(names, count, derive_seed(seed, figure, diagnosis, kind))
                read = (images.read(name) for name in chosen)
                rows = zip(chosen, read, strict=True)
                examples += [Example(kind, diagnosis, place, *row) for place, row in enumerate(rows)]
    return examples


def middle_slice(volume: numpy.ndarray, plane: str) -> tuple[int, numpy.ndarray]:
    """Take the middle slice of a volume (x, y, z), turned for display."""
    axis = PLANES[plane]
    index = volume.shape[axis] // 2
    return index, numpy.take(volume, index, axis=axis).T


def _round(value: float) -> float:
    return round(float(value), 6)


def _maker(other_generator: str) -> str:
    """Name what made the images, from the part of their path that names another generator than the RHVAE."""
    return generator_of(other_generator) if other_generator else "RHVAE"


def _if_several(generators: Sequence[str], maker: str) -> str:
    return f" ({maker})" if len(generators) > 1 else ""


def draw_slices(
    real: str,
    split: pandas.DataFrame,
    synthetic: Sequence[str],
    *,
    training_set: str,
    seed: int,
    other_generator: str,
    generators: Sequence[str],
    simulated: bool,
) -> Drawing:
    """Draw the middle slices of a few real images of a training set beside synthetic ones made from it."""
    settings = Look(training_set=training_set, seed=seed, figure="draw_slices")
    examples = read_examples(real, split, synthetic, count=3, **settings)
    shown = [(one, plane, *middle_slice(one.volume, plane)) for one in examples for plane in PLANES]
    white = white_level(pixels for *_, pixels in shown)
    rows = sorted({(one.diagnosis, one.position) for one in examples})
    figure, axes = _grid(examples[0].volume.shape, len(rows))
    for ax in axes.flat:
        ax.set_axis_off()
        ax.set_anchor("N")
    for one, plane, _, pixels in shown:
        column = list(PLANES).index(plane) + (0 if one.kind == "real" else len(PLANES) + 1)
        ax = axes[rows.index((one.diagnosis, one.position)), column]
        ax.imshow(pixels, origin="lower", vmin=0, vmax=white or 1, cmap="gray")
    style = Look(xycoords="axes fraction", textcoords="offset points", weight="bold")
    maker = _maker(other_generator)
    names = ("Simulated “real” images" if simulated else "Real images", f"Synthetic images ({maker})")
    for first, name in zip((0, len(PLANES) + 1), names, strict=True):
        for column, plane in enumerate(PLANES, first):
            axes[0, column].set_title(plane, loc="center", weight="normal", pad=3)
        axes[0, first + 1].annotate(name, (0.5, 1), xytext=(0, 15), ha="center", va="bottom", **style)
    for row, (diagnosis, position) in enumerate(rows):
        if position == 0:
            axes[row, 0].annotate(diagnosis, (0, 0.5), xytext=(-4, 0), ha="right", va="center", **style)
    title = "Real and synthetic images, middle slices" + _if_several(generators, maker)
    set_heading(figure, title, simulated=simulated, below=0.08)
    footer = (
        f"One grey scale for all images, from 0 to {white:.2f}. The left of the head is on the left, "
        "and sagittal slices look to the right."
    )
    figure.text(0.01, 0.06 / figure.get_figheight(), footer, va="bottom")
    source = [
        {"diagnosis": one.diagnosis, "kind": one.kind, "image_id": one.image_id}
        | {"plane": plane, "slice_index": index, "minimum": _round(pixels.min())}
        | {"mean": _round(pixels.mean()), "maximum": _round(pixels.max())}
        for one, plane, index, pixels in shown
    ]
    return Drawing(pandas.DataFrame(source), figure, title)


def _grid(shape: tuple[int, ...], n_rows: int) -> tuple[Figure, numpy.ndarray]:
    """Lay out the slices so that a voxel has the same size everywhere; a gap parts real from synthetic."""
    x, y, z = shape
    widths = [x, x, y, 0.12 * x, x, x, y]
    inches_per_voxel = (PAGE_WIDTH - _MARGIN - 0.05) / (sum(widths) * (1 + _COLUMN_GAP))
    row_height = max(y, z) * inches_per_voxel * (1 + _COLUMN_GAP)
    height = _HEADER + n_rows * row_height + _SLICES_FOOTER
    figure = Figure(figsize=(PAGE_WIDTH, height))
    edges: Look = {"left": _MARGIN / PAGE_WIDTH, "right": 1 - 0.05 / PAGE_WIDTH}
    edges |= {"top": 1 - _HEADER / height, "bottom": _SLICES_FOOTER / height}
    edges |= {"wspace": _COLUMN_GAP, "hspace": _COLUMN_GAP}
    return figure, figure.subplots(n_rows, len(widths), squeeze=False, width_ratios=widths, gridspec_kw=edges)


def mix_images(examples: Sequence[Example], seed: int) -> list[Example]:
    """Put the images of each diagnosis into an order drawn at random."""
    random = numpy.random.default_rng(seed)
    mixed: list[Example] = []
    for diagnosis in CLASSES:
        of_class = [one for one in examples if one.diagnosis == diagnosis]
        of_class.sort(key=lambda one: (one.kind, one.image_id))
        mixed += [of_class[place] for place in random.permutation(len(of_class))]
    return mixed


def draw_intruders(
    real: str,
    split: pandas.DataFrame,
    synthetic: Sequence[str],
    *,
    training_set: str,
    seed: int,
    other_generator: str,
    generators: Sequence[str],
    simulated: bool,
) -> Drawing:
    """Draw a numbered slice of real and of synthetic images, mixed, without saying which are real."""
    settings = Look(training_set=training_set, seed=seed, figure="draw_intruders")
    examples = read_examples(real, split, synthetic, count=8, **settings)
    mixed = mix_images(examples, derive_seed(seed, "draw_intruders", "order"))
    columns = ["diagnosis", "kind", "image_id"]
    answers = pandas.DataFrame([[getattr(one, name) for name in columns] for one in mixed], columns=columns)
    answers.insert(0, "number", range(1, len(answers) + 1))
    indices, pixels = zip(*(middle_slice(one.volume, PLANE) for one in mixed), strict=True)
    source = answers[["number", "diagnosis"]].assign(
        plane=PLANE, slice_index=indices, mean=[_round(one.mean()) for one in pixels]
    )
    white = white_level(pixels) or 1.0
    width = (PAGE_WIDTH - 2 * _EDGE - (_PER_ROW - 1) * _MIXED_GAP) / _PER_ROW
    row_height = width * pixels[0].shape[0] / pixels[0].shape[1] + _NUMBER
    counts = answers["diagnosis"].value_counts(sort=False)
    rows = {diagnosis: math.ceil(count / _PER_ROW) for diagnosis, count in counts.items()}
    height = _HEADING + len(rows) * _MIXED_TITLE + sum(rows.values()) * row_height + _MIXED_FOOTER
    page, top = Page(height), _HEADING
    for diagnosis, n_rows in rows.items():
        page.write(_EDGE, top + 0.14, diagnosis, weight="bold")
        top += _MIXED_TITLE
        for place, index in enumerate(answers.index[answers["diagnosis"] == diagnosis]):
            row, column = divmod(place, _PER_ROW)
            x, y = _EDGE + column * (width + _MIXED_GAP), top + row * row_height
            page.slice(x, y, (width, row_height - _NUMBER), pixels[index], vmin=0, vmax=white)
            page.write(x + width / 2, y + row_height - _NUMBER + 0.11, str(index + 1), ha="center")
        top += n_rows * row_height
    maker = _maker(other_generator)
    title = "Find the intruders: which of these images are synthetic?" + _if_several(generators, maker)
    set_heading(page.figure, title, simulated=simulated, below=0.06)
    by = "an RHVAE" if maker == "RHVAE" else maker
    footer = (
        f"{(answers['kind'] == 'synthetic').sum()} of these {len(mixed)} middle {PLANE} slices are of images "
        f"that {by} made, the others of {'simulated heads' if simulated else 'participants'}. "
        "The answers are in a separate file."
    )
    page.write(_EDGE, height - 0.06, footer, va="bottom")
    return Drawing(source, page.figure, title, {"answers": answers})


class _Layout(NamedTuple):
    """How one of the figures names its parts."""

    title: str
    row: Callable[[pandas.Series], str]
    column: Callable[[pandas.Series], str]
    caption: Callable[[pandas.Series], str] | None
    labels: float  #: inches at the left of a panel, for the names of its rows
    panels_across: int
    footer: str
    of_lengths: str = ""  #: goes on where the table has lengths and densities


def _in_brackets(length: float | None) -> str:
    return "" if length is None else f"\n({length:.3g})"


#: The pictures, by their names in the tables.
LAYOUTS = {
    "traversal": _Layout(
        title="Images decoded along the principal axes of the latent space",
        row=lambda one: f"Axis {one['row'].removeprefix('axis ')}\n{100 * one['share']:.0f} %",
        column=lambda one: f"{one['position']:+.0f} SD".replace("-", "−") if one["position"] else "mean",
        caption=None,
        labels=0.42,
        panels_across=2,
        footer="Axes of the training images' latent means, with their part of the variance; SD: standard "
        "deviations along the axis.",
    ),
    "interpolation": _Layout(
        title="Images decoded on the way from one training image to another",
        row=lambda one: one["row"].replace(" ", chr(10)).capitalize() + _in_brackets(one.get("length")),
        column=lambda one: {0.0: "image A", 1.0: "image B"}.get(one["position"], ""),
        caption=lambda one: f"{one['density']:.1f}" if "density" in one else "",
        labels=0.56,
        panels_across=1,
        footer="A and B are the training images whose latent means are farthest apart, decoded from these.",
        of_lengths=" In brackets: length of the path\nunder the learned metric. Under the images: logarithm "
        "of the learned density, the root of det G⁻¹, at their place.",
    ),
    "neighbours": _Layout(
        title="Synthetic images and the training images nearest to them",
        row=lambda one: one["row"].capitalize(),
        column=lambda one: f"nearest {one['column']}" if one["column"] else "synthetic",
        caption=lambda one: f"{one['distance']:.3f}" if one["column"] else "",
        labels=0.5,
        panels_across=2,
        footer="Under the training images: root mean square difference of the voxels to the synthetic image. "
        "Rows: of the measured synthetic\nimages the one closest to any "
        "training image (the likeliest copy), the one in the middle of that order, and the farthest.",
    ),
}


def draw_generation(
    stacks: Sequence[str],
    tables: Sequence[pandas.DataFrame],
    *,
    picture: str,
    other_generator: str,
    generators: Sequence[str],
    simulated: bool,
) -> Drawing:
    """Draw one of the pictures of `LAYOUTS` for each class, from its images and table."""
    layout, maker = LAYOUTS[picture], _maker(other_generator)
    layout = layout._replace(title=layout.title + _if_several(generators, maker))
    if not any((table["picture"] == picture).any() for table in tables):
        page = Page(_HEADING + _FOOTER + 2 * _SPACE)
        page.write(
            _EDGE, _HEADING + _SPACE, f"Left out: {maker} has no encoder, and so no codes of real images."
        )
        set_heading(page.figure, layout.title, simulated=simulated, below=0.06)
        return Drawing(pandas.DataFrame(columns=["diagnosis", "row", "column"]), page.figure, layout.title)
    sources, pixels = [], []
    for diagnosis, stack, table in zip(CLASSES, stacks, tables, strict=True):
        chosen = table[table["picture"] == picture].dropna(axis="columns", how="all")
        with ImageStack(stack) as images:
            indices, shown = zip(
                *(middle_slice(images.read(key), PLANE) for key in chosen["key"]), strict=True
            )
        pixels += shown
        own = {
            "diagnosis": diagnosis,
            "plane": PLANE,
            "slice_index": indices,
            "mean": [_round(one.mean()) for one in shown],
        }
        sources.append(chosen.drop(columns="picture").assign(**own))
    source = pandas.concat(sources, ignore_index=True)
    return Drawing(source, _lay_out(layout, source, pixels, simulated), layout.title)


def _lay_out(
    layout: _Layout, source: pandas.DataFrame, pixels: list[numpy.ndarray], simulated: bool
) -> Figure:
    """Lay out the slices: a panel per diagnosis, a row per row and a column per column of the table."""
    white = white_level(pixels) or 1.0
    panels, rows = (source[name].unique().tolist() for name in ("diagnosis", "row"))
    across = min(layout.panels_across, len(panels))
    panel_width = (PAGE_WIDTH - 2 * _EDGE - (across - 1) * _BETWEEN) / across
    width = (panel_width - layout.labels) / (int(source["column"].max()) + 1) - _GAP
    height = width * pixels[0].shape[0] / pixels[0].shape[1]
    row_height = height + _GAP + (_CAPTION if layout.caption else 0.0)
    panel_height = _PANEL_TITLE + _COLUMN_TITLES + len(rows) * row_height
    text = layout.footer + (layout.of_lengths if "length" in source else "")
    footer = _FOOTER * (text.count("\n") + 1) + _SPACE
    down = -(-len(panels) // across)
    page = Page(_HEADING + down * panel_height + (down - 1) * _BETWEEN + footer)
    for number, panel in enumerate(panels):
        left = _EDGE + (number % across) * (panel_width + _BETWEEN)
        top = _HEADING + (number // across) * (panel_height + _BETWEEN)
        page.write(left, top + 0.13, panel, weight="bold")
        for index, one in source[source["diagnosis"] == panel].iterrows():
            row, column = rows.index(one["row"]), int(one["column"])
            x = left + layout.labels + column * (width + _GAP)
            y = top + _PANEL_TITLE + _COLUMN_TITLES + row * row_height
            page.slice(x, y, (width, height), pixels[index], vmin=0, vmax=white)
            if row == 0:
                page.write(x + width / 2, y - 0.04, layout.column(one), ha="center")
            if column == 0:
                page.write(left, y + height / 2, layout.row(one), va="center", linespacing=1.3)
            if layout.caption:
                page.write(x + width / 2, y + height + 0.11, layout.caption(one), ha="center")
    set_heading(page.figure, layout.title, simulated=simulated, below=0.06)
    page.write(_EDGE, page.height - 0.05, text, va="bottom", linespacing=1.3)
    return page.figure
