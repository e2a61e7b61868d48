"""The voxel grids of the study: the template's, the crop on it, and the down-sampled one.

The study works at 1 mm. The same field of view at a coarser voxel size serves the simulated study and the
tests. All axes run to the right, front and top (RAS+).
"""

from __future__ import annotations

import math

import numpy
from numpy import ndarray

from rhvae_mri.io.errors import StudyError

#: Shape of the template MNI152NLin2009cSym at 1 mm, and the world coordinate of its first voxel in mm.
TEMPLATE_SHAPE = (193, 229, 193)
TEMPLATE_ORIGIN = (-96.0, -132.0, -78.0)

#: The study's crop on that grid (169x208x179): first voxel, and one past the last.
CROP_START = (12, 13, 0)
CROP_STOP = (181, 221, 179)

#: The plane of each slice and the voxel axis that is at right angles to it.
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}

#: Voxel sizes that the workflow accepts, in mm: the study's, and coarser ones that still show a head.
VOXEL_SIZES = (1.0, 8.0)


def study_grid(voxel_size: float) -> tuple[tuple[int, int, int], ndarray]:
    """Give shape and affine of the template's grid at a voxel size in mm; 193x229x193 at the study's 1 mm.

    At coarser sizes the field of view starts at the same lower edges and covers at least the same box.
    """
    low, high = VOXEL_SIZES
    if not low <= voxel_size <= high:
        raise StudyError(
            f"A voxel size of {voxel_size} mm is not possible.",
            remedy=f"Give a voxel size from {low:g} to {high:g} mm (1 is the study's).",
        )
    # the small number keeps rounding errors of the division from adding a voxel
    x, y, z = (math.ceil(count / voxel_size - 1e-6) for count in TEMPLATE_SHAPE)
    affine = numpy.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = numpy.array(TEMPLATE_ORIGIN) - 0.5 + voxel_size / 2
    return (x, y, z), affine


def is_on_grid(voxels: ndarray, affine: ndarray, voxel_size: float) -> bool:
    """Say whether an image is on the template's grid at a voxel size."""
    shape, grid_affine = study_grid(voxel_size)
    return voxels.shape == shape and numpy.allclose(affine, grid_affine, atol=1e-3)


def crop_box(voxel_size: float) -> tuple[slice, slice, slice]:
    """Give the study's crop as slices of the template's grid."""

    def part(start: int, stop: int, available: int) -> slice:
        first = round(start / voxel_size)
        return slice(first, min(first + round((stop - start) / voxel_size), available))

    x, y, z = map(part, CROP_START, CROP_STOP, study_grid(voxel_size)[0])
    return x, y, z


def crop_affine(voxel_size: float) -> ndarray:
    """Give the matrix from voxel indices of the crop to world coordinates in mm, shape (4, 4)."""
    _, affine = study_grid(voxel_size)
    affine[:3, 3] = (affine @ [*(part.start for part in crop_box(voxel_size)), 1.0])[:3]
    return affine


def downsampled_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape after down-sampling: the floor of half (169x208x179 becomes 84x104x89)."""
    return tuple(count // 2 for count in shape)
