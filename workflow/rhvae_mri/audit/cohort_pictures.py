"""What a cohort looks like as a whole: intensities, and the mean and the spread of each class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas

from rhvae_mri.audit.cuts import grey, save_cuts

#: Points of the curves before the rescaling.
_N_POINTS = 200

#: The curves before the rescaling end at this percentile over the images of the intensity that this share of
#: an image's voxels do not exceed; a few images of another scale would press all others to the left.
_END_PERCENTILE = 90.0
_END_SHARE = 0.999

#: The bands are from this to this percentile over the images.
BAND = (10.0, 90.0)

#: The colours of the standard deviation.
SD_COLOURS = "magma"


class CutMoments:
    """Mean and standard deviation of cuts, image by image (Welford 1962, doi:10.2307/1266577)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: list[numpy.ndarray] = []
        self._squares: list[numpy.ndarray] = []

    def add(self, cuts: Sequence[numpy.ndarray]) -> None:
        """Take the cuts of a further image, of the same shapes."""
        if self.count == 0:
            self._mean = [numpy.zeros(cut.shape) for cut in cuts]
            self._squares = [numpy.zeros(cut.shape) for cut in cuts]
        self.count += 1
        for cut, mean, squares in zip(cuts, self._mean, self._squares, strict=True):
            difference = cut - mean
            mean += difference / self.count
            squares += difference * (cut - mean)

    @property
    def mean(self) -> list[numpy.ndarray]:
        """The mean of each cut."""
        return self._mean

    @property
    def standard_deviation(self) -> list[numpy.ndarray]:
        """The standard deviation of each cut, that of a sample; zero for a single image."""
        return [numpy.sqrt(squares / max(self.count - 1, 1)) for squares in self._squares]


def draw_classes(classes: Mapping[str, CutMoments], folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Draw the mean and the standard deviation of each class, on one scale each."""
    spreads = [cut for moments in classes.values() for cut in moments.standard_deviation]
    limit = max((float(numpy.percentile(cut, 99.5)) for cut in spreads), default=0.0) or 1.0
    white = max(
        (float(numpy.percentile(cut, 99.5)) for moments in classes.values() for cut in moments.mean),
        default=1.0,
    )
    drawn = []
    for number, (name, moments) in enumerate(classes.items(), start=1):
        mean_name, sd_name = f"class-{number}_mean.webp", f"class-{number}_sd.webp"
        mean_size = save_cuts(Path(folder, mean_name), [grey(cut, (0.0, white)) for cut in moments.mean])
        entry = {"name": name, "count": moments.count, "mean": (mean_name, *mean_size), "sd": None}
        if moments.count > 1:
            table = sd_colours(256)
            cuts = [table[grey(cut, (0.0, limit))] for cut in moments.standard_deviation]
            entry["sd"] = (sd_name, *save_cuts(Path(folder, sd_name), cuts))
        drawn.append({**entry, "sd_limit": limit})
    return drawn


def sd_colours(count: int) -> numpy.ndarray:
    """Give colours of the standard deviation from the smallest to the largest, shape (count, 3), uint8."""
    import matplotlib

    return (
        (255 * matplotlib.colormaps[SD_COLOURS](numpy.linspace(0, 1, count))[:, :3])
        .round()
        .astype(numpy.uint8)
    )


def intensity_curves(
    ranges: Sequence[tuple[float, float]], histograms: Sequence[numpy.ndarray]
) -> pandas.DataFrame:
    """Average the intensity histograms of the cropped images before and after the rescaling to [0, 1].

    The rescaling is linear, so one histogram of each image, from its smallest to its largest intensity, is
    both.

    `histograms` (bins,).
    """
    shares = numpy.stack(histograms)
    n_bins = shares.shape[1]
    after = _summary("after", (numpy.arange(n_bins) + 0.5) / n_bins, shares)
    cumulated = numpy.concatenate([numpy.zeros((len(shares), 1)), shares.cumsum(axis=1)], axis=1)
    edges = [numpy.linspace(low, high, n_bins + 1) for low, high in ranges]
    ends = [
        own[min(int(numpy.searchsorted(curve, _END_SHARE)), n_bins)]
        for own, curve in zip(edges, cumulated, strict=True)
    ]
    start, stop = min(low for low, _ in ranges), float(numpy.percentile(ends, _END_PERCENTILE))
    common = numpy.linspace(start, max(stop, start + 1e-6), _N_POINTS + 1)
    stretched = [
        numpy.diff(numpy.interp(common, own, curve)) for own, curve in zip(edges, cumulated, strict=True)
    ]
    before = _summary("before", (common[:-1] + common[1:]) / 2, numpy.stack(stretched))
    return pandas.concat([before, after], ignore_index=True)


def _summary(rescaled: str, middles: numpy.ndarray, shares: numpy.ndarray) -> pandas.DataFrame:
    low, high = numpy.percentile(shares, BAND, axis=0)
    return pandas.DataFrame(
        {
            "rescaled": rescaled,
            "intensity": middles.round(6),
            "mean": shares.mean(axis=0).round(9),
            "low": low.round(9),
            "high": high.round(9),
        }
    )
