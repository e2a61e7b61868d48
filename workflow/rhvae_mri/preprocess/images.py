"""Reading the image of one participant, and what happens when that image is bad.

A bad image never stops the study. The step that meets it leaves empty files in place of its results, with the
reason in the JSON file beside each; the next steps pass the reason on, and the quality table names it. One
NaN or infinite voxel is enough, although the study's tensors have 0 for NaN: scanners write integers, so a
NaN tells of damage or of processing that the study knows nothing of, and N4 and the registration spread it
before a tensor is made.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from numpy import ndarray

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, write_json, write_text
from rhvae_mri.preprocess.nifti import DATA_TYPE, GEOMETRY, UNREADABLE, NiftiError, open_checked
from rhvae_mri.preprocess.sidecars import sidecar_path

if TYPE_CHECKING:
    import nibabel
    import pandas

logger = logging.getLogger(__name__)

#: An unscaled signed image that comes this near to both ends of its numbers has overflown: beyond the highest
#: number the lowest follows.
OVERFLOW_SHARE = 0.9

_FAULT = "Fault"

_SENTENCES = {
    UNREADABLE: "The image cannot be read",
    GEOMETRY: "The image has a grossly wrong geometry",
    DATA_TYPE: "The image has a wrong data type",
}

_REMEDY = (
    "Copy or convert the image again; or list its session in the table of exclusions with the decision "
    "replace, so that another visit of the participant takes its place."
)


class ImageError(StudyError):
    """A fault of one participant's image, which is then left out of the study."""

    def in_one_line(self) -> str:
        """Write what is wrong and why as one cell of a table."""
        return " ".join(f"{self.what} {self.cause or ''}".split())


def read_image(path: str | os.PathLike[str]) -> tuple[ndarray, ndarray]:
    """Read and check the image of a head, float32 (x, y, z), and its affine, voxel indices to mm (RAS+).

    A 4-D file with one volume is accepted. ImageError if an earlier step failed on the image, the file is
    missing or unreadable, its header fails a check of `rhvae_mri.preprocess.nifti`, or its voxels are
    constant, NaN, infinite or beyond the range of their type.
    """
    fault = recorded_fault(path)
    if fault is not None:
        raise fault
    if not Path(path).exists():
        raise ImageError("The image does not exist.", where=path)
    try:
        image, voxels = open_checked(Path(path))
    except NiftiError as error:
        what, remedy = f"{_SENTENCES[error.kind]}: {error.words}.", error.remedy or _REMEDY
        raise ImageError(what, where=path, cause=error.cause, remedy=remedy) from error
    _check_voxels(path, voxels, image)
    return voxels, numpy.array(image.affine, dtype=float)


def read_template(path: str | os.PathLike[str]) -> tuple[ndarray, ndarray]:
    """Read the template; a fault of it is a StudyError: it concerns the whole study and not one image."""
    try:
        return read_image(path)
    except ImageError as error:
        what = f"The template is unusable: {error.what}"
        raise StudyError(what, where=path, cause=error.cause, remedy=error.remedy) from error


def derivative_table(paths: Sequence[str]) -> pandas.DataFrame:
    """List derivatives (their `path`) by the `image_id` (``sub-…_ses-…``) that they are named after."""
    import pandas

    image_ids = [re.split("_(?:space|desc)-", Path(path).name)[0] for path in paths]
    return pandas.DataFrame({"image_id": image_ids, "path": paths})


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
    all images and is raised. JSON files among the targets are left to the file that they describe.
    """
    try:
        yield
    except ImageError as error:
        logger.error("This image is left out of the study.\n%s", error)
        where = None
        if error.where is not None:  # for other readers: a path inside the study's folder, or the name alone
            where = Path(os.path.relpath(error.where)).as_posix()
            where = Path(error.where).name if where.startswith("../") else where
        fault = {"what": error.what, "where": where, "cause": error.cause, "remedy": error.remedy}
        for target in map(Path, targets):
            if target.suffix != ".json":
                write_text(target, "")
                write_json(sidecar_path(target), {_FAULT: fault})


def _check_voxels(path: str | os.PathLike[str], voxels: ndarray, image: nibabel.Nifti1Pair) -> None:
    """Refuse NaN, infinite and constant voxels, and intensities that were cut down to too few bits."""
    low, high = float(voxels.min()), float(voxels.max())
    if bad := int(voxels.size - numpy.isfinite(voxels).sum()):
        raise ImageError(
            f"The image has {bad} voxels that are NaN or infinite ({100 * bad / voxels.size:.2g} %).",
            where=path,
            cause="It is no output of a scanner: it was processed before, or its scaling overflows.",
            remedy=_REMEDY,
        )
    if low == high:
        raise ImageError(f"All voxels of the image have the value {low:g}.", where=path, remedy=_REMEDY)
    # A magnitude has no sign, so a negative number in an unscaled signed byte is one above 127. Wider numbers
    # have room for offsets; they have overflown where both ends of their range are in use. Of unsigned ones
    # `rhvae_mri.preprocess.intensities` asks the same.
    stored = image.get_data_dtype()
    unscaled = image.dataobj.slope == 1 and image.dataobj.inter == 0
    if stored.kind != "i" or not unscaled:
        return
    limits = numpy.iinfo(stored)
    both_ends = low < OVERFLOW_SHARE * limits.min and high > OVERFLOW_SHARE * limits.max
    if (stored.itemsize == 1 and low < 0) or both_ends:
        words = f"its intensities run from {low:g} to {high:g}, beyond the range of {stored.name}"
        cause = f"Values above {limits.max} were written as negative numbers."
        raise ImageError(f"{_SENTENCES[DATA_TYPE]}: {words}.", where=path, cause=cause, remedy=_REMEDY)
