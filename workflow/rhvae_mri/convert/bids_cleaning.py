"""Clinica's output: what is invalid as BIDS is mended, what is left of persons is removed.

The errors are those that version 3.0.2 of the BIDS validator finds. Columns are put in order, file names in
tables are written as BIDS writes them, and what the dataset says elsewhere is repeated where BIDS wants it.

Clinica 0.12 and dcm2niix take the names out of DICOM headers, but not everything that can tell who somebody
is: the header of each NIfTI image keeps the image comments (``aux_file``) and the time of the scan
(``descrip``), the JSON files of AIBL name the institution, its address and the scanner's serial number, and
AIBL's ``participants.tsv`` has the year of birth, from which the converter has computed the ages.

Of a DICOM header only numbers of the scanner's physics stay. Dates of examinations stay in the tables of
sessions and in the paths of the download: they are those of the study tables and folders that the archive
gives out, they say which visit an image is of, and without them no image could be traced to its source.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import compress
from pathlib import Path

import rhvae_mri
from rhvae_mri.cohort.bids_images import find_images, read_field_strength
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.io.files import atomic_path, read_json, write_json, write_text

#: Files and folders that are no part of BIDS. The validator takes `conversion_info/`, as Clinica writes it,
#: for what is in the folder; the folder itself has to be named without the slash.
_NOT_BIDS = ("swi/", "conversion_info", ".snakemake_timestamp")

#: The column that BIDS wants first, by the end of the table's name.
_FIRST_COLUMNS = {
    "participants.tsv": "participant_id",
    "_sessions.tsv": "session_id",
    "_scans.tsv": "filename",
}

#: Texts in the header of a NIfTI image.
_HEADER_TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")

#: What a JSON file may say: numbers that a scanner's settings have.
_NUMBERS = frozenset(
    [
        *("EchoTime", "EchoTrainLength", "FlipAngle", "InversionTime", "MagneticFieldStrength"),
        *("RepetitionTime", "SliceThickness", "SpacingBetweenSlices"),
    ]
)

_IMAGES_AT_ONCE = 8


def mend_dataset(bids: Path) -> None:
    """Make a dataset that Clinica converted valid BIDS; no value of the data changes.

    ADNI's tables lack BIDS's order of columns and the field strength beside images, AIBL's have spaces around
    the slash of file names. ``.bidsignore`` and ``dataset_description.json`` are completed.
    """
    write_text(bids / ".bidsignore", "\n".join(_NOT_BIDS) + "\n")
    for end, first in _FIRST_COLUMNS.items():
        for path in bids.rglob(f"*{end}"):
            _mend_table(path, first)
    for image in find_images(bids):
        sidecar = image.path.with_name(f"{image.name}.json")
        strength = read_field_strength(image, ListedValues())
        if strength is not None and not sidecar.exists():
            write_json(sidecar, {"MagneticFieldStrength": strength})
    description = bids / "dataset_description.json"
    programs = [
        {"Name": "Clinica", "Version": version("clinica")},
        {
            "Name": "rhvae-mri",
            "Version": rhvae_mri.__version__,
            "Description": "Checks before the conversion; validity and removal of personal data after it",
        },
    ]
    write_json(description, {**read_json(description), "GeneratedBy": programs})


def _mend_table(path: Path, first: str) -> None:
    """Move a column to the front; take spaces out of file names in it (``anat / name``), and quotation."""
    with open(path, newline="", encoding="utf-8") as file:
        table = [row for row in csv.reader(file, delimiter="\t") if row]
    if table and first in table[0]:
        place = table[0].index(first)
        rows = [[row[place].replace(" / ", "/"), *row[:place], *row[place + 1 :]] for row in table]
        write_text(path, "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows))


def remove_personal_data(bids: Path, processes: int = 1) -> None:
    """Remove from a converted dataset what could identify somebody and what the study does not need."""
    images = sorted(bids.rglob("sub-*.nii.gz"))
    if processes == 1:
        list(map(clear_header, images))
    else:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(clear_header, images, chunksize=_IMAGES_AT_ONCE))
    for path in bids.glob("sub-*/**/*.json"):
        content = read_json(path)
        known = content.items() if isinstance(content, dict) else ()
        numbers = {key: value for key, value in known if key in _NUMBERS and type(value) in (int, float)}
        write_json(path, numbers)
    path = bids / "participants.tsv"
    table = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    # the study has no use for it, and it tells of a person outside of the study
    kept = [name != "date_of_birth" for name in table[0]]
    write_text(path, "".join("\t".join(compress(row, kept)) + "\n" for row in table))


def clear_header(path: Path) -> None:
    """Empty texts and extensions of a ``.nii.gz``; what is none stays, and is no image later either."""
    from rhvae_mri.preprocess.nifti import NiftiError, open_nifti

    try:
        content = bytearray(gzip.decompress(path.read_bytes()))
        image = open_nifti(path)
    except (OSError, EOFError, zlib.error, NiftiError):
        return
    layout = image.header.template_dtype
    for name in _HEADER_TEXTS:
        if name in layout.fields:
            kind, start = layout.fields[name][:2]
            content[start : start + kind.itemsize] = bytes(kind.itemsize)
    # four bytes say whether there are extensions, which reach to the first voxel
    beginning, end = layout.itemsize, min(image.dataobj.offset, len(content))
    content[beginning:end] = bytes(max(end - beginning, 0))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, compresslevel=4, mtime=0))
