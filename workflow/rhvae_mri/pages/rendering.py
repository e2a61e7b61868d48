"""The result table as a web page, as Markdown and as LaTeX, in the paper's layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_text
from rhvae_mri.pages.latex import latex_document, latex_panel
from rhvae_mri.pages.layout import SHOWN_METRICS, Cell, Panel, paper_layout
from rhvae_mri.pages.markdown import escape_markdown, join_cells, markdown_row
from rhvae_mri.pages.templates import html_page
from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE


def render_classification(
    table: pandas.DataFrame,
    target_html: str | os.PathLike[str],
    target_markdown: str | os.PathLike[str],
    target_latex: str | os.PathLike[str],
    *,
    simulated: bool,
    title: str,
    provenance: Mapping[str, Any],
) -> None:
    """Write the result table as a stand-alone web page, as Markdown and as LaTeX.

    Parameters
    ----------
    table : pandas.DataFrame
        From `classification_table`.
    target_html, target_markdown, target_latex : path
        The files to write, atomically.
    simulated : bool
        Whether the study's data are simulated; all files then say so before anything else.
    title : str
        The title, as plain text.
    provenance : mapping
        What the results were made with, e.g. configuration and versions: names and values, shown in this
        order below the tables.

    Raises
    ------
    StudyError
        If the table has no rows.
    """
    if table.empty:
        raise StudyError("The result table has no rows to show.", remedy="Summarise the runs first.")
    panels = paper_layout(table)
    notes = _notes(simulated)
    write_text(target_html, _html(panels, notes, simulated, title, provenance))
    write_text(target_markdown, _markdown(panels, notes, simulated, title, provenance))
    made = [f"{name}: {_plain(value)}" for name, value in provenance.items()]
    tables = [latex_panel(panel, _caption(simulated)) for panel in panels]
    write_text(target_latex, latex_document(title, tables, [*notes, *made], simulated=simulated))


def _notes(simulated: bool) -> list[str]:
    """Say how to read the tables, in plain text."""
    comparison = (
        "The published values, in brackets, come from real participants and larger sets. They are shown for "
        "orientation only: simulated results cannot be compared with them."
        if simulated
        else "The published values, in brackets, are means and standard deviations over 20 runs of networks "
        "trained on down-sampled images."
    )
    return [
        "Each cell is the mean ± standard deviation over all runs (seeds) in percent; no run is left out.",
        "Bold marks the highest mean of a column within a training set, and all that equal it. It says "
        "nothing about significance: for that there is the table of comparisons.",
        comparison + " A cell without brackets has no published value that could be read.",
        "Alzheimer's disease (AD) is the positive class: sensitivity is the share of participants with AD "
        "who are recognised, specificity the share of controls (CN) who are, balanced accuracy the mean of "
        "both. An image is called AD when its probability of AD is above 0.5.",
        "The standard deviation is that of a sample (divisor n − 1); which one the paper gives is not known.",
        "Every network was tested on participants who had no part in its training or selection. Cohorts "
        "other than ADNI are independent.",
    ]


def _html(
    panels: list[Panel], notes: list[str], simulated: bool, title: str, provenance: Mapping[str, Any]
) -> str:
    body = [_html_panel(panel, number, simulated) for number, panel in enumerate(panels)]
    body += ["<h2>How to read the tables</h2>\n<ul>\n", *(f"<li>{escape(note)}</li>\n" for note in notes)]
    body.append("</ul>\n")
    if provenance:
        body.append("<h2>How these results were made</h2>\n<dl>\n")
        body += [
            f"<dt>{escape(str(name))}</dt><dd>{escape(_plain(value))}</dd>\n"
            for name, value in provenance.items()
        ]
        body.append("</dl>\n")
    return html_page(title, "".join(body), simulated=simulated)


def _caption(simulated: bool) -> str:
    caption = "Test results in percent: mean ± SD of our runs (published mean ± SD)."
    return f"{SIMULATED_MARK}. {caption}" if simulated else caption


def _html_panel(panel: Panel, number: int, simulated: bool) -> str:
    n_metrics = len(SHOWN_METRICS)
    cohorts = "".join(
        f'<th scope="colgroup" colspan="{n_metrics}">{escape(cohort)}</th>' for cohort in panel.cohorts
    )
    spans = f'<colgroup class="cohort" span="{n_metrics}"></colgroup>\n' * len(panel.cohorts)
    metrics = "".join(f'<th scope="col">{escape(metric.capitalize())}</th>' for _, metric in panel.columns)
    bodies = []
    for group in panel.groups:
        lines = [
            f'<tr><th scope="rowgroup" colspan="{len(panel.columns) + 2}">'
            f"<span>Training set: {escape(group.training_set)}</span></th></tr>\n"
        ]
        for row in group.rows:
            cells = "".join(
                f"<td>{_html_value(cell)}"
                + (f' <span class="published">({escape(cell.published)})</span>' if cell.published else "")
                + "</td>"
                for cell in row.cells
            )
            lines.append(
                f'<tr><th scope="row">{escape(row.label)}</th>{cells}<td>{escape(row.n_seeds)}</td></tr>\n'
            )
        bodies.append(f"<tbody>\n{''.join(lines)}</tbody>\n")
    heading = f"{escape(panel.architecture.capitalize())} architecture"
    caption = _caption(simulated)
    return (
        f'<h2 id="panel-{number}">{heading}</h2>\n'
        f'<div class="scroll" role="region" aria-labelledby="panel-{number}" tabindex="0">\n<table>\n'
        f"<caption><span>{escape(caption)}</span></caption>\n"
        f"<colgroup><col></colgroup>\n{spans}<colgroup><col></colgroup>\n"
        f'<thead>\n<tr><th scope="col" rowspan="2">Training data</th>{cohorts}'
        f'<th scope="col" rowspan="2">Runs</th></tr>\n<tr>{metrics}</tr>\n</thead>\n'
        f"{''.join(bodies)}</table>\n</div>\n"
    )


def _html_value(cell: Cell) -> str:
    return f"<strong>{escape(cell.value)}</strong>" if cell.best else escape(cell.value)


def _markdown(
    panels: list[Panel], notes: list[str], simulated: bool, title: str, provenance: Mapping[str, Any]
) -> str:
    lines = [f"# {escape_markdown(title)}", ""]
    if simulated:
        lines += [f"> **{SIMULATED_MARK}:** {escape_markdown(SIMULATED_NOTICE)}", ""]
    for panel in panels:
        head = ["Training set", "Training data"]
        head += [f"{cohort} {metric}" for cohort, metric in panel.columns]
        head += ["Runs"]
        lines += [f"## {escape_markdown(panel.architecture.capitalize())} architecture", ""]
        lines += [markdown_row(head), "|:--|:--|" + "--:|" * (len(head) - 2)]
        for group in panel.groups:
            for row in group.rows:
                cells = [_markdown_cell(cell) for cell in row.cells]
                names = [escape_markdown(name) for name in (group.training_set, row.label)]
                lines.append(join_cells([*names, *cells, escape_markdown(row.n_seeds)]))
        lines.append("")
    lines += ["## How to read the tables", "", *(f"- {escape_markdown(note)}" for note in notes), ""]
    if provenance:
        lines += ["## How these results were made", ""]
        lines += [
            f"- {escape_markdown(str(name))}: {escape_markdown(_plain(value))}"
            for name, value in provenance.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    value = escape_markdown(cell.value)
    value = f"**{value}**" if cell.best else value
    return f"{value} ({escape_markdown(cell.published)})" if cell.published else value


def _plain(value: Any) -> str:
    """Write a value of the provenance as text; lists are joined."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
