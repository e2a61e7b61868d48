"""Images that differ from the others of their cohort, metric by metric.

The measure is the robust z-score (Iglewicz and Hoaglin 1993): the distance from the cohort's median over
1.4826 times the median absolute deviation, the standard deviation of normally distributed values, which a few
bad images do not change. It asks whether an image is unusual, not whether it is unusable: a flag sends an
auditor there. What depends on the noise is compared among images of one field strength: at 3 T the signal is
twice as far above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

from rhvae_mri.quality.definitions import METRICS, Metric

if TYPE_CHECKING:
    import pandas

#: Fewest images with a metric in a cohort, below which nothing is said of outliers.
MINIMUM_IMAGES = 10

#: From the median absolute deviation to the standard deviation of normally distributed values.
MAD_TO_DEVIATION = 1.4826


def robust_scores(metrics: pandas.DataFrame) -> pandas.DataFrame:
    """Give the robust z-score of every metric of every image of a cohort in which outliers are looked for.

    It is missing where the metric is, and in a metric that fewer than `MINIMUM_IMAGES` images have.
    """
    import pandas

    groups = _field_strengths(metrics)
    scores = {}
    for metric in METRICS:
        if metric.bad:
            scores[metric.name] = _scores(metric, metrics[metric.name])
            for rows in groups if metric.by_field_strength else ():
                own = _scores(metric, metrics[metric.name][rows])
                scores[metric.name][rows] = numpy.where(numpy.isnan(own), scores[metric.name][rows], own)
    return pandas.DataFrame(scores, index=metrics.index)


def flag_outliers(metrics: pandas.DataFrame, outlier_z: float) -> pandas.Series:
    """Name each image's metrics that reach a robust z-score in their bad direction; None without any."""
    import pandas

    flags: list[list[str]] = [[] for _ in range(len(metrics))]
    directions = {metric.name: metric.bad for metric in METRICS}
    for name, score in robust_scores(metrics).items():
        values, column = metrics[name].to_numpy(dtype=float), score.to_numpy()
        badness = {"low": -column, "high": column}.get(str(directions[name]), numpy.abs(column))
        for row in numpy.flatnonzero(badness >= outlier_z):
            flags[row].append(f"{name} {values[row]:.3g} (robust z {column[row]:+.1f})")
    return pandas.Series(["; ".join(texts) or None for texts in flags], index=metrics.index, dtype=object)


def _field_strengths(metrics: pandas.DataFrame) -> list[numpy.ndarray]:
    """Give the rows of each field strength, to half a tesla, as masks."""
    if "field_strength" not in metrics:
        return []
    steps = numpy.round(2 * metrics["field_strength"].to_numpy(dtype=float))
    return [steps == step for step in numpy.unique(steps[~numpy.isnan(steps)])]


def _scores(metric: Metric, column: pandas.Series) -> numpy.ndarray:
    values = column.to_numpy(dtype=float)
    known = ~numpy.isnan(values)
    if known.sum() < MINIMUM_IMAGES:
        return numpy.full(values.size, numpy.nan)
    if metric.logarithmic:
        # a value that is not positive has no logarithm, and is far below all others
        values = numpy.log(numpy.maximum(values, numpy.finfo(float).tiny))
    median = numpy.median(values[known])
    spread = MAD_TO_DEVIATION * numpy.median(numpy.abs(values[known] - median))
    return (values - median) / max(spread, metric.smallest_spread)
