"""Everything of the head that is not brain: fluid, skull, scalp, face and neck, as plain geometry.

nilearn's average brain has no skull. The simulated heads need one, because the study registers whole heads.
The cranium follows the brain's own outline at fixed depths; face and neck are a few ellipsoids, placed in
MNI coordinates by hand after anatomical proportions. Intensities are in units of white matter.
"""

from __future__ import annotations

import numpy
from scipy import ndimage

#: Intensity of cerebrospinal fluid in a T1-weighted image, white matter being 1.
CSF = 0.20

FAT, SKIN, MUSCLE, BONE, AIR = 1.15, 0.55, 0.62, 0.06, 0.0

#: Depth of the layers of the cranium outside the brain's hull, in mm: fluid, outer face of the skull, skin.
FLUID_DEPTH, SKULL_DEPTH, SCALP_DEPTH = 2.5, 8.0, 14.0

#: Below this height (mm, MNI) the signal fades, as it does at the lower end of a head coil.
FADE_START, FADE_END = -102.0, -114.0

# centre and semi-axes in mm, MNI coordinates
_Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float]]
_FACE: list[_Ellipsoid] = [((0, 42, -52), (64, 52, 62)), ((0, 62, -90), (36, 30, 24))]
_NOSE = ((0, 96, -46), (12, 13, 22))
#: What is painted on the head, one after the other: centre and semi-axes, and the intensity.
_ORGANS: list[tuple[_Ellipsoid, float]] = [
    *((((side * 32, 64, -31), (20, 26, 18)), FAT) for side in (-1, 1)),  # orbits
    *((((side * 32, 70, -31), (12.5, 12.5, 12.5)), CSF) for side in (-1, 1)),  # eyes
    *((((side * 46, 34, -84), (7, 34, 14)), BONE) for side in (-1, 1)),  # jaw
]
_AIRWAYS: list[_Ellipsoid] = [
    ((0, 58, -50), (12, 26, 19)),
    *(((side * 27, 60, -56), (12, 16, 14)) for side in (-1, 1)),
    *(((0, 14, -82), (12, 9, 34)), ((0, 62, -86), (22, 26, 6))),
]

#: Upright tubes: their middle (x, y), semi-axes, upper end and, but for the neck, intensity.
_NECK = ((0, -26), (60, 58), 30)
_SPINE = ((((0, -34), (21, 15), 62), 0.5), (((0, -49), (12, 10), 62), CSF), (((0, -49), (7, 5.5), 62), 0.8))


def signed_distance(mask: numpy.ndarray, voxel_size: float) -> numpy.ndarray:
    """Give the distance to the border of a mask in mm, negative inside."""
    outside = ndimage.distance_transform_edt(~mask, sampling=voxel_size)
    inside = ndimage.distance_transform_edt(mask, sampling=voxel_size)
    return (outside - inside).astype(numpy.float32)


def ellipsoid(
    coordinates: tuple[numpy.ndarray, ...], centre: tuple[float, ...], axes: tuple[float, ...]
) -> numpy.ndarray:
    """Give the approximate signed distance (mm) to an ellipsoid with axes along the grid, negative inside."""
    scaled = [(c - m) / a for c, m, a in zip(coordinates, centre, axes, strict=True)]
    radius = numpy.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    slope = numpy.sqrt(sum((s / a) ** 2 for s, a in zip(scaled, axes, strict=True)))
    return ((radius - 1) * radius / numpy.maximum(slope, 1e-6)).astype(numpy.float32)


def brain_hull(brain: numpy.ndarray, voxel_size: float) -> numpy.ndarray:
    """Give the smooth signed distance (mm) to the brain with its sulci, fissures and hollows filled."""
    closing_radius = 20.0
    grown = signed_distance(brain, voxel_size) < closing_radius
    closed = signed_distance(grown, voxel_size) < -closing_radius
    return ndimage.gaussian_filter(signed_distance(closed | brain, voxel_size), 7.0 / voxel_size)


def head_surface(hull: numpy.ndarray, coordinates: tuple[numpy.ndarray, ...]) -> numpy.ndarray:
    """Give the approximate signed distance (mm) to the skin, negative inside."""
    surface = _blend(hull - SCALP_DEPTH, _tube(coordinates, *_NECK), 25.0)
    for shape in _FACE:
        surface = _blend(surface, ellipsoid(coordinates, *shape), 18.0)
    return _blend(surface, ellipsoid(coordinates, *_NOSE), 8.0)


def non_brain_tissue(
    hull: numpy.ndarray, skin: numpy.ndarray, coordinates: tuple[numpy.ndarray, ...]
) -> numpy.ndarray:
    """Give the intensity of all tissue around the brain."""
    _, _, z = coordinates
    head = numpy.interp(-skin, [0, 1, 1.8, 2.6, 6, 8], [SKIN, SKIN, SKIN, FAT, FAT, MUSCLE])
    # a soft mask instead of a hard one for each organ keeps the borders free of steps
    for shape, value in _ORGANS:
        head = _paint(head, ellipsoid(coordinates, *shape), value)
    for tube, value in _SPINE:
        head = _paint(head, _tube(coordinates, *tube), value)
    for shape in _AIRWAYS:
        head = _paint(head, ellipsoid(coordinates, *shape), AIR)
    cranium = numpy.interp(
        hull, [0, FLUID_DEPTH - 0.5, FLUID_DEPTH + 0.5, 4.2, 5.2, 6.2, SKULL_DEPTH],
        [CSF, CSF, BONE, BONE, 0.32, BONE, BONE],
    )  # fmt: skip
    # the skull is open below the brain stem, where the spinal canal begins
    bone_here = _soft(hull - SKULL_DEPTH) * numpy.clip((z + 74) / 8, 0, 1)
    inside = numpy.maximum(bone_here, _soft(hull))
    head = head + inside * (cranium - head)
    fading = numpy.interp(z, [FADE_END, FADE_START], [0.0, 1.0])
    return (head * _soft(skin) * fading).astype(numpy.float32)


def _tube(
    coordinates: tuple[numpy.ndarray, ...], centre: tuple[float, float], axes: tuple[float, float], top: float
) -> numpy.ndarray:
    """Give the approximate signed distance (mm) to an upright tube that ends ``top`` mm below the origin."""
    x, y, z = coordinates
    around = (numpy.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1]) - 1) * axes[1]
    return numpy.maximum(around, z + top)


def _blend(first: numpy.ndarray, second: numpy.ndarray, width: float) -> numpy.ndarray:
    """Unite two shapes given as signed distances, with a fillet of about ``width`` mm."""
    overlap = numpy.clip(0.5 + 0.5 * (second - first) / width, 0, 1)
    return second + (first - second) * overlap - width * overlap * (1 - overlap)


def _soft(distance: numpy.ndarray) -> numpy.ndarray:
    """Turn a signed distance (mm) into a mask with a border 1.5 mm wide: 1 inside, 0 outside."""
    return numpy.clip(0.5 - distance / 1.5, 0, 1)


def _paint(image: numpy.ndarray, distance: numpy.ndarray, value: float) -> numpy.ndarray:
    """Set the inside of a shape to one intensity."""
    return image + _soft(distance) * (value - image)
