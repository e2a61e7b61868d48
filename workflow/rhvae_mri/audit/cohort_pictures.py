"""What a cohort looks like as a whole: intensities, and the mean and the spread of each class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas

from rhvae_mri.audit.pictures import colour_table, grey, save_cuts

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

#: The scales of the classes' pictures end at this percentile of the cut where it is highest.
_BRIGHTEST = 99.5


class CutMoments:
    """Mean and standard deviation of cuts, image by image (Welford 1962, doi:10.2307/1266577)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: list[numpy.ndarray] = []
        self._squares: list[numpy.ndarray] = []

    def add(self, cuts: Sequence[numpy.ndarray]) -> None:
        """Take the cuts of a further image, of the same shapes."""
        if self.count == 0:
            self.mean = [numpy.zeros(cut.shape) for cut in cuts]
            self._squares = [numpy.zeros(cut.shape) for cut in cuts]
        self.count += 1
        for cut, mean, squares in zip(cuts, self.mean, self._squares, strict=True):
            difference = cut - mean
            mean += difference / self.count
            squares += difference * (cut - mean)

    @property
    def standard_deviation(self) -> list[numpy.ndarray]:
        """The standard deviation of each cut, that of a sample; zero for a single image."""
        return [numpy.sqrt(squares / max(self.count - 1, 1)) for squares in self._squares]


def draw_classes(classes: Mapping[str, CutMoments], folder: Path) -> tuple[list[dict[str, Any]], float]:
    """Draw the mean and the standard deviation of each class; give the end of the latter's scale too."""
    white = _upper_end(cut for moments in classes.values() for cut in moments.mean)
    limit = _upper_end(cut for moments in classes.values() for cut in moments.standard_deviation)
    table = colour_table(SD_COLOURS, 256)
    drawn = []
    for number, (name, moments) in enumerate(classes.items(), start=1):
        means = [grey(cut, (0.0, white)) for cut in moments.mean]
        entry = {"name": name, "count": moments.count, "sd": None}
        entry["mean"] = save_cuts(folder / f"class-{number}_mean.webp", means)
        if moments.count > 1:
            spreads = [table[grey(cut, (0.0, limit))] for cut in moments.standard_deviation]
            entry["sd"] = save_cuts(folder / f"class-{number}_sd.webp", spreads)
        drawn.append(entry)
    return drawn, limit


def _upper_end(cuts: Iterable[numpy.ndarray]) -> float:
    return max((float(numpy.percentile(cut, _BRIGHTEST)) for cut in cuts), default=0.0) or 1.0


def intensity_curves(
    ranges: Sequence[tuple[float, float]], histograms: Sequence[numpy.ndarray]
) -> pandas.DataFrame:
    """Average the intensity histograms of the cropped images before and after the rescaling to [0, 1].

    The rescaling is linear, so one histogram of each image, from its smallest to its largest intensity, is
    both.
    """
    shares = numpy.stack(histograms)  # (images, bins)
    n_bins = shares.shape[1]
    after = _summary("after", (numpy.arange(n_bins) + 0.5) / n_bins, shares)
    cumulated = numpy.pad(shares.cumsum(axis=1), ((0, 0), (1, 0)))
    lowest, highest = numpy.transpose(ranges)
    edges = numpy.linspace(lowest, highest, n_bins + 1, axis=1)
    last = (cumulated < _END_SHARE).sum(axis=1).clip(max=n_bins)
    start, stop = edges.min(), numpy.percentile(edges[numpy.arange(len(edges)), last], _END_PERCENTILE)
    common = numpy.linspace(start, max(stop, start + 1e-6), _N_POINTS + 1)
    stretched = [
        numpy.diff(numpy.interp(common, own, curve)) for own, curve in zip(edges, cumulated, strict=True)
    ]
    before = _summary("before", (common[:-1] + common[1:]) / 2, numpy.stack(stretched))
    return pandas.concat([before, after], ignore_index=True)


def _summary(rescaled: str, middles: numpy.ndarray, shares: numpy.ndarray) -> pandas.DataFrame:
    """Give mean and band over the images, of shares (images, bins)."""
    low, high = numpy.percentile(shares, BAND, axis=0)
    summary = pandas.DataFrame({"mean": shares.mean(axis=0), "low": low, "high": high}).round(9)
    summary.insert(0, "intensity", middles.round(6))
    summary.insert(0, "rescaled", rescaled)
    return summary
