"""Smooth, invertible deformations of the average head, with known volumes of ventricles and hippocampi.

A deformation is the flow of a velocity field that does not change in time, on a lattice of 5 mm; it maps
coordinates of the *individual* head (after its affine is undone) to coordinates of the average, which is
the direction in which an image is rendered. The field is a sum of three parts: a random one that makes heads
differ, and one each that widens the ventricles and shrinks the hippocampi. The last two are gradients of a
potential whose Laplacian is positive in the structure and negative in the tissue that gives way, after the
usual way to simulate atrophy (Karaçali and Davatzikos, IEEE TMI 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy
from scipy import ndimage

from rhvae_mri.simulate.anatomy import LATTICE_ORIGIN, LATTICE_SHAPE, coarse_lattice, load_anatomy

#: Voxel size of the lattice of deformations, in mm.
STEP = 5

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
        origin = _lattice_origin()[:, None].astype(numpy.float32)
        index = (points - origin) / numpy.float32(STEP)
        moved = numpy.empty_like(points)
        for axis in range(3):
            ndimage.map_coordinates(
                self.displacement[axis], index, output=moved[axis], order=1, mode="nearest", prefilter=False
            )
        moved += points
        return moved


def deform(
    head_seed: int, ventricle_scale: float = 1.0, hippocampus_scale: float = 1.0, random_part: float = 1.0
) -> Deformation:
    """Make the deformation of one head; the scales are those of `records.Anatomy`, roughly.

    Its least-squares affine part over the head is removed, so that the affine that is applied on top of it
    is the affine that a registration to the average should find. `structure_volumes` gives the true volumes.
    """
    basis = _flows()
    growth = numpy.log(ventricle_scale)
    if growth > 0:
        growth += sum(factor * growth**power for power, factor in _SATURATION.items())
    velocity = growth * basis.ventricles + numpy.log(hippocampus_scale) * basis.hippocampi
    if random_part:
        velocity = velocity + random_part * _random_velocity(head_seed)
    # a structure grows where the map from individual to average contracts: the flow is followed backwards
    displacement = _follow(-velocity, basis.inside)
    return Deformation(_without_affine(displacement, basis.head))


def structure_volumes(deformation: Deformation) -> tuple[float, float]:
    """Integrate the true volumes of a deformed head, before its affine."""
    ventricles, hippocampi = (
        2.0**3 / 1000 * float(_sample(part.labels, part.origin, deformation.at(part.points)).sum())
        for part in _structures()
    )
    return ventricles, hippocampi


def near_head(points: numpy.ndarray) -> numpy.ndarray:
    """Say which points (shape (3, n), individual coordinates in mm) can show a part of the head."""
    inside = _flows().inside
    index = numpy.rint((points - _lattice_origin()[:, None].astype(numpy.float32)) / numpy.float32(STEP))
    index = index.astype(numpy.int32)
    limits = numpy.array(inside.shape, numpy.int32)[:, None]
    within = ((index >= 0) & (index < limits)).all(axis=0)
    index[:, ~within] = 0
    return within & inside[tuple(index)]


@dataclass(frozen=True, eq=False)
class _Flows:
    """Velocity fields per unit of logarithmic volume and maps of the head, on the lattice of 5 mm."""

    ventricles: numpy.ndarray
    hippocampi: numpy.ndarray
    head: numpy.ndarray
    inside: numpy.ndarray


@dataclass(frozen=True, eq=False)
class _Structure:
    """A label map on blocks of 2 mm, and the points around it at which its volume is summed up."""

    labels: numpy.ndarray
    origin: numpy.ndarray
    points: numpy.ndarray


@lru_cache(maxsize=1)
def _flows() -> _Flows:
    """Make the fields that widen the ventricles and shrink or swell the hippocampi."""
    anatomy = load_anatomy()
    brain, _ = coarse_lattice(anatomy.brain, STEP)
    head, _ = coarse_lattice(anatomy.head, STEP)
    ventricles, _ = coarse_lattice(anatomy.ventricles, STEP)
    hippocampi, _ = coarse_lattice(anatomy.hippocampi, STEP)
    lobe, _ = coarse_lattice(anatomy.temporal_loss, STEP)
    soft = [ndimage.gaussian_filter(field, 0.8) for field in (ventricles, hippocampi, -lobe / 0.46)]
    brain = ndimage.gaussian_filter(brain, 0.8)
    near = ndimage.gaussian_filter(soft[1], 4.0)
    # the whole brain gives way to the ventricles; the tissue around a hippocampus fills its place
    widening = _flow(soft[0], brain * (1 - soft[0]))
    shrinking = _flow(soft[1] + 0.4 * soft[2], brain * near)
    # nothing outside the brain moves
    inside = ndimage.gaussian_filter(ndimage.binary_dilation(brain > 0.4, iterations=1).astype(float), 0.8)
    fields = [field * inside for field in (widening, shrinking)]
    scaled = [
        field / _growth(field, label) for field, label in zip(fields, (ventricles, hippocampi), strict=True)
    ]
    return _Flows(
        ventricles=scaled[0].astype(numpy.float32),
        hippocampi=scaled[1].astype(numpy.float32),
        head=_affine_weight(head),
        inside=ndimage.binary_dilation(head > 0.02, iterations=2),
    )


def _flow(growing: numpy.ndarray, giving: numpy.ndarray) -> numpy.ndarray:
    """Give the gradient field whose divergence is ``growing`` minus as much of ``giving``."""
    density = growing - giving * (growing.sum() / giving.sum())
    axes = [2 * numpy.pi * numpy.fft.fftfreq(count, STEP) for count in density.shape]
    frequencies = numpy.meshgrid(*axes, indexing="ij", sparse=True)
    squared = frequencies[0] ** 2 + frequencies[1] ** 2 + frequencies[2] ** 2
    squared[0, 0, 0] = 1
    potential = -numpy.fft.fftn(density) / squared
    return numpy.stack([numpy.fft.ifftn(1j * f * potential).real for f in frequencies])


def _growth(field: numpy.ndarray, label: numpy.ndarray) -> float:
    """Give the relative growth of a structure per unit of a velocity field: the mean divergence in it."""
    divergence = sum(numpy.gradient(field[axis], STEP, axis=axis) for axis in range(3))
    return float((divergence * label).sum() / label.sum())


def _random_velocity(seed: int) -> numpy.ndarray:
    """Draw a smooth random field with the standard deviation `RANDOM_AMPLITUDE`."""
    shape = tuple(count // STEP for count in LATTICE_SHAPE)
    noise = numpy.random.default_rng(seed).standard_normal((3, *shape), dtype=numpy.float32)
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


def _affine_weight(head: numpy.ndarray) -> numpy.ndarray:
    """Weigh the lattice points for the affine fit: the head as far down as the template shows it."""
    z = _lattice_origin()[2] + STEP * numpy.arange(head.shape[2])
    return (head * (z > -75)).astype(numpy.float32)


@lru_cache(maxsize=1)
def _lattice_points() -> numpy.ndarray:
    """Give the coordinates of the lattice's points, shape (3, n), float32."""
    counts = [count // STEP for count in LATTICE_SHAPE]
    axes = [o + STEP * numpy.arange(n) for o, n in zip(_lattice_origin(), counts, strict=True)]
    return numpy.stack(numpy.meshgrid(*axes, indexing="ij")).reshape(3, -1).astype(numpy.float32)


def _lattice_origin() -> numpy.ndarray:
    """Give the coordinate of the lattice's first point in mm."""
    return numpy.array(LATTICE_ORIGIN) + (STEP - 1) / 2


@lru_cache(maxsize=1)
def _structures() -> tuple[_Structure, _Structure]:
    """Find the points around ventricles and hippocampi that a deformation can bring into them."""
    anatomy = load_anatomy()
    structures = []
    for labels in (anatomy.ventricles, anatomy.hippocampi):
        blocks, origin = coarse_lattice(labels, 2)
        reach = ndimage.binary_dilation(blocks > 0.02, ndimage.generate_binary_structure(3, 2), iterations=5)
        points = (2.0 * numpy.argwhere(reach) + origin).T.astype(numpy.float32)
        structures.append(_Structure(blocks, origin, points))
    return structures[0], structures[1]


def _sample(blocks: numpy.ndarray, origin: numpy.ndarray, points: numpy.ndarray) -> numpy.ndarray:
    """Interpolate a map of 2 mm blocks linearly; outside it is zero."""
    index = (points - origin[:, None].astype(numpy.float32)) / numpy.float32(2)
    return ndimage.map_coordinates(blocks, index, output=numpy.float32, order=1, prefilter=False)
