"""Brain, rest of the head and what is outside of it, on the study's grid, to say where something lies.

They are regions of the template, not of a participant: after the affine registration they fit each head as
far as its own anatomy allows.
"""

from __future__ import annotations

import os

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import save_image
from rhvae_mri.preprocess.grid import crop_affine, crop_box
from rhvae_mri.preprocess.images import read_image
from rhvae_mri.preprocess.mni_tissue import read_average
from rhvae_mri.preprocess.sidecars import write_sidecar
from rhvae_mri.preprocess.template import block_shares
from rhvae_mri.preprocess.tensors import Resolution, downsample
from rhvae_mri.quality.masks import head_mask

#: The label of each region in the image; the index is the label.
REGIONS = ("outside", "head", "brain")


def outline_regions(template: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Label the voxels of the cropped grid: 2 in the average brain, 1 in the rest of the head, 0 outside."""
    import nibabel

    voxels, affine = read_image(template)
    voxel_size = float(numpy.linalg.norm(affine[:3, 0]))
    brain = block_shares(read_average("t1") > 0, voxels.shape, voxel_size) > 0.5
    labels = numpy.where(brain, 2, head_mask(voxels, voxel_size)).astype(numpy.uint8)
    save_image(target, nibabel.Nifti1Image(labels[crop_box(voxel_size)], crop_affine(voxel_size)))
    write_sidecar(
        target,
        "Regions of the template: average brain, rest of the head, outside of the head",
        [template],
        ["nibabel", "numpy", "scipy"],
        Labels=dict(enumerate(REGIONS)),
        Resolution=f"{voxel_size:g} mm isotropic",
    )


def read_regions(
    path: str | os.PathLike[str], resolution: Resolution, align_corners: bool = False
) -> dict[str, numpy.ndarray]:
    """Read the labels as masks on the grid of the tensors: brain, head (without brain), outside.

    Each voxel is in the region that takes most of it.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        labels = numpy.asarray(nibabel.load(path).dataobj)
    except (OSError, EOFError, ImageFileError) as error:
        remedy = "Delete the file to have it made again."
        raise StudyError(f"The regions cannot be read: {error}", where=path, remedy=remedy) from error
    shares = [(labels == label).astype(numpy.float32) for label in range(len(REGIONS))]
    if resolution == "downsampled":
        shares = [downsample(share, align_corners) for share in shares]
    largest = numpy.argmax(shares, axis=0)
    return {REGIONS[label]: largest == label for label in (2, 1, 0)}
