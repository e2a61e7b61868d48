"""Pages of plain tables, each written as a web page, as Markdown and as LaTeX from the same cells."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import pandas

from rhvae_mri.io.files import write_text
from rhvae_mri.pages.latex import latex_document, long_table
from rhvae_mri.pages.layout import NO_VALUE
from rhvae_mri.pages.markdown import escape_markdown, markdown_row
from rhvae_mri.pages.templates import html_page
from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

_STYLE = """main { max-width: 108rem; }
table:not(:has(th:nth-child(4))) { min-width: min(100%, 30rem); }
th, td { padding: 0.3rem 0.5rem; }
thead th { white-space: normal; }
th.text, .label { text-align: left; }
td.text { white-space: normal; text-align: left; min-width: 12rem; }
"""


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes
    ----------
    heading, caption : str
        Plain text.
    columns : tuple of str
        Headings of the columns.
    rows : tuple of tuple of str
        Cells, plain text.
    texts : tuple of str
        The columns with running text, which is wrapped; the first column is text too.
    labels : tuple of str
        The columns with short texts, which are not wrapped.
    """

    heading: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def render_sheets(
    sheets: Sequence[Sheet],
    targets: Mapping[str, str | os.PathLike[str]],
    *,
    title: str,
    notes: Sequence[str],
    simulated: bool,
) -> None:
    """Write tables in every wanted format, atomically.

    Parameters
    ----------
    sheets : sequence of Sheet
        The tables, in order.
    targets : mapping of str to path
        The files, by format: ``html``, ``markdown``, ``latex``; any of them.
    title : str
        Plain text.
    notes : sequence of str
        How to read the tables, plain text.
    simulated : bool
        Whether to say first that the study's data are simulated.
    """
    writers = {"html": _html, "markdown": _markdown, "latex": _latex}
    for kind, target in targets.items():
        write_text(target, writers[kind](sheets, title, notes, simulated))


def _html(sheets: Sequence[Sheet], title: str, notes: Sequence[str], simulated: bool) -> str:
    parts = []
    for number, sheet in enumerate(sheets):
        caption = f"{SIMULATED_MARK}. {sheet.caption}" if simulated else sheet.caption
        head = "".join(
            f'<th scope="col"{_kind(sheet, column)}>{escape(column)}</th>' for column in sheet.columns
        )
        body = "".join(f"<tr>{_html_cells(sheet, row)}</tr>\n" for row in sheet.rows)
        parts.append(
            f'<h2 id="table-{number}">{escape(sheet.heading)}</h2>\n'
            f'<div class="scroll" role="region" aria-labelledby="table-{number}" tabindex="0">\n<table>\n'
            f"<caption><span>{escape(caption)}</span></caption>\n"
            f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
        )
    items = "".join(f"<li>{escape(note)}</li>\n" for note in notes)
    parts.append(f"<h2>How to read the tables</h2>\n<ul>\n{items}</ul>\n")
    return html_page(title, "".join(parts), simulated=simulated, style=_STYLE)


def _html_cells(sheet: Sheet, row: Sequence[str]) -> str:
    name = re.sub(r"([._])(?=[a-z])", r"\1<wbr>", escape(row[0]))  # where a long key may be broken
    cells = [f'<th scope="row">{name}</th>']
    for column, cell in zip(sheet.columns[1:], row[1:], strict=True):
        cells.append(f"<td{_kind(sheet, column)}>{escape(cell)}</td>")
    return "".join(cells)


def _kind(sheet: Sheet, column: str) -> str:
    if column in sheet.texts:
        return ' class="text"'
    return ' class="label"' if column in sheet.labels else ""


def _markdown(sheets: Sequence[Sheet], title: str, notes: Sequence[str], simulated: bool) -> str:
    lines = [f"# {escape_markdown(title)}", ""]
    if simulated:
        lines += [f"> **{SIMULATED_MARK}:** {escape_markdown(SIMULATED_NOTICE)}", ""]
    for sheet in sheets:
        lines += [f"## {escape_markdown(sheet.heading)}", "", escape_markdown(sheet.caption), ""]
        left = [column in (sheet.columns[0], *sheet.texts, *sheet.labels) for column in sheet.columns]
        lines += [markdown_row(sheet.columns), "|" + "".join(":--|" if one else "--:|" for one in left)]
        lines += [markdown_row(row) for row in sheet.rows]
        lines.append("")
    lines += ["## How to read the tables", "", *(f"- {escape_markdown(note)}" for note in notes), ""]
    return "\n".join(lines)


def _latex(sheets: Sequence[Sheet], title: str, notes: Sequence[str], simulated: bool) -> str:
    tables = []
    for sheet in sheets:
        letters = [
            "p{55mm}" if column in sheet.texts else "l" if column in sheet.labels else "r"
            for column in sheet.columns
        ]
        caption = f"{sheet.heading}. {sheet.caption}"
        tables.append(long_table(caption, sheet.columns, sheet.rows, "".join(["l", *letters[1:]])))
    return latex_document(title, tables, notes, simulated=simulated)


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
