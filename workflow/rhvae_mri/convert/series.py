"""The T1-weighted series of a raw download, and the check that each can be read.

One broken series stops Clinica's whole AIBL conversion, and vanishes without a word from its ADNI
conversion; so series are checked, by their headers alone, before they are converted.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy
from tqdm import tqdm

from rhvae_mri.cohort.headers import FIELD_OF_VIEW, wrong_modality
from rhvae_mri.convert.archive import Series, is_nifti
from rhvae_mri.preprocess.nifti import (
    MAXIMUM_VOXELS,
    MINIMUM_VOXELS,
    VOXEL_SIZE,
    NiftiError,
    file_fault,
    open_checked,
)

if TYPE_CHECKING:
    import pydicom

# Slices further apart than this many usual distances have a gap; nearer than this they are the same.
_GAP, _SAME = 1.5, 0.1

# Cosines and pixel sizes (mm) that differ by less are the same: headers round them.
_SAME_DIRECTION = 0.01

# A finer and larger picture than any of a head.
_MAXIMUM_SIDE = int(FIELD_OF_VIEW[1] / VOXEL_SIZE[0])

#: Where a slice lies, with the length of each element; positions and spacing in mm.
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


class _Slice(NamedTuple):
    """What the check keeps of the header of one DICOM file; in enhanced files each frame has its geometry."""

    name: str
    size: tuple[int, int]
    frames: int
    series_uid: str
    instance_uid: str
    geometry: list[numpy.ndarray] | None  # in the order of `_GEOMETRY`


class _BrokenFileError(Exception):
    """A file that cannot be used; the message says why, without a word of the file's own texts."""


class HeaderFacts(NamedTuple):
    """What the header of a series says, and why none can be read; empty text for what is not said."""

    date: str = ""
    description: str = ""
    strength: str = ""
    fault: str = ""


def read_series_header(series: Series) -> HeaderFacts:
    """Read date, name and field strength (tesla) from the first DICOM file that can be read."""
    keywords = ["AcquisitionDate", "StudyDate", "SeriesDescription", "MagneticFieldStrength"]
    fault = ""
    for path in () if series.is_nifti else series.files:
        try:
            with _open_header(path, keywords) as (header, _):
                date, day, text, strength = (str(header.get(keyword) or "") for keyword in keywords)
        # A damaged header makes pydicom raise errors of nearly every kind, whose messages repeat its content.
        except Exception as error:
            fault = f"no header of it can be read ({type(error).__name__})"
            continue
        valid = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", date or day)
        return HeaderFacts("-".join(valid.groups()) if valid else "", text, strength)
    return HeaderFacts(fault=fault)


def find_broken_series(series: Sequence[Series], processes: int = 1) -> dict[Series, str]:
    """Return what is wrong with each series that cannot be used, by the headers and sizes of its files.

    A series is refused if a file of it is no image, no magnetic resonance image, in colours, cut short or
    impossibly large; if it holds several series, one file twice, or too few slices; and if its slices differ
    in size or direction, lack their place in space, or lie unevenly. So is one of which a name cannot be
    printed. Whether the sequence is T1-weighted is not guessed from its times of echo and repetition. No text
    of a header is repeated but a known code.
    """
    bar = {"desc": "checked series", "total": len(series), "mininterval": 2}
    if processes == 1:
        findings = list(tqdm(map(_examine, series), **bar))
    else:
        with ProcessPoolExecutor(processes) as pool:
            findings = list(tqdm(pool.map(_examine, series, chunksize=_SERIES_AT_ONCE), **bar))
    holders = defaultdict(list)
    for each, (_, scan) in zip(series, findings, strict=True):
        holders[scan].append(each)
    problems = {}
    for each, (problem, scan) in zip(series, findings, strict=True):
        # whose a scan of two participants is is open; two copies under one participant do no harm, since only
        # one image of each is studied
        copies = holders[scan] if scan else ()
        if others := sorted({other.image for other in copies if other.subject != each.subject}):
            names = ", ".join(f"I{number}" for number in others)
            problem = problem or f"the same scan as {names} of another participant (equal SOPInstanceUIDs)"
        if problem:
            problems[each] = problem
    return problems


def _examine(series: Series) -> tuple[str | None, str | None]:
    """Return what is wrong with a series, or a digest of the identifiers of its files, if they have any."""
    if not all(os.fspath(path).isprintable() for path in (series.folder, *series.files)):
        return "the name of its folder or of a file has characters that cannot be printed", None
    if not series.files:
        return "the folder has no image file", None
    slices = []
    for path in series.files:
        try:
            if series.is_nifti:
                open_checked(path)
            elif not is_nifti(path):
                slices.append(_read_slice(path))
        except (_BrokenFileError, NiftiError) as error:
            return f"{path.name}: {error}", None
    problem = next(_problems(slices), None) if slices else None
    identifiers = sorted(each.instance_uid for each in slices)
    digest = hashlib.sha256("\n".join(identifiers).encode()).hexdigest()
    return problem, digest if not problem and slices and all(identifiers) else None


@contextmanager
def _open_header(path: Path, keywords: list[str]) -> Iterator[tuple[pydicom.FileDataset, int]]:
    """Give the header of a DICOM file, and the number of bytes from the pixels' tag on."""
    import pydicom

    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings repeat what is in the header
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=keywords)
        yield header, path.stat().st_size - file.tell()


def _read_slice(path: Path) -> _Slice:
    """Read the header of a DICOM file, and refuse a file that is no image, or not a whole one."""
    import pydicom

    fault = file_fault(path)
    try:
        if not fault:
            with _open_header(path, _HEADER_KEYWORDS) as (header, after_header):
                return _judge_header(path.name, header, after_header)
    except _BrokenFileError:
        raise
    except pydicom.errors.InvalidDicomError:
        fault = "its content is not DICOM"
    # A damaged header makes pydicom raise errors of nearly every kind, whose messages repeat its content.
    except Exception as error:
        fault = f"its header is damaged: {type(error).__name__}"
    raise _BrokenFileError(f"not a readable DICOM image ({fault})")


def _judge_header(name: str, header: pydicom.FileDataset, after_header: int) -> _Slice:
    """Return what matters of a header; ``after_header`` is the number of bytes from the pixels' tag on."""
    import pydicom

    if words := wrong_modality(str(header.get("Modality") or "")):
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
    samples, frames = (_count(header, each, default=1) for each in ("SamplesPerPixel", "NumberOfFrames"))
    if samples != 1 or header.get("PhotometricInterpretation", _GREY[0]) not in _GREY:
        raise _BrokenFileError("colours instead of intensities")
    if max(rows, columns) > _MAXIMUM_SIDE or rows * columns * frames > MAXIMUM_VOXELS:
        raise _BrokenFileError(f"impossible size: {frames} x {rows} x {columns} pixels")
    pixels = max(after_header - _ELEMENT_HEADER[syntax.is_implicit_VR], 0)
    needed = 1 if syntax.is_compressed else rows * columns * frames * bits // 8
    if pixels < needed:
        raise _BrokenFileError(f"truncated: {pixels} of {needed} bytes of pixels")
    geometry = None
    if frames == 1 and kind not in _ENHANCED:
        geometry = [_vector(header, keyword, length) for keyword, length in _GEOMETRY.items()]
    series_uid, instance_uid = (
        str(header.get(each) or "") for each in ("SeriesInstanceUID", "SOPInstanceUID")
    )
    return _Slice(name, (rows, columns), frames, series_uid, instance_uid, geometry)


def _count(header: pydicom.Dataset, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword)
    value = default if value is None else value
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


def _problems(slices: Sequence[_Slice]) -> Iterator[str]:
    """Yield what is wrong with the files of a series together; the first problem explains the next ones."""
    groups = defaultdict(list)
    for each in slices:
        groups[each.series_uid].append(each)
    if len(groups) > 1:
        largest, *others = sorted(groups.values(), key=len, reverse=True)
        counts, stray = ", ".join(str(len(group)) for group in (largest, *others)), others[0][0].name
        yield f"{len(groups)} series are mixed ({counts} files), {stray} and others do not belong here"
    if len(sizes := {each.size for each in slices}) > 1:
        yield f"slices of {len(sizes)} different sizes"
    count, (rows, columns) = sum(each.frames for each in slices), slices[0].size
    if count < MINIMUM_VOXELS:
        yield f"only {count} slices: a localizer, or files are missing"
    if count * rows * columns > MAXIMUM_VOXELS:
        yield f"impossible size: {count} x {rows} x {columns} pixels"
    for each in slices:
        if (each.geometry is None) != (slices[0].geometry is None):
            yield f"{each.name} is of another kind than the other files"
    if known := [each.geometry for each in slices if each.geometry is not None]:
        yield from _geometry_problems(known)
    names: dict[str, str] = {}
    for each in slices:
        if each.instance_uid in names:
            yield f"{each.name} and {names[each.instance_uid]} have the same SOPInstanceUID"
        if each.instance_uid:
            names[each.instance_uid] = each.name


def _geometry_problems(known: list[list[numpy.ndarray]]) -> Iterator[str]:
    """Yield that slices differ in direction or pixel size, lie on one another, or leave a gap."""
    positions, orientations, spacings = map(numpy.array, zip(*known, strict=True))
    for words, vectors in (("directions", orientations), ("pixel sizes", spacings)):
        if numpy.ptp(vectors, axis=0).max() > _SAME_DIRECTION:
            yield f"slices of different {words}"
    steps = numpy.diff(numpy.sort(positions @ numpy.cross(*orientations[0].reshape(2, 3))))
    usual = numpy.median(steps)
    if numpy.any(steps < _SAME * usual) or usual == 0:
        yield f"{numpy.sum(steps <= _SAME * usual)} slices lie where another one lies"
    if numpy.any(steps > _GAP * usual):
        missing = int(numpy.sum(numpy.round(steps / usual) - 1))
        yield f"{missing} slices are missing among {len(known)}"
