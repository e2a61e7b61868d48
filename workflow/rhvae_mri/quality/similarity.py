"""How like two images are, voxel by voxel."""

from __future__ import annotations

import numpy

#: Intensity levels of the joint histogram.
BINS = 32


def correlation(image: numpy.ndarray, template: numpy.ndarray, mask: numpy.ndarray) -> float:
    """Give Pearson's correlation of two images over a mask; 0 where one of them is constant.

    Both images are winsorized at the 2nd and 98th percentile of the mask first, so that bright fat or a
    vessel does not outweigh the brain.
    """
    pair = []
    for voxels in (image[mask], template[mask]):
        clipped = _winsorize(voxels)
        pair.append(clipped - clipped.mean())
    scale = numpy.linalg.norm(pair[0]) * numpy.linalg.norm(pair[1])
    return float(pair[0] @ pair[1] / scale) if scale > 0 else 0.0


def normalized_mutual_information(
    image: numpy.ndarray, template: numpy.ndarray, mask: numpy.ndarray
) -> float:
    """Give the normalized mutual information of two images over a mask.

    It is (H(A) + H(B)) / H(A, B) of the entropies of the joint histogram with `BINS` levels each (Studholme
    et al. 1999, doi:10.1016/S0031-3203(98)00091-0), after winsorizing as in `correlation`: 1 where the
    images tell nothing of each other, 2 where each follows from the other.
    """
    first, second = (_winsorize(voxels[mask]) for voxels in (image, template))
    joint = numpy.histogram2d(first, second, bins=BINS)[0] / first.size
    together = _entropy(joint)
    apart = _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))
    return float(apart / together) if together > 0 else 1.0


def _winsorize(voxels: numpy.ndarray) -> numpy.ndarray:
    """Clip voxels at their 2nd and 98th percentile."""
    return numpy.clip(voxels, *numpy.percentile(voxels, [2, 98])).astype(float)


def _entropy(shares: numpy.ndarray) -> float:
    """Give the entropy of a distribution, in nats."""
    filled = shares[shares > 0]
    return float(-(filled * numpy.log(filled)).sum())
