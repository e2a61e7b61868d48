"""The registration template on the study's grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy
from numpy import ndarray

from rhvae_mri.io.downloads import obtain_file
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import save_image
from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN, TEMPLATE_SHAPE, is_on_grid, study_grid
from rhvae_mri.preprocess.images import read_template
from rhvae_mri.preprocess.sidecars import write_sidecar

#: The part of the study's box that a template must show.
MINIMUM_COVERAGE = 0.75


def prepare_template(source: str, voxel_size: float, target: str | os.PathLike[str]) -> None:
    """Write the whole-head template on the study's grid, float32, with a JSON sidecar of its origin.

    The source is the path of a descriptor (JSON or YAML with `url` and `sha256`), whose file is downloaded to
    the target's folder, or of a whole-head NIfTI image in MNI space. StudyError if it cannot be read or
    downloaded, is not the pinned file, or does not show the study's field of view.
    """
    path, found = obtain_file(source, Path(target).parent)
    voxels, affine = read_template(path)
    write_template(voxels, affine, voxel_size, target, sources=[path], Simulated=False, **found)


def write_template(
    voxels: ndarray,
    affine: ndarray,
    voxel_size: float,
    target: str | os.PathLike[str],
    *,
    sources: Sequence[Path],
    **origin: object,
) -> None:
    """Write a whole head as the template, with what is known of its origin."""
    import nibabel

    voxels, resampling = _to_study_grid(voxels, affine, voxel_size, sources)
    _, affine = study_grid(voxel_size)
    save_image(target, nibabel.Nifti1Image(voxels, affine))
    write_sidecar(
        target,
        "Template of the registration on the study's grid",
        sources,
        ["nibabel", "numpy", "scipy"],
        **origin,
        Resolution=f"{voxel_size:g} mm isotropic",
        Resampling=resampling,
    )


def _to_study_grid(
    voxels: ndarray, affine: ndarray, voxel_size: float, sources: Sequence[Path]
) -> tuple[ndarray, str]:
    """Bring a template to the study's grid and say how."""
    import nibabel
    from scipy import ndimage

    # axes to the right, front and top, without interpolation
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
    voxels, affine = numpy.asarray(image.dataobj), image.affine
    if is_on_grid(voxels, affine, voxel_size):
        return voxels, "none: the template is on this grid"
    shape, steps = study_grid(voxel_size)[0], []
    if not is_on_grid(voxels, affine, 1.0):
        _check_coverage(voxels.shape, affine, sources)
        fine_shape, fine_affine = study_grid(1.0)
        matrix = numpy.linalg.inv(affine) @ fine_affine
        voxels = ndimage.affine_transform(voxels, matrix, output_shape=fine_shape, order=1)
        steps.append("linear interpolation at 1 mm")
    if voxel_size != 1:
        voxels = _block_means(voxels.astype(float), shape, voxel_size)
        steps.append(f"means over blocks of {voxel_size:g} mm")
    return voxels.astype(numpy.float32), ", then ".join(steps)


def block_weights(fine: int, coarse: int, voxel_size: float) -> ndarray:
    """Give the weights that average 1 mm voxels over coarser ones along one axis.

    >>> block_weights(3, 2, 1.5).round(3).tolist()
    [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    low = numpy.arange(coarse)[:, None] * voxel_size
    edge = numpy.arange(fine)[None, :]
    overlap = numpy.minimum(low + voxel_size, edge + 1) - numpy.maximum(low, edge)
    weights = overlap.clip(min=0)
    return weights / weights.sum(axis=1, keepdims=True)


def block_shares(mask: ndarray, shape: tuple[int, ...], voxel_size: float) -> ndarray:
    """Give the share of a mask on the 1 mm grid in each voxel of a coarser grid that starts at its edge."""
    return _block_means(mask.astype(numpy.float32), shape, voxel_size)


def _block_means(voxels: ndarray, shape: tuple[int, ...], voxel_size: float) -> ndarray:
    for axis, count in enumerate(shape):
        weights = block_weights(voxels.shape[axis], count, voxel_size).astype(voxels.dtype)
        voxels = numpy.moveaxis(numpy.tensordot(weights, voxels, axes=(1, axis)), 0, axis)
    return voxels


def _check_coverage(shape: tuple[int, ...], affine: ndarray, sources: Sequence[Path]) -> None:
    """Refuse a template that shows little of the study's box."""
    ticks = [numpy.linspace(0, count - 1, 20) for count in TEMPLATE_SHAPE]
    grid = numpy.stack(numpy.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    world = grid + numpy.array(TEMPLATE_ORIGIN)
    inverse = numpy.linalg.inv(affine)
    indices = world @ inverse[:3, :3].T + inverse[:3, 3]
    inside = ((indices >= -0.5) & (indices <= numpy.array(shape) - 0.5)).all(axis=1).mean()
    if inside < MINIMUM_COVERAGE:
        raise StudyError(
            f"The template shows {100 * inside:.0f} % of the study's field of view, less than "
            f"{100 * MINIMUM_COVERAGE:.0f} %.",
            where=sources[0] if sources else None,
            cause="It is not in MNI space, or shows only part of the head.",
            remedy="Give a whole-head T1-weighted template in MNI152 space.",
        )
