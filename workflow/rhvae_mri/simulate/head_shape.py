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
_EYES: list[_Ellipsoid] = [((side * 32, 70, -31), (12.5, 12.5, 12.5)) for side in (-1, 1)]
_ORBITS: list[_Ellipsoid] = [((side * 32, 64, -31), (20, 26, 18)) for side in (-1, 1)]
_AIRWAYS: list[_Ellipsoid] = [
    ((0, 58, -50), (12, 26, 19)),
    ((-27, 60, -56), (12, 16, 14)),
    ((27, 60, -56), (12, 16, 14)),
    ((0, 14, -82), (12, 9, 34)),
    ((0, 62, -86), (22, 26, 6)),
]
_JAW: list[_Ellipsoid] = [((side * 46, 34, -84), (7, 34, 14)) for side in (-1, 1)]
_NECK = ((0, -26), (60, 58))
_VERTEBRAE = ((0, -34), (21, 15))
_SPINAL_CANAL = ((0, -49), (12, 10))
_CORD = ((0, -49), (7, 5.5))


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
    x, y, z = coordinates
    (neck_x, neck_y), (width, depth) = _NECK
    neck = (numpy.hypot((x - neck_x) / width, (y - neck_y) / depth) - 1) * depth
    neck = numpy.maximum(neck, z + 30)
    surface = _blend(hull - SCALP_DEPTH, neck, 25.0)
    for centre, axes in _FACE:
        surface = _blend(surface, ellipsoid(coordinates, centre, axes), 18.0)
    return _blend(surface, ellipsoid(coordinates, *_NOSE), 8.0)


def non_brain_tissue(
    hull: numpy.ndarray, skin: numpy.ndarray, coordinates: tuple[numpy.ndarray, ...]
) -> numpy.ndarray:
    """Give the intensity of all tissue around the brain."""
    _, _, z = coordinates
    depth = -skin
    head = numpy.interp(depth, [0, 1, 1.8, 2.6, 6, 8], [SKIN, SKIN, SKIN, FAT, FAT, MUSCLE])
    # a soft mask instead of a hard one for each organ keeps the borders free of steps
    for centre, axes in _ORBITS:
        head = _paint(head, ellipsoid(coordinates, centre, axes), FAT)
    for centre, axes in _EYES:
        head = _paint(head, ellipsoid(coordinates, centre, axes), CSF)
    for centre, axes in _JAW:
        head = _paint(head, ellipsoid(coordinates, centre, axes), BONE)
    for shape, value in ((_VERTEBRAE, 0.5), (_SPINAL_CANAL, CSF), (_CORD, 0.8)):
        (centre_x, centre_y), (width, length) = shape
        x, y, _ = coordinates
        column = (numpy.hypot((x - centre_x) / width, (y - centre_y) / length) - 1) * length
        head = _paint(head, numpy.maximum(column, z + 62), value)
    for centre, axes in _AIRWAYS:
        head = _paint(head, ellipsoid(coordinates, centre, axes), AIR)
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
