"""Real beside synthetic images: their three middle slices, on one grey scale."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy
import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.preprocess.grid import PLANES
from rhvae_mri.study.names import CLASSES
from rhvae_mri.study.seeds import derive_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EXAMPLES = 3  # images of each class and kind
_GAP = 0.04  # between the columns of slices, in parts of a column
_MARGIN = 0.3  # inches at the left for the names of the rows
_HEADER = 0.62  # inches for heading and names of the columns
_FOOTER = 0.3  # inches for the line under the slices


class _Slice(NamedTuple):
    diagnosis: str
    kind: str
    position: int
    image_id: str
    plane: str
    slice_index: int
    pixels: numpy.ndarray


def choose_examples(names: Sequence[str], count: int, seed: int) -> list[str]:
    """Choose images to show, at random rather than by eye."""
    candidates = sorted(set(names))
    if len(candidates) <= count:
        return candidates
    places = numpy.random.default_rng(seed).choice(len(candidates), size=count, replace=False)
    return [candidates[place] for place in sorted(places)]


def read_examples(
    stack: str | os.PathLike[str],
    split: pandas.DataFrame,
    synthetic: Sequence[str | os.PathLike[str]],
    *,
    training_set: str,
    count: int,
    seed: int,
    figure: str,
) -> tuple[dict[str, dict[str, numpy.ndarray]], dict[str, dict[str, numpy.ndarray]]]:
    """Read a few real images of a training set and a few of the synthetic images made from it.

    Gives (x, y, z).
    """
    read: dict[str, dict[str, dict[str, numpy.ndarray]]] = {"real": {}, "synthetic": {}}
    for diagnosis, made in zip(CLASSES, synthetic, strict=True):
        members = (split[training_set] == 1) & (split["diagnosis"] == diagnosis)
        for kind, path, names in (("real", stack, split["image_id"][members]), ("synthetic", made, None)):
            with ImageStack(path) as images:
                candidates = images.keys if names is None else names.tolist()
                chosen = choose_examples(candidates, count, derive_seed(seed, figure, diagnosis, kind))
                read[kind][diagnosis] = {name: images.read(name) for name in chosen}
    return read["real"], read["synthetic"]


def middle_slice(volume: numpy.ndarray, plane: str) -> tuple[int, numpy.ndarray]:
    """Take the middle slice of a volume, turned for display.

    `volume` (x, y, z).
    """
    axis = PLANES[plane]
    index = volume.shape[axis] // 2
    return index, numpy.take(volume, index, axis=axis).T


def draw_slices(
    real: str,
    split: pandas.DataFrame,
    synthetic: Sequence[str],
    *,
    training_set: str,
    seed: int,
    simulated: bool,
) -> Drawing:
    """Draw a few real images of a training set beside synthetic ones that were made from it."""
    examples = read_examples(
        real, split, synthetic, training_set=training_set, count=_EXAMPLES, seed=seed, figure="draw_slices"
    )
    return compare_slices(*examples, simulated=simulated)


def compare_slices(
    real: Mapping[str, Mapping[str, numpy.ndarray]],
    synthetic: Mapping[str, Mapping[str, numpy.ndarray]],
    *,
    simulated: bool,
) -> Drawing:
    """Draw the middle slices of real images beside those of synthetic ones, by diagnosis.

    `real`, `synthetic` (x, y, z).
    """
    shape = common_shape(real, synthetic)
    slices = [
        _Slice(diagnosis, kind, position, name, plane, *middle_slice(volume, plane))
        for kind, images in (("real", real), ("synthetic", synthetic))
        for diagnosis, volumes in images.items()
        for position, (name, volume) in enumerate(volumes.items())
        for plane in PLANES
    ]
    # A few bright voxels of fat or vessels would darken everything else.
    white = float(numpy.percentile(numpy.concatenate([one.pixels.ravel() for one in slices]), 99.5))
    title = "Real and synthetic images, middle slices"
    rows = [
        (diagnosis, position)
        for diagnosis in real
        for position in range(max(len(real[diagnosis]), len(synthetic[diagnosis])))
    ]
    figure, axes = _grid(shape, len(rows))
    for ax in axes.flat:
        ax.set_axis_off()
        ax.set_anchor("N")
    for one in slices:
        row = rows.index((one.diagnosis, one.position))
        column = list(PLANES).index(one.plane) + (0 if one.kind == "real" else len(PLANES) + 1)
        axes[row, column].imshow(one.pixels, origin="lower", vmin=0, vmax=white or 1, cmap="gray")
    _name_columns(axes[0], simulated)
    for row, (diagnosis, position) in enumerate(rows):
        if position == 0:
            _name_row(axes[row, 0], diagnosis)
    set_heading(figure, title, simulated=simulated, y=1 - 0.08 / figure.get_figheight())
    figure.text(
        0.01,
        0.06 / figure.get_figheight(),
        f"One grey scale for all images, from 0 to {white:.2f}. The left of the head is on the left, "
        "and sagittal slices look to the right.",
        verticalalignment="bottom",
    )
    return Drawing(_source(slices), figure, title)


def common_shape(
    real: Mapping[str, Mapping[str, numpy.ndarray]], synthetic: Mapping[str, Mapping[str, numpy.ndarray]]
) -> tuple[int, int, int]:
    """Return the shape that all images have."""
    if list(real) != list(synthetic):
        raise StudyError(
            f"There are real images of {', '.join(real) or 'no class'} but synthetic images of "
            f"{', '.join(synthetic) or 'no class'}."
        )
    volumes = {
        name: volume
        for images in (real, synthetic)
        for of_class in images.values()
        for name, volume in of_class.items()
    }
    if not all(len(of_class) for images in (real, synthetic) for of_class in images.values()) or not volumes:
        raise StudyError("A class has no image to show.")
    shape = next(iter(volumes.values())).shape
    for name, volume in volumes.items():
        if volume.ndim != 3 or volume.shape != shape:
            raise StudyError(f"Image {name} has the shape {volume.shape}, not {shape}.")
        if not numpy.isfinite(volume).all():
            raise StudyError(f"Image {name} has voxels that are NaN or infinite.")
    return shape


def _source(slices: list[_Slice]) -> pandas.DataFrame:
    rows = [
        {name: value for name, value in one._asdict().items() if name not in ("position", "pixels")}
        | {
            "minimum": round(float(one.pixels.min()), 6),
            "mean": round(float(one.pixels.mean()), 6),
            "maximum": round(float(one.pixels.max()), 6),
        }
        for one in slices
    ]
    return pandas.DataFrame(rows)


def _grid(shape: tuple[int, int, int], n_rows: int) -> tuple[Figure, numpy.ndarray]:
    """Lay out the slices so that a voxel has the same size everywhere; a gap parts real from synthetic."""
    x, y, z = shape
    widths = [x, x, y, 0.12 * x, x, x, y]
    inches_per_voxel = (PAGE_WIDTH - _MARGIN - 0.05) / (sum(widths) * (1 + _GAP))
    row_height = max(y, z) * inches_per_voxel * (1 + _GAP)
    height = _HEADER + n_rows * row_height + _FOOTER
    figure = Figure(figsize=(PAGE_WIDTH, height))
    axes = figure.subplots(
        n_rows,
        len(widths),
        squeeze=False,
        width_ratios=widths,
        gridspec_kw={
            "left": _MARGIN / PAGE_WIDTH,
            "right": 1 - 0.05 / PAGE_WIDTH,
            "top": 1 - _HEADER / height,
            "bottom": _FOOTER / height,
            "wspace": _GAP,
            "hspace": _GAP,
        },
    )
    return figure, axes


def _name_columns(axes: Sequence[Axes], simulated: bool) -> None:
    n_planes = len(PLANES)
    for first, name in (
        (0, "Simulated “real” images" if simulated else "Real images"),
        (n_planes + 1, "Synthetic images (RHVAE)"),
    ):
        for ax, plane in zip(axes[first : first + n_planes], PLANES, strict=True):
            ax.set_title(plane, loc="center", weight="normal", pad=3)
        _above(axes[first + 1], name)


def _above(ax: Axes, text: str) -> None:
    ax.annotate(
        text,
        (0.5, 1),
        xycoords="axes fraction",
        xytext=(0, 15),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="bottom",
        weight="bold",
    )


def _name_row(ax: Axes, diagnosis: str) -> None:
    ax.annotate(
        diagnosis,
        (0, 0.5),
        xycoords="axes fraction",
        xytext=(-4, 0),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="center",
        weight="bold",
    )
