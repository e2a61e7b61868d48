"""Checks of image files that are cheap enough for every image of a download: no voxel is looked at."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from rhvae_mri.cohort.bids_tables import read_object
from rhvae_mri.preprocess.nifti import (
    GEOMETRY,
    UNREADABLE,
    NiftiError,
    check_header,
    gzip_fault,
    needed_length,
    open_nifti,
    times,
    uncompressed,
    volume_shape,
)
from rhvae_mri.preprocess.sidecars import sidecar_path

if TYPE_CHECKING:
    import nibabel

#: Plausible extent of a scan of the head along each axis, in mm. A brain measures about 140 x 175 x 120 mm.
FIELD_OF_VIEW = (100.0, 600.0)

#: DICOM's codes of what else archives hold. Other text in its place is not repeated: it may be anything.
_OTHER_MODALITIES = frozenset(
    [
        *("CR", "CT", "DX", "KO", "NM", "OT", "PR", "PT", "REG"),
        *("RTDOSE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SR", "US"),
    ]
)


def describe_fault(path: Path) -> str | None:
    """Say what is wrong with a NIfTI file, going by its header, its length and its JSON file; None: nothing.

    The voxels are read in the next step only (`rhvae_mri.preprocess.images.read_image`), which finds what is
    wrong with them: a checksum, NaN, an overflow.
    """
    try:
        image = open_nifti(path)
        check_header(path, image)
        extent = numpy.linalg.norm(image.affine[:3, :3], axis=0) * volume_shape(image)
        if (extent < FIELD_OF_VIEW[0]).any() or (extent > FIELD_OF_VIEW[1]).any():
            raise NiftiError(GEOMETRY, f"field of view of {times(extent)} mm")
        _check_length(path, image)
    except NiftiError as fault:
        return str(fault)
    words = wrong_modality((read_object(sidecar_path(path)) or {}).get("Modality"))
    return None if words is None else f"wrong modality: {words}"


def wrong_modality(code: object) -> str | None:
    """Say what an image is if it is no magnetic resonance image.

    >>> wrong_modality("PT"), wrong_modality("a name"), wrong_modality("MR")
    ('PT instead of MR', 'another one than MR', None)
    """
    if not code or code == "MR":
        return None
    return f"{code} instead of MR" if code in _OTHER_MODALITIES else "another one than MR"


def _check_length(path: Path, image: nibabel.Nifti1Pair) -> None:
    """Refuse a file that holds fewer bytes, uncompressed, than its header says."""
    needed = needed_length(image)
    length = path.stat().st_size
    if path.suffix == ".gz":
        # The last four bytes of a gzip file are its length. They are not if the file was cut short, but
        # neither if it consists of several blocks, so only a full look at such a file tells.
        with open(path, "rb") as file:
            file.seek(-4, 2)
            if int.from_bytes(file.read(4), "little") == needed % 2**32:
                return
        try:
            length = sum(map(len, uncompressed(path, image)))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise NiftiError(UNREADABLE, gzip_fault(error)) from error
    if length < needed:
        raise NiftiError(UNREADABLE, "the file is shorter than its header says")
