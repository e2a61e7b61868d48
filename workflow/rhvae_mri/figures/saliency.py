"""What the networks look at: mean attributions of each class on its mean image, in slices of three planes."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
import pandas
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, colours, set_heading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.preprocess.grid import PLANES
from rhvae_mri.statistics.conditions import check_columns, data_label, ordered
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where the slices lie along their axis, in thirds and halves; a third of the height and the middle of the
#: depth cut the hippocampi.
PLACES = (1 / 3, 1 / 2, 2 / 3)

#: The brightest shade of an attribution: this percentile of the shown absolute values.
LIMIT_PERCENTILE = 99.5

#: The regions and how the figure calls them.
REGION_NAMES = {"brain": "brain", "head": "rest of the head", "outside": "outside of the head"}

# On white, weak colours would look like none.
_BRIGHTEST = 0.7

# All in inches.
_EDGE = 0.06
_LABELS = 0.26  # at the left, for the classes
_BAR = 0.75  # at the right, for the colour bar and its numbers
_BAR_WIDTH = 0.09
_GAP = 0.03  # between slices
_BETWEEN = 0.1  # between planes, and between panels
_HEADING = 0.26
_PANEL_TITLE = 0.17
_PLANE_TITLES = 0.14
_SHARES = 0.17  # under a row, for the shares of the regions
_LINE = 0.125  # of the footer
_FOOTER_CHARACTERS = 136

# What is the same for all images of a network and class.
_NAMES = (
    "architecture",
    "training_set",
    "training_data",
    "n_synthetic",
    "resolution",
    "seed",
    "validation_percent",
    "method",
    "steps",
    "diagnosis",
)
_COLUMNS = (
    *_NAMES,
    "log_odds",
    "log_odds_empty",
    "attribution",
    *(f"{region}_{kind}" for region in REGION_NAMES for kind in ("percent", "intensity_percent")),
)


class SaliencyMaps(NamedTuple):
    """The attributions of one network.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each test image, see `rhvae_mri.cnn.saliency.Saliency`, with the network's condition.
    volumes : dict of str to numpy.ndarray of shape (x, y, z)
        ``<class>/attribution`` and ``<class>/image``, axes RAS+.
    """

    table: pandas.DataFrame
    volumes: dict[str, numpy.ndarray]


def read_saliency(stack: str | os.PathLike[str], table: pandas.DataFrame) -> SaliencyMaps:
    """Read the maps of one network, and check its table."""
    check_columns(table, _COLUMNS, where=f"the table beside {stack}")
    with ImageStack(stack) as images:
        return SaliencyMaps(table, {key: images.read(key) for key in images.keys})


def summarise_saliency(networks: Sequence[SaliencyMaps]) -> pandas.DataFrame:
    """Say where the attributions of each network and class lie.

    The result is in percent.
    """
    rows = []
    for number, (table, _) in enumerate(networks):
        for diagnosis in ordered("diagnosis", table["diagnosis"]):
            images = table[table["diagnosis"] == diagnosis]
            change = images["log_odds"] - images["log_odds_empty"]
            error = 100 * (images["attribution"] - change).abs().mean() / change.abs().mean()
            network = {"network": number} | images.iloc[0][list(_NAMES)].to_dict()
            for region in REGION_NAMES:
                shares = images[f"{region}_percent"]
                rows.append(
                    network
                    | {
                        "n_images": len(images),
                        "sum_error_percent": error
                        if network["method"] == "integrated_gradients"
                        else math.nan,
                        "region": region,
                        "mean_percent": shares.mean(),
                        "sd_percent": shares.std(ddof=1),
                        "intensity_percent": images[f"{region}_intensity_percent"].mean(),
                    }
                )
    return pandas.DataFrame(rows).round(4)


def draw_saliency(
    stacks: Sequence[str], tables: Sequence[pandas.DataFrame], *, training_cohort: str, simulated: bool
) -> Drawing:
    """Draw the mean attributions of each network, from its maps and table."""
    networks = [read_saliency(*stored) for stored in zip(stacks, tables, strict=True)]
    return draw_maps(networks, training_cohort, simulated=simulated)


def draw_maps(networks: Sequence[SaliencyMaps], cohort: str, *, simulated: bool) -> Drawing:
    """Draw the mean attributions of each network: a panel for each, with a row for each class."""
    shapes = {volume.shape for network in networks for volume in network.volumes.values()}
    if len(shapes) != 1:
        raise StudyError(
            f"The maps of a figure are of one shape, not of {sorted(shapes) or 'none'}.",
            cause="The networks are of different resolutions, or there is none.",
        )
    summary = summarise_saliency(networks)
    title = f"What the networks look at: mean attributions in the test images of {cohort}"
    return Drawing(summary, _figure(networks, summary, shapes.pop(), title, simulated), title)


def blend(
    image: numpy.ndarray, attribution: numpy.ndarray, white: float, limit: float, shades: Mapping[str, str]
) -> numpy.ndarray:
    """Lay attributions over an image: the stronger, the less of the image is seen.

    `image`, `attribution` (rows, columns); gives (rows, columns, 3).
    """
    grey = _BRIGHTEST * numpy.clip(image / white, 0, 1)[..., None]
    share = numpy.clip(numpy.abs(attribution) / limit, 0, 1)[..., None]
    colour = numpy.where(attribution[..., None] > 0, *(to_rgb(shades[name]) for name in CLASSES))
    return (1 - share) * grey + share * colour


class _Page:
    """A figure with places in inches, from its left and from its top."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(PAGE_WIDTH, height))
        self.height = height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        sizes = (left / PAGE_WIDTH, bottom / self.height, width / PAGE_WIDTH, height / self.height)
        return self.figure.add_axes(sizes)

    def write(self, left: float, top: float, text: str, **options: Any) -> None:
        self.figure.text(left / PAGE_WIDTH, 1 - top / self.height, text, **options)


def _figure(
    networks: Sequence[SaliencyMaps],
    summary: pandas.DataFrame,
    shape: tuple[int, ...],
    title: str,
    simulated: bool,
) -> Figure:
    """Lay out a panel for each network."""
    # of each plane, the numbers of voxels from left to right and from bottom to top
    sizes = {plane: [shape[other] for other in range(3) if other != axis] for plane, axis in PLANES.items()}
    room = PAGE_WIDTH - 2 * _EDGE - _LABELS - _BAR
    room -= len(PLANES) * (len(PLACES) - 1) * _GAP + (len(PLANES) - 1) * _BETWEEN
    voxel = room / (len(PLACES) * sum(width for width, _ in sizes.values()))
    row_height = voxel * max(height for _, height in sizes.values())
    footer = textwrap.fill(_footer(summary), _FOOTER_CHARACTERS)
    heights = [
        _PANEL_TITLE
        + _PLANE_TITLES
        + network.table["diagnosis"].nunique() * (row_height + _SHARES)
        + _BETWEEN
        for network in networks
    ]
    page = _Page(_HEADING + sum(heights) + (footer.count("\n") + 1.5) * _LINE)
    shades = dict(zip(CLASSES[::-1], colours(CLASSES[::-1]).values(), strict=True))
    for number, network in enumerate(networks):
        of_network = summary[summary["network"] == number]
        top = _HEADING + sum(heights[:number])
        _draw_panel(
            page,
            network,
            of_network,
            top,
            {name: (w * voxel, h * voxel) for name, (w, h) in sizes.items()},
            shades,
        )
    set_heading(page.figure, title, simulated=simulated, y=1 - 0.06 / page.height)
    page.write(_EDGE, page.height - 0.05, footer, va="bottom", linespacing=1.3)
    return page.figure


def _draw_panel(
    page: _Page,
    network: SaliencyMaps,
    summary: pandas.DataFrame,
    top: float,
    sizes: Mapping[str, tuple[float, float]],
    shades: Mapping[str, str],
) -> None:
    """Draw the slices of one network, a row for each class; ``sizes`` are widths and heights of slices."""
    page.write(_EDGE, top + 0.12, _panel_title(network.table.iloc[0]), weight="bold")
    slices = {key: _slices(volume) for key, volume in network.volumes.items()}
    white = _percentile(slices, "image")
    limit = _percentile(slices, "attribution")
    row_height = max(height for _, height in sizes.values())
    first_row = y = top + _PANEL_TITLE + _PLANE_TITLES
    for diagnosis in ordered("diagnosis", summary["diagnosis"]):
        page.write(_EDGE, y + row_height / 2, diagnosis, weight="bold", va="center")
        x = _EDGE + _LABELS
        for plane, (width, height) in sizes.items():
            if y == first_row:
                middle = x + (len(PLACES) * (width + _GAP) - _GAP) / 2
                page.write(middle, y - 0.04, plane, ha="center")
            images, attributions = (slices[f"{diagnosis}/{kind}"][plane] for kind in ("image", "attribution"))
            for image, attribution in zip(images, attributions, strict=True):
                ax = page.axes(x, y + (row_height - height) / 2, width, height)
                ax.imshow(blend(image, attribution, white, limit, shades), origin="lower", aspect="auto")
                ax.set_axis_off()
                x += width + _GAP
            x += _BETWEEN - _GAP
        y += row_height
        page.write(_EDGE + _LABELS, y + 0.1, _shares(summary[summary["diagnosis"] == diagnosis]))
        y += _SHARES
    bar = page.axes(PAGE_WIDTH - _EDGE - _BAR + 0.12, first_row, _BAR_WIDTH, y - _SHARES - first_row)
    _draw_bar(bar, limit, shades)


def _draw_bar(ax: Axes, limit: float, shades: Mapping[str, str]) -> None:
    """Draw the colour bar, over the grey of brain tissue."""
    values = numpy.linspace(-limit, limit, 201)[:, None]
    exponent = math.floor(math.log10(limit))
    scaled = limit / 10**exponent
    strip = blend(numpy.full_like(values, 0.5), values, 1.0, limit, shades)
    ax.imshow(strip, origin="lower", aspect="auto", extent=(0, 1, -scaled, scaled))
    ax.set_xticks([])
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.set_yticks([-scaled, 0, scaled], [f"−{scaled:.1f}", "0", f"+{scaled:.1f}"])
    ax.grid(False)
    power = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    ax.set_ylabel(f"log odds of AD per voxel, 10{power}\n← for CN        for AD →", labelpad=1)


def _slices(volume: numpy.ndarray) -> dict[str, list[numpy.ndarray]]:
    """The slices of each plane, turned as those of `rhvae_mri.figures.slices.middle_slice`."""
    return {
        plane: [numpy.take(volume, int(place * volume.shape[axis]), axis=axis).T for place in PLACES]
        for plane, axis in PLANES.items()
    }


def _percentile(slices: Mapping[str, Mapping[str, list[numpy.ndarray]]], kind: str) -> float:
    """The percentile of the absolute values of all shown slices of a kind; 1 if all are zero."""
    shown = [
        one.ravel()
        for key, planes in slices.items()
        if key.endswith(f"/{kind}")
        for of_plane in planes.values()
        for one in of_plane
    ]
    return float(numpy.percentile(numpy.abs(numpy.concatenate(shown)), LIMIT_PERCENTILE)) or 1.0


def _panel_title(row: pandas.Series) -> str:
    data = data_label(row["training_data"], int(row["n_synthetic"]), row["resolution"])
    return (
        f"{row['architecture'].capitalize()} network, {row['training_set']}, {data}; seed {row['seed']}, "
        f"validation balanced accuracy {row['validation_percent']:.1f} %"
    )


def _shares(summary: pandas.DataFrame) -> str:
    """The line under a row of slices."""
    parts = [
        f"{REGION_NAMES[row.region]} {row.mean_percent:.1f} ± {row.sd_percent:.1f} % "
        f"({row.intensity_percent:.1f} %)"
        for row in summary.itertuples()
    ]
    return f"n = {summary['n_images'].iloc[0]}:  " + ",  ".join(parts)


def _footer(summary: pandas.DataFrame) -> str:
    """What the figure shows, in words."""
    first = summary.iloc[0]
    if first["method"] == "integrated_gradients":
        errors = summary.groupby("architecture", sort=False)["sum_error_percent"].max()
        bounds = ", ".join(f"{error:.1f} % ({name})" for name, error in errors.items())
        method = (
            f"Integrated gradients of the log odds of AD, in {first['steps']} steps from an empty image; the "
            f"attributions of an image should add up to the change of its log odds, and miss it by {bounds} "
            "on average."
        )
    else:
        method = "Gradient of the log odds of AD times intensity, at the image."
    return (
        f"{method} Means over all test images of a class, classified rightly or not, on the mean image. "
        "Orange speaks for AD, blue for CN, whatever the class; one colour scale for each network. The seed "
        "is the one of the highest balanced accuracy on the validation set; no test image chose it. Under "
        "the slices: the regions' shares of the absolute attributions, mean ± SD over images, and in "
        "brackets their shares of the intensities. Slices at a third, half and two thirds of each axis; the "
        "left of the head is on the left, sagittal slices look to the right."
    )
