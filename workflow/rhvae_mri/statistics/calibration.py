"""Whether a network's probabilities are what they say: Brier score, calibration error, reliability curve.

Networks trained on as many AD as CN images assume that half of the participants have AD; on a test set with
another share, such as AIBL's, their probabilities cannot be calibrated, however well they rank participants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy
import pandas
from numpy import ndarray
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from rhvae_mri.statistics.conditions import CONDITION
from rhvae_mri.statistics.inference import mean_and_sd, percentile_interval
from rhvae_mri.statistics.predictions import SetPredictions
from rhvae_mri.statistics.resampling import (
    Resamples,
    draw_resamples,
    redraw_runs,
    resample_mean,
    the_sample_itself,
)
from rhvae_mri.study.seeds import derive_seed

#: Probabilities are kept this far from 0 and 1 where their logit is needed.
CLIP = 1e-6

#: The measures of calibration and what a perfect network has.
MEASURES = {"brier_score": "0", "calibration_error": "0", "calibration_intercept": "0"}
MEASURES |= {"calibration_slope": "1"}

_VALUES = ("test_cohort", "measure", "mean", "sd", "low", "high", "n_seeds", "n_defined")
CALIBRATION_COLUMNS = (*CONDITION, *_VALUES)

_DECIMALS = 5
_LARGEST = 100  # coefficient of a logistic regression that is no sign of one without end


class Calibration(NamedTuple):
    """The table of measures and that of reliability curves."""

    measures: pandas.DataFrame
    curves: pandas.DataFrame


def measure_calibration(
    sets: Sequence[SetPredictions], n_bins: int, n_resamples: int, confidence: float, seed: int
) -> Calibration:
    """Measure the calibration of every condition.

    Of each measure of `MEASURES` there are mean and standard deviation over the ``n_defined`` runs in which
    it is defined, of the Brier score with the interval over participants and runs. Curves have one row per
    bin (see `reliability_curve`).
    """
    measures, curves = [], []
    for each in sets:
        own_seed = derive_seed(seed, "bootstrap", each.test_cohort)
        resamples = draw_resamples(each.labels, len(each.seeds), n_resamples, own_seed)
        for position, probabilities in enumerate(each.probabilities):
            names = each.of(position)
            drawn = redraw_runs(resamples, each.replicates(position), derive_seed(own_seed, position))
            scores = (probabilities - each.labels) ** 2
            errors = calibration_errors(each.labels, probabilities, n_bins)
            logistic = logistic_calibration(each.labels, probabilities)
            for measure, of_runs in zip(MEASURES, (scores.mean(axis=1), errors, *logistic), strict=True):
                defined = of_runs[~numpy.isnan(of_runs)]
                values = dict(zip(("mean", "sd"), mean_and_sd(defined), strict=True))
                if measure == "brier_score":
                    low, high = percentile_interval(resample_mean(scores, drawn), confidence)
                    values |= {"low": float(low), "high": float(high)}
                values = {name: round(value, _DECIMALS) for name, value in values.items()}
                counts = {"n_seeds": len(of_runs), "n_defined": len(defined)}
                measures.append(names | {"measure": measure} | counts | values)
            curve = reliability_curve(probabilities, drawn, n_bins, confidence)
            curves.append(curve.assign(**names))
    table = pandas.DataFrame(measures).reindex(columns=list(CALIBRATION_COLUMNS))
    joined = pandas.concat(curves, ignore_index=True)
    return Calibration(table, joined[[*names, *joined.columns[: -len(names)]]])


def calibration_errors(labels: ndarray, probabilities: ndarray, n_bins: int) -> ndarray:
    """Return the expected calibration error of each run.

    It is the mean, over the images, of the distance between the mean probability of AD and the share of AD
    among the images of the same bin. A probability on the edge of a bin belongs to the bin above, 1 to the
    last. ``labels`` has the shape (n_images,), ``probabilities`` (n_runs, n_images).
    """
    runs = zip(find_bins(probabilities, n_bins), probabilities, strict=True)
    sums = [numpy.bincount(bins, run - labels, n_bins) for bins, run in runs]
    return numpy.abs(sums).sum(axis=1) / len(labels)


def find_bins(probabilities: ndarray, n_bins: int) -> ndarray:
    """Return the number of each probability's bin."""
    return numpy.minimum((probabilities * n_bins).astype(int), n_bins - 1)


def logistic_calibration(labels: ndarray, probabilities: ndarray) -> tuple[ndarray, ndarray]:
    """Fit the logistic recalibration of each run: probabilities of shape (n_runs, n_images).

    The first result is calibration in the large: the intercept of a logistic regression whose slope is one,
    below zero where AD is predicted too often. The second is the slope of the logistic regression on the
    logit, with its own intercept, below one where the probabilities are too extreme. NaN where there is no
    finite solution: a class is absent, or the run separates the classes.

    B. Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 17, 2019.
    """
    clipped = numpy.clip(probabilities, CLIP, 1 - CLIP)
    logits = numpy.log(clipped / (1 - clipped))
    ones = numpy.ones(len(labels))
    intercepts = [_fit_logistic(labels, ones, offset=run) for run in logits]
    slopes = [
        numpy.nan if _separates(labels, run) else _fit_logistic(labels, numpy.stack([run, ones], axis=1))
        for run in logits
    ]
    return numpy.array(intercepts), numpy.array(slopes)


def _separates(labels: ndarray, scores: ndarray) -> bool:
    """Whether some threshold has all AD images on one side, so that the slope grows without end."""
    positive, negative = scores[labels], scores[~labels]
    if not (len(positive) and len(negative)):
        return True
    return positive.min() >= negative.max() or positive.max() <= negative.min()


def _fit_logistic(labels: ndarray, design: ndarray, offset: ndarray | None = None) -> float:
    """Return the first coefficient of a logistic regression; NaN where there is no finite solution."""
    if labels.all() or not labels.any():
        return numpy.nan
    fit = GLM(labels.astype(float), design, Binomial(), offset=offset).fit(tol=1e-12)
    # of probabilities that hardly differ the logits are so alike that any slope fits
    return float(fit.params[0]) if numpy.abs(fit.params).max() < _LARGEST else numpy.nan


def reliability_curve(
    probabilities: ndarray, resamples: Resamples, n_bins: int, confidence: float
) -> pandas.DataFrame:
    """Compare the share of AD with the predicted one in bins of the probability, over all runs.

    One row per bin: its bounds, mean_probability, observed_fraction, low, high, and n_images, the mean over
    the runs; missing in a bin without images. An interval leaves out resamples without an image in the bin.
    """
    labels, n_runs = resamples.labels, len(probabilities)
    bins = find_bins(probabilities, n_bins)
    totals = numpy.bincount(bins.ravel(), minlength=n_bins)
    sums = numpy.bincount(bins.ravel(), probabilities.ravel(), n_bins)
    itself = _count_in_bins(bins, the_sample_itself(labels, n_runs), n_bins)
    images, patients = _count_in_bins(bins, resamples, n_bins)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        observed = (itself[1] / itself[0])[:, 0]
        shares = patients / images
        mean = sums / totals
    ends = [(numpy.nan, numpy.nan)] * n_bins
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    for place in range(n_bins):
        defined = shares[place][~numpy.isnan(shares[place])]
        if totals[place] and len(defined):
            ends[place] = tuple(numpy.quantile(defined, tails))
    low, high = zip(*ends, strict=True)
    edges = numpy.arange(n_bins + 1) / n_bins
    curve = pandas.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], "mean_probability": mean})
    curve = curve.assign(observed_fraction=observed, low=low, high=high, n_images=totals / n_runs)
    return curve.round(_DECIMALS)


def _count_in_bins(bins: ndarray, resamples: Resamples, n_bins: int) -> tuple[ndarray, ndarray]:
    """Count all images, and AD images, over the runs; shapes (n_bins, n_resamples)."""
    by_class = numpy.zeros((2, n_bins, resamples.runs.shape[1]))
    counts = numpy.empty(by_class.shape, numpy.float32)
    is_ad = resamples.labels.astype(int)
    for of_run, drawn in zip(bins, resamples.runs, strict=True):
        counts[:] = 0
        for place, diagnosis, participant in zip(of_run, is_ad, resamples.participants, strict=True):
            counts[diagnosis, place] += participant
        by_class += drawn * counts
    return by_class.sum(axis=0), by_class[1]
