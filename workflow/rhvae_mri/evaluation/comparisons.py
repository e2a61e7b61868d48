"""Each condition against real images alone: the same participants, architecture, training set, resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.evaluation.conditions import CONDITION
from rhvae_mri.evaluation.estimates import DECIMALS
from rhvae_mri.evaluation.inference import (
    benjamini_hochberg,
    cohens_d,
    holm,
    interval_over_resamples,
    swap_test,
    t_test,
)
from rhvae_mri.evaluation.metrics import METRICS
from rhvae_mri.evaluation.predictions import SetPredictions
from rhvae_mri.evaluation.published import PUBLISHED_KEY, PUBLISHED_RESOLUTION
from rhvae_mri.evaluation.variance import contributions, mean_by_run, outcomes, split_variance
from rhvae_mri.seeds import derive_seed

#: What conditions are compared with.
REFERENCE = "real"

#: A family of tests, within which p-values are corrected.
FAMILY = ("test_cohort", "metric")

#: The columns of the table of comparisons.
COMPARISON_COLUMNS = (
    *CONDITION,
    "test_cohort",
    "metric",
    "mean_percent",
    "real_mean_percent",
    "difference_percent",
    "low_percent",
    "high_percent",
    "se_percent",
    "p_value",
    "p_holm",
    "p_benjamini_hochberg",
    "n_tests",
    "cohens_d",
    "participants_test",
    "p_participants",
    "published_difference_percent",
    "n_seeds",
)

_PERCENTAGES = ("mean", "real_mean", "difference", "low", "high", "se")
_SAME = ("architecture", "training_set", "resolution")


def compare_conditions(
    sets: Sequence[SetPredictions],
    replicates: Mapping[str, numpy.ndarray],
    published: pandas.DataFrame,
    *,
    confidence: float,
    n_permutations: int,
    seed: int,
) -> pandas.DataFrame:
    """Compare each condition with real images alone, by every metric.

    The primary test takes participants and runs as samples, as the intervals do: the difference over its
    standard error over both, against Student's distribution. The second one takes the trained networks as
    they are, and the participants alone as a sample: a permutation test that swaps both conditions of random
    participants, for the area under the ROC curve DeLong's test. It says nothing about networks that might
    have been trained with other random states, and therefore does not decide.

    Runs of the same number are independent between conditions: random states derive from the condition's
    name too. What is paired are the participants.

    Parameters
    ----------
    sets : sequence of SetPredictions
        The test sets.
    replicates : mapping of str to numpy.ndarray
        By test cohort, from `rhvae_mri.evaluation.estimates.estimate_performance`.
    published : pandas.DataFrame
        From `rhvae_mri.evaluation.published.read_published`.
    confidence : float
        Coverage of the intervals.
    n_permutations : int
        Permutations of the second test.
    seed : int
        The study's seed.

    Returns
    -------
    pandas.DataFrame
        One row per condition that is not the reference, test cohort and metric: means of both in percent, the
        difference in points with its interval and standard error, p-values as they are and corrected
        within the family of one test cohort and metric (Holm; Benjamini-Hochberg), Cohen's d over the runs,
        the p-value of the second test and the published difference, where there is one.
    """
    rows = []
    for each in sets:
        rows += _compare_on(each, replicates[each.test_cohort], confidence, n_permutations, seed)
    if not rows:
        return pandas.DataFrame(columns=list(COMPARISON_COLUMNS))
    table = pandas.DataFrame(rows)
    families = table.groupby(list(FAMILY))["p_value"]
    table["p_holm"] = families.transform(holm)
    table["p_benjamini_hochberg"] = families.transform(benjamini_hochberg)
    table["n_tests"] = families.transform("count")
    table = table.merge(_published_differences(published), how="left", on=[*PUBLISHED_KEY, "resolution"])
    return table[list(COMPARISON_COLUMNS)]


def _compare_on(
    each: SetPredictions, replicates: numpy.ndarray, confidence: float, n_permutations: int, seed: int
) -> list[dict[str, Any]]:
    """Compare the conditions on one test set."""
    pairs = _pairs(each.conditions)
    if not pairs:
        return []
    rows = []
    for position, metric in enumerate(METRICS):
        results = {
            place: outcomes(each.labels, each.probabilities[place], metric)
            for place in sorted({place for pair in pairs for place in pair})
        }
        found = [
            _compare(each.labels, results[place], results[reference], metric) for place, reference in pairs
        ]
        own = derive_seed(seed, "swap_test", each.test_cohort, metric)
        second = _test_participants(each.labels, results, pairs, found, metric, n_permutations, own)
        for (place, reference), row, p_value in zip(pairs, found, second, strict=True):
            resampled = replicates[place, position] - replicates[reference, position]
            low, high = interval_over_resamples(resampled, row["se"], row["freedom"], confidence)
            percentages = row | {"low": low, "high": high}
            rows.append(
                each.of(place)
                | {"metric": metric, "n_seeds": len(each.seeds)}
                | {f"{name}_percent": round(100 * percentages[name], DECIMALS) for name in _PERCENTAGES}
                | {
                    "p_value": float(t_test(round(row["difference"], 12), row["se"], row["freedom"])),
                    "cohens_d": round(row["cohens_d"], DECIMALS),
                    "participants_test": "DeLong" if metric == "auc" else "permutation",
                    "p_participants": p_value,
                }
            )
    return rows


def _compare(
    labels: numpy.ndarray, results: numpy.ndarray, reference: numpy.ndarray, metric: str
) -> dict[str, float]:
    """Compare the outcomes of two conditions."""
    runs, real = (mean_by_run(labels, each, metric) for each in (results, reference))
    parts = split_variance(labels, results - reference, metric)
    return {
        "mean": runs.mean(),
        "real_mean": real.mean(),
        "difference": runs.mean() - real.mean(),
        "se": numpy.sqrt(parts.total),
        "freedom": parts.degrees_of_freedom,
        "se_participants": numpy.sqrt(parts.participants),
        "cohens_d": float(cohens_d(runs, real)),
    }


def _pairs(conditions: pandas.DataFrame) -> list[tuple[int, int]]:
    """Return the position of each condition with a reference, and that of the reference."""
    same = conditions[list(_SAME)].apply(tuple, axis=1)
    is_reference = conditions["training_data"] == REFERENCE
    references = {key: place for place, key in same[is_reference].items()}
    return [(place, references[key]) for place, key in same[~is_reference].items() if key in references]


def _test_participants(
    labels: numpy.ndarray,
    results: Mapping[int, numpy.ndarray],
    pairs: Sequence[tuple[int, int]],
    found: Sequence[Mapping[str, float]],
    metric: str,
    n_permutations: int,
    seed: int,
) -> numpy.ndarray:
    """Return the p-values of the tests over participants alone, of all pairs."""
    if metric == "auc":
        differences, errors = zip(
            *((row["difference"], row["se_participants"]) for row in found), strict=True
        )
        return t_test(numpy.round(differences, 12), errors, numpy.inf)
    by_pair = [
        contributions(labels, results[place] - results[reference], metric) for place, reference in pairs
    ]
    return swap_test(numpy.stack(by_pair, axis=1), n_permutations, seed)


def _published_differences(published: pandas.DataFrame) -> pandas.DataFrame:
    """Return the published mean of each condition less that of real images alone."""
    key = ["architecture", "training_set", "test_cohort", "metric"]
    is_reference = published["training_data"] == REFERENCE
    real = published[is_reference].set_index(key)["published_mean_percent"].rename("real")
    table = published[~is_reference].join(real, on=key)
    table["published_difference_percent"] = (table["published_mean_percent"] - table["real"]).round(1)
    return table[[*PUBLISHED_KEY, "published_difference_percent"]].assign(resolution=PUBLISHED_RESOLUTION)
