"""What the networks look at: mean attributions of each class on its mean image, in slices of three planes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy
import pandas
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from rhvae_mri.figures.style import PAGE_WIDTH, Drawing, Page, colours, set_heading, white_level
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.preprocess.grid import PLANES
from rhvae_mri.statistics.conditions import CONDITION, DATA, check_columns, data_label
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where the slices lie along their axis, in thirds and halves; a third of the height and the middle of the
#: depth cut the hippocampi.
PLACES = (1 / 3, 1 / 2, 2 / 3)

#: The regions and how the figure calls them.
REGION_NAMES = {"brain": "brain", "head": "rest of the head", "outside": "outside of the head"}

# On white, weak colours would look like none.
_BRIGHTEST = 0.7

# All in inches: at the left for the classes, at the right for the colour bar and its numbers; between slices,
# and between planes or panels; under a row for the shares of the regions; a line of the footer.
_EDGE, _LABELS, _BAR, _BAR_WIDTH = 0.06, 0.26, 0.75, 0.09
_GAP, _BETWEEN = 0.03, 0.1
_HEADING, _PANEL_TITLE, _PLANE_TITLES, _SHARES, _LINE = 0.26, 0.17, 0.14, 0.17, 0.125
_FOOTER_CHARACTERS = 136

# What is the same for all images of a network and class.
_NAMES = (*CONDITION, "seed", "validation_percent", "method", "steps", "diagnosis")
_COLUMNS = (
    *_NAMES,
    "log_odds",
    "log_odds_empty",
    "attribution",
    *(f"{region}_{kind}" for region in REGION_NAMES for kind in ("percent", "intensity_percent")),
)


#: The attributions of one network: a row for each test image (see `rhvae_mri.cnn.saliency.Saliency`) with the
#: network's condition, and ``<class>/attribution`` and ``<class>/image`` (x, y, z), axes RAS+.
Maps = tuple[pandas.DataFrame, dict[str, numpy.ndarray]]


def summarise_saliency(networks: Sequence[Maps]) -> pandas.DataFrame:
    """Say where the attributions of each network and class lie, in percent."""
    rows = []
    for number, (table, _) in enumerate(networks):
        for _, images in table.groupby("diagnosis"):
            change = images["log_odds"] - images["log_odds_empty"]
            error = 100 * (images["attribution"] - change).abs().mean() / change.abs().mean()
            network = {"network": number} | images.iloc[0][list(_NAMES)].to_dict()
            network["n_images"] = len(images)
            network["sum_error_percent"] = error if network["method"] == "integrated_gradients" else math.nan
            for region in REGION_NAMES:
                shares = images[f"{region}_percent"]
                own = {"region": region, "mean_percent": shares.mean(), "sd_percent": shares.std()}
                own["intensity_percent"] = images[f"{region}_intensity_percent"].mean()
                rows.append(network | own)
    return pandas.DataFrame(rows).round(4)


def draw_saliency(
    stacks: Sequence[str], tables: Sequence[pandas.DataFrame], *, training_cohort: str, simulated: bool
) -> Drawing:
    """Draw the mean attributions of each network: a panel for each, with a row for each class."""
    networks: list[Maps] = []
    for stack, table in zip(stacks, tables, strict=True):
        check_columns(table, _COLUMNS, where=f"the table beside {stack}")
        with ImageStack(stack) as images:
            networks.append((table, {key: images.read(key) for key in images.keys}))
    summary = summarise_saliency(networks)
    title = f"What the networks look at: mean attributions in the test images of {training_cohort}"
    return Drawing(summary, _figure(networks, summary, title, simulated), title)


def blend(
    image: numpy.ndarray, attribution: numpy.ndarray, white: float, limit: float, shades: Mapping[str, str]
) -> numpy.ndarray:
    """Lay attributions (rows, columns) over an image: the stronger, the less of the image is seen."""
    grey = _BRIGHTEST * numpy.clip(image / white, 0, 1)[..., None]
    share = numpy.clip(numpy.abs(attribution) / limit, 0, 1)[..., None]
    colour = numpy.where(attribution[..., None] > 0, *(to_rgb(shades[name]) for name in CLASSES))
    return (1 - share) * grey + share * colour


def _figure(
    networks: Sequence[Maps],
    summary: pandas.DataFrame,
    title: str,
    simulated: bool,
) -> Figure:
    shape = next(iter(networks[0][1].values())).shape
    # of each plane, the numbers of voxels from left to right and from bottom to top
    sizes = {plane: [shape[other] for other in range(3) if other != axis] for plane, axis in PLANES.items()}
    room = PAGE_WIDTH - 2 * _EDGE - _LABELS - _BAR
    room -= len(PLANES) * (len(PLACES) - 1) * _GAP + (len(PLANES) - 1) * _BETWEEN
    voxel = room / (len(PLACES) * sum(width for width, _ in sizes.values()))
    row_height = voxel * max(height for _, height in sizes.values())
    footer = textwrap.fill(_footer(summary), _FOOTER_CHARACTERS)
    heights = [
        _PANEL_TITLE + _PLANE_TITLES + table["diagnosis"].nunique() * (row_height + _SHARES) + _BETWEEN
        for table, _ in networks
    ]
    page = Page(_HEADING + sum(heights) + (footer.count("\n") + 1.5) * _LINE)
    shades = dict(zip(CLASSES[::-1], colours(CLASSES[::-1]).values(), strict=True))
    inches = {name: (width * voxel, height * voxel) for name, (width, height) in sizes.items()}
    for number, network in enumerate(networks):
        of_network = summary[summary["network"] == number]
        _draw_panel(page, network, of_network, _HEADING + sum(heights[:number]), inches, shades)
    set_heading(page.figure, title, simulated=simulated, below=0.06)
    page.write(_EDGE, page.height - 0.05, footer, va="bottom", linespacing=1.3)
    return page.figure


def _draw_panel(
    page: Page,
    network: Maps,
    summary: pandas.DataFrame,
    top: float,
    sizes: Mapping[str, tuple[float, float]],
    shades: Mapping[str, str],
) -> None:
    """Draw the slices of one network, a row for each class; ``sizes`` are those of slices, in inches."""
    page.write(_EDGE, top + 0.12, _panel_title(summary.iloc[0]), weight="bold")
    slices = {key: _slices(volume) for key, volume in network[1].items()}
    white = _brightest(slices, "image")
    limit = _brightest(slices, "attribution")
    row_height = max(height for _, height in sizes.values())
    first_row = y = top + _PANEL_TITLE + _PLANE_TITLES
    for diagnosis, of_class in summary.groupby("diagnosis"):
        page.write(_EDGE, y + row_height / 2, diagnosis, weight="bold", va="center")
        x = _EDGE + _LABELS
        for plane, (width, height) in sizes.items():
            if y == first_row:
                middle = x + (len(PLACES) * (width + _GAP) - _GAP) / 2
                page.write(middle, y - 0.04, plane, ha="center")
            images, attributions = (slices[f"{diagnosis}/{kind}"][plane] for kind in ("image", "attribution"))
            for image, attribution in zip(images, attributions, strict=True):
                pixels = blend(image, attribution, white, limit, shades)
                page.slice(x, y + (row_height - height) / 2, (width, height), pixels)
                x += width + _GAP
            x += _BETWEEN - _GAP
        y += row_height
        page.write(_EDGE + _LABELS, y + 0.1, _shares(of_class))
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


def _brightest(slices: Mapping[str, Mapping[str, list[numpy.ndarray]]], kind: str) -> float:
    """The white level of the absolute values of all shown slices of a kind; 1 if all are zero."""
    shown = [planes.values() for key, planes in slices.items() if key.endswith(f"/{kind}")]
    return white_level(abs(one) for planes in shown for of_plane in planes for one in of_plane) or 1.0


def _panel_title(row: pandas.Series) -> str:
    data = data_label(*row[list(DATA)])
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
