"""The one look of the study's figures, and how they are written to files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import matplotlib
import matplotlib.style
import pandas
from matplotlib.figure import Figure

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path, write_tsv
from rhvae_mri.study.names import SIMULATED_MARK

STYLE_FILE = Path(__file__).parents[2] / "style" / "study.mplstyle"

#: Widths in inches of a figure that fills one column (89 mm) or the page (180 mm).
COLUMN_WIDTH = 3.5
PAGE_WIDTH = 7.1

#: Colours of what is not data: means and texts, reference lines, bands behind the data.
INK = "#1c1f23"
QUIET = "#9aa2ab"
BAND = "#f5f6f8"


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


def set_heading(figure: Figure, text: str, *, simulated: bool, y: float | None = None) -> None:
    """Write the figure's heading, which says so where the data are simulated."""
    place = {"x": 0.01, "horizontalalignment": "left"} | ({} if y is None else {"y": y})
    figure.suptitle(f"{SIMULATED_MARK}: {text}" if simulated else text, weight="bold", **place)


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
