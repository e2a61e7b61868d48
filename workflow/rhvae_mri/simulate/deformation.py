"""Smooth, invertible deformations of the average head, with known volumes of ventricles and hippocampi.

A deformation is the flow of a constant velocity field on a lattice of 5 mm, from coordinates of the head
(after its affine is undone) to those of the average: the direction in which an image is rendered. The field
is the sum of a random one, which makes heads differ, and of one each that widens the ventricles and shrinks
the hippocampi: gradients of a potential whose Laplacian is positive in the structure and negative in the
tissue that gives way, as usual for simulated atrophy (Karaçali and Davatzikos, IEEE TMI 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy
from scipy import ndimage

from rhvae_mri.simulate.anatomy import (
    LATTICE_ORIGIN,
    LATTICE_SHAPE,
    coarse_lattice,
    lattice_index,
    load_anatomy,
    sample,
)

#: Voxel size in mm, number of voxels and first point (mm) of the lattice of deformations.
STEP = 5
_SHAPE = tuple(count // STEP for count in LATTICE_SHAPE)
_ORIGIN = numpy.array(LATTICE_ORIGIN) + (STEP - 1) / 2

#: Scale (mm) over which the random part varies, and its standard deviation in mm along each axis.
RANDOM_SCALE, RANDOM_AMPLITUDE = 20.0, 2.2

# a growing ventricle leaves the place where its flow diverges, so it takes more flow than the small-change
# limit says; powers of the logarithmic growth, measured on the average head up to a factor of 3
_SATURATION = {2: 0.13, 3: 0.09}

# the flow is followed by doubling: 2**3 steps
_DOUBLINGS = 3


@dataclass(frozen=True, eq=False)
class Deformation:
    """A map from individual to average coordinates (MNI, mm), given by its displacement."""

    displacement: numpy.ndarray

    def at(self, points: numpy.ndarray) -> numpy.ndarray:
        """Map points."""
        points = points.astype(numpy.float32, copy=False)
        index = lattice_index(points, _ORIGIN, STEP)
        return numpy.stack([sample(part, index, mode="nearest") for part in self.displacement]) + points


def deform(
    head_seed: int, ventricle_scale: float = 1.0, hippocampus_scale: float = 1.0, random_part: float = 1.0
) -> Deformation:
    """Make the deformation of one head; the scales are those of `records.Anatomy`, roughly.

    Its least-squares affine part over the head is removed, so that the affine that is applied on top of it
    is the affine that a registration to the average should find. `structure_volumes` gives the true volumes.
    """
    widening, shrinking, head, inside = _flows()
    growth = numpy.log(ventricle_scale)
    if growth > 0:
        growth += sum(factor * growth**power for power, factor in _SATURATION.items())
    velocity = growth * widening + numpy.log(hippocampus_scale) * shrinking
    if random_part:
        velocity = velocity + random_part * _random_velocity(head_seed)
    # a structure grows where the map from individual to average contracts: the flow is followed backwards
    return Deformation(_without_affine(_follow(-velocity, inside), head))


def structure_volumes(deformation: Deformation) -> tuple[float, float]:
    """Integrate the true volumes of a deformed head, before its affine."""
    ventricles, hippocampi = (
        2.0**3 / 1000 * float(sample(labels, lattice_index(deformation.at(points), origin, 2)).sum())
        for labels, origin, points in _structures()
    )
    return ventricles, hippocampi


def near_head(points: numpy.ndarray) -> numpy.ndarray:
    """Say which points (shape (3, n), individual coordinates in mm) can show a part of the head."""
    *_, inside = _flows()
    index = numpy.rint(lattice_index(points, _ORIGIN, STEP)).astype(numpy.int32)
    limits = numpy.array(inside.shape, numpy.int32)[:, None]
    within = ((index >= 0) & (index < limits)).all(axis=0)
    index[:, ~within] = 0
    return within & inside[tuple(index)]


@lru_cache(maxsize=1)
def _flows() -> tuple[numpy.ndarray, ...]:
    """Make what widens the ventricles and what shrinks the hippocampi, weights of the head, and where it is.

    The first two are velocities per unit of logarithmic volume; all are on the lattice of 5 mm.
    """
    average = load_anatomy()
    maps = (average.brain, average.head, average.ventricles, average.hippocampi, average.temporal_loss)
    brain, head, ventricles, hippocampi, lobe = (coarse_lattice(each, STEP)[0] for each in maps)
    soft = [ndimage.gaussian_filter(field, 0.8) for field in (ventricles, hippocampi, -lobe / 0.46)]
    brain = ndimage.gaussian_filter(brain, 0.8)
    near = ndimage.gaussian_filter(soft[1], 4.0)
    # the whole brain gives way to the ventricles; the tissue around a hippocampus fills its place
    widening = _flow(soft[0], brain * (1 - soft[0]))
    shrinking = _flow(soft[1] + 0.4 * soft[2], brain * near)
    # nothing outside the brain moves
    inside = ndimage.gaussian_filter(ndimage.binary_dilation(brain > 0.4, iterations=1).astype(float), 0.8)
    fields = _per_growth(widening * inside, ventricles), _per_growth(shrinking * inside, hippocampi)
    # the affine is fitted to the head as far down as the template shows it
    weight = (head * (_ORIGIN[2] + STEP * numpy.arange(_SHAPE[2]) > -75)).astype(numpy.float32)
    return *fields, weight, ndimage.binary_dilation(head > 0.02, iterations=2)


def _flow(growing: numpy.ndarray, giving: numpy.ndarray) -> numpy.ndarray:
    """Give the gradient field whose divergence is ``growing`` minus as much of ``giving``."""
    density = growing - giving * (growing.sum() / giving.sum())
    axes = [2 * numpy.pi * numpy.fft.fftfreq(count, STEP) for count in density.shape]
    frequencies = numpy.meshgrid(*axes, indexing="ij", sparse=True)
    squared = frequencies[0] ** 2 + frequencies[1] ** 2 + frequencies[2] ** 2
    squared[0, 0, 0] = 1
    potential = -numpy.fft.fftn(density) / squared
    return numpy.stack([numpy.fft.ifftn(1j * f * potential).real for f in frequencies])


def _per_growth(field: numpy.ndarray, label: numpy.ndarray) -> numpy.ndarray:
    """Scale a velocity field by the relative growth of a structure in it: the mean divergence there."""
    divergence = sum(numpy.gradient(field[axis], STEP, axis=axis) for axis in range(3))
    return (field / float((divergence * label).sum() / label.sum())).astype(numpy.float32)


def _random_velocity(seed: int) -> numpy.ndarray:
    """Draw a smooth random field with the standard deviation `RANDOM_AMPLITUDE`."""
    noise = numpy.random.default_rng(seed).standard_normal((3, *_SHAPE), dtype=numpy.float32)
    sigma = RANDOM_SCALE / STEP / numpy.sqrt(2)
    smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma, sigma), mode="wrap", truncate=3)
    # standard deviation of white noise after a Gaussian filter in three dimensions
    return smooth * (RANDOM_AMPLITUDE * (2 * numpy.sqrt(numpy.pi) * sigma) ** 1.5)


def _follow(velocity: numpy.ndarray, inside: numpy.ndarray) -> numpy.ndarray:
    """Integrate a stationary velocity field over unit time by scaling and squaring."""
    grid = _lattice_points()[:, inside.ravel()]
    displacement = velocity.astype(numpy.float32) / numpy.float32(2**_DOUBLINGS)
    for _ in range(_DOUBLINGS):
        doubled = displacement * 2
        start = displacement[:, inside]
        doubled[:, inside] = Deformation(displacement).at(grid + start) - grid
        displacement = doubled
    return displacement


def _without_affine(displacement: numpy.ndarray, weight: numpy.ndarray) -> numpy.ndarray:
    """Remove the affine part of a map; what is left has none (weighted least squares over the head)."""
    grid = _lattice_points()
    mapped = displacement.reshape(3, -1) + grid
    used = weight.ravel() > 0.01
    design = numpy.vstack([grid[:, used], numpy.ones(used.sum())]).astype(float)
    weighted = design * weight.ravel()[used]
    fitted = numpy.linalg.solve(weighted @ design.T, weighted @ mapped[:, used].T.astype(float)).T
    linear, shift = fitted[:, :3], fitted[:, 3:]
    residual = numpy.linalg.solve(linear, mapped - shift) - grid
    return residual.reshape(displacement.shape).astype(numpy.float32)


@lru_cache(maxsize=1)
def _lattice_points() -> numpy.ndarray:
    """Give the coordinates of the lattice's points, shape (3, n), float32."""
    axes = [origin + STEP * numpy.arange(count) for origin, count in zip(_ORIGIN, _SHAPE, strict=True)]
    return numpy.stack(numpy.meshgrid(*axes, indexing="ij")).reshape(3, -1).astype(numpy.float32)


@lru_cache(maxsize=1)
def _structures() -> list[tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]]:
    """Give ventricles and hippocampi on blocks of 2 mm, the first block, and points that can be in them."""
    structures = []
    for labels in (load_anatomy().ventricles, load_anatomy().hippocampi):
        blocks, origin = coarse_lattice(labels, 2)
        reach = ndimage.binary_dilation(blocks > 0.02, ndimage.generate_binary_structure(3, 2), iterations=5)
        points = (2.0 * numpy.argwhere(reach) + origin).T.astype(numpy.float32)
        structures.append((blocks, origin, points))
    return structures
