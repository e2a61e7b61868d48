"""Signal, noise and bias field of a scan, measured at its own voxels: interpolation would smooth the noise.

Where the tissues and the air are in a scan follows from its registration. Where that has failed these numbers
mean little; the comparison with the template then says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy import ndarray

from rhvae_mri.quality.masks import COMPARISON_SIZE, block_centres, block_means

#: Distance in mm from the head at which air begins: nearer voxels may hold the skin of a larger head.
AIR_DISTANCE = 12.0

#: Share of the air around the head that must hold any signal (some scanners set it to zero, and nothing is
#: known of the noise), fewest voxels of air, and share of the points of a tissue that must lie inside the
#: scan.
MINIMUM_AIR_SHARE, MINIMUM_AIR_VOXELS, MINIMUM_TISSUE_SHARE = 0.2, 500, 0.2

#: The brightest share of the air is left out: ears, nose and chin of some heads reach into it.
BRIGHT_AIR = 0.02

#: Percentiles of the bias field whose ratio is its range.
FIELD_PERCENTILES = (2, 98)


@dataclass(frozen=True, eq=False)
class Regions:
    """Where head, air and tissues are in the template."""

    head: ndarray  # bool, on voxels of about 4 mm
    not_air: ndarray  # the head and what is nearer to it than `AIR_DISTANCE`
    affine: ndarray  # indices of these voxels to template coordinates in mm
    white_matter: ndarray  # template coordinates (mm) of points inside the tissue, shape (n, 3)
    grey_matter: ndarray


def measure_signal(
    raw: ndarray,
    corrected: ndarray,
    scan_affine: ndarray,
    registration: ndarray,
    regions: Regions,
) -> dict[str, float | None]:
    """Give signal-to-noise ratio, contrast-to-noise ratio and range of the bias field of a scan.

    ``scan_affine`` maps voxels of the scan to mm, ``registration`` template coordinates to the scan's. `snr`
    is the median of the raw image in white matter over the noise of each receiver channel, from the standard
    deviation of the air (SNR_stdv of Dietrich et al. 2007, doi:10.1002/jmri.20969) without `BRIGHT_AIR`.
    `cnr` is the median of white minus that of grey matter, over the noise (after Magnotta and Friedman 2006,
    doi:10.1007/s10278-006-0264-x); the contrast is taken from the corrected image, where the coil's shading
    is gone, relative to its white matter, and multiplied by `snr`. `bias_range` is the ratio of
    `FIELD_PERCENTILES` of raw over corrected image in the head. What cannot be measured is None.
    """
    sizes = numpy.linalg.norm(scan_affine[:3, :3], axis=0)
    factors = tuple(max(1, round(COMPARISON_SIZE / size)) for size in sizes)
    coarse_raw, coarse_corrected = (block_means(voxels, factors) for voxels in (raw, corrected))
    to_template = numpy.linalg.inv(registration) @ scan_affine @ block_centres(factors)
    head, air = _head_and_air(coarse_raw.shape, to_template, regions)
    noise = _noise(raw, coarse_raw, air, factors)

    to_voxels = numpy.linalg.inv(scan_affine) @ registration
    signal = _median_at(raw, to_voxels, regions.white_matter)
    white = _median_at(corrected, to_voxels, regions.white_matter)
    grey = _median_at(corrected, to_voxels, regions.grey_matter)
    snr = signal / noise if noise and signal else None
    cnr = snr * (white - grey) / white if snr and white and grey else None
    return {"snr": snr, "cnr": cnr, "bias_range": _field_range(coarse_raw, coarse_corrected, head)}


def _head_and_air(shape: tuple[int, ...], to_template: ndarray, regions: Regions) -> tuple[ndarray, ndarray]:
    """Find head and air among the blocks of a scan; ``to_template`` maps their indices to mm."""
    # below the template's box are neck and shoulders: neither head nor air
    to_index = numpy.linalg.inv(regions.affine) @ to_template
    grid = numpy.indices(shape).reshape(3, -1)
    index = numpy.rint(to_index[:3, :3] @ grid + to_index[:3, 3:]).astype(int)
    inside = ((index >= 0) & (index < numpy.array(regions.head.shape)[:, None])).all(axis=0)
    head, air = numpy.zeros(inside.size, bool), index[2] >= 0
    head[inside] = regions.head[tuple(index[:, inside])]
    air[inside] &= ~regions.not_air[tuple(index[:, inside])]
    return head.reshape(shape), air.reshape(shape)


def _noise(raw: ndarray, coarse: ndarray, air: ndarray, factors: tuple[int, ...]) -> float | None:
    """Give the standard deviation of the noise, measured in the air; None if the air holds none."""
    # blocks of zeros only were not scanned: the border after a correction of the scanner's gradients, say
    scanned = air & (coarse != 0)
    if scanned.sum() <= MINIMUM_AIR_SHARE * air.sum():
        return None
    whole = raw[tuple(slice(count * size) for count, size in zip(air.shape, factors, strict=True))]
    for axis, size in enumerate(factors):
        scanned = scanned.repeat(size, axis)
    values = whole[scanned]
    if values.size < MINIMUM_AIR_VOXELS:
        return None
    dark = values[values <= numpy.quantile(values, 1 - BRIGHT_AIR)]
    noise = float(dark.std(dtype=float)) / _rayleigh_deviation(1 - BRIGHT_AIR)
    return noise if noise > 0 else None


def _rayleigh_deviation(share: float) -> float:
    """Give the standard deviation of a Rayleigh distribution of scale 1 up to a quantile.

    >>> abs(_rayleigh_deviation(1 - 1e-12) - math.sqrt(2 - math.pi / 2)) < 1e-9
    True
    """
    limit = math.sqrt(-2 * math.log(1 - share))
    mean = math.sqrt(math.pi / 2) * math.erf(limit / math.sqrt(2)) - limit * (1 - share)
    square = 2 - (limit**2 + 2) * (1 - share)
    return math.sqrt(square / share - (mean / share) ** 2)


def _median_at(voxels: ndarray, to_voxels: ndarray, points: ndarray) -> float | None:
    """Give the median of the voxels nearest to some points; None if most of them are outside the scan."""
    index = numpy.rint(points @ to_voxels[:3, :3].T + to_voxels[:3, 3]).astype(int)
    inside = ((index >= 0) & (index < voxels.shape)).all(axis=1)
    if inside.mean() < MINIMUM_TISSUE_SHARE:
        return None
    return float(numpy.median(voxels[tuple(index[inside].T)]))


def _field_range(raw: ndarray, corrected: ndarray, head: ndarray) -> float | None:
    """Give the range of the bias field, which is smooth, from block means of the images that it divides."""
    measurable = head & (raw > 0) & (corrected > 0)
    if not measurable.any():
        return None
    low, high = numpy.percentile(raw[measurable] / corrected[measurable], FIELD_PERCENTILES)
    return float(high / low)
