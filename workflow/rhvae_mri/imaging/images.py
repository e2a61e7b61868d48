"""Reading the image of one participant, and what happens when that image is bad.

A bad image never stops the study. The step that meets it leaves empty files in place of its results, with the
reason in the JSON file beside each; the next steps pass the reason on, and the quality table names it.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json, write_json, write_text
from rhvae_mri.imaging.sidecars import sidecar_path

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

#: Smallest number of voxels along an axis, and bounds of a voxel's size in mm, for an image of a head.
MINIMUM_VOXELS = 8
VOXEL_SIZE_BOUNDS = (0.2, 12.0)

#: Largest cosine between two axes of the voxel grid that still counts as a right angle.
SHEAR_TOLERANCE = 1e-3

_FAULT = "Fault"


class ImageError(StudyError):
    """A fault of one participant's image, which is then left out of the study."""


def read_image(path: str | os.PathLike[str]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Read the image of a head and check it.

    Parameters
    ----------
    path : path
        A NIfTI file.

    Returns
    -------
    voxels : numpy.ndarray of shape (x, y, z), float32
        The image; a 4-D file with one volume is accepted.
    affine : numpy.ndarray of shape (4, 4)
        Voxel indices to world coordinates (RAS+) in mm.

    Raises
    ------
    ImageError
        If the file is missing or unreadable, an earlier step failed on the image, it is not one 3-D volume,
        its voxels are constant, NaN or infinite, or its header gives no usable geometry.
    """
    import nibabel

    fault = recorded_fault(path)
    if fault is not None:
        raise fault
    if not Path(path).is_file():
        raise ImageError("The image does not exist.", where=path)
    try:
        image = nibabel.load(path)
        voxels = numpy.asarray(image.dataobj, dtype=numpy.float32)
        affine = numpy.array(image.affine, dtype=float)
        oriented = bool(image.header["sform_code"] or image.header["qform_code"])
    except (
        nibabel.filebasedimages.ImageFileError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        zlib.error,
    ) as error:
        raise ImageError(
            "The image cannot be read.",
            where=path,
            cause=f"The file is damaged or is not NIfTI ({error}).",
            remedy="Convert or copy it again.",
        ) from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    _check_voxels(path, voxels)
    _check_geometry(path, affine, oriented)
    return voxels, affine


def derivative_table(paths: Sequence[str]) -> pandas.DataFrame:
    """List registered or cropped images by the image that they were made from.

    Parameters
    ----------
    paths : sequence of str
        Files with the BIDS entity ``space``, named after their image.

    Returns
    -------
    pandas.DataFrame
        Columns `image_id` (``sub-…_ses-…``) and `path`, in the order of ``paths``.
    """
    import pandas

    return pandas.DataFrame(
        {"image_id": [Path(path).name.split("_space-")[0] for path in paths], "path": paths}
    )


def recorded_fault(path: str | os.PathLike[str]) -> ImageError | None:
    """Give the fault that an earlier step recorded in place of this file, or None."""
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return None
    try:
        fault = read_json(sidecar).get(_FAULT)
    except (json.JSONDecodeError, AttributeError, UnicodeDecodeError):
        # a sidecar from elsewhere (of the raw image) that is no JSON object says nothing of faults
        return None
    return None if fault is None else ImageError(**fault)


@contextmanager
def record_faults(*targets: str | os.PathLike[str]) -> Iterator[None]:
    """Let the job of a bad image end well: leave empty targets with the reason beside them.

    Only an `ImageError` is recorded. Every other error (a missing template, a wrong configuration) concerns
    all images and is raised.

    Parameters
    ----------
    *targets : path
        The files that the block is to write. JSON files among them are left to the file that they describe.
    """
    try:
        yield
    except ImageError as error:
        logger.error("This image is left out of the study.\n%s", error)
        where = None if error.where is None else os.fspath(error.where)
        fault = {"what": error.what, "where": where, "cause": error.cause, "remedy": error.remedy}
        for target in map(Path, targets):
            if target.suffix != ".json":
                write_text(target, "")
                write_json(sidecar_path(target), {_FAULT: fault})


def _check_voxels(path: str | os.PathLike[str], voxels: numpy.ndarray) -> None:
    """Refuse voxels that are not a picture."""
    if voxels.ndim != 3:
        raise ImageError(
            f"The image has {voxels.ndim} dimensions {voxels.shape}, not three.",
            where=path,
            cause="It is a series of volumes or a single slice, not an anatomical scan.",
        )
    if min(voxels.shape) < MINIMUM_VOXELS:
        raise ImageError(
            f"The image has only {'x'.join(map(str, voxels.shape))} voxels.",
            where=path,
            cause="It is a localizer, or slices are missing.",
        )
    bad = int(voxels.size - numpy.isfinite(voxels).sum())
    if bad:
        raise ImageError(f"The image has {bad} voxels that are NaN or infinite.", where=path)
    if voxels.min() == voxels.max():
        raise ImageError(f"All voxels of the image have the value {voxels.min():g}.", where=path)


def _check_geometry(path: str | os.PathLike[str], affine: numpy.ndarray, oriented: bool) -> None:
    """Refuse a header from which no one can tell where in space the voxels are."""
    if not oriented:
        raise ImageError(
            "The image does not say which way is left.",
            where=path,
            cause="Both the sform and the qform code of its header are zero.",
            remedy="Convert the image again from DICOM with dcm2niix.",
        )
    low, high = VOXEL_SIZE_BOUNDS
    sizes = numpy.linalg.norm(affine[:3, :3], axis=0)
    if not (numpy.isfinite(affine).all() and (sizes >= low).all() and (sizes <= high).all()):
        text = " x ".join(f"{size:.3g}" for size in sizes)
        raise ImageError(
            f"The voxels have an impossible size: {text} mm.",
            where=path,
            cause="The header is damaged, or its unit is not mm.",
        )
    axes = affine[:3, :3] / sizes
    cosines = numpy.abs(axes.T @ axes - numpy.eye(3))
    if cosines.max() > SHEAR_TOLERANCE:
        raise ImageError(
            "The axes of the image are not at right angles to each other.",
            where=path,
            cause="It was scanned with a tilted gantry, or a sheared transform was written into its header.",
            remedy="Resample it to a rectangular grid first; ANTs reads no other.",
        )
