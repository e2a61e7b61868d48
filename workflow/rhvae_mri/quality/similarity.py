"""How like two images are, voxel by voxel."""

from __future__ import annotations

import numpy
from numpy import ndarray

#: Intensity levels of the joint histogram.
BINS = 32

#: Standard deviation in mm of the Gaussian over which `local_correlation` takes the surroundings of a voxel.
SURROUNDINGS = 16.0


def correlation(image: ndarray, template: ndarray, mask: ndarray) -> float:
    """Give Pearson's correlation of two images over a mask, winsorized; 0 where one of them is constant."""
    # so bright fat or a vessel does not outweigh the brain
    clipped = (_winsorize(voxels[mask]) for voxels in (image, template))
    one, other = (values - values.mean() for values in clipped)
    scale = numpy.linalg.norm(one) * numpy.linalg.norm(other)
    return float(one @ other / scale) if scale > 0 else 0.0


def local_correlation(image: ndarray, template: ndarray, mask: ndarray, voxel_size: float) -> float:
    """Give the correlation over a mask of how voxels differ from their surroundings in the mask.

    Inside the brain that is where white matter, grey matter and fluid lie, whatever the head's outline and
    the coil's shading. It is negative where dark and bright tissues are exchanged.
    """
    width = SURROUNDINGS / voxel_size
    one, other = (_without_surroundings(voxels, mask, width) for voxels in (image, template))
    return correlation(one, other, mask)


def normalized_mutual_information(image: ndarray, template: ndarray, mask: ndarray) -> float:
    """Give the normalized mutual information over a mask, (H(A) + H(B)) / H(A, B), from 1 to 2.

    The entropies are those of the joint histogram with `BINS` levels each, of winsorized images (Studholme
    et al. 1999, doi:10.1016/S0031-3203(98)00091-0).
    """
    first, second = (_winsorize(voxels[mask]) for voxels in (image, template))
    joint = numpy.histogram2d(first, second, bins=BINS)[0] / first.size
    together = _entropy(joint)
    apart = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))
    return float(apart / together) if together > 0 else 1.0


def _without_surroundings(voxels: ndarray, mask: ndarray, width: float) -> ndarray:
    """Subtract the weighted mean of the surroundings in the mask; ``width`` is in voxels."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(mask.astype(numpy.float32), width)
    mean = ndimage.gaussian_filter(voxels * mask, width) / numpy.maximum(weight, 1e-6)
    return voxels - mean


def _winsorize(voxels: ndarray) -> ndarray:
    return numpy.clip(voxels, *numpy.percentile(voxels, [2, 98])).astype(float)


def _entropy(shares: ndarray) -> float:
    filled = shares[shares > 0]
    return float(-(filled * numpy.log(filled)).sum())
