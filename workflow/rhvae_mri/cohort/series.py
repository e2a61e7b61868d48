"""The T1-weighted series of a raw download, and the check that each can be read.

One broken series stops Clinica's whole AIBL conversion, and vanishes without a word from its ADNI
conversion; so series are checked, by their headers alone, before they are converted.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from tqdm import tqdm

from rhvae_mri.cohort.preflight import ADNI_SUBJECT, AIBL_SUBJECT

if TYPE_CHECKING:
    import pydicom

#: Folders that Clinica's AIBL converter takes for T1-weighted series: with a date in the study tables …
AIBL_DATED_FOLDERS = (
    "MPRAGE_ADNI_confirmed",
    "MPRAGE",
    "MPRAGE_ADNI_confirmed_RPT",
    "MPRAGE_ADNI_confirmed_REPEATX2",
    "MPRAGE_ADNI_confirmed_repeat",
    "MPRAGE_ADNI_confirmed_REPEAT",
    "MPRAGE_ADNI_conf_REPEAT",
)
#: … and without, which it takes for baseline scans.
AIBL_UNDATED_FOLDERS = ("MPRAGESAGISOp2ND", "MPRAGE_SAG_ISO_p2_ND", "MPRAGE_SAG_ISO_p2")

_IMAGE_FILE = re.compile(r"_I(\d+)\.(dcm|nii|nii\.gz)$")

# Slices further apart than this many usual distances have a gap; nearer than this they are the same.
_GAP, _SAME = 1.5, 0.1

#: What the check reads of each header.
_HEADER_KEYWORDS = [
    *("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "SeriesInstanceUID"),
    *("ImagePositionPatient", "ImageOrientationPatient"),
]
#: Bytes of tag, kind and length before the pixels, with an implicit and with an explicit kind.
_ELEMENT_HEADER = {True: 8, False: 12}
_SERIES_AT_ONCE = 8


@dataclass(frozen=True)
class Series:
    """The files of one image.

    Attributes
    ----------
    subject : str
        The participant, as the download names it.
    image : int
        LONI's number of the image (``I`` in folder and file names).
    folder : pathlib.Path
        Where the files are.
    files : tuple of pathlib.Path
        Sorted.
    """

    subject: str
    image: int
    folder: Path
    files: tuple[Path, ...] = field(compare=False, repr=False)


class _BrokenFileError(Exception):
    """A file that cannot be used; the message says why."""


def list_adni_series(images: Path, wanted: Collection[int]) -> list[Series]:
    """Return the series of an ADNI download whose image number is wanted, sorted."""
    found = defaultdict(list)
    for subject in sorted(path.name for path in images.iterdir() if ADNI_SUBJECT.fullmatch(path.name)):
        for folder, _, names in os.walk(images / subject):
            for name in names:
                match = _IMAGE_FILE.search(name)
                if match and int(match[1]) in wanted:
                    found[subject, int(match[1]), Path(folder)].append(Path(folder, name))
    return [Series(*key, tuple(sorted(files))) for key, files in sorted(found.items())]


def list_aibl_series(images: Path) -> list[Series]:
    """Return the series of an AIBL download that Clinica takes for T1-weighted images, sorted."""
    found = []
    for subject in sorted(path.name for path in images.iterdir() if AIBL_SUBJECT.fullmatch(path.name)):
        for sequence in (*AIBL_DATED_FOLDERS, *AIBL_UNDATED_FOLDERS):
            for folder in sorted(images.glob(f"{subject}/{sequence}/[!.]*/I*")):
                if folder.is_dir() and folder.name[1:].isdecimal():
                    files = tuple(sorted(folder.glob("*.dcm")))
                    found.append(Series(subject, int(folder.name[1:]), folder, files))
    return found


def find_broken_series(
    series: Sequence[Series], processes: int = 1, progress: bool = True
) -> dict[Series, str]:
    """Check that the files of each series can be read and belong together.

    Of DICOM files only the headers are read: the size of the file must hold the pixels that its header
    promises, and the positions of a series' slices must be evenly spaced.

    Parameters
    ----------
    series : sequence of Series
        The series.
    processes : int
        How many to check at a time.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    dict
        What is wrong with each series that cannot be used; good ones are not in it.
    """
    bar = {"desc": "checked series", "total": len(series), "disable": not progress, "mininterval": 2}
    if processes == 1:
        problems = list(tqdm(map(series_problem, series), **bar))
    else:
        with ProcessPoolExecutor(processes) as pool:
            problems = list(tqdm(pool.map(series_problem, series, chunksize=_SERIES_AT_ONCE), **bar))
    return {each: problem for each, problem in zip(series, problems, strict=True) if problem}


def series_problem(series: Series) -> str | None:
    """Return what is wrong with a series, naming the file, or None.

    Parameters
    ----------
    series : Series
        A DICOM series, or a NIfTI file.
    """
    slices = [path for path in series.files if path.suffix == ".dcm"]
    if not slices:
        problems = (_nifti_problem(path) for path in series.files)
        return next(filter(None, problems), None) if series.files else "the folder has no .dcm file"
    headers = []
    for path in slices:
        try:
            headers.append(_read_header(path))
        except _BrokenFileError as error:
            return f"{path.name}: {error}"
    sizes = {(header.Rows, header.Columns) for header in headers}
    if len(sizes) > 1:
        return f"slices of {len(sizes)} different sizes"
    return _spacing_problem(headers)


def _nifti_problem(path: Path) -> str | None:
    import nibabel

    try:
        numpy.asanyarray(nibabel.load(path).dataobj)
    except (OSError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        return f"{path.name}: not a readable NIfTI image ({error})"
    return None


def _read_header(path: Path) -> pydicom.Dataset:
    """Return the header of a DICOM file whose pixels are all there."""
    import pydicom

    try:
        with open(path, "rb") as file:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_HEADER_KEYWORDS)
            syntax = header.file_meta.TransferSyntaxUID
            pixels = path.stat().st_size - file.tell() - _ELEMENT_HEADER[syntax.is_implicit_VR]
            if syntax.is_compressed:
                needed = 1
            else:
                frames = int(header.get("NumberOfFrames") or 1)
                samples = header.Rows * header.Columns * header.SamplesPerPixel * frames
                needed = samples * header.BitsAllocated // 8
    except (pydicom.errors.InvalidDicomError, AttributeError, EOFError, OSError, ValueError) as error:
        raise _BrokenFileError(f"not a readable DICOM image ({error})") from error
    if pixels < needed:
        raise _BrokenFileError(f"truncated: {max(pixels, 0)} of {needed} bytes of pixels")
    return header


def _spacing_problem(headers: list[pydicom.Dataset]) -> str | None:
    """Return a gap in the positions of the slices, or positions that are taken twice."""
    if len({header.get("SeriesInstanceUID") for header in headers}) > 1 or len(headers) < 3:
        return None
    if any("ImagePositionPatient" not in header for header in headers):
        return None
    rows, columns = numpy.array(headers[0].ImageOrientationPatient, float).reshape(2, 3)
    positions = numpy.array([header.ImagePositionPatient for header in headers], float)
    steps = numpy.diff(numpy.sort(positions @ numpy.cross(rows, columns)))
    usual = numpy.median(steps)
    if numpy.any(steps < _SAME * usual) or usual == 0:
        return f"{numpy.sum(steps < _SAME * usual)} slices lie where another one lies"
    if numpy.any(steps > _GAP * usual):
        missing = int(numpy.sum(numpy.round(steps / usual) - 1))
        return f"{missing} slices are missing among {len(headers)}"
    return None
