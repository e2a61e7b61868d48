"""The T1-weighted series of a raw download, and the check that each can be read.

One broken series stops Clinica's whole AIBL conversion, and vanishes without a word from its ADNI
conversion; so series are checked, by their headers alone, before they are converted.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy
from tqdm import tqdm

from rhvae_mri.cohort.headers import FIELD_OF_VIEW, wrong_modality
from rhvae_mri.convert.archive import Series, is_nifti
from rhvae_mri.imaging.nifti import (
    MAXIMUM_VOXELS,
    MINIMUM_VOXELS,
    VOXEL_SIZE,
    NiftiError,
    check_header,
    file_fault,
    open_nifti,
    read_voxels,
)

if TYPE_CHECKING:
    import pydicom

# Slices further apart than this many usual distances have a gap; nearer than this they are the same.
_GAP, _SAME = 1.5, 0.1

# Cosines and pixel sizes (mm) that differ by less are the same: headers round them.
_SAME_DIRECTION = 0.01

# A finer and larger picture than any of a head.
_MAXIMUM_SIDE = int(FIELD_OF_VIEW[1] / VOXEL_SIZE[0])

#: Where a slice lies, with the length of each element.
_GEOMETRY = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}

#: What the check reads of each header.
_HEADER_KEYWORDS = [
    *("Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("Modality", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", *_GEOMETRY),
]

# Classes of objects (DICOM PS3.6, annex A), photometric interpretations without colours
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_ENHANCED = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
_GREY = ("MONOCHROME2", "MONOCHROME1")

#: Bytes of tag, kind and length before the pixels, with an implicit and with an explicit kind.
_ELEMENT_HEADER = {True: 8, False: 12}
_SERIES_AT_ONCE = 8


class _Geometry(NamedTuple):
    """Where a slice lies, in the order of `_GEOMETRY`; positions and spacing in mm."""

    position: numpy.ndarray
    orientation: numpy.ndarray
    spacing: numpy.ndarray


@dataclass(frozen=True)
class _Slice:
    """What the check keeps of the header of one DICOM file; in enhanced files each frame has its geometry."""

    name: str
    size: tuple[int, int]
    frames: int
    series_uid: str
    instance_uid: str
    geometry: _Geometry | None


@dataclass(frozen=True)
class _Finding:
    """The result of checking one series: what is wrong, or which scan it is."""

    problem: str | None
    scan: str | None = None


class _BrokenFileError(Exception):
    """A file that cannot be used; the message says why, without a word of the file's own texts."""


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
        findings = list(tqdm(map(_examine, series), **bar))
    else:
        with ProcessPoolExecutor(processes) as pool:
            findings = list(tqdm(pool.map(_examine, series, chunksize=_SERIES_AT_ONCE), **bar))
    found = dict(zip(series, findings, strict=True))
    shared = _scans_of_two_participants({each: finding.scan for each, finding in found.items()})
    problems = {each: finding.problem or shared.get(each) for each, finding in found.items()}
    return {each: problem for each, problem in problems.items() if problem}


def series_problem(series: Series) -> str | None:
    """Return what is wrong with a series, naming the file, or None.

    A series is refused if a file of it is no image, no magnetic resonance image, in colours, cut short or
    impossibly large; if it holds several series, one file twice, or too few slices; and if its slices differ
    in size or direction, lack their place in space, or lie unevenly. So is one of which a name cannot be
    printed. Whether the sequence is T1-weighted is not guessed from its times of echo and repetition. No text
    of a header is repeated but a known code.

    Parameters
    ----------
    series : Series
        A DICOM series, or a NIfTI file.
    """
    return _examine(series).problem


def _examine(series: Series) -> _Finding:
    """Check one series."""
    if not all(os.fspath(path).isprintable() for path in (series.folder, *series.files)):
        return _Finding("the name of its folder or of a file has characters that cannot be printed")
    files = [path for path in series.files if not is_nifti(path)]
    if not files:
        problems = (_nifti_problem(path) for path in series.files)
        return _Finding(
            next(filter(None, problems), None) if series.files else "the folder has no image file"
        )
    slices = []
    for path in files:
        try:
            slices.append(_read_slice(path))
        except _BrokenFileError as error:
            return _Finding(f"{path.name}: {error}")
    problem = next(filter(None, (check(slices) for check in _SERIES_CHECKS)), None)
    return _Finding(problem) if problem else _Finding(None, _scan_digest(slices))


def _scans_of_two_participants(scans: dict[Series, str | None]) -> dict[Series, str]:
    """Find scans that the download has under the names of several participants: whose they are is open.

    Two copies under one participant do no harm, since only one image of each is studied.
    """
    holders = defaultdict(list)
    for each, scan in scans.items():
        if scan is not None:
            holders[scan].append(each)
    problems = {}
    for copies in holders.values():
        for each in copies:
            others = sorted({other.image for other in copies if other.subject != each.subject})
            if others:
                names = ", ".join(f"I{number}" for number in others)
                problems[each] = f"the same scan as {names} of another participant (equal SOPInstanceUIDs)"
    return problems


def _nifti_problem(path: Path) -> str | None:
    """Return why a NIfTI file cannot be used, by its header and its voxels."""
    try:
        image = open_nifti(path)
        check_header(path, image)
        read_voxels(path, image)
    except NiftiError as error:
        return f"{path.name}: {error}"
    return None


def _read_slice(path: Path) -> _Slice:
    """Read the header of a DICOM file, and refuse a file that is no image, or not a whole one."""
    import pydicom

    if fault := file_fault(path):
        raise _BrokenFileError(f"not a readable DICOM image ({fault})")
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings repeat what is in the header
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_HEADER_KEYWORDS)
            after_header = path.stat().st_size - file.tell()
            return _judge_header(path.name, header, after_header)
    except pydicom.errors.InvalidDicomError as error:
        raise _BrokenFileError("not a readable DICOM image (its content is not DICOM)") from error
    except _BrokenFileError:
        raise
    # A damaged header makes pydicom raise errors of nearly every kind, whose messages repeat its content.
    except Exception as error:
        reason = f"its header is damaged: {type(error).__name__}"
        raise _BrokenFileError(f"not a readable DICOM image ({reason})") from error


def _judge_header(name: str, header: pydicom.FileDataset, after_header: int) -> _Slice:
    """Return what matters of a header; ``after_header`` is the number of bytes from the pixels' tag on."""
    import pydicom

    modality = str(header.get("Modality") or "")
    if words := wrong_modality(modality):
        raise _BrokenFileError(f"wrong modality: {words}")
    kind = str(header.get("SOPClassUID") or "")
    if kind.startswith(_SECONDARY_CAPTURE):
        raise _BrokenFileError("a screenshot (secondary capture), not an image of the scanner")
    syntax = header.file_meta.TransferSyntaxUID
    if syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
        raise _BrokenFileError("its header is compressed (deflated), which dcm2niix does not read")
    if after_header <= 0:
        raise _BrokenFileError("it has no pixels: truncated, or not an image")
    rows, columns, bits = (_count(header, each) for each in ("Rows", "Columns", "BitsAllocated"))
    samples = _count(header, "SamplesPerPixel", default=1)
    frames = _count(header, "NumberOfFrames", default=1)
    if samples != 1 or header.get("PhotometricInterpretation", _GREY[0]) not in _GREY:
        raise _BrokenFileError("colours instead of intensities")
    if max(rows, columns) > _MAXIMUM_SIDE or rows * columns * frames > MAXIMUM_VOXELS:
        raise _BrokenFileError(f"impossible size: {frames} x {rows} x {columns} pixels")
    pixels = max(after_header - _ELEMENT_HEADER[syntax.is_implicit_VR], 0)
    needed = 1 if syntax.is_compressed else rows * columns * frames * bits // 8
    if pixels < needed:
        raise _BrokenFileError(f"truncated: {pixels} of {needed} bytes of pixels")
    in_frames = frames > 1 or kind in _ENHANCED
    vectors = (_vector(header, keyword, length) for keyword, length in _GEOMETRY.items())
    return _Slice(
        name,
        (rows, columns),
        frames,
        str(header.get("SeriesInstanceUID") or ""),
        str(header.get("SOPInstanceUID") or ""),
        None if in_frames else _Geometry(*vectors),
    )


def _count(header: pydicom.Dataset, keyword: str, default: int | None = None) -> int:
    """Return a positive number of a header."""
    value = header.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or value < 1:
        raise _BrokenFileError(f"its header has no valid {keyword}")
    return int(value)


def _vector(header: pydicom.Dataset, keyword: str, length: int) -> numpy.ndarray:
    """Return numbers of a header in mm (or the cosines of its axes)."""
    value = header.get(keyword)
    numbers = numpy.array([] if value is None else value, dtype=float)
    valid = numbers.shape == (length,) and numpy.isfinite(numbers).all()
    if valid and keyword == "PixelSpacing":
        valid = (numbers > 0).all()
    if valid and keyword == "ImageOrientationPatient":
        axes = numbers.reshape(2, 3)
        valid = numpy.abs(axes @ axes.T - numpy.eye(2)).max() < _SAME_DIRECTION
    if not valid:
        raise _BrokenFileError(f"its header has no valid {keyword}")
    return numbers


def _mixture_problem(slices: Sequence[_Slice]) -> str | None:
    """Return that the files are of several series."""
    groups = defaultdict(list)
    for each in slices:
        groups[each.series_uid].append(each)
    if len(groups) == 1:
        return None
    largest, *others = sorted(groups.values(), key=len, reverse=True)
    counts = ", ".join(str(len(group)) for group in (largest, *others))
    return (
        f"{len(groups)} series are mixed ({counts} files), {others[0][0].name} and others do not belong here"
    )


def _size_problem(slices: Sequence[_Slice]) -> str | None:
    """Return that the slices differ in size, or make too few or too many voxels."""
    sizes = {each.size for each in slices}
    if len(sizes) > 1:
        return f"slices of {len(sizes)} different sizes"
    count = sum(each.frames for each in slices)
    if count < MINIMUM_VOXELS:
        return f"only {count} slices: a localizer, or files are missing"
    rows, columns = slices[0].size
    if count * rows * columns > MAXIMUM_VOXELS:
        return f"impossible size: {count} x {rows} x {columns} pixels"
    return None


def _direction_problem(slices: Sequence[_Slice]) -> str | None:
    """Return that the slices differ in direction or in the size of their pixels."""
    for each in slices:
        if (each.geometry is None) != (slices[0].geometry is None):
            return f"{each.name} is of another kind than the other files"
    known = [each.geometry for each in slices if each.geometry is not None]
    if not known:
        return None
    for words, vectors in (
        ("directions", [each.orientation for each in known]),
        ("pixel sizes", [each.spacing for each in known]),
    ):
        if numpy.ptp(vectors, axis=0).max() > _SAME_DIRECTION:
            return f"slices of different {words}"
    return None


def _spacing_problem(slices: Sequence[_Slice]) -> str | None:
    """Return a gap in the positions of the slices, or positions that are taken twice."""
    known = [each.geometry for each in slices if each.geometry is not None]
    if not known:
        return None
    rows, columns = known[0].orientation.reshape(2, 3)
    positions = numpy.array([each.position for each in known])
    steps = numpy.diff(numpy.sort(positions @ numpy.cross(rows, columns)))
    usual = numpy.median(steps)
    if numpy.any(steps < _SAME * usual) or usual == 0:
        return f"{numpy.sum(steps <= _SAME * usual)} slices lie where another one lies"
    if numpy.any(steps > _GAP * usual):
        missing = int(numpy.sum(numpy.round(steps / usual) - 1))
        return f"{missing} slices are missing among {len(slices)}"
    return None


def _identity_problem(slices: Sequence[_Slice]) -> str | None:
    """Return that two files have one identifier."""
    names: dict[str, str] = {}
    for each in slices:
        if each.instance_uid in names:
            return f"{each.name} and {names[each.instance_uid]} have the same SOPInstanceUID"
        if each.instance_uid:
            names[each.instance_uid] = each.name
    return None


#: In this order: the first problem is the one that explains the next ones.
_SERIES_CHECKS = (
    _mixture_problem,
    _size_problem,
    _direction_problem,
    _spacing_problem,
    _identity_problem,
)


def _scan_digest(slices: Sequence[_Slice]) -> str | None:
    """Return a digest of the identifiers of all files, or None where one is missing."""
    identifiers = sorted(each.instance_uid for each in slices)
    return hashlib.sha256("\n".join(identifiers).encode()).hexdigest() if all(identifiers) else None
