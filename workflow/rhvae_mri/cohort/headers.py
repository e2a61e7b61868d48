"""A check of NIfTI files that is cheap enough for every image of a download: no voxel is looked at."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

#: Plausible voxel sizes, in mm: from high-resolution research scans to coarse localizers.
VOXEL_SIZE = (0.2, 10.0)
#: Plausible extent of a scan of the head along each axis, in mm. A brain measures about 140 x 175 x 120 mm.
FIELD_OF_VIEW = (100.0, 600.0)


def describe_fault(path: Path) -> str | None:
    """Say what is wrong with a NIfTI file, going by its header and its length.

    Parameters
    ----------
    path : pathlib.Path
        A ``.nii`` or ``.nii.gz`` file.

    Returns
    -------
    str or None
        ``unreadable NIfTI: …``, ``grossly wrong geometry: …``, or None for a plausible image.
    """
    import nibabel
    import numpy

    try:
        image = nibabel.load(path)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        return f"unreadable NIfTI: {_one_line(error)}"
    if not isinstance(image, nibabel.Nifti1Pair):
        return f"unreadable NIfTI: it is in the format {type(image).__name__}"

    shape = image.shape
    if len(shape) != 3:
        return f"grossly wrong geometry: {len(shape)} dimensions ({_times(shape)}) instead of 3"
    affine = image.affine
    if not numpy.isfinite(affine).all() or abs(numpy.linalg.det(affine[:3, :3])) < 1e-9:
        return "grossly wrong geometry: the affine matrix of the header is not invertible"
    sizes = numpy.linalg.norm(affine[:3, :3], axis=0)
    if (sizes < VOXEL_SIZE[0]).any() or (sizes > VOXEL_SIZE[1]).any():
        return f"grossly wrong geometry: voxels of {_times(sizes)} mm"
    extent = sizes * shape
    if (extent < FIELD_OF_VIEW[0]).any() or (extent > FIELD_OF_VIEW[1]).any():
        return f"grossly wrong geometry: field of view of {_times(extent)} mm"

    needed = image.dataobj.offset + math.prod(shape) * image.get_data_dtype().itemsize
    if not _has_length(path, needed):
        return "unreadable NIfTI: the file is shorter than its header says"
    return None


def _has_length(path: Path, needed: int) -> bool:
    """Say whether a file, uncompressed, holds at least ``needed`` bytes."""
    if path.suffix != ".gz":
        return path.stat().st_size >= needed
    # The last four bytes of a gzip file are its length. They are not if the file was cut short, but neither
    # if it consists of several blocks, so only a full look at such a file tells.
    with open(path, "rb") as file:
        file.seek(-4, 2)
        if int.from_bytes(file.read(4), "little") == needed % 2**32:
            return True
    length = 0
    try:
        with gzip.open(path, "rb") as file:
            while block := file.read(1 << 20):
                length += len(block)
    except (OSError, EOFError, zlib.error):
        return False
    return length >= needed


def _times(numbers: object) -> str:
    """Write the numbers of a shape or an extent, e.g. ``180 x 216 x 72``."""
    return " x ".join(f"{number:.4g}" for number in numbers)


def _one_line(error: Exception) -> str:
    """Return the message of an error without line breaks, or its name."""
    return " ".join(str(error).split()) or type(error).__name__
