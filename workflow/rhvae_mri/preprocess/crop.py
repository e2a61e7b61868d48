"""Cropping of the registered image to the study's field of view."""

from __future__ import annotations

import os

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import save_image
from rhvae_mri.preprocess.grid import crop_affine, crop_box, is_on_grid, study_grid
from rhvae_mri.preprocess.images import read_image
from rhvae_mri.preprocess.sidecars import write_sidecar


def crop_to_template(
    source: str | os.PathLike[str], target: str | os.PathLike[str], voxel_size: float
) -> None:
    """Cut the study's box out of an image on the template's grid, without interpolation."""
    import nibabel

    voxels, affine = read_image(source)
    if not is_on_grid(voxels, affine, voxel_size):
        shape, _ = study_grid(voxel_size)
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
