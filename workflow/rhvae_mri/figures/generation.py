"""What an RHVAE has learned, in pictures: traversals, interpolations and nearest real neighbours.

All are grids of one slice per image, from the images that `rhvae_mri.generators.assessment.pictures` stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy
import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.slices import middle_slice
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.study.names import CLASSES

#: The plane of the slices: it cuts through hippocampi and ventricles.
PLANE = "coronal"

# All in inches.
_EDGE = 0.06
_GAP = 0.03  # between images
_BETWEEN = 0.12  # between panels
_HEADING = 0.26
_PANEL_TITLE = 0.18
_COLUMN_TITLES = 0.16
_CAPTION = 0.14
_FOOTER = 0.13  # per line
_SPACE = 0.12  # above the footer


class Pictures(NamedTuple):
    """The stored images of one RHVAE.

    Attributes
    ----------
    table : pandas.DataFrame
        What each image is (`rhvae_mri.generators.assessment.pictures.save_pictures`).
    volumes : dict of str to numpy.ndarray of shape (x, y, z)
        The images by their ``key``, axes RAS+.
    """

    table: pandas.DataFrame
    volumes: dict[str, numpy.ndarray]


class _Layout(NamedTuple):
    """How one of the figures names its parts."""

    title: str
    row: Callable[[pandas.Series], str]
    column: Callable[[pandas.Series], str]
    caption: Callable[[pandas.Series], str] | None
    labels: float  #: inches at the left of a panel, for the names of its rows
    panels_across: int
    footer: str


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
        row=lambda one: f"{one['row'].replace(' ', chr(10)).capitalize()}\n({one['length']:.3g})",
        column=lambda one: {0.0: "image A", 1.0: "image B"}.get(one["position"], ""),
        caption=lambda one: f"{one['density']:.1f}",
        labels=0.56,
        panels_across=1,
        footer="A and B are the training images whose latent means are farthest apart, decoded from these. "
        "In brackets: length of the path\nunder the learned metric. Under the images: logarithm of the "
        "learned density, the root of det G⁻¹, at their place.",
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


def read_pictures(stack: str | os.PathLike[str], table: pandas.DataFrame) -> Pictures:
    """Read the images of one RHVAE, which `rhvae_mri.generators.assessment.pictures` stored."""
    with ImageStack(stack) as images:
        return Pictures(table, {key: images.read(key) for key in table["key"]})


def draw_generation(
    stacks: Sequence[str], tables: Sequence[pandas.DataFrame], *, picture: str, simulated: bool
) -> Drawing:
    """Draw one of the pictures of `LAYOUTS` for each class, from its images and table."""
    stored = [read_pictures(*files) for files in zip(stacks, tables, strict=True)]
    return draw_pictures(picture, dict(zip(CLASSES, stored, strict=True)), simulated=simulated)


def draw_pictures(picture: str, pictures: Mapping[str, Pictures], *, simulated: bool) -> Drawing:
    """Draw one of the pictures of `LAYOUTS`, by diagnosis."""
    layout = LAYOUTS[picture]
    source, pixels = _select(picture, pictures)
    # A few bright voxels of fat or vessels would darken everything else.
    white = float(numpy.percentile(numpy.concatenate([one.ravel() for one in pixels]), 99.5))
    return Drawing(source, _figure(layout, source, pixels, white or 1.0, simulated), layout.title)


def _select(picture: str, pictures: Mapping[str, Pictures]) -> tuple[pandas.DataFrame, list[numpy.ndarray]]:
    """The rows of one picture of all diagnoses, and their slices in the same order."""
    tables, pixels = [], []
    for diagnosis, (table, volumes) in pictures.items():
        chosen = table[table["picture"] == picture].dropna(axis="columns", how="all")
        if chosen.empty:
            raise StudyError(f"There is no image of the {picture} of {diagnosis} to show.")
        slices = [middle_slice(volumes[key], PLANE) for key in chosen["key"]]
        pixels += [one for _, one in slices]
        tables.append(
            chosen.drop(columns="picture").assign(
                diagnosis=diagnosis,
                plane=PLANE,
                slice_index=[index for index, _ in slices],
                mean=[round(float(one.mean()), 6) for _, one in slices],
            )
        )
    if not pixels:
        raise StudyError(f"There is no image of the {picture} to show.")
    shapes = {one.shape for one in pixels}
    if len(shapes) > 1:
        raise StudyError(f"Images have slices of different shapes: {sorted(shapes)}.")
    return pandas.concat(tables, ignore_index=True), pixels


def _figure(
    layout: _Layout, source: pandas.DataFrame, pixels: list[numpy.ndarray], white: float, simulated: bool
) -> Figure:
    """Lay out the slices: a panel per diagnosis, a row per row and a column per column of the table."""
    panels = list(dict.fromkeys(source["diagnosis"]))
    rows = list(dict.fromkeys(source["row"]))
    n_columns = int(source["column"].max()) + 1
    across = min(layout.panels_across, len(panels))
    panel_width = (PAGE_WIDTH - 2 * _EDGE - (across - 1) * _BETWEEN) / across
    width = (panel_width - layout.labels) / n_columns - _GAP
    height = width * pixels[0].shape[0] / pixels[0].shape[1]
    row_height = height + _GAP + (_CAPTION if layout.caption else 0.0)
    panel_height = _PANEL_TITLE + _COLUMN_TITLES + len(rows) * row_height
    footer = _FOOTER * (layout.footer.count("\n") + 1) + _SPACE
    down = -(-len(panels) // across)
    total = _HEADING + down * panel_height + (down - 1) * _BETWEEN + footer
    figure = Figure(figsize=(PAGE_WIDTH, total))

    def place(x: float, y: float) -> tuple[float, float]:
        """Inches from the left and from the top to parts of the figure."""
        return x / PAGE_WIDTH, 1 - y / total

    for number, panel in enumerate(panels):
        left = _EDGE + (number % across) * (panel_width + _BETWEEN)
        top = _HEADING + (number // across) * (panel_height + _BETWEEN)
        figure.text(*place(left, top + 0.13), panel, weight="bold")
        for index, one in source[source["diagnosis"] == panel].iterrows():
            row, column = rows.index(one["row"]), int(one["column"])
            x = left + layout.labels + column * (width + _GAP)
            y = top + _PANEL_TITLE + _COLUMN_TITLES + row * row_height
            bottom = place(x, y + height)
            ax = figure.add_axes((*bottom, width / PAGE_WIDTH, height / total))
            ax.imshow(pixels[index], origin="lower", vmin=0, vmax=white, aspect="auto")
            ax.set_axis_off()
            if row == 0:
                figure.text(*place(x + width / 2, y - 0.04), layout.column(one), ha="center")
            if column == 0:
                figure.text(*place(left, y + height / 2), layout.row(one), va="center", linespacing=1.3)
            if layout.caption:
                middle = place(x + width / 2, y + height + 0.11)
                figure.text(*middle, layout.caption(one), ha="center")
    set_heading(figure, layout.title, simulated=simulated, y=1 - 0.06 / total)
    figure.text(*place(_EDGE, total - 0.05), layout.footer, va="bottom", linespacing=1.3)
    return figure
