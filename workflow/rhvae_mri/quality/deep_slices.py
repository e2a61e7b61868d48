"""What the networks of the deep quality check see of an image: three slices, as ClinicaDL 1.6.1 cuts them.

ClinicaDL scales the slices with scikit-image's ``transform.rescale``. That is a call of SciPy's ``zoom`` with
the arguments below, so the result is the same to the last digits without that package.
"""

from __future__ import annotations

import numpy

from rhvae_mri.quality.deep_networks import SLICE_SIZE

#: Each slice is scaled to fit a square of so many pixels, of which the middle `SLICE_SIZE` are kept.
SQUARE_SIZE = 256


def prepare_slices(voxels: numpy.ndarray) -> numpy.ndarray:
    """Cut the middle slices of a head and bring them to the form in which the networks were trained.

    `voxels` (x, y, z); gives (3, 224, 224).
    """
    low, high = float(voxels.min()), float(voxels.max())
    x, y, z = (length // 2 for length in voxels.shape)
    prepared = numpy.empty((3, SLICE_SIZE, SLICE_SIZE), dtype=numpy.float32)
    for position, cut in enumerate((voxels[:, :, z], voxels[x], voxels[:, y])):
        rescaled = (cut.astype(float) - low) * (1.0 / (high - low)) - 0.5
        # the order of these steps decides on which side an odd number of pixels is padded
        prepared[position] = numpy.rot90(_centre(_fit_square(rescaled[::-1])))[:, ::-1]
    return prepared


def _fit_square(cut: numpy.ndarray) -> numpy.ndarray:
    """Scale a slice so that its longer side is `SQUARE_SIZE`, linearly, with 0 around it."""
    from scipy import ndimage

    old = numpy.array(cut.shape)
    new = numpy.round(min(SQUARE_SIZE / old) * old).clip(1)
    outside = {"mode": "grid-constant", "cval": 0.0}
    if (new < old).any():  # scikit-image's own choice against aliasing
        cut = ndimage.gaussian_filter(cut, numpy.maximum(0, (old / new - 1) / 2), **outside)
    return ndimage.zoom(cut, new / old, order=1, grid_mode=True, **outside)


def _centre(cut: numpy.ndarray) -> numpy.ndarray:
    """Pad a slice to the square and keep its middle."""
    square = numpy.zeros((SQUARE_SIZE, SQUARE_SIZE))
    rows, columns = cut.shape
    top, left = (SQUARE_SIZE - rows) // 2, (SQUARE_SIZE - columns) // 2
    square[top : top + rows, left : left + columns] = cut
    edge = (SQUARE_SIZE - SLICE_SIZE) // 2
    return square[edge:-edge, edge:-edge]
