"""The measures of all RHVAEs and of their synthetic images, as a web page."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_text
from rhvae_mri.pages.templates import html_page
from rhvae_mri.study.names import SIMULATED_MARK

#: The names of measures that are not their columns' names with spaces.
_NAMES = {
    "reconstruction_mse": "Mean squared error of the reconstruction",
    "elbo": "Evidence lower bound (ELBO)",
    "ms_ssim": "Multi-scale structural similarity (MS-SSIM)",
}


def render_generation(
    table: pandas.DataFrame, target: str | os.PathLike[str], *, simulated: bool, title: str
) -> None:
    """Write a stand-alone web page with one table per measure: sets of images by RHVAE.

    ``table`` has the quality tables of all RHVAEs, one below the other.
    """
    if table.empty:
        raise StudyError("There are no measures of generated images.", remedy="Run measure_generation first.")
    body = [
        "<p>Each cell is the value ± its standard error by resampling the images; where there is none, only "
        "one image or value was there. How each measure was taken is written above its table. One RHVAE was "
        "trained per cell, so the spread between trainings is not in the error.</p>\n"
    ]
    for measure in table["measure"].unique():
        body.append(_section(measure, table[table["measure"] == measure], simulated))
    write_text(target, html_page(title, "".join(body), simulated=simulated))


def _section(measure: str, rows: pandas.DataFrame, simulated: bool) -> str:
    name = _NAMES.get(measure, measure.replace("_", " ").capitalize())
    columns = list(dict.fromkeys(zip(rows["training_set"], rows["diagnosis"], strict=True)))
    head = "".join(f'<th scope="col">{escape(f"{one}, {two}")}</th>' for one, two in columns)
    values = {(row.images, row.training_set, row.diagnosis): _cell(row) for row in rows.itertuples()}
    lines = []
    for images in rows["images"].unique():
        cells = "".join(f"<td>{escape(values.get((images, *column), ''))}</td>" for column in columns)
        lines.append(f'<tr><th scope="row">{escape(images)}</th>{cells}</tr>\n')
    details = "".join(f"<li>{escape(detail)}</li>\n" for detail in rows["detail"].unique())
    caption = f"{name} by training set and diagnosis"
    if simulated:
        caption = f"{SIMULATED_MARK}. {caption}"
    return (
        f'<h2 id="{escape(measure)}">{escape(name)}</h2>\n<ul>\n{details}</ul>\n'
        f'<div class="scroll" role="region" aria-labelledby="{escape(measure)}" tabindex="0">\n<table>\n'
        f"<caption><span>{escape(caption)}</span></caption>\n"
        f'<thead>\n<tr><th scope="col">Images</th>{head}</tr>\n</thead>\n'
        f"<tbody>\n{''.join(lines)}</tbody>\n</table>\n</div>\n"
    )


def _cell(row: Any) -> str:
    """The value of one row with its uncertainty and the number of images."""
    error = "" if pandas.isna(row.uncertainty) else f" ± {row.uncertainty:.2g}"
    return f"{row.value:.4g}{error} (n = {row.n})".replace("-", "−")
