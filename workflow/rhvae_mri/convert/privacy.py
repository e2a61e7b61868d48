"""Removal of what a converted dataset still says of persons, places and times.

Clinica 0.12 and dcm2niix take the names out of DICOM headers, but not everything that can tell who somebody
is: the header of each NIfTI image keeps the image comments (``aux_file``) and the time of the scan
(``descrip``), the JSON files of AIBL name the institution, its address and the scanner's serial number, and
AIBL's ``participants.tsv`` has the year of birth, from which the converter has computed the ages.

Of a DICOM header only numbers of the scanner's physics stay. Dates of examinations stay in the tables of
sessions and in the paths of the download: they are those of the study tables and folders that the archive
gives out, they say which visit an image is of, and without them no image could be traced to its source.
"""

from __future__ import annotations

import gzip
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rhvae_mri.files import atomic_path, read_json, write_json, write_text

#: Texts in the header of a NIfTI image.
_HEADER_TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")

#: What a JSON file may say: numbers that a scanner's settings have.
_NUMBERS = frozenset(
    [
        *("EchoTime", "EchoTrainLength", "FlipAngle", "InversionTime", "MagneticFieldStrength"),
        *("RepetitionTime", "SliceThickness", "SpacingBetweenSlices"),
    ]
)

#: Columns of tables that the study has no use for and that tell of a person outside of it.
_PERSONAL_COLUMNS = ("date_of_birth",)

_IMAGES_AT_ONCE = 8


def remove_personal_data(bids: Path, processes: int = 1) -> None:
    """Remove from a converted dataset what could identify somebody and what the study does not need.

    Parameters
    ----------
    bids : pathlib.Path
        The folder of the dataset, which is changed:

        - the texts and extensions in the headers of all NIfTI images are emptied (`clear_header`);
        - JSON files beside images keep numbers of the scanner's settings only;
        - ``participants.tsv`` loses the date of birth.
    processes : int
        How many images to write at a time.
    """
    images = sorted(bids.rglob("sub-*.nii.gz"))
    if processes == 1:
        for path in images:
            clear_header(path)
    else:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(clear_header, images, chunksize=_IMAGES_AT_ONCE))
    for path in bids.glob("sub-*/**/*.json"):
        write_json(path, _keep_numbers(read_json(path)))
    _drop_columns(bids / "participants.tsv")


def clear_header(path: Path) -> None:
    """Empty the texts and the extensions of a compressed NIfTI image; voxels and geometry stay byte for byte.

    Parameters
    ----------
    path : pathlib.Path
        A ``.nii.gz`` file of NIfTI-1 or NIfTI-2. Anything else is left as it is: it is no image for any
        later step either.
    """
    from rhvae_mri.imaging.nifti import NiftiError, open_nifti

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


def _keep_numbers(content: Any) -> dict[str, float]:
    """Keep the numbers of the scanner's settings."""
    known = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in known if key in _NUMBERS and type(value) in (int, float)}


def _drop_columns(path: Path) -> None:
    """Leave personal columns out of a table."""
    table = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    places = [place for place, name in enumerate(table[0]) if name not in _PERSONAL_COLUMNS]
    if len(places) < len(table[0]):
        rows = ("\t".join(row[place] for place in places) + "\n" for row in table)
        write_text(path, "".join(rows))
