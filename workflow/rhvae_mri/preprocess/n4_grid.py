"""The coarse grid on which ANTs' N4 works, made without the fine grid that ANTs makes first.

With a spline distance, ANTs pads the image with zeros to whole distances and only then takes every n-th voxel
for N4: at 600 mm and 1 mm from 600x600x600 voxels in several copies. The functions here pick the same voxels
from the image itself, and evaluate the field that N4 finds on them at the voxels of the image alone.

Sources: ANTs 2.6.5, ``Examples/N4BiasFieldCorrection.cxx`` (padding, field at full resolution); ITK 5.4.5,
``itkShrinkImageFilter.hxx`` (which voxels) and ``itkBSplineControlPointImageFilter.hxx`` (the field).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy
from numpy import ndarray

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.ants_library import Geometry, read_geometry, run_ants

#: ITK moves the last sample inside the spline's domain by this part of the samples' distance.
_EDGE = 1e-3

#: Distance in voxels to a half below which rounding errors may decide to which side ITK rounds.
_TIE = 1e-6

_NO_DIRECTIONS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class CoarseGrid:
    """The voxels that N4 works on, and where they lie."""

    shape: tuple[int, ...]  # of the image
    elements: tuple[int, ...]  # mesh elements of the spline, at the coarsest level
    padding: tuple[int, ...]  # voxels that ANTs puts before the first of the image
    padded_shape: tuple[int, ...]
    #: the voxels that N4 takes along each axis, from the first of the image; those outside it are padding
    indices: tuple[ndarray, ...]
    #: of the coarse voxels along axes of their own, in mm: ITK takes N4's spline without directions
    origin: tuple[float, ...]
    spacing: tuple[float, ...]


def coarse_grid(
    image: str, folder: Path, spline_distance_mm: float, shrink_factor: int, threads: int
) -> CoarseGrid:
    """Find the voxels that N4 works on inside ANTs' own call.

    ITK computes the first of them in world coordinates. Where the padded image has an even number of voxels,
    rounding errors decide between two neighbours, and ITK itself is asked: its inversion cannot be repeated
    to the last bit.
    """
    geometry = read_geometry(folder / image, threads)
    axes = [
        _pad(count, spacing, spline_distance_mm)
        for count, spacing in zip(geometry.shape, geometry.spacing, strict=True)
    ]
    elements, padding, padded = zip(*axes, strict=True)
    counts = [max(1, size // shrink_factor) for size in padded]
    fine_start = [-before for before in padding]
    coarse_start = [math.ceil(start / shrink_factor) for start in fine_start]

    # ITK gives the fine and the coarse image one centre
    fine, coarse = (_index_to_world(geometry, factor) for factor in (1, shrink_factor))
    fine_centre = _to_world(fine, geometry.origin, _centre(fine_start, padded))
    coarse_centre = _to_world(coarse, geometry.origin, _centre(coarse_start, counts))
    origin = [
        first + (place - other)
        for first, place, other in zip(geometry.origin, fine_centre, coarse_centre, strict=True)
    ]
    first_voxel = [
        # for a voxel ITK adds the origin first, for a place between voxels last
        _add((factor * value for factor, value in zip(row, coarse_start, strict=True)), start=first)
        for row, first in zip(coarse, origin, strict=True)
    ]
    offset = numpy.subtract(first_voxel, geometry.origin)
    places = numpy.linalg.solve(fine, offset)
    indices = []
    for axis, (place, start, count) in enumerate(zip(places, coarse_start, counts, strict=True)):
        nearest = math.floor(place + 0.5)
        if abs(place % 1 - 0.5) < _TIE:
            nearest = math.floor(place) + _rounds_up(geometry, offset, places, axis, folder, threads)
        # ITK's guard against voxels before the image: its regions start at multiples of the shrink factor
        shift = max(0, nearest - shrink_factor * start)
        indices.append(shrink_factor * (numpy.arange(count) + start) + shift)
    return CoarseGrid(
        shape=geometry.shape,
        elements=elements,
        padding=padding,
        padded_shape=padded,
        indices=tuple(indices),
        origin=tuple(
            first + spacing * shrink_factor * start
            for first, spacing, start in zip(origin, geometry.spacing, coarse_start, strict=True)
        ),
        spacing=tuple(spacing * shrink_factor for spacing in geometry.spacing),
    )


def sample(voxels: ndarray, grid: CoarseGrid) -> tuple[ndarray, ndarray]:
    """Take the voxels of the coarse grid out of an image, with a mask that is 0 where they are padding."""
    inside = [(taken >= 0) & (taken < count) for taken, count in zip(grid.indices, voxels.shape, strict=True)]
    places = numpy.ix_(*(numpy.flatnonzero(axis) for axis in inside))
    values = numpy.zeros([len(taken) for taken in grid.indices], dtype=numpy.float32)
    mask = numpy.zeros_like(values)
    taken = (indices[axis] for indices, axis in zip(grid.indices, inside, strict=True))
    values[places] = voxels[numpy.ix_(*taken)]
    mask[places] = 1
    return values, mask


def refine_field(field: ndarray, grid: CoarseGrid, levels: int) -> ndarray:
    """Evaluate a bias field that is known on the coarse grid at the voxels of the image.

    The logarithm of N4's field is a cubic B-spline, and the coarse voxels are more than its control points:
    least squares gives the control points back up to the rounding of the field. From each of N4's levels to
    the next the mesh elements double.
    """
    spans = [count * 2 ** (levels - 1) for count in grid.elements]
    if any(count < span + 3 for count, span in zip(field.shape, spans, strict=True)):
        raise StudyError(
            f"N4's field has {'x'.join(str(span + 3) for span in spans)} control points, but only "
            f"{'x'.join(map(str, field.shape))} voxels to find them from.",
            cause="The spline distance is short and the shrink factor large for this voxel size.",
            remedy="Let ANTs pad (padding: ants), or choose fewer levels or a smaller shrink factor.",
        )
    fits = [
        numpy.linalg.pinv(_basis(numpy.arange(count), count, span))
        for count, span in zip(field.shape, spans, strict=True)
    ]
    values = [
        _basis(numpy.arange(count) + before, size, span)
        for count, before, size, span in zip(grid.shape, grid.padding, grid.padded_shape, spans, strict=True)
    ]
    control_points = reduce(_along_next_axis, fits, numpy.log(field.astype(float)))
    logarithm = reduce(_along_next_axis, values, control_points)
    return numpy.exp(logarithm, out=logarithm).astype(numpy.float32)


def write_coarse(path: Path, voxels: ndarray, grid: CoarseGrid) -> None:
    """Write an image on the coarse grid for ANTs, without directions."""
    _write_metaimage(path, voxels, Geometry(voxels.shape, grid.origin, grid.spacing, _NO_DIRECTIONS))


def _write_metaimage(path: Path, voxels: ndarray, geometry: Geometry) -> None:
    """Write an uncompressed MetaImage; its header has double precision, unlike NIfTI's."""
    columns = numpy.transpose(geometry.direction).ravel().tolist()
    lines = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": False,
        "TransformMatrix": " ".join(map(repr, columns)),
        "Offset": " ".join(map(repr, geometry.origin)),
        "ElementSpacing": " ".join(map(repr, geometry.spacing)),
        "DimSize": " ".join(map(str, voxels.shape)),
        "ElementType": {"f": "MET_FLOAT", "b": "MET_CHAR"}[voxels.dtype.char],
        "ElementDataFile": "LOCAL",
    }
    header = "".join(f"{key} = {value}\n" for key, value in lines.items())
    path.write_bytes(header.encode() + voxels.tobytes(order="F"))


def _rounds_up(
    geometry: Geometry, offset: ndarray, places: ndarray, axis: int, folder: Path, threads: int
) -> bool:
    """Ask ITK to which side it rounds a place that is half-way between two voxels up to rounding errors.

    ``offset`` is the place in mm from the image's origin, ``places`` the same in voxels, about. ITK
    interpolates an image with the same matrix there, which is -1 before the half and 1 after it, so the value
    has the sign of the rounding error.
    """
    import nibabel

    signs = numpy.where(places < 0, -1, 1)  # places in the padding lie before the image: turn its axes round
    steps = numpy.floor(numpy.abs(places)).astype(int)
    image = numpy.full(steps + 2, -1, dtype=numpy.int8)
    image.swapaxes(0, axis)[steps[axis] + 1 :] = 1
    direction = tuple(map(tuple, (numpy.array(geometry.direction) * signs).tolist()))
    turned = Geometry(image.shape, (0.0, 0.0, 0.0), geometry.spacing, direction)
    _write_metaimage(folder / "steps.mha", image, turned)
    point = Geometry((1, 1, 1), tuple(offset.tolist()), (1.0, 1.0, 1.0), _NO_DIRECTIONS)
    _write_metaimage(folder / "point.mha", numpy.zeros(point.shape, numpy.int8), point)
    arguments = [
        *("-d", "3", "--float", "0", "-n", "Linear", "-t", "identity"),
        *("-i", "steps.mha", "-r", "point.mha", "-o", "sign.nii"),
    ]
    run_ants("antsApplyTransforms", arguments, folder, threads)
    sign = nibabel.load(folder / "sign.nii").get_fdata().item()
    return bool(sign * signs[axis] >= 0)  # an exact half is rounded up


def _pad(count: int, spacing: float, distance: float) -> tuple[int, int, int]:
    """Mesh elements, voxels before the image and voxels in all, along one axis, in ANTs' own precision."""
    single = numpy.float32
    domain = single(count - 1) * single(spacing)
    elements = math.ceil(domain / single(distance))
    extra = int((single(elements) * single(distance) - domain) / single(spacing) + single(0.5))
    return elements, extra // 2, count + extra


def _index_to_world(geometry: Geometry, factor: int) -> list[list[float]]:
    """ITK's matrix from voxels to world coordinates, for every n-th voxel."""
    return [
        [cosine * (spacing * factor) for cosine, spacing in zip(row, geometry.spacing, strict=True)]
        for row in geometry.direction
    ]


def _centre(start: Sequence[int], counts: Sequence[int]) -> list[float]:
    """The index in the middle of a region."""
    return [first + (count - 1) / 2 for first, count in zip(start, counts, strict=True)]


def _to_world(matrix: list[list[float]], origin: Sequence[float], index: Sequence[float]) -> list[float]:
    """The world coordinates of a continuous index."""
    return [
        _add((factor * value for factor, value in zip(row, index, strict=True)), start=0.0) + first
        for row, first in zip(matrix, origin, strict=True)
    ]


def _add(values: Iterable[float], start: float) -> float:
    """Add values to a first one by one, each result rounded, as ITK does; `sum` corrects rounding errors."""
    return reduce(operator.add, values, start)


def _basis(index: ndarray, count: int, spans: int) -> ndarray:
    """Values of the cubic B-splines (columns) at some of `count` samples over all mesh elements (rows)."""
    place = spans * index / (count - 1)
    place[index == count - 1] -= _EDGE * spans / (count - 1)
    first = place.astype(int)
    rest = place - first
    weights = (
        (1 - rest) ** 3 / 6,
        (3 * rest**3 - 6 * rest**2 + 4) / 6,
        (-3 * rest**3 + 3 * rest**2 + 3 * rest + 1) / 6,
        rest**3 / 6,
    )
    basis = numpy.zeros((len(index), spans + 3))
    for number, weight in enumerate(weights):
        basis[numpy.arange(len(index)), first + number] = weight
    return basis


def _along_next_axis(array: ndarray, matrix: ndarray) -> ndarray:
    """Apply a matrix along the first axis, which becomes the last one; three times bring all back."""
    return numpy.tensordot(array, matrix, axes=(0, 1))
