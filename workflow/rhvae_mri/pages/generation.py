"""The measures of all generators and of their synthetic images, as a web page."""

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
    "flow_volume_error": "Error of the flow's volume",
    "ms_ssim": "Multi-scale structural similarity (MS-SSIM)",
}


def write_generation(
    table: pandas.DataFrame, page: str | os.PathLike[str], *, simulated: bool, title: str
) -> None:
    """Write a stand-alone web page with one table per measure: sets of images by model.

    ``table`` has the quality tables of all models, one below the other; where there are several generators,
    they are named.
    """
    makers = list(dict.fromkeys(table["generator"]))
    model = "model" if len(makers) > 1 or makers != ["rhvae"] else "RHVAE"
    several = ["generator"] if len(makers) > 1 else []
    replicates = ["replicate"] if (table["replicate"] > 0).any() else []
    introduction = (
        "Each cell is the value ± its standard error by resampling the images; where there is none, only "
        "one image or value was there. How each measure was taken is written above its table. "
        f"One {model} was trained per cell, so the spread between trainings is not in the error."
    )
    names = [*several, "training_set", *replicates, "diagnosis"]
    sheets = [
        _sheet(measure, table[table["measure"] == measure], names) for measure in table["measure"].unique()
    ]
    title = f"{title}: quality of the generated images"
    write_text(page, page_of_sheets(title, sheets, simulated=simulated, introduction=introduction))


def _sheet(measure: str, rows: pandas.DataFrame, names: list[str]) -> Sheet:
    """One measure: a column for each model, which ``names`` are the columns of."""
    name = _NAMES.get(measure, measure.replace("_", " ").capitalize())
    of_row = list(rows[names].itertuples(index=False, name=None))
    values = {(row.images, model): _cell(row) for row, model in zip(rows.itertuples(), of_row, strict=True)}
    models = list(dict.fromkeys(of_row))
    return Sheet(
        name,
        f"{name} by {', '.join(names[:-1])} and diagnosis".replace("_", " "),
        ("Images", *(", ".join(map(str, model)) for model in models)),
        tuple(
            (images, *(values.get((images, model), "") for model in models))
            for images in rows["images"].unique()
        ),
        details=tuple(rows["detail"].unique()),
    )


def _cell(row: Any) -> str:
    """The value of one row with its uncertainty and the number of images."""
    if not row.n:
        return "not measured"
    error = "" if pandas.isna(row.uncertainty) else f" ± {row.uncertainty:.2g}"
    return f"{row.value:.4g}{error} (n = {row.n})".replace("-", "−")
