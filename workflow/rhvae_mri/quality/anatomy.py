"""What a whole, aligned T1-weighted head shows where: bright white matter, a scalp, and all of the brain.

The average brain (`rhvae_mri.preprocess.mni_tissue`) says where; all is taken on voxels of about 4 mm.
"""

from __future__ import annotations

import numpy
from numpy import ndarray

from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN
from rhvae_mri.preprocess.mni_tissue import read_average
from rhvae_mri.preprocess.template import block_shares
from rhvae_mri.quality.masks import dilate
from rhvae_mri.quality.similarity import local_correlation

#: Below this height in MNI space (mm) lie cerebellum, brain stem and temporal lobes. The lesions and the wide
#: fluid of an old brain, which can make its upper half look T1-weighted in a FLAIR image, spare them. All
#: below this share of the median intensity there is fluid: only white and grey matter are compared.
LOWER_BRAIN, FLUID = -8.0, 0.7

#: Thickness of the outer shell of the head that has the scalp, and the scalp's distance from the brain (mm).
SCALP_DEPTH, SCALP_DISTANCE = 12.0, 4.0

#: The part of the brain that each of its six ends is, and the share of the brain's median intensity below
#: which nothing is shown of it.
END_SHARE, EMPTY = 0.1, 0.08


class Anatomy:
    """The average brain and the outer shell of the template's head."""

    def __init__(self, head: ndarray, voxel_size: float) -> None:
        from scipy import ndimage

        self.voxel_size = voxel_size
        self.white = block_shares(read_average("wm"), head.shape, voxel_size) / 255
        self.brain = block_shares(read_average("t1") > 0, head.shape, voxel_size) > 0.5
        indices = zip(TEMPLATE_ORIGIN, numpy.indices(head.shape), strict=True)
        places = [origin - 0.5 + voxel_size * (index + 0.5) for origin, index in indices]
        self.lower_brain = ndimage.binary_erosion(self.brain) & (places[2] < LOWER_BRAIN)
        self.ends = []  # the lowest and the highest part of the brain along each axis
        for place in places:
            low, high = numpy.quantile(place[self.brain], [END_SHARE, 1 - END_SHARE])
            self.ends += [self.brain & (place <= low), self.brain & (place >= high)]
        shell = head & ~ndimage.binary_erosion(head, iterations=max(1, round(SCALP_DEPTH / voxel_size)))
        # the upper half has no neck, and no face, which may have been removed
        self.scalp = shell & ~dilate(self.brain, SCALP_DISTANCE, voxel_size) & (places[2] > 0)

    def pattern(self, image: ndarray) -> float:
        """Say how far a registered image is brighter where the average has white matter, from -1 to 1."""
        tissue = numpy.maximum(image, FLUID * numpy.median(image[self.lower_brain]))
        return local_correlation(tissue, self.white, self.lower_brain, self.voxel_size)

    def scalp_signal(self, image: ndarray) -> float:
        """Give the signal of a registered image in the scalp, relative to the brain; 0 for a black brain."""
        level = float(numpy.median(image[self.brain]))
        return float(numpy.percentile(image[self.scalp], 75)) / level if level > 0 else 0.0

    def brain_shown(self, image: ndarray) -> float:
        """Give the share that a registered image shows of the end of the brain that it shows least of."""
        shown = image > EMPTY * numpy.median(image[self.brain])
        return min(float(shown[end].mean()) for end in self.ends)
