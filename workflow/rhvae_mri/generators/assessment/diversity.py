"""Structural similarity of volumes at several scales (MS-SSIM), and the diversity of a set of images.

Sources: Wang, Simoncelli, Bovik, "Multiscale Structural Similarity for Image Quality Assessment", Asilomar
2003; Odena, Olah, Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", ICML 2017, for the
mean over pairs as a measure of diversity (lower is more diverse).
"""

from __future__ import annotations

import numpy
from numpy import ndarray

#: Exponents of the scales, from the finest on.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

WINDOW = 11
WINDOW_SIGMA = 1.5

#: The usual stabilizing constants, for intensities from 0 to 1.
C1, C2 = 0.01**2, 0.03**2


def ms_ssim(one: ndarray, other: ndarray) -> float:
    """Compute the MS-SSIM of two volumes (x, y, z) with values in [0, 1]; 1 if they are identical.

    The original has five scales, for which the smallest axis must have 176 voxels. Here are as many as leave
    a window of 11 voxels at the coarsest scale (at least one, with a smaller window for a smaller volume),
    and their exponents are rescaled to the sum 1. Values of different shapes do not compare. A negative mean
    of the contrast and structure term counts as 0.
    """
    scales = n_scales(one.shape)
    exponents = numpy.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    total = 1.0
    for scale, exponent in enumerate(exponents):
        if scale:
            one, other = _halve(one), _halve(other)
        luminance, term = _ssim_maps(one, other)
        if scale == scales - 1:
            term = luminance * term
        total *= max(float(term.mean(dtype=numpy.float64)), 0.0) ** exponent
    return total


def n_scales(shape: tuple[int, ...]) -> int:
    """The number of scales of `ms_ssim` for a volume of this shape."""
    smallest, scales = min(shape), 1
    while scales < len(SCALE_WEIGHTS) and smallest // 2 >= WINDOW:
        smallest, scales = smallest // 2, scales + 1
    return scales


def pair_similarity(images: ndarray, n_pairs: int, seed: int) -> tuple[ndarray, ndarray]:
    """Compute the MS-SSIM of random pairs of different images (n, x, y, z), or of all there are.

    The numbers of the images (n_pairs, 2), and the values (n_pairs,).
    """
    first, second = numpy.triu_indices(len(images), 1)
    random = numpy.random.default_rng(seed)
    chosen = random.choice(len(first), min(n_pairs, len(first)), replace=False)
    pairs = numpy.stack([first[chosen], second[chosen]], axis=1)
    values = [ms_ssim(*numpy.asarray(images[pair], dtype=numpy.float32)) for pair in pairs]
    return pairs, numpy.array(values)


def _halve(volume: ndarray) -> ndarray:
    """Means of two by two by two voxels; an odd last voxel falls away."""
    x, y, z = (length // 2 for length in volume.shape)
    cubes = volume[: 2 * x, : 2 * y, : 2 * z].reshape(x, 2, y, 2, z, 2)
    return cubes.mean(axis=(1, 3, 5))


def _ssim_maps(one: ndarray, other: ndarray) -> tuple[ndarray, ndarray]:
    """Luminance, and contrast times structure, wherever the window fits in."""
    from scipy.ndimage import correlate1d

    size = min(WINDOW, *one.shape)
    size -= 1 - size % 2  # odd
    window = numpy.exp(numpy.square(numpy.arange(size) - size // 2) / (-2 * WINDOW_SIGMA**2))
    window /= window.sum()
    means = numpy.stack([one, other, one * one, other * other, one * other])
    for axis in range(1, 4):
        means = correlate1d(means, window, axis=axis)
    inside = [slice(size // 2, length - size // 2) for length in one.shape]
    mean_one, mean_other, square_one, square_other, product = means[:, *inside]
    luminance = (2 * mean_one * mean_other + C1) / (mean_one**2 + mean_other**2 + C1)
    covariance = product - mean_one * mean_other
    variances = square_one - mean_one**2 + square_other - mean_other**2
    return luminance, (2 * covariance + C2) / (variances + C2)
