"""The one look of the study's figures, and how they are written to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import matplotlib.style
import numpy
import pandas
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path, write_tsv
from rhvae_mri.study.names import SIMULATED_MARK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE_FILE = Path(__file__).parents[2] / "style" / "study.mplstyle"

#: Width in inches of a figure: it fills the page (180 mm).
PAGE_WIDTH = 7.1


@contextmanager
def study_style() -> Iterator[None]:
    """Use the study's style in the block, whatever the user's own matplotlib settings are."""
    with matplotlib.style.context(str(STYLE_FILE), after_reset=True):
        yield


def colours(names: Sequence[str]) -> dict[str, str]:
    """Give each name a colour of the style, in order; call it within `study_style`."""
    palette = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    if len(names) > len(palette):
        raise StudyError(
            f"The style has {len(palette)} colours, but there are {len(names)} things to tell apart.",
            where=STYLE_FILE,
            remedy="Draw fewer of them in one figure.",
        )
    return dict(zip(names, palette, strict=False))


def key(label: str, **look: Any) -> Line2D:
    """Make a line or mark for a legend."""
    return Line2D([], [], label=label, **look)


def set_heading(figure: Figure, text: str, *, simulated: bool, below: float | None = None) -> None:
    """Write the figure's heading, ``below`` its upper edge; it says so where the data are simulated."""
    place = {} if below is None else {"y": 1 - below / figure.get_figheight()}
    text = f"{SIMULATED_MARK}: {text}" if simulated else text
    figure.suptitle(text, x=0.01, horizontalalignment="left", weight="bold", **place)


class Page:
    """A figure as wide as the page, with places in inches from its left and its top."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(PAGE_WIDTH, height))
        self.height = height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes."""
        bottom = 1 - (top + height) / self.height
        return self.figure.add_axes((left / PAGE_WIDTH, bottom, width / PAGE_WIDTH, height / self.height))

    def slice(self, left: float, top: float, size: tuple[float, float], pixels: Any, **look: Any) -> None:
        """Show pixels, from the bottom to the top, without axes around them."""
        ax = self.axes(left, top, *size)
        ax.imshow(pixels, origin="lower", aspect="auto", **look)
        ax.set_axis_off()

    def write(self, left: float, top: float, text: str, **look: Any) -> None:
        """Write a text."""
        self.figure.text(left / PAGE_WIDTH, 1 - top / self.height, text, **look)

    def diagram(self) -> Axes:
        """Make the whole page one pair of axes in inches, from its upper left corner."""
        ax = self.figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.set(xlim=(0, PAGE_WIDTH), ylim=(self.height, 0))
        return ax


def white_level(pixels: Iterable[numpy.ndarray]) -> float:
    """Return what is shown white: a few bright voxels of fat or vessels would darken everything else."""
    return float(numpy.percentile(numpy.concatenate([one.ravel() for one in pixels]), 99.5))


class Drawing(NamedTuple):
    """A figure with its source table, its title, and further tables by name."""

    source: pandas.DataFrame
    figure: Figure
    title: str
    tables: Mapping[str, pandas.DataFrame] = MappingProxyType({})


def save_drawing(
    drawing: Drawing,
    *,
    svg: str | os.PathLike[str],
    pdf: str | os.PathLike[str],
    table: str | os.PathLike[str],
    **tables: str | os.PathLike[str],
) -> None:
    """Write figure and tables, atomically and without dates; call it within `study_style`."""
    write_tsv(table, drawing.source)
    for name, path in tables.items():
        write_tsv(path, drawing.tables[name])
    for path, kind, dates in ((svg, "svg", {"Date": None}), (pdf, "pdf", {"CreationDate": None})):
        with atomic_path(path) as temporary:
            drawing.figure.savefig(temporary, format=kind, metadata={"Title": drawing.title, **dates})
