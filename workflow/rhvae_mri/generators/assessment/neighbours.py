"""Distances between images: nearest real neighbours, and precision and recall of a set of synthetic images.

Source of precision and recall: Kynkäänniemi, Karras, Laine, Lehtinen, Aila, "Improved Precision and Recall
Metric for Assessing Generative Models", NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy
import pandas
from numpy import ndarray

TABLE_COLUMNS = ("image_id", "nearest_real", "distance", "real_neighbour", "real_distance")

#: Images that are read at a time from a set that is mapped from a file.
_CHUNK = 64

#: `block_means` keeps at most this many blocks along an axis.
LONGEST_AXIS = 12


def nearest_images(images: ndarray, among: ndarray, k: int = 1) -> tuple[ndarray, ndarray]:
    """Find the k nearest images, exactly: a copy has the distance 0. ``images`` may be mapped from a file.

    The numbers of the images, from the nearest on, and root mean squares of voxel differences; both (n, k).
    """
    k = min(k, len(among))
    middle = among.mean(axis=0, dtype=numpy.float64).astype(numpy.float32).ravel()
    centred = among.reshape(len(among), -1) - middle
    norms = numpy.einsum("ij,ij->i", centred, centred)
    indices = numpy.empty((len(images), k), dtype=numpy.int64)
    distances = numpy.empty((len(images), k))
    for start, chunk in _chunks(images):
        flat = chunk.reshape(len(chunk), -1).astype(numpy.float32) - middle
        rough = norms - 2 * flat @ centred.T  # up to the image's own norm; products of matrices are fast
        for row, image in enumerate(flat):
            # Rounding can swap neighbours at almost the same distance, so a few more are looked at exactly.
            candidates = numpy.argsort(rough[row], kind="stable")[: k + 4]
            exact = [numpy.mean(numpy.square(image - centred[c], dtype=numpy.float64)) for c in candidates]
            order = numpy.argsort(exact, kind="stable")[:k]
            indices[start + row] = candidates[order]
            distances[start + row] = numpy.sqrt(numpy.array(exact)[order])
    return indices, distances


def neighbour_table(
    synthetic: ndarray, synthetic_ids: Sequence[str], training: ndarray, training_ids: Sequence[str]
) -> pandas.DataFrame:
    """List the nearest training image of each synthetic image, and how isolated that real image is.

    The columns are `TABLE_COLUMNS`: the synthetic image ``image_id``, the training image ``nearest_real`` and
    its ``distance``; ``real_neighbour``, the training image that is nearest to ``nearest_real``, and their
    ``real_distance``. A ``distance`` far below the ``real_distance`` is the sign of a memorized image.
    """
    nearest, distances = nearest_images(synthetic, training)
    among, apart = nearest_images(training, training, k=2)
    # An image is nearest to itself, except beside a copy of it, which may come first.
    column = (among[:, 0] == numpy.arange(len(training))).astype(int)
    real = nearest[:, 0]
    names, other = numpy.array(training_ids, dtype=object), among[real, column[real]]
    columns = (list(synthetic_ids), names[real], distances[:, 0], names[other], apart[real, column[real]])
    return pandas.DataFrame(dict(zip(TABLE_COLUMNS, columns, strict=True)))


def block_means(images: ndarray) -> ndarray:
    """Average images over cubes of voxels, as features (n, f) for `within_manifold`.

    Unlike principal components of the training images, these features favour no set. The cubes' side is the
    smallest that leaves at most `LONGEST_AXIS` of them along an axis; what is left over at the ends is cut.
    """
    shape = images.shape[1:]
    sides = numpy.minimum(block_side(shape), shape)
    counts = shape // sides
    cut = (slice(None), *(slice(end) for end in counts * sides))
    split = numpy.stack([counts, sides], axis=1).ravel()
    features = numpy.empty((len(images), math.prod(counts)), dtype=numpy.float32)
    for start, chunk in _chunks(images):
        cubes = chunk[cut].reshape(len(chunk), *split)
        means = cubes.mean(axis=tuple(range(2, cubes.ndim, 2)), dtype=numpy.float64)
        features[start : start + len(chunk)] = means.reshape(len(chunk), -1)
    return features


def block_side(shape: tuple[int, ...]) -> int:
    """Voxels along the side of a cube of `block_means`."""
    return math.ceil(max(shape) / LONGEST_AXIS)


def within_manifold(points: ndarray, manifold: ndarray, k: int = 3) -> ndarray:
    """Tell which points (n, features) lie in the manifold that other points (m, features) span.

    It is the union of balls around its points, each up to its k-th nearest other point, or the last one. The
    share of synthetic images in the manifold of real ones is the precision, the reverse the recall; equally
    many of both are best comparable, and the source has k = 3.
    """
    from scipy.spatial.distance import cdist

    among = cdist(manifold, manifold)
    radii = numpy.sort(among, axis=1)[:, min(k, len(manifold) - 1)]  # the first is the point itself
    return (cdist(points, manifold) <= radii).any(axis=1)


def _chunks(images: ndarray) -> Iterator[tuple[int, ndarray]]:
    """Consecutive images, with the number of the first."""
    for start in range(0, len(images), _CHUNK):
        yield start, numpy.asarray(images[start : start + _CHUNK])
