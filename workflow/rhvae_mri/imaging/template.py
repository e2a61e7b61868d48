"""The registration template on the study's grid."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from rhvae_mri.downloads import obtain_file
from rhvae_mri.errors import StudyError
from rhvae_mri.files import save_image
from rhvae_mri.imaging.grid import TEMPLATE_ORIGIN, TEMPLATE_SHAPE, study_grid
from rhvae_mri.imaging.images import ImageError, read_image
from rhvae_mri.imaging.sidecars import write_sidecar

#: What the configuration says for the template of the simulated study.
SIMULATED = "simulated"

#: The part of the study's box that a template must show.
MINIMUM_COVERAGE = 0.75


@dataclass
class _Template:
    """A template on some grid, and what its sidecar says of its origin."""

    voxels: numpy.ndarray
    affine: numpy.ndarray
    sources: list[Path] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)


def prepare_template(
    source: str,
    voxel_size: float,
    target: str | os.PathLike[str],
    *,
    downloads: str | os.PathLike[str] | None = None,
) -> None:
    """Write the whole-head template on the study's grid.

    Parameters
    ----------
    source : str
        ``simulated`` (average anatomy with a simulated skull and scalp), the path of a descriptor (JSON or
        YAML with `url` and `sha256`), or the path of a whole-head NIfTI image in MNI space.
    voxel_size : float
        In mm; 1 is the study's.
    target : path
        The template: float32, with a JSON sidecar (source, SHA-256, whether it is simulated).
    downloads : path, optional
        Folder for the downloaded file; by default the target's.

    Raises
    ------
    StudyError
        If the source cannot be read or downloaded, is not the pinned file, or does not show the study's
        field of view.
    """
    import nibabel

    if source == SIMULATED:
        template = _simulated_template(voxel_size)
    else:
        template = _real_template(source, Path(downloads or Path(target).parent))
    voxels, resampling = _to_study_grid(template, voxel_size)
    _, affine = study_grid(voxel_size)
    save_image(target, nibabel.Nifti1Image(voxels, affine))
    write_sidecar(
        target,
        "Template of the registration on the study's grid",
        template.sources,
        ["nibabel", "numpy", "scipy"],
        **template.origin,
        Resolution=f"{voxel_size:g} mm isotropic",
        Resampling=resampling,
    )


def _simulated_template(voxel_size: float) -> _Template:
    """Make the template of the simulated study."""
    from rhvae_mri.simulate.anatomy import whole_head_template

    image = whole_head_template(voxel_size)
    return _Template(
        image.get_fdata(dtype=numpy.float32),
        image.affine,
        origin={"Simulated": True, "Origin": "average anatomy with a simulated skull and scalp"},
    )


def _real_template(source: str, downloads: Path) -> _Template:
    """Read the user's template, or the one that a descriptor names."""
    path, origin = obtain_file(source, downloads)
    try:
        voxels, affine = read_image(path)
    except ImageError as error:
        raise StudyError(
            f"The template is unusable: {error.what}", where=path, cause=error.cause, remedy=error.remedy
        ) from error
    return _Template(voxels, affine, [path], {"Simulated": False, **origin})


def _to_study_grid(template: _Template, voxel_size: float) -> tuple[numpy.ndarray, str]:
    """Bring a template to the study's grid and say how."""
    shape, affine = study_grid(voxel_size)
    voxels, own_affine = _to_canonical_axes(template.voxels, template.affine)
    if _same_grid(voxels, own_affine, shape, affine):
        return voxels, "none: the template is on this grid"
    fine_shape, fine_affine = study_grid(1.0)
    steps = []
    if not _same_grid(voxels, own_affine, fine_shape, fine_affine):
        _check_coverage(template, voxels.shape, own_affine)
        voxels = _interpolate(voxels, numpy.linalg.inv(own_affine) @ fine_affine, fine_shape)
        steps.append("linear interpolation at 1 mm")
    if voxel_size != 1:
        for axis, count in enumerate(shape):
            weights = block_weights(fine_shape[axis], count, voxel_size)
            voxels = numpy.moveaxis(numpy.tensordot(weights, voxels, axes=(1, axis)), 0, axis)
        steps.append(f"means over blocks of {voxel_size:g} mm")
    return voxels.astype(numpy.float32), ", then ".join(steps)


def block_weights(fine: int, coarse: int, voxel_size: float) -> numpy.ndarray:
    """Give the weights that average 1 mm voxels over coarser ones along one axis.

    Parameters
    ----------
    fine, coarse : int
        Numbers of voxels; both grids start at the same edge.
    voxel_size : float
        Size of the coarse voxels in mm.

    Returns
    -------
    numpy.ndarray of shape (coarse, fine)
        Each row is the overlap of a coarse voxel with each fine one, divided by its sum.

    Examples
    --------
    >>> block_weights(3, 2, 1.5).round(3).tolist()
    [[0.667, 0.333, 0.0], [0.0, 0.333, 0.667]]
    """
    low = numpy.arange(coarse)[:, None] * voxel_size
    edge = numpy.arange(fine)[None, :]
    overlap = numpy.minimum(low + voxel_size, edge + 1) - numpy.maximum(low, edge)
    weights = overlap.clip(min=0)
    return weights / weights.sum(axis=1, keepdims=True)


def block_shares(mask: numpy.ndarray, shape: tuple[int, ...], voxel_size: float) -> numpy.ndarray:
    """Give the share of a mask on the 1 mm grid in each voxel of a coarser grid that starts at its edge.

    Parameters
    ----------
    mask : numpy.ndarray of bool, shape (x, y, z)
        The mask, at 1 mm.
    shape : tuple of int
        The numbers of voxels of the coarser grid.
    voxel_size : float
        Size of the coarse voxels in mm.

    Returns
    -------
    numpy.ndarray of float32, of the given shape
        The shares, from 0 to 1.
    """
    share = mask.astype(numpy.float32)
    for axis, count in enumerate(shape):
        weights = block_weights(share.shape[axis], count, voxel_size).astype(numpy.float32)
        share = numpy.moveaxis(numpy.tensordot(weights, share, axes=(1, axis)), 0, axis)
    return share


def _to_canonical_axes(voxels: numpy.ndarray, affine: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Flip and swap axes, without interpolation, so that they run to the right, front and top."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
    return numpy.asarray(image.dataobj), image.affine


def _same_grid(
    voxels: numpy.ndarray, affine: numpy.ndarray, shape: tuple[int, ...], other: numpy.ndarray
) -> bool:
    """Say whether an image is on a grid."""
    return voxels.shape == shape and numpy.allclose(affine, other, atol=1e-3)


def _interpolate(voxels: numpy.ndarray, matrix: numpy.ndarray, shape: tuple[int, int, int]) -> numpy.ndarray:
    """Resample an image; ``matrix`` maps indices of the new grid to indices of the image."""
    from scipy import ndimage

    return ndimage.affine_transform(voxels, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1)


def _check_coverage(template: _Template, shape: tuple[int, ...], affine: numpy.ndarray) -> None:
    """Refuse a template that shows little of the study's box."""
    size = numpy.array(TEMPLATE_SHAPE)
    ticks = [numpy.linspace(0, count - 1, 20) for count in size]
    grid = numpy.stack(numpy.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    world = grid + numpy.array(TEMPLATE_ORIGIN)
    inverse = numpy.linalg.inv(affine)
    indices = world @ inverse[:3, :3].T + inverse[:3, 3]
    inside = ((indices >= -0.5) & (indices <= numpy.array(shape) - 0.5)).all(axis=1).mean()
    if inside < MINIMUM_COVERAGE:
        raise StudyError(
            f"The template shows {100 * inside:.0f} % of the study's field of view, less than "
            f"{100 * MINIMUM_COVERAGE:.0f} %.",
            where=template.sources[0] if template.sources else None,
            cause="It is not in MNI space, or shows only part of the head.",
            remedy="Give a whole-head T1-weighted template in MNI152 space.",
        )
