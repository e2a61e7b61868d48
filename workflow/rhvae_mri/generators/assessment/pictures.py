"""The images that the figures on generation show: traversals, interpolations, nearest neighbours.

They are computed beside the generator and stored, so that the figures need neither it nor torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
import pandas
import torch
from numpy import ndarray

from rhvae_mri.generators.assessment.neighbours import nearest_images
from rhvae_mri.generators.interface import Generator
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import write_image_stack

#: Places along a principal axis, in standard deviations of the training images' codes.
TRAVERSAL = (-2.0, -1.0, 0.0, 1.0, 2.0)
N_AXES = 3

#: Images along an interpolation, with both ends.
N_INTERPOLATED = 7

#: Synthetic images whose nearest training images are shown, by their order of the distance to these (0 to 1),
#: and how many neighbours are shown.
SHOWN = {"closest": 0.0, "typical": 0.5, "farthest": 1.0}
N_NEIGHBOURS = 4

COLUMNS = (
    *("key", "picture", "row", "column", "image_id", "position", "share", "length", "density", "distance"),
)

#: The images of a picture, each with what the table says of it.
_Picture = Iterator[tuple[dict[str, object], ndarray]]


def save_pictures(
    stack: str | os.PathLike[str],
    table: str | os.PathLike[str],
    generator: Generator,
    training: ndarray,
    training_ids: Sequence[str],
    synthetic: ndarray,
    synthetic_ids: Sequence[str],
) -> None:
    """Compute the images of the figures and store them, with a table that says what each is.

    ``training`` are the images that the generator has learned. Without an encoder it has no traversal and no
    interpolation. The table has one row per image, with the columns of `COLUMNS`; what does not apply is
    missing.

    - picture ``traversal``: row ``axis <k>``, a principal axis of the training images' codes; position in
      standard deviations; share of the variance along the axis.
    - picture ``interpolation``: row ``straight line``, or another path that the generator has, between the
      two training images whose codes are farthest apart; position, the part of the way; of its own paths
      the length, and the logarithm of the density there.
    - picture ``neighbours``: row ``closest``, ``typical`` or ``farthest``: the synthetic image that is
      nearest to any training image, the one in the middle of that order, and the last. First the image
      itself (column 0), then the nearest training images with their distance.
    """
    pictures = {"neighbours": _neighbours(training, training_ids, synthetic, synthetic_ids)}
    if hasattr(generator, "encode"):
        codes = generator.encode(training)
        walks = {"traversal": _traversal(generator, codes)}
        walks["interpolation"] = _interpolation(generator, codes, training_ids)
        pictures = walks | pictures
    rows: list[dict[str, object]] = []
    volumes = []
    for name, picture in pictures.items():
        for row, volume in picture:
            rows.append({"key": f"{name}-{len(rows):03d}", "picture": name, **row})
            volumes.append(volume)
    write_image_stack(stack, [str(row["key"]) for row in rows], volumes, training.shape[1:])
    write_tsv(table, pandas.DataFrame(rows, columns=COLUMNS))


def _traversal(generator: Generator, codes: ndarray) -> _Picture:
    """Decode places along the principal axes of the training images' codes."""
    means = torch.from_numpy(codes)
    centre = means.mean(0)
    _, spread, axes = torch.linalg.svd(means - centre, full_matrices=False)
    deviations = spread / max(len(means) - 1, 1) ** 0.5
    shares = (spread.square() / spread.square().sum().clamp_min(1e-30)).tolist()
    for number, axis in enumerate(axes[:N_AXES]):
        axis = axis * axis[axis.abs().argmax()].sign()  # a sign that does not vary
        places = centre + torch.tensor(TRAVERSAL)[:, None] * deviations[number] * axis
        volumes = generator.decode(places.numpy())
        for column, (position, volume) in enumerate(zip(TRAVERSAL, volumes, strict=True)):
            row = {"row": f"axis {number + 1}", "column": column, "position": position}
            yield row | {"share": round(shares[number], 6)}, volume


def _interpolation(generator: Any, codes: ndarray, training_ids: Sequence[str]) -> _Picture:
    """Decode the paths between the two codes that are farthest apart."""
    apart = numpy.linalg.norm(codes[:, None].astype(numpy.float64) - codes, axis=2)
    one, other = divmod(int(apart.argmax()), len(codes))
    ends = {0: training_ids[one], N_INTERPOLATED - 1: training_ids[other]}
    if hasattr(generator, "paths"):
        paths = generator.paths(codes[one], codes[other])
    else:
        shares = numpy.linspace(0, 1, N_INTERPOLATED)[:, None]
        paths = {"straight line": ((1 - shares) * codes[one] + shares * codes[other], None, None)}
    for name, (points, length, density) in paths.items():
        # at equal parts of the path's segments
        places = numpy.linspace(0, len(points) - 1, N_INTERPOLATED).round().astype(int)
        volumes = generator.decode(points[places].astype(codes.dtype))
        for column, (place, volume) in enumerate(zip(places, volumes, strict=True)):
            row = {"row": name, "column": column, "image_id": ends.get(column)}
            row["position"] = round(column / (N_INTERPOLATED - 1), 6)
            if length is not None:
                row |= {"length": round(length, 6), "density": round(float(density[place]), 6)}
            yield row, volume


def _neighbours(
    training: ndarray, training_ids: Sequence[str], synthetic: ndarray, synthetic_ids: Sequence[str]
) -> _Picture:
    indices, distances = nearest_images(synthetic, training, N_NEIGHBOURS)
    order = numpy.argsort(distances[:, 0], kind="stable")
    for name, place in SHOWN.items():
        number = int(order[round(place * (len(order) - 1))])
        row = {"row": name, "column": 0, "image_id": synthetic_ids[number]}
        yield row, numpy.asarray(synthetic[number], dtype=numpy.float32)
        found = zip(indices[number], distances[number], strict=True)
        for column, (index, distance) in enumerate(found, start=1):
            row = {"row": name, "column": column, "image_id": training_ids[index]}
            yield row | {"distance": round(distance, 6)}, training[index]
