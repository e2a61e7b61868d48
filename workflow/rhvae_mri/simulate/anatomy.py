"""The average head from which all simulated heads are made, with its labels.

The brain is nilearn's MNI152 2009a nonlinear symmetric average, the rest is from
`rhvae_mri.simulate.head_shape`. Its 1 mm lattice is larger than the study's grid, so that a rendered head has
a chin and a neck.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import nibabel
import numpy
from scipy import ndimage

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN, study_grid
from rhvae_mri.preprocess.mni_tissue import read_average
from rhvae_mri.preprocess.template import write_template
from rhvae_mri.simulate import head_shape

#: The 1 mm lattice of the average head: MNI coordinate (mm) of the first voxel, and number of voxels.
LATTICE_ORIGIN = (-100.0, -136.0, -118.0)
LATTICE_SHAPE = (202, 250, 234)

# the average's T1 intensities of fluid, grey and white matter, and what they become
_SOURCE_LEVELS = (0.0, 70.0, 165.0, 222.0, 255.0)
_TARGET_LEVELS = (0.05, head_shape.CSF, 0.66, 1.0, 1.08)

# cerebellum and brain stem as ellipsoids: centre and semi-axes in mm, MNI coordinates
_NOT_CORTEX = (((0, -62, -40), (60, 42, 28)), ((0, -26, -30), (22, 22, 42)))


@dataclass(frozen=True, eq=False)
class AverageAnatomy:
    """The average head and its labels on the 1 mm lattice."""

    intensity: numpy.ndarray
    cortical_loss: numpy.ndarray
    temporal_loss: numpy.ndarray
    ventricles: numpy.ndarray
    hippocampi: numpy.ndarray
    brain: numpy.ndarray
    head: numpy.ndarray


@lru_cache(maxsize=1)
def load_anatomy() -> AverageAnatomy:
    """Make the average head; the same object is given at every call."""
    t1, grey, white = (_on_lattice(read_average(name)) for name in ("t1", "gm", "wm"))
    brain = t1 > 0
    levels = numpy.interp(numpy.arange(256), _SOURCE_LEVELS, _TARGET_LEVELS).astype(numpy.float32)
    hull = _hull(brain)
    surroundings, head = _surroundings(hull)
    # a soft brain border, as the average of many heads has
    inside = ndimage.gaussian_filter(brain.astype(numpy.float32), 0.7, truncate=3)
    intensity = numpy.where(brain, levels[t1], surroundings)
    intensity -= surroundings
    intensity *= inside
    intensity += surroundings

    ventricles = _ventricles(numpy.where(brain, 255 - grey - white, 0) / numpy.float32(255))
    grey = grey / numpy.float32(255)
    hippocampi, temporal = _temporal_lobe(grey)
    ribbon = grey * _cortex(hull)
    ribbon *= 1 - numpy.maximum(hippocampi, temporal)
    temporal -= numpy.minimum(hippocampi, temporal)
    return AverageAnatomy(
        intensity=intensity,
        cortical_loss=_loss(intensity, ribbon),
        temporal_loss=_loss(intensity, temporal),
        ventricles=ventricles,
        hippocampi=hippocampi,
        brain=brain,
        head=head | brain,
    )


def whole_head_template(voxel_size_mm: float) -> nibabel.Nifti1Image:
    """Give the average head on the study's grid (1 to 8 mm): box means, float32, white matter about 100."""
    shape, affine = study_grid(voxel_size_mm)
    data = load_anatomy().intensity
    for axis in range(3):
        data = _box_means(data, axis, TEMPLATE_ORIGIN[axis] - 0.5, voxel_size_mm, shape[axis])
    image = nibabel.Nifti1Image((100 * data).astype(numpy.float32), affine)
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    image.header.set_xyzt_units("mm")
    return image


def simulate_template(voxel_size: float, target: str | os.PathLike[str]) -> None:
    """Write the average anatomy with a simulated skull and scalp as the template."""
    image = whole_head_template(voxel_size)
    voxels = image.get_fdata(dtype=numpy.float32)
    origin = {"Simulated": True, "Origin": "average anatomy with a simulated skull and scalp"}
    write_template(voxels, image.affine, voxel_size, target, sources=[], **origin)


def coarse_lattice(array: numpy.ndarray, factor: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Average a map of the 1 mm lattice over blocks of ``factor`` voxels along each axis."""
    counts = [count // factor for count in array.shape]
    part = array[tuple(slice(count * factor) for count in counts)]
    blocks = part.reshape(counts[0], factor, counts[1], factor, counts[2], factor)
    means = blocks.mean(axis=(1, 3, 5), dtype=numpy.float32)
    return means, numpy.array(LATTICE_ORIGIN) + (factor - 1) / 2


def lattice_index(points: numpy.ndarray, origin: numpy.ndarray, step: int) -> numpy.ndarray:
    """Turn coordinates (mm), shape (3, n), into indices of a map on blocks of ``step`` mm."""
    return (points - origin[:, None].astype(numpy.float32)) / numpy.float32(step)


def sample(blocks: numpy.ndarray, index: numpy.ndarray, mode: str = "constant") -> numpy.ndarray:
    """Interpolate a map linearly at indices of shape (3, n); outside it is zero, or as its border."""
    return ndimage.map_coordinates(blocks, index, output=numpy.float32, order=1, mode=mode, prefilter=False)


def _on_lattice(average: numpy.ndarray) -> numpy.ndarray:
    """Put a map of the study's 1 mm grid onto the larger lattice."""
    lattice = numpy.zeros(LATTICE_SHAPE, average.dtype)
    offset = (numpy.array(TEMPLATE_ORIGIN) - LATTICE_ORIGIN).astype(int)
    lattice[tuple(slice(o, o + n) for o, n in zip(offset, average.shape, strict=True))] = average
    return lattice


def _hull(brain: numpy.ndarray) -> numpy.ndarray:
    """Give the smooth signed distance (mm) to the filled brain, on blocks of 2 mm."""
    # it is smooth, so it is found on blocks of 4 mm
    share, _ = coarse_lattice(numpy.pad(brain, [(0, -count % 4) for count in brain.shape]), 4)
    hull = _refine(head_shape.brain_hull(share > 0.5, 4.0))
    return hull[tuple(slice(count // 2) for count in brain.shape)]


def _surroundings(hull: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Make the tissue around the brain and the head mask, on the 1 mm lattice."""
    coordinates = _half_coordinates()
    skin = head_shape.head_surface(hull, coordinates)
    tissue = head_shape.non_brain_tissue(hull, skin, coordinates)
    head = (skin < 0) & (coordinates[2] > head_shape.FADE_END)
    return _refine(tissue), head.repeat(2, 0).repeat(2, 1).repeat(2, 2)


def _half_coordinates() -> tuple[numpy.ndarray, ...]:
    """Give the open grid of MNI coordinates (mm) of the blocks of 2 mm."""
    axes = [
        origin + 0.5 + 2 * numpy.arange(count // 2, dtype=numpy.float32)
        for origin, count in zip(LATTICE_ORIGIN, LATTICE_SHAPE, strict=True)
    ]
    return numpy.ix_(*axes)


def _refine(array: numpy.ndarray) -> numpy.ndarray:
    """Interpolate linearly to half the voxel size (the inverse of averaging over blocks of two)."""
    for axis in range(3):
        source = numpy.moveaxis(array, axis, 0)
        fine = numpy.empty((2 * source.shape[0], *source.shape[1:]), numpy.float32)
        # the first and the last block have one neighbour only
        padded = numpy.concatenate([source[:1], source, source[-1:]])
        fine[0::2] = 0.75 * source + 0.25 * padded[:-2]
        fine[1::2] = 0.75 * source + 0.25 * padded[2:]
        array = numpy.moveaxis(fine, 0, axis)
    return numpy.ascontiguousarray(array)


def _ventricles(fluid: numpy.ndarray) -> numpy.ndarray:
    """Find the lateral ventricles: the fluid around two points inside them, without the third ventricle."""
    box = _box((-45, -70, -26), (45, 45, 36))
    part = fluid[box]
    # above this share of fluid the bodies are separate from each other and from all cisterns
    pieces, _ = ndimage.label(part > 0.6)
    corner = [part.start for part in box]
    inside = [(side * x, y, z) for side in (-1, 1) for x, y, z in ((22, -35, 20), (34, -8, -24))]
    seeds = [pieces[tuple(numpy.subtract(p, LATTICE_ORIGIN).astype(int) - corner)] for p in inside]
    if 0 in seeds:
        raise StudyError("The lateral ventricles were not found in nilearn's average brain.")
    near = ndimage.binary_dilation(numpy.isin(pieces, seeds), iterations=2)
    x = LATTICE_ORIGIN[0] + numpy.arange(box[0].start, box[0].stop)
    near &= (numpy.abs(x) >= 1)[:, None, None]
    ventricles = numpy.zeros_like(fluid)
    ventricles[box] = part * near
    return ventricles


def _temporal_lobe(grey: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Give the hippocampi, and the grey matter around them that shrinks with them."""
    hippocampi, temporal = numpy.zeros_like(grey), numpy.zeros_like(grey)
    centre = numpy.array([27.0, -21.5, -15.0])
    along = numpy.array([0.17, -0.82, 0.55])
    along /= numpy.linalg.norm(along)
    for side in (-1, 1):
        mirror = numpy.array([side, 1, 1])
        box = _box(*numpy.sort(numpy.array([centre - 40, centre + 40]) * mirror, axis=0))
        starts = numpy.array([part.start for part in box]) + LATTICE_ORIGIN - centre * mirror
        x, y, z = numpy.ix_(
            *(start + numpy.arange(part.stop - part.start) for start, part in zip(starts, box, strict=True))
        )
        length = x * along[0] * side + y * along[1] + z * along[2]
        squared_distance = x**2 + y**2 + z**2
        width = numpy.sqrt(numpy.maximum(squared_distance - length**2, 0))
        inner = numpy.sqrt((length / 21) ** 2 + (width / 8.0) ** 2)
        outer = numpy.sqrt(((length + 4) / 32) ** 2 + (width / 17) ** 2)
        hippocampi[box] += grey[box] * numpy.clip((1.08 - inner) / 0.16, 0, 1)
        # the midbrain is near, and is not part of it
        lateral = numpy.clip((numpy.abs(x + side * centre[0]) - 14) / 5, 0, 1)
        temporal[box] += grey[box] * numpy.clip((1.15 - outer) / 0.3, 0, 1) * lateral
    return hippocampi, temporal


def _cortex(hull: numpy.ndarray) -> numpy.ndarray:
    """Weigh grey matter by where it is: 1 near the surface of the cerebrum, 0 in its depth and below it."""
    weight = numpy.interp(hull, [-30, -22], [0, 1]).astype(numpy.float32)
    for centre, axes in _NOT_CORTEX:
        distance = head_shape.ellipsoid(_half_coordinates(), centre, axes)
        weight *= numpy.clip(distance / 4, 0, 1)
    return _refine(weight)


def _loss(intensity: numpy.ndarray, share: numpy.ndarray) -> numpy.ndarray:
    """Give the change of the intensity where this share of each voxel turns into fluid."""
    change = head_shape.CSF - intensity
    change *= share
    return numpy.minimum(change, 0, out=change)


def _box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[slice, slice, slice]:
    """Give the part of the lattice between two corners in MNI coordinates."""
    first, last = (numpy.rint(numpy.subtract(corner, LATTICE_ORIGIN)).astype(int) for corner in (low, high))
    x, y, z = (slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return x, y, z


def _box_means(data: numpy.ndarray, axis: int, edge: float, voxel_size: float, count: int) -> numpy.ndarray:
    """Average along one axis of the lattice over ``count`` boxes that start at ``edge`` (mm)."""
    # the integral of the piecewise constant data, read at the borders of the boxes
    lattice_borders = LATTICE_ORIGIN[axis] - 0.5 + numpy.arange(LATTICE_SHAPE[axis] + 1)
    borders = edge + voxel_size * numpy.arange(count + 1)
    low = numpy.maximum(lattice_borders[:-1], borders[:-1, None])
    high = numpy.minimum(lattice_borders[1:], borders[1:, None])
    weights = (numpy.maximum(high - low, 0) / voxel_size).astype(numpy.float32, order="C")
    return numpy.moveaxis(numpy.tensordot(weights, data, axes=(1, axis)), 0, axis)
