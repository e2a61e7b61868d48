"""Tables as web page, Markdown and LaTeX, from the same cells; and how numbers are written in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas

from rhvae_mri.io.files import write_text
from rhvae_mri.pages.templates import html_page, render

#: What stands where a value is not defined or does not exist.
NO_VALUE = "n/a"


class Cell(NamedTuple):
    """Our value, the published one beside it, and whether ours is the best of its column."""

    value: str
    published: str = ""
    best: bool = False


@dataclass(frozen=True)
class Sheet:
    """One table; all its texts are plain."""

    heading: str
    caption: str
    columns: tuple[str, ...]
    #: As many cells in each row as there are columns.
    rows: tuple[tuple[str | Cell, ...], ...] = ()
    #: The columns with running text, which is wrapped (the first column is text too), and with short texts.
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    #: What a web page says between heading and table.
    details: tuple[str, ...] = ()
    #: Headings above the columns between the first and the last, each above as many of them.
    spans: tuple[str, ...] = ()
    #: Training sets and their rows, for a table that has them instead of ``rows``.
    groups: Mapping[str, Iterable[tuple[str | Cell, ...]]] | None = None

    @property
    def kinds(self) -> list[str]:
        """Of each column, whether it has texts, labels or neither."""
        named = dict.fromkeys(self.texts, "text") | dict.fromkeys(self.labels, "label")
        return [named.get(column, "") for column in self.columns]


def sheet_of(heading: str, caption: str, rows: Iterable[Mapping[str, str]], **options: Any) -> Sheet:
    """Make a sheet of rows that have their cells by the columns' headings; there is one row at least."""
    rows = list(rows)
    return Sheet(heading, caption, tuple(rows[0]), tuple(tuple(row.values()) for row in rows), **options)


def page_of_sheets(title: str, sheets: Sequence[Sheet], *, simulated: bool, **values: Any) -> str:
    """Write tables as a web page; ``values`` are further ones of the template."""
    defaults: dict[str, Any] = {"introduction": "", "notes": (), "made": {}, "wide": False}

    def breakable(key: str) -> str:
        """Say in HTML where a long key may be broken."""
        return re.sub(r"([._])(?=[a-z])", r"\1<wbr>", escape(key))

    return html_page(
        "sheets.html.j2",
        title,
        simulated=simulated,
        sheets=sheets,
        breakable=breakable,
        **defaults | values,
    )


def write_sheets(
    sheets: Sequence[Sheet],
    page: str | os.PathLike[str],
    *,
    title: str,
    notes: Sequence[str],
    simulated: bool,
    made: Mapping[str, Any] | None = None,
    wide: bool = True,
) -> None:
    """Write tables as a web page, as Markdown and as LaTeX under the same name, atomically.

    ``notes`` say how to read the tables, ``made`` what the results were made with; ``wide`` tables need a web
    page that is wider than others.
    """
    values: dict[str, Any] = {"title": title, "sheets": sheets, "notes": notes, "simulated": simulated}
    values["made"] = made or {}
    write_text(Path(page).with_suffix(".html"), page_of_sheets(**values, wide=wide))
    write_text(Path(page).with_suffix(".md"), render("sheets.md.j2", **values))
    write_text(Path(page).with_suffix(".tex"), render("sheets.tex.j2", **values))


def number(value: float, decimals: int = 1, sign: bool = False) -> str:
    """Write a number, or that there is none.

    Examples
    --------
    >>> number(3.14159), number(2, sign=True), number(float("nan"))
    ('3.1', '+2.0', 'n/a')
    """
    if pandas.isna(value):
        return NO_VALUE
    rounded = round(value, decimals) + 0.0  # no minus zero
    return f"{rounded:{'+' if sign else ''}.{decimals}f}".replace("-", "−")


def mean_and_sd(mean: float, sd: float) -> str:
    """Write a mean and, where there is one, its standard deviation."""
    return number(mean) if pandas.isna(mean) or pandas.isna(sd) else f"{number(mean)} ± {number(sd)}"


def interval(low: float, high: float, sign: bool = False) -> str:
    """Write an interval.

    Examples
    --------
    >>> interval(-1.25, 3), interval(float("nan"), 1)
    ('−1.2 to 3.0', 'n/a')
    """
    if pandas.isna(low) or pandas.isna(high):
        return NO_VALUE
    return f"{number(low, sign=sign)} to {number(high, sign=sign)}"


def p_value(value: float) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_value(0.0004), p_value(0.0312), p_value(float("nan"))
    ('<0.001', '0.031', 'n/a')
    """
    if pandas.isna(value):
        return NO_VALUE
    return "<0.001" if value < 0.001 else f"{value:.3f}"
