"""Cropping of the registered image to the study's field of view."""

from __future__ import annotations

import os

import numpy

from rhvae_mri.errors import StudyError
from rhvae_mri.files import save_image
from rhvae_mri.imaging.grid import crop_affine, crop_box, study_grid
from rhvae_mri.imaging.images import read_image
from rhvae_mri.imaging.sidecars import write_sidecar


def crop_to_template(
    source: str | os.PathLike[str], target: str | os.PathLike[str], voxel_size: float
) -> None:
    """Cut the study's box out of an image on the template's grid; no voxel is interpolated.

    Clinica resamples onto a reference image instead. On the template's own grid that is the same box, but
    it takes over the reference's 8-bit integers; the result here stays float32.

    Parameters
    ----------
    source : path
        The registered image.
    target : path
        The cropped image, 169x208x179 at 1 mm (see `grid.crop_box`).
    voxel_size : float
        The study's voxel size in mm.

    Raises
    ------
    ImageError
        If the image is missing or unreadable.
    StudyError
        If it is not on the template's grid at that voxel size.
    """
    import nibabel

    voxels, affine = read_image(source)
    shape, grid_affine = study_grid(voxel_size)
    if voxels.shape != shape or not numpy.allclose(affine, grid_affine, atol=1e-3):
        raise StudyError(
            f"The image has {'x'.join(map(str, voxels.shape))} voxels and the origin {affine[:3, 3]}; "
            f"the template's grid at {voxel_size:g} mm has {'x'.join(map(str, shape))}.",
            where=source,
            cause="It was registered to another template or at another voxel size.",
            remedy="Remove the registered images and run the workflow again.",
        )
    box = crop_box(voxel_size)
    save_image(target, nibabel.Nifti1Image(voxels[box], crop_affine(voxel_size)))
    write_sidecar(
        target,
        "Registered to the template and cropped, whole head",
        [source],
        ["nibabel", "numpy"],
        Resolution=f"{voxel_size:g} mm isotropic",
        Crop={"Start": [part.start for part in box], "Stop": [part.stop for part in box]},
    )
