"""Intensities that a magnitude image of a head can have, and what becomes of others before N4.

N4 takes logarithms. It leaves a voxel that is not positive as it is, so one voxel of -100 stands beside
logarithms of 0 to 7, its histogram shows no tissue any more, and the field is 1. The registration takes
everything outside the scan for 0. Both need air of about 0. Most images have it, and stay as they are.
"""

from __future__ import annotations

import numpy
from numpy import ndarray

from rhvae_mri.preprocess.images import ImageError

#: Percentiles between which an image's intensities lie; a few voxels beyond say nothing of the others.
RANGE = (0.1, 99.9)

#: Upper ends of that range with which N4's logarithms have a good resolution: a simulated head that is
#: multiplied by 0.001 to 100,000 gets the same field up to 0.9 % (mean over the head), by 1e30 or 1e-30 a
#: field of 1. Others are brought to `USUAL_HIGH`.
HIGHS = (1e-2, 1e6)
USUAL_HIGH = 1000.0

#: Lower end of the range over the upper one, from which on it is an offset: noise of air reaches down to 0.
OFFSET = 0.03

#: How far below the range its lowest voxel may lie, as part of the range, to count as the air's.
NEAR = 0.02

#: Levels of the histogram in which the air is looked for. Padding below it: nothing (at most this share) lies
#: between these parts of the range.
BINS, PADDING, PADDING_SHARE = 256, (0.02, 0.3), 0.005

#: An image has no air of one level if more than this share lies below it by more than this part of the range.
DEPTH, DEEP_SHARE = 0.25, 0.01

#: Fewest different values, and largest share of the brighter half of the range that may be its very end.
MINIMUM_LEVELS, SATURATED_SHARE = 20, 0.3

#: Most pairs of neighbours, per voxel, that may differ by more than this part of the whole range in an image
#: that reaches the end of its bits. Real heads have at most 0.000003, with 0.5 to 24 % of the voxels wrapped
#: round at least 0.002.
JUMP, JUMP_SHARE = 0.9, 0.001

_REMEDY = "Convert the original image of the scanner, its magnitude; or leave this one out."


def into_domain(voxels: ndarray) -> tuple[ndarray, dict[str, float]]:
    """Bring the intensities of a raw image to where N4 and the registration work, and say what was changed.

    An image without negative voxels, offset or extreme scale stays as it is. Else the level of the air is
    subtracted, what lies below is set to 0, and an extreme scale is brought to `USUAL_HIGH`.
    """
    low, high = (float(value) for value in numpy.percentile(voxels, RANGE))
    _check_contrast(voxels, low, high)
    negative = bool(voxels.min() < 0)
    level = _negative_level(voxels, low, high) if negative else 0.0
    if low > OFFSET * high > 0:
        level = _lowest(voxels, low, high)
    factor = 1.0 if HIGHS[0] <= high - level <= HIGHS[1] else USUAL_HIGH / (high - level)
    if not negative and level == 0 and factor == 1:
        return voxels, {}
    below = float((voxels < level).mean())
    # in double precision: neither step may overflow
    moved = ((voxels.astype(float) - level).clip(0) * factor).astype(numpy.float32)
    return moved, {"Subtracted": level, "SetToZeroShare": below, "MultipliedBy": factor}


def _check_contrast(voxels: ndarray, low: float, high: float) -> None:
    """Refuse masks and segmentations, saturated images, and a few bright voxels in the dark."""
    if high <= low:
        raise ImageError(f"Nearly all voxels of the image have the value {low:g}.", remedy=_REMEDY)
    levels = numpy.unique(voxels[::2, ::2, ::2]).size
    if levels < MINIMUM_LEVELS:
        raise ImageError(
            f"The image has only {levels} different intensities.",
            cause="It is a mask or a segmentation, or was cut down to a few grey levels.",
            remedy=_REMEDY,
        )
    top = voxels.max()
    saturated = float((voxels == top).sum() / (voxels > (low + high) / 2).sum())
    if saturated > SATURATED_SHARE:
        raise ImageError(
            f"{100 * saturated:.0f} % of the bright voxels of the image have its highest value, {top:g}.",
            cause="It is saturated, or its background is bright.",
            remedy=_REMEDY,
        )
    step = JUMP * (top - low)
    jumps = sum(int((numpy.abs(numpy.diff(voxels, axis=axis)) > step).sum()) for axis in range(3))
    bits = round(float(numpy.log2(max(top + 1, 1))))
    if bits >= 8 and 0.99 < (top + 1) / 2**bits <= 1 and jumps > JUMP_SHARE * voxels.size:
        raise ImageError(
            f"Between {jumps} pairs of neighbours the image jumps over {100 * JUMP:.0f} % of its range, and "
            f"its highest value is that of {bits} bits.",
            cause="Values beyond the range of its numbers were wrapped round.",
            remedy=_REMEDY,
        )


def _negative_level(voxels: ndarray, low: float, high: float) -> float:
    """Give the offset of an image with negative voxels; 0 where they are noise or ringing about 0."""
    # The air's most frequent intensity decides: an offset is what the noise below it, turned up, does not
    # reach over. Padding below the air does not count.
    counts, edges = numpy.histogram(voxels, BINS, (low, high))
    first, last = (int(part * BINS) for part in PADDING)
    if counts[first:last].sum() < PADDING_SHARE * voxels.size:
        voxels = voxels[voxels > edges[first]]
        counts[:first], low = 0, float(numpy.percentile(voxels, RANGE[0]))
    level = float(edges[counts.argmax()])
    deep = float((voxels < level - DEPTH * (high - level)).mean())
    if deep > DEEP_SHARE:
        raise ImageError(
            f"{100 * deep:.2g} % of the voxels of the image are far below its background of {level:.3g}.",
            cause="It is no magnitude image: a phase, an inverted or a normalized image.",
            remedy=_REMEDY,
        )
    return _lowest(voxels, low, high) if 2 * level < low else 0.0


def _lowest(voxels: ndarray, low: float, high: float) -> float:
    """Give the lowest intensity of an image, or the lower end of its range if that voxel is far below."""
    lowest = float(voxels.min())
    return lowest if lowest > low - NEAR * (high - low) else low
