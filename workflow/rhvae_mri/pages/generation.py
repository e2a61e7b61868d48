"""The measures of all RHVAEs and of their synthetic images, as a web page."""

from __future__ import annotations

import os
from typing import Any

import pandas

from rhvae_mri.io.files import write_text
from rhvae_mri.pages.sheets import Sheet, page_of_sheets

#: The names of measures that are not their columns' names with spaces.
_NAMES = {
    "reconstruction_mse": "Mean squared error of the reconstruction",
    "elbo": "Evidence lower bound (ELBO)",
    "ms_ssim": "Multi-scale structural similarity (MS-SSIM)",
}


def write_generation(
    table: pandas.DataFrame, page: str | os.PathLike[str], *, simulated: bool, title: str
) -> None:
    """Write a stand-alone web page with one table per measure: sets of images by RHVAE.

    ``table`` has the quality tables of all RHVAEs, one below the other.
    """
    introduction = (
        "Each cell is the value ± its standard error by resampling the images; where there is none, only "
        "one image or value was there. How each measure was taken is written above its table. One RHVAE was "
        "trained per cell, so the spread between trainings is not in the error."
    )
    sheets = [_sheet(measure, table[table["measure"] == measure]) for measure in table["measure"].unique()]
    title = f"{title}: quality of the generated images"
    write_text(page, page_of_sheets(title, sheets, simulated=simulated, introduction=introduction))


def _sheet(measure: str, rows: pandas.DataFrame) -> Sheet:
    name = _NAMES.get(measure, measure.replace("_", " ").capitalize())
    values = {(row.images, row.training_set, row.diagnosis): _cell(row) for row in rows.itertuples()}
    models = list(dict.fromkeys(zip(rows["training_set"], rows["diagnosis"], strict=True)))
    return Sheet(
        name,
        f"{name} by training set and diagnosis",
        ("Images", *(f"{training_set}, {diagnosis}" for training_set, diagnosis in models)),
        tuple(
            (images, *(values.get((images, *model), "") for model in models))
            for images in rows["images"].unique()
        ),
        details=tuple(rows["detail"].unique()),
    )


def _cell(row: Any) -> str:
    """The value of one row with its uncertainty and the number of images."""
    error = "" if pandas.isna(row.uncertainty) else f" ± {row.uncertainty:.2g}"
    return f"{row.value:.4g}{error} (n = {row.n})".replace("-", "−")
