"""From cropped images to the tensors that the networks see: one file for a cohort and a resolution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy
from numpy import ndarray

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.preprocess.grid import downsampled_shape

if TYPE_CHECKING:
    import pandas

Resolution = Literal["full", "downsampled"]

_LEAVE_OUT = "Leave the image out (config/exclude.tsv), or remove the file to have it made again."


def pack_tensors(
    table: pandas.DataFrame,
    target_stack: str | os.PathLike[str],
    target_index: str | os.PathLike[str],
    *,
    resolution: Resolution = "full",
    dtype: str = "float32",
    align_corners: bool = False,
) -> None:
    """Write the images of a cohort to one safetensors file, each rescaled to [0, 1].

    One image is in memory at a time.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `image_id` and `path` (the cropped image), in the order of the stack.
    target_stack, target_index : path
        The tensors, of shape (x, y, z) each, keyed by `image_id`; and a TSV with `image_id`, `position` (from
        0), `minimum` and `maximum` (before the rescaling).
    resolution : {"full", "downsampled"}
        ``downsampled`` halves the size (see `downsample`, also for ``align_corners``).
    dtype : {"float32", "float16"}
        The element type in the file.

    Raises
    ------
    StudyError
        If there is no image, or one is missing, constant, or of another shape than the first.
    """
    import pandas
    from tqdm import tqdm

    if table.empty:
        raise StudyError(
            "There is no image to pack.",
            where=target_stack,
            cause="No image of this cohort passed the quality check.",
            remedy="Look at the reasons in the cohort's images.tsv and quality.tsv.",
        )
    rows = list(table[["image_id", "path"]].itertuples(index=False, name=None))
    full_shape = _read(*rows[0]).shape
    shape = downsampled_shape(full_shape) if resolution == "downsampled" else full_shape
    index: list[dict[str, Any]] = []

    def tensors() -> Iterator[ndarray]:
        for position, (image_id, path) in enumerate(tqdm(rows, desc="packing", unit="image", mininterval=5)):
            voxels = _read(image_id, path)
            if voxels.shape != full_shape:
                raise StudyError(
                    f"Image {image_id} has the shape {voxels.shape}, the first one {full_shape}.",
                    where=path,
                    remedy="Remove the cropped images and run the workflow again.",
                )
            if resolution == "downsampled":
                voxels = downsample(voxels, align_corners)  # before the rescaling, as in the study
            try:
                tensor, low, high = rescale(voxels)
            except ValueError as error:
                what = f"Image {image_id} has no contrast: {error}."
                raise StudyError(what, where=path, remedy=_LEAVE_OUT) from error
            index.append({"image_id": image_id, "position": position, "minimum": low, "maximum": high})
            yield tensor

    image_ids = [image_id for image_id, _ in rows]
    metadata = {"resolution": resolution, "range": "each image rescaled to [0, 1]"}
    write_image_stack(target_stack, image_ids, tensors(), shape, dtype, metadata=metadata)
    write_tsv(target_index, pandas.DataFrame(index))


def downsample(voxels: ndarray, align_corners: bool = False) -> ndarray:
    """Halve the size of an image by trilinear interpolation, to the floor of half along each axis.

    With ``align_corners`` the outermost voxels' centres stay in place. Without, a new voxel is the mean of
    two by two by two old ones, and an odd last voxel falls away.
    """
    import torch

    tensor = torch.from_numpy(numpy.ascontiguousarray(voxels, dtype=numpy.float32))[None, None]
    half = torch.nn.functional.interpolate(
        tensor, scale_factor=0.5, mode="trilinear", align_corners=align_corners
    )
    return half[0, 0].numpy()


def rescale(voxels: ndarray) -> tuple[ndarray, float, float]:
    """Rescale an image to [0, 1]; return it with the minimum and maximum that it had."""
    minimum, maximum = float(voxels.min()), float(voxels.max())
    if minimum == maximum:
        raise ValueError(f"all voxels have the value {minimum:g}")
    scaled = (voxels - numpy.float32(minimum)) / numpy.float32(maximum - minimum)
    return scaled.clip(0, 1), minimum, maximum  # rounding may step over 1


def _read(image_id: str, path: str | os.PathLike[str]) -> ndarray:
    """Read an image as float32, with 0 in place of NaN."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        voxels = nibabel.load(path).get_fdata(dtype=numpy.float32)
    except (OSError, EOFError, ImageFileError) as error:
        what = f"Image {image_id} cannot be read: {error}"
        raise StudyError(what, where=path, remedy=_LEAVE_OUT) from error
    return numpy.nan_to_num(voxels, nan=0.0, posinf=numpy.inf, neginf=-numpy.inf)
