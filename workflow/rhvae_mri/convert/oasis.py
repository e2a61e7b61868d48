"""The conversion of an OASIS-1 download to BIDS, by Clinica's converter.

Clinica 0.12 stops at the first participant who is not in the clinical table, or whose image is not there. So
these are set aside first. Of each participant it converts the average of the scans of the first session
(``SUBJ_111``, at 1 mm). It reads the diagnosis from the global CDR: 0 is CN, 0.5 and more is AD. In its
tables of sessions it loses AD, because the CDR is no whole number there; ``participants.tsv`` has it right.
"""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas

from rhvae_mri.convert.conversion_report import NO_IMAGE, Row
from rhvae_mri.io.errors import StudyError

if TYPE_CHECKING:
    from rhvae_mri.convert.conversion import Download

logger = logging.getLogger(__name__)

#: The clinical table, by the name under which the project gives it out and Clinica reads it.
CLINICAL_TABLE = "oasis_cross-sectional-5708aa0a98d82080.xlsx"

#: The columns that Clinica reads.
_COLUMNS = ("ID", "M/F", "Hand", "Age", "Educ", "MMSE", "CDR")

#: Where the images of a participant's first session are.
_SESSION = re.compile(r"OAS1_(\d{4})_MR1")
_AVERAGE = Path("PROCESSED", "MPRAGE", "SUBJ_111")

#: The only size that Clinica writes a right header for.
_SHAPE = (256, 256, 160)


def check_oasis(images: Path, tables: Path) -> None:
    """Check that an OASIS-1 download can be converted; StudyError names all that is missing.

    The images folder holds a folder for each session (``OAS1_0001_MR1``), or the discs that hold these.
    """
    problems = []
    if not images.is_dir():
        problems.append(f"the images folder {images} does not exist")
    elif not find_sessions(images):
        problems.append(f"the images folder {images} has no folder with a session's name, OAS1_0001_MR1")
    table = tables / CLINICAL_TABLE
    if not table.is_file():
        problems.append(f"the table {CLINICAL_TABLE} is missing in {tables}")
    else:
        present = pandas.read_excel(table, nrows=0).columns
        if absent := [name for name in _COLUMNS if name not in present]:
            problems.append(f"the table {CLINICAL_TABLE} has no column {', '.join(absent)}")
    if problems:
        raise StudyError(
            "\n  - ".join(
                [f"The OASIS-1 download cannot be converted: {len(problems)} problem(s).", *problems]
            ),
            where=f"images: {images}; tables: {tables}",
            remedy="Download from oasis-brains.org what is missing, or correct the two paths.",
        )


def find_sessions(images: Path) -> dict[str, Path]:
    """Find the folders of first sessions, by the participant's four digits; also inside of disc folders."""
    folders = [path for pattern in ("OAS1_*", "*/OAS1_*") for path in sorted(images.glob(pattern))]
    found = {match[1]: path for path in folders if (match := _SESSION.fullmatch(path.name))}
    return dict(sorted(found.items()))


def convert_oasis(download: Download, output: Path) -> list[Row]:
    """Convert a download, and return what became of every participant."""
    sessions = find_sessions(download.images)
    table = download.tables / CLINICAL_TABLE
    names = pandas.read_excel(table, usecols=["ID"], dtype=str)["ID"].dropna()
    listed = {match[1] for match in map(_SESSION.fullmatch, names) if match}
    rows = [Row(name, None, "missing", None, NO_IMAGE) for name in sorted(listed - sessions.keys())]
    staged = download.staging / "images"
    staged.mkdir()
    for subject, folder in sessions.items():
        fault = describe_fault(folder / _AVERAGE) if subject in listed else "not in the clinical table"
        if fault:
            logger.warning("set aside: %s: %s", folder.name, fault)
        else:
            (staged / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        status = "unreadable" if fault else "converted"
        rows.append(Row(subject, "ses-M000", status, folder, fault or ""))
    if not any(staged.iterdir()):
        raise StudyError(
            f"None of the {len(sessions)} images of the OASIS-1 download can be converted.",
            where=download.images,
            cause=rows[-1].reason,
            remedy="Download the images again, with the folders PROCESSED.",
        )
    download.run("oasis-to-bids", staged, download.tables, output)
    download.ledger.made(CLINICAL_TABLE, [table], len(listed), len(listed), "as it is")
    return rows


def describe_fault(folder: Path) -> str | None:
    """Say why Clinica could not convert the average image in a folder ``SUBJ_111``, or return None."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    files = sorted(folder.glob("*.img"))
    if len(files) != 1:
        return f"{len(files)} files *.img in {_AVERAGE}, not one"
    try:
        image = nibabel.load(files[0])
        size = image.dataobj.offset + image.dataobj.dtype.itemsize * math.prod(image.shape)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        return f"no readable Analyze image: {error}"
    if tuple(image.shape[:3]) != _SHAPE:
        return f"its size is {' x '.join(map(str, image.shape))}, not {' x '.join(map(str, _SHAPE))}"
    length = files[0].stat().st_size
    return f"truncated: {length} of {size} bytes" if length < size else None
