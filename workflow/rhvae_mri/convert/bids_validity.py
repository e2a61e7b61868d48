"""Mending of what Clinica's converters leave invalid in a BIDS dataset.

The errors are those that version 3.0.2 of the BIDS validator finds. No value of the data changes: columns are
put in order, file names in tables are written as BIDS writes them, and what the dataset says elsewhere is
repeated where BIDS looks for it.
"""

from __future__ import annotations

import csv
import io
from importlib.metadata import version
from pathlib import Path

import rhvae_mri
from rhvae_mri.cohort.bids_images import find_images, read_field_strength
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.files import read_json, write_json, write_text

#: Files and folders that are no part of BIDS. The validator takes `conversion_info/`, as Clinica writes it,
#: for what is in the folder; the folder itself has to be named without the slash.
_NOT_BIDS = ("swi/", "conversion_info", ".snakemake_timestamp")

#: The column that BIDS wants first, by the end of the table's name.
_FIRST_COLUMNS = {
    "participants.tsv": "participant_id",
    "_sessions.tsv": "session_id",
    "_scans.tsv": "filename",
}


def mend_dataset(bids: Path) -> None:
    """Make a dataset that Clinica converted valid BIDS.

    Parameters
    ----------
    bids : pathlib.Path
        The folder of the dataset, which is changed:

        - ``.bidsignore`` names Clinica's lists of scans and Snakemake's time stamp;
        - the first column of each table is the one that BIDS wants there (ADNI);
        - file names in ``*_scans.tsv`` have no spaces around the slash (AIBL);
        - a field strength that is only in ``*_scans.tsv`` is also in a JSON file beside the image (ADNI);
        - ``dataset_description.json`` says which programs made the dataset.
    """
    write_text(bids / ".bidsignore", "\n".join(_NOT_BIDS) + "\n")
    for end, first in _FIRST_COLUMNS.items():
        for path in sorted(bids.rglob(f"*{end}")):
            _mend_table(path, first)
    for image in find_images(bids):
        sidecar = image.path.with_name(f"{image.name}.json")
        strength = read_field_strength(image, ListedValues())
        if strength is not None and not sidecar.exists():
            write_json(sidecar, {"MagneticFieldStrength": strength})
    _describe_origin(bids / "dataset_description.json")


def _mend_table(path: Path, first: str) -> None:
    """Move a column to the front; take spaces out of file names in it (``anat / name``), and quotation."""
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    table = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t") if row]
    if not table or first not in table[0]:
        return
    place = table[0].index(first)
    rows = [[row[place].replace(" / ", "/"), *row[:place], *row[place + 1 :]] for row in table]
    mended = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
    if mended != text:
        write_text(path, mended)


def _describe_origin(path: Path) -> None:
    """Name the programs that made the dataset."""
    programs = [
        {"Name": "Clinica", "Version": version("clinica")},
        {
            "Name": "rhvae-mri",
            "Version": rhvae_mri.__version__,
            "Description": "Checks before the conversion; validity and removal of personal data after it",
        },
    ]
    write_json(path, {**read_json(path), "GeneratedBy": programs})
