"""What the study measured and how sure it is: means over the runs, intervals, curves, confusion matrices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy
import pandas
from safetensors.numpy import load_file, save_file

from rhvae_mri.evaluation.conditions import CONDITION
from rhvae_mri.evaluation.inference import interval_over_resamples, percentile_interval
from rhvae_mri.evaluation.metrics import METRICS, THRESHOLD
from rhvae_mri.evaluation.predictions import SetPredictions
from rhvae_mri.evaluation.resampling import (
    FALSE_POSITIVE_RATES,
    draw_resamples,
    resample_metrics,
    the_sample_itself,
)
from rhvae_mri.evaluation.variance import mean_by_run, outcomes, split_variance
from rhvae_mri.files import atomic_path
from rhvae_mri.seeds import derive_seed

#: The columns of the table of estimates.
ESTIMATE_COLUMNS = (
    *CONDITION,
    "test_cohort",
    "metric",
    "mean_percent",
    "sd_percent",
    "low_percent",
    "high_percent",
    "se_percent",
    "se_participants_percent",
    "se_seeds_percent",
    "degrees_of_freedom",
    "n_seeds",
    "n_AD",
    "n_CN",
)

#: Counts of the confusion matrix: name to whether the image is AD and whether it is called so.
CONFUSION = {
    "true_positives": (True, True),
    "false_negatives": (True, False),
    "true_negatives": (False, False),
    "false_positives": (False, True),
}

DECIMALS = 4  # of percentages; far below what a participant more or less changes


class Estimates(NamedTuple):
    """The tables of estimates and of curves, and all replicates.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per condition, test cohort and metric, with the columns of `ESTIMATE_COLUMNS`.
    curves : pandas.DataFrame
        One row per condition, test cohort and false positive rate: mean sensitivity over the runs, and its
        band. At the lowest rates the band lies too high: a resample may lack the CN images with the largest
        probabilities.
    replicates : dict of str to numpy.ndarray
        For each test cohort the metrics of every condition in every resample, as fractions, float64 of
        shape (n_conditions, n_metrics, n_resamples).
    """

    table: pandas.DataFrame
    curves: pandas.DataFrame
    replicates: dict[str, numpy.ndarray]


def estimate_performance(
    sets: Sequence[SetPredictions], n_resamples: int, confidence: float, seed: int, threads: int = 1
) -> Estimates:
    """Estimate every metric of every condition, with its uncertainty over participants and runs.

    Parameters
    ----------
    sets : sequence of SetPredictions
        The test sets.
    n_resamples : int
        Bootstrap resamples, see `rhvae_mri.evaluation.resampling`.
    confidence : float
        Coverage of the intervals, such as 0.95.
    seed : int
        The study's seed.
    threads : int
        Conditions resampled at a time.

    Returns
    -------
    Estimates
        ``mean`` and ``sd`` are over the runs, as in the paper (divisor n - 1). ``se`` is the standard error
        over participants and runs, ``se_participants`` with the runs held fixed, ``se_seeds`` with the
        participants held fixed (`rhvae_mri.evaluation.variance`). ``low`` and ``high`` are the bootstrap
        percentile interval over participants and runs, brought to ``se`` and its degrees of
        freedom. With a single run they are over participants alone.
    """
    tables, curves, replicates = [], [], {}
    for each in sets:
        resamples = draw_resamples(
            each.labels, len(each.seeds), n_resamples, derive_seed(seed, "bootstrap", each.test_cohort)
        )
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(partial(resample_metrics, resamples=resamples), each.probabilities))
        replicates[each.test_cohort] = numpy.stack([metrics for metrics, _ in found])
        for position, (metrics, curve) in enumerate(found):
            tables.append(_estimate(each, position, metrics, confidence))
            curves.append(_curve(each, position, curve, confidence))
    table = pandas.concat(tables, ignore_index=True)[list(ESTIMATE_COLUMNS)]
    return Estimates(table, pandas.concat(curves, ignore_index=True), replicates)


def _estimate(
    each: SetPredictions, position: int, replicates: numpy.ndarray, confidence: float
) -> pandas.DataFrame:
    rows = []
    for metric, resampled in zip(METRICS, replicates, strict=True):
        results = outcomes(each.labels, each.probabilities[position], metric)
        runs = mean_by_run(each.labels, results, metric)
        parts = split_variance(each.labels, results, metric)
        error = numpy.sqrt(parts.total)
        freedom = parts.degrees_of_freedom
        low, high = interval_over_resamples(resampled, error, freedom, confidence)
        percentages = {
            "mean": runs.mean(),
            "sd": runs.std(ddof=1) if len(runs) > 1 else numpy.nan,
            "low": low,
            "high": high,
            "se": error,
            "se_participants": numpy.sqrt(parts.participants),
            "se_seeds": numpy.sqrt(parts.runs),
        }
        rows.append(
            {"metric": metric, "degrees_of_freedom": round(freedom, 2)}
            | {f"{name}_percent": round(100 * value, DECIMALS) for name, value in percentages.items()}
        )
    n_ad = int(each.labels.sum())
    sizes = {"n_seeds": len(each.seeds), "n_AD": n_ad, "n_CN": len(each.labels) - n_ad}
    return pandas.DataFrame(rows).assign(**each.of(position), **sizes)


def _curve(
    each: SetPredictions, position: int, replicates: numpy.ndarray, confidence: float
) -> pandas.DataFrame:
    itself = the_sample_itself(each.labels, len(each.seeds))
    low, high = percentile_interval(replicates, confidence)
    return pandas.DataFrame(
        each.of(position)
        | {
            "false_positive_rate": FALSE_POSITIVE_RATES,
            "sensitivity": resample_metrics(each.probabilities[position], itself)[1][:, 0].round(5),
            "low": low.round(5),
            "high": high.round(5),
        }
    )


def save_replicates(path: str | os.PathLike[str], replicates: Mapping[str, numpy.ndarray]) -> None:
    """Write the replicates of all test cohorts to a safetensors file, atomically."""
    with atomic_path(path) as temporary:
        save_file(dict(replicates), temporary)


def load_replicates(path: str | os.PathLike[str]) -> dict[str, numpy.ndarray]:
    """Read what `save_replicates` has written."""
    return load_file(path)


def count_confusions(sets: Sequence[SetPredictions]) -> pandas.DataFrame:
    """Count right and wrong predictions by class, averaged over the runs.

    Parameters
    ----------
    sets : sequence of SetPredictions
        The test sets.

    Returns
    -------
    pandas.DataFrame
        One row per condition and test cohort: for each count of `CONFUSION` the mean and the standard
        deviation over the runs (n/a for a single run).
    """
    rows = []
    for each in sets:
        called = each.probabilities > THRESHOLD
        ddof = 1 if len(each.seeds) > 1 else 0
        for position in range(len(called)):
            row = each.of(position) | {"n_seeds": len(each.seeds)}
            for name, (is_ad, called_ad) in CONFUSION.items():
                counts = (called[position][:, each.labels == is_ad] == called_ad).sum(axis=1)
                row[f"{name}_mean"] = round(float(counts.mean()), DECIMALS)
                row[f"{name}_sd"] = round(float(counts.std(ddof=ddof)), DECIMALS) if ddof else numpy.nan
            rows.append(row)
    return pandas.DataFrame(rows)
