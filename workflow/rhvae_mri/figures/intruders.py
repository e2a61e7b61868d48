"""Find the intruders: real and synthetic slices mixed without labels, and the answers apart from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy
import pandas
from matplotlib.figure import Figure

from rhvae_mri.figures.slices import common_shape, middle_slice, read_examples
from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, set_heading
from rhvae_mri.study.seeds import derive_seed

#: The plane of the slices: it cuts through hippocampi and ventricles.
PLANE = "coronal"

_TITLE = "Find the intruders: which of these images are synthetic?"
_PER_ROW = 8
_EXAMPLES = 8  # images of each class and kind

# All in inches.
_EDGE, _GAP = 0.06, 0.05
_HEADING, _PANEL_TITLE, _NUMBER, _FOOTER = 0.26, 0.2, 0.15, 0.3


def mix_images(
    real: Mapping[str, Mapping[str, numpy.ndarray]],
    synthetic: Mapping[str, Mapping[str, numpy.ndarray]],
    seed: int,
) -> pandas.DataFrame:
    """Put the images of each diagnosis into an order drawn at random, and number them."""
    random = numpy.random.default_rng(seed)
    rows = []
    for diagnosis in real:
        mixed = sorted(
            [("real", name) for name in real[diagnosis]]
            + [("synthetic", name) for name in synthetic[diagnosis]]
        )
        rows += [(diagnosis, *mixed[place]) for place in random.permutation(len(mixed))]
    table = pandas.DataFrame(rows, columns=["diagnosis", "kind", "image_id"])
    table.insert(0, "number", range(1, len(table) + 1))
    return table


def draw_intruders(
    real: str,
    split: pandas.DataFrame,
    synthetic: Sequence[str],
    *,
    training_set: str,
    seed: int,
    simulated: bool,
) -> Drawing:
    """Draw real and synthetic images of a training set, mixed without labels."""
    examples = read_examples(
        real, split, synthetic, training_set=training_set, count=_EXAMPLES, seed=seed, figure="draw_intruders"
    )
    return hide_intruders(*examples, derive_seed(seed, "draw_intruders", "order"), simulated=simulated)


def hide_intruders(
    real: Mapping[str, Mapping[str, numpy.ndarray]],
    synthetic: Mapping[str, Mapping[str, numpy.ndarray]],
    seed: int,
    *,
    simulated: bool,
) -> Drawing:
    """Draw one numbered slice of each image, without saying which images are real.

    `real`, `synthetic` (x, y, z).
    """
    common_shape(real, synthetic)
    mixed = mix_images(real, synthetic, seed)
    images = {"real": real, "synthetic": synthetic}
    slices = [
        middle_slice(images[row.kind][row.diagnosis][row.image_id], PLANE) for row in mixed.itertuples()
    ]
    source = mixed[["number", "diagnosis"]].assign(
        plane=PLANE,
        slice_index=[index for index, _ in slices],
        mean=[round(float(pixels.mean()), 6) for _, pixels in slices],
    )
    figure = _figure(mixed, [pixels for _, pixels in slices], simulated)
    return Drawing(source, figure, _TITLE, {"answers": mixed})


def _figure(mixed: pandas.DataFrame, pixels: list[numpy.ndarray], simulated: bool) -> Figure:
    # A few bright voxels of fat or vessels would darken everything else.
    white = float(numpy.percentile(numpy.concatenate([one.ravel() for one in pixels]), 99.5)) or 1.0
    counts = mixed["diagnosis"].value_counts(sort=False)
    width = (PAGE_WIDTH - 2 * _EDGE - (_PER_ROW - 1) * _GAP) / _PER_ROW
    row_height = width * pixels[0].shape[0] / pixels[0].shape[1] + _NUMBER
    rows = {diagnosis: math.ceil(count / _PER_ROW) for diagnosis, count in counts.items()}
    height = _HEADING + len(rows) * _PANEL_TITLE + sum(rows.values()) * row_height + _FOOTER
    figure = Figure(figsize=(PAGE_WIDTH, height))
    top = _HEADING
    for diagnosis, n_rows in rows.items():
        figure.text(_EDGE / PAGE_WIDTH, 1 - (top + 0.14) / height, diagnosis, weight="bold")
        top += _PANEL_TITLE
        for place, index in enumerate(mixed.index[mixed["diagnosis"] == diagnosis]):
            row, column = divmod(place, _PER_ROW)
            x = _EDGE + column * (width + _GAP)
            y = top + (row + 1) * row_height - _NUMBER
            size = (width / PAGE_WIDTH, (row_height - _NUMBER) / height)
            ax = figure.add_axes((x / PAGE_WIDTH, 1 - y / height, *size))
            ax.imshow(pixels[index], origin="lower", vmin=0, vmax=white, aspect="auto")
            ax.set_axis_off()
            middle = ((x + width / 2) / PAGE_WIDTH, 1 - (y + 0.11) / height)
            figure.text(*middle, str(mixed.loc[index, "number"]), ha="center")
        top += n_rows * row_height
    set_heading(figure, _TITLE, simulated=simulated, y=1 - 0.06 / height)
    n_synthetic = int((mixed["kind"] == "synthetic").sum())
    figure.text(
        _EDGE / PAGE_WIDTH,
        0.06 / height,
        f"{n_synthetic} of these {len(mixed)} middle {PLANE} slices are of images that an RHVAE made, "
        + ("the others of simulated heads." if simulated else "the others of participants.")
        + " The answers are in a separate file.",
        va="bottom",
    )
    return figure
