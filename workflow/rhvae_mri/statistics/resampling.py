"""The bootstrap of a study's results: over participants and over training runs together.

A result of the study is a mean over participants and over runs of the same network, and both are samples:
other participants could have been tested, other random states could have been trained. One resample draws
participants, within each diagnosis, and, independently, runs; every participant is predicted by every run, so
the two are crossed. All conditions of a study share the resamples of participants, so that these are paired
in every difference of two conditions; each has resamples of its own runs, which are independent of others.

With n of a kind, n - 1 are drawn: then the variance over the resamples is the unbiased estimate of the
variance of a mean, where drawing n gives one that is too small by (n - 1) / n, a fifth with five runs. For
crossed samples no bootstrap is exact: this one counts the part of the variance that belongs to single pairs
of participant and run three times instead of once. Where the variance is known without that bias, as that
of the metrics is (`rhvae_mri.statistics.variance`), the resampled values are brought to it; the bands of
curves are too wide by that much.

References
----------
A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007.
J. N. K. Rao, C. F. J. Wu, "Resampling inference with complex survey data", JASA 83, 1988.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy
from numpy import ndarray

from rhvae_mri.statistics.metrics import THRESHOLD

#: The false positive rates at which curves are evaluated.
N_STEPS = 100
FALSE_POSITIVE_RATES = numpy.arange(N_STEPS + 1) / N_STEPS


@dataclass(frozen=True)
class Resamples:
    """How often each participant and each run was drawn, in each resample."""

    labels: ndarray  # shape (n_images,), true for AD
    participants: ndarray  # float32, shape (n_images, n_resamples); as many of each diagnosis in each
    runs: ndarray  # float32, shape (n_runs, n_resamples)


def draw_resamples(labels: ndarray, n_runs: int, n_resamples: int, seed: int) -> Resamples:
    """Draw participants within each diagnosis, and runs; a single run stays as it is."""
    generator = numpy.random.default_rng(seed)
    participants = numpy.zeros((len(labels), n_resamples), numpy.float32)
    for diagnosis in (True, False):
        members = numpy.flatnonzero(labels == diagnosis)
        participants[members] = _draw(generator, len(members), n_resamples)
    return Resamples(labels, participants, _draw(generator, n_runs, n_resamples))


def redraw_runs(resamples: Resamples, replicates: ndarray, seed: int) -> Resamples:
    """Keep the participants of resamples, and draw other runs: those of another condition.

    All runs of a replicate are drawn together. ``replicates`` is the number of each run's replicate, from 0,
    shape (n_runs,); where each run is one of its own, runs are drawn.
    """
    n_resamples = resamples.runs.shape[1]
    drawn = _draw(numpy.random.default_rng(seed), replicates.max() + 1, n_resamples)
    return replace(resamples, runs=numpy.ascontiguousarray(drawn[replicates]))


def the_sample_itself(labels: ndarray, n_runs: int) -> Resamples:
    """Return the one "resample" that has every participant and every run once."""
    return Resamples(labels, *(numpy.ones((n, 1), numpy.float32) for n in (len(labels), n_runs)))


def _draw(generator: numpy.random.Generator, n: int, n_resamples: int) -> ndarray:
    """Draw n - 1 of n with replacement, again and again; return counts of shape (n, n_resamples)."""
    if n < 2:
        return numpy.ones((n, n_resamples), numpy.float32)
    drawn = generator.integers(0, n, (n - 1, n_resamples)) + n * numpy.arange(n_resamples)
    counts = numpy.bincount(drawn.ravel(), minlength=n * n_resamples)
    return numpy.ascontiguousarray(counts.reshape(n_resamples, n).T, dtype=numpy.float32)


def resample_mean(values: ndarray, resamples: Resamples, chosen: ndarray | slice = slice(None)) -> ndarray:
    """Return the mean over runs and chosen images of values of shape (n_runs, n_images), in every resample.

    It has the shape (n_resamples,), and is NaN where no image is chosen.
    """
    participants = resamples.participants[chosen]
    by_image = values[:, chosen].astype(numpy.float32).T @ resamples.runs  # shape (n_images, n_resamples)
    total = (by_image * participants).sum(axis=0, dtype=numpy.float64)
    with numpy.errstate(invalid="ignore"):
        return total / (participants[:, 0].sum() * resamples.runs[:, 0].sum())


def resample_metrics(probabilities: ndarray, resamples: Resamples) -> tuple[ndarray, ndarray]:
    """Compute the metrics and the ROC curve of one condition in every resample, as means over the runs.

    ``probabilities`` has the shape (n_runs, n_images). Metrics are those of
    `rhvae_mri.statistics.metrics.METRICS`, NaN where a class is absent, shape (4, n_resamples). The curve is
    the sensitivity at each of `FALSE_POSITIVE_RATES` (vertical averaging), shape (N_STEPS + 1, n_resamples).

    A curve is the distribution function of the placements: the placement of an AD image is the fraction
    of CN images with a larger probability, equal ones counting one half. The area under it, one minus the
    mean placement, is that of `rhvae_mri.statistics.metrics.metrics_by_run`.
    """
    labels, n_resamples = resamples.labels, resamples.runs.shape[1]
    is_right = (probabilities > THRESHOLD) == labels
    sensitivity, specificity = (resample_mean(is_right, resamples, chosen) for chosen in (labels, ~labels))
    balanced = (sensitivity + specificity) / 2
    if labels.all() or not labels.any():
        undefined = numpy.full((N_STEPS + 1, n_resamples), numpy.nan)
        return numpy.stack([sensitivity, specificity, balanced, undefined[0]]), undefined
    positive, negative = resamples.participants[labels], resamples.participants[~labels]
    n_positive, n_negative = positive[:, 0].sum(), negative[:, 0].sum()
    n_drawn = resamples.runs[:, 0].sum()
    area = numpy.zeros(n_resamples)
    histogram = numpy.zeros(n_resamples * (N_STEPS + 1))
    columns = numpy.arange(n_resamples) * (N_STEPS + 1)
    for run, drawn in zip(probabilities, resamples.runs, strict=True):
        twice = _count_above_twice(run[labels], run[~labels], negative)
        weight_above = numpy.einsum("ij,ij->j", positive, twice, dtype=numpy.float64)
        area += drawn * (1 - weight_above / (2 * n_positive * n_negative))
        steps = numpy.ceil(twice * N_STEPS / (2 * n_negative)).astype(numpy.intp)
        places, weights = (steps + columns).ravel(), (positive * drawn).ravel()
        histogram += numpy.bincount(places, weights, minlength=len(histogram))
    curve = histogram.reshape(n_resamples, -1).cumsum(axis=1).T / (n_positive * n_drawn)
    return numpy.stack([sensitivity, specificity, balanced, area / n_drawn]), curve


def _count_above_twice(positive: ndarray, negative: ndarray, drawn: ndarray) -> ndarray:
    """Count, twice over, the drawn CN images above each AD image, of which equal ones count one half.

    ``positive`` and ``negative`` are the probabilities of one run, shapes (n_AD,) and (n_CN,); ``drawn`` is
    how often each CN image was drawn, shape (n_CN, n_resamples). Counts have the shape (n_AD, n_resamples).
    """
    order = numpy.argsort(-negative, kind="stable")
    above = numpy.zeros((len(negative) + 1, drawn.shape[1]), numpy.float32)
    for place, image in enumerate(order):  # numpy.cumsum along the first axis takes seven times as long
        numpy.add(above[place], drawn[image], out=above[place + 1])
    falling = -negative[order]
    larger = numpy.searchsorted(falling, -positive, side="left")
    not_smaller = numpy.searchsorted(falling, -positive, side="right")
    return above[larger] + above[not_smaller]
