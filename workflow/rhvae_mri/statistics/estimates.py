"""What the study measured and how sure it is: means over the runs, intervals, curves, confusion matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy
import pandas
from numpy import ndarray

from rhvae_mri.statistics.conditions import CONDITION
from rhvae_mri.statistics.inference import DECIMALS, interval_over_resamples, mean_and_sd, percentile_interval
from rhvae_mri.statistics.metrics import confusion_counts, metrics_by_run
from rhvae_mri.statistics.predictions import SetPredictions
from rhvae_mri.statistics.resampling import (
    FALSE_POSITIVE_RATES,
    draw_resamples,
    redraw_runs,
    resample_metrics,
    the_sample_itself,
)
from rhvae_mri.statistics.variance import average_replicates, outcomes, split_variance, variance_of_replicates
from rhvae_mri.study.names import CLASSES
from rhvae_mri.study.seeds import derive_seed

#: The columns of the table of estimates.
ESTIMATE_COLUMNS = (
    *CONDITION,
    *("test_cohort", "metric", "mean_percent", "sd_percent", "low_percent", "high_percent", "se_percent"),
    *("se_participants_percent", "se_seeds_percent", "se_replicates_percent"),
    *("se_AD_percent", "se_CN_percent", "degrees_of_freedom", "n_seeds", "n_replicates", "n_AD", "n_CN"),
    "interval_leaves_out",
)


class Estimates(NamedTuple):
    """The tables of estimates and of ROC curves, and the metrics in all resamples.

    At the lowest false positive rates the band of a curve lies too high: a resample may lack the CN images
    with the largest probabilities.
    """

    table: pandas.DataFrame  # one row per condition, test cohort and metric, `ESTIMATE_COLUMNS`
    curves: pandas.DataFrame  # one row per condition, test cohort and false positive rate
    resampled: dict[str, ndarray]  # by test cohort; shape (n_conditions, n_metrics, n_resamples)


def estimate_performance(
    sets: Sequence[SetPredictions], n_resamples: int, confidence: float, seed: int, threads: int = 1
) -> Estimates:
    """Estimate every metric of every condition, with its uncertainty over participants and runs.

    ``mean`` and ``sd`` are over the runs, as in the paper. ``se`` is the standard error over participants and
    runs, ``se_participants`` with the runs as they are, of which ``se_AD`` and ``se_CN`` are the parts of the
    diagnoses, ``se_seeds`` with the participants as they are (`rhvae_mri.statistics.variance`). With several
    replicates ``se_seeds`` is over these and the runs in them, and ``se_replicates`` is what they themselves
    contribute. ``low`` and ``high`` are the bootstrap percentile interval over participants and runs, brought
    to ``se`` and its degrees of freedom. With a single run they are over participants alone. ``threads``
    conditions are resampled at a time.
    """
    rows: list[dict[str, Any]] = []
    curves, resampled = [], {}
    for each in sets:
        own_seed = derive_seed(seed, "bootstrap", each.test_cohort)
        resamples = draw_resamples(each.labels, len(each.seeds), n_resamples, own_seed)
        names = (map(str, one) for one in each.conditions.itertuples(index=False, name=None))
        drawn = [
            redraw_runs(resamples, each.replicates(position), derive_seed(own_seed, *name))
            for position, name in enumerate(names)
        ]
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(resample_metrics, each.probabilities, drawn))
        resampled[each.test_cohort] = numpy.stack([metrics for metrics, _ in found])
        itself = the_sample_itself(each.labels, len(each.seeds))
        for position, (metrics, curve) in enumerate(found):
            rows += _estimate(each, position, metrics, confidence)
            low, high = percentile_interval(curve, confidence)
            values = {
                "false_positive_rate": FALSE_POSITIVE_RATES,
                "sensitivity": resample_metrics(each.probabilities[position], itself)[1][:, 0].round(5),
                "low": low.round(5),
                "high": high.round(5),
            }
            curves.append(pandas.DataFrame(each.of(position) | values))
    table = pandas.DataFrame(rows, columns=list(ESTIMATE_COLUMNS))
    return Estimates(table, pandas.concat(curves, ignore_index=True), resampled)


def _estimate(
    each: SetPredictions, position: int, resampled_metrics: ndarray, confidence: float
) -> Iterator[dict[str, Any]]:
    """Estimate the metrics of one condition, a row each."""
    labels, probabilities = each.labels, each.probabilities[position]
    for (metric, runs), resampled in zip(
        metrics_by_run(labels, probabilities).items(), resampled_metrics, strict=True
    ):
        replicates = each.replicates(position)
        results = average_replicates(outcomes(labels, probabilities, metric), replicates)
        parts = split_variance(labels, results, metric)
        error, freedom = 100 * numpy.sqrt(parts.total), parts.degrees_of_freedom
        mean, sd = mean_and_sd(100 * runs)
        low, high = interval_over_resamples(100 * resampled, error, freedom, confidence)
        percentages = {"mean": mean, "sd": sd, "low": low, "high": high, "se": error}
        percentages["se_participants"] = 100 * numpy.sqrt(parts.participants)
        percentages["se_seeds"] = 100 * numpy.sqrt(parts.runs)
        percentages["se_replicates"] = 100 * numpy.sqrt(variance_of_replicates(runs, replicates))
        percentages |= {
            f"se_{name}": 100 * numpy.sqrt(part) for name, part in zip(CLASSES, parts.by_class, strict=True)
        }
        row = each.of(position) | each.sizes | {"metric": metric, "n_seeds": len(each.seeds)}
        row |= {f"{name}_percent": round(value, DECIMALS) for name, value in percentages.items()}
        row |= {"degrees_of_freedom": round(freedom, 2), "n_replicates": each.count_replicates(position)}
        yield row | {"interval_leaves_out": each.left_out(position)}


def count_confusions(sets: Sequence[SetPredictions]) -> pandas.DataFrame:
    """Count right and wrong predictions by class: mean and deviation over the runs, one row per condition."""
    rows = []
    for each in sets:
        counts = confusion_counts(each.labels, each.probabilities)
        for position in range(len(each.conditions)):
            row = each.of(position) | {"n_seeds": len(each.seeds)}
            for name, of_conditions in counts._asdict().items():
                mean, sd = mean_and_sd(of_conditions[position])
                row |= {f"{name}_mean": round(mean, DECIMALS), f"{name}_sd": round(sd, DECIMALS)}
            rows.append(row)
    return pandas.DataFrame(rows)
