"""What each quality metric is, and in which direction it is bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A number that describes the quality of one image.

    `smallest_spread` is the standard deviation over a cohort, in the metric's unit, below which differences
    have no meaning; in the robust z-score it takes the place of a smaller one. Chosen by hand, of the order
    of the spread in one simulated study or smaller.
    """

    name: str
    bad: Literal["low", "high", "both"] | None  # where an outlier is suspicious
    smallest_spread: float
    unit: str = "1"  # a ratio, a share or a coefficient
    #: The score is that of the logarithm, as the metric spreads by factors; `smallest_spread` is relative.
    logarithmic: bool = False
    #: An image is compared with those of the same field strength, where there are enough.
    by_field_strength: bool = False
    #: An image with less is no whole, aligned, T1-weighted head and is left out.
    least: float | None = None

    @property
    def meaning(self) -> str:
        """What the number says of an image."""
        return _MEANINGS[self.name]


#: All metrics, in the order of the table.
METRICS = (
    Metric("pattern", "low", 0.03, least=0.35),
    Metric("turn_margin", "low", 0.05, least=0.1),
    Metric("brain_shown", "low", 0.02, least=0.7),
    Metric("scalp", "low", 0.1, least=0.2),
    Metric("similarity", "low", 0.01),
    Metric("mutual_information", "low", 0.005),
    Metric("mask_overlap", "low", 0.005),
    Metric("brain_overlap", "low", 0.01),
    Metric("snr", "low", 0.05, logarithmic=True, by_field_strength=True),
    Metric("cnr", "low", 0.1, by_field_strength=True),
    Metric("bias_range", "high", 0.05, logarithmic=True),
    Metric("scale", "both", 0.01),
    Metric("anisotropy", "high", 0.01, logarithmic=True),
    Metric("shear", "high", 0.01),
    Metric("rotation", "high", 2.0, "degrees"),
    Metric("intensity_low", None, 0.0, "as in the image"),
    Metric("intensity_high", "both", 0.05, "as in the image", logarithmic=True),
    Metric("intensity_peak", "high", 0.05, logarithmic=True),
    Metric("nan_fraction", "high", 1e-4),
    Metric("zero_fraction", "high", 0.005),
)

_MEANINGS = {
    "pattern": (
        "Correlation with the average white matter in the lower brain, fluid left out: are the tissues "
        "where they should be, and white matter the brightest?"
    ),
    "turn_margin": (
        "The pattern, less the best one of the head turned by quarter and half turns and fitted from there."
    ),
    "brain_shown": (
        "Share of the brain's top, bottom, front, back, left or right tenth, the worst of them, in the scan."
    ),
    "scalp": "Signal in the template's scalp over that in the brain: near 0 where the brain was extracted.",
    "similarity": "Correlation of the registered image with the template in and around the head.",
    "mutual_information": (
        "Normalized mutual information of the registered image and the template there, from 1 to 2."
    ),
    "mask_overlap": "Dice coefficient of the head in the registered image and the template's head.",
    "brain_overlap": (
        "Dice coefficient of the brain in the registered image and the average brain in MNI space."
    ),
    "snr": "Signal-to-noise ratio: white matter over the noise of the air, in the raw image.",
    "cnr": "Contrast-to-noise ratio: white minus grey matter, over the noise of the air.",
    "bias_range": "98th over 2nd percentile of the bias field (raw over corrected image) inside the head.",
    "scale": (
        "Size of the head relative to the template, along one axis: cube root of the affine's determinant."
    ),
    "anisotropy": "Largest over smallest stretch of the affine (ratio of its singular values).",
    "shear": "Largest shear coefficient of the affine.",
    "rotation": "Angle by which the head is turned against the template.",
    "intensity_low": "2nd percentile of the registered image inside the template's head.",
    "intensity_high": "98th percentile of the registered image inside the template's head.",
    "intensity_peak": (
        "Maximum in the crop over 98th percentile: how far rescaling to [0, 1] darkens the brain."
    ),
    "nan_fraction": "Share of the raw image's voxels that are NaN or infinite.",
    "zero_fraction": (
        "Share of the template's head in which the registered image is exactly 0: outside the scan."
    ),
}

#: The least value of each metric that decides on an image, by name.
LIMITS = {metric.name: metric.least for metric in METRICS if metric.least is not None}

#: Names of all metrics, in the order of the table.
METRIC_NAMES = tuple(metric.name for metric in METRICS)
