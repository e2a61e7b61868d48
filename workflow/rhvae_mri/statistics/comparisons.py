"""Each condition against real images alone, and generators against each other.

Whatever is compared has the same participants, architecture, training set and resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy
import pandas

from rhvae_mri.statistics.conditions import CONDITION
from rhvae_mri.statistics.inference import (
    DECIMALS,
    benjamini_hochberg,
    cohens_d,
    holm,
    interval_over_resamples,
    swap_test,
    t_test,
)
from rhvae_mri.statistics.metrics import metrics_by_run
from rhvae_mri.statistics.predictions import SetPredictions
from rhvae_mri.statistics.published import PUBLISHED_KEY, PUBLISHED_RESOLUTION
from rhvae_mri.statistics.variance import (
    VarianceParts,
    average_replicates,
    contributions,
    outcomes,
    split_variance,
)
from rhvae_mri.study.grid import NO_GENERATOR
from rhvae_mri.study.seeds import derive_seed

#: What all conditions are compared with.
REFERENCE = "real"

#: A family of tests, within which p-values are corrected. The primary test of the study is one by itself.
FAMILY = ("role", "test_cohort", "metric")

#: The columns of the table of comparisons.
COMPARISON_COLUMNS = (
    "role",
    *CONDITION,
    *("test_cohort", "metric", "reference", "mean_percent", "reference_mean_percent", "difference_percent"),
    *("low_percent", "high_percent", "se_percent", "p_value", "p_holm", "p_benjamini_hochberg", "n_tests"),
    *(
        "cohens_d",
        "participants_test",
        "p_participants",
        "published_difference_percent",
        "n_seeds",
        "n_replicates",
    ),
    *("interval_leaves_out", "flags"),
)


def compare_conditions(
    sets: Sequence[SetPredictions],
    resampled: Mapping[str, numpy.ndarray],
    published: pandas.DataFrame,
    n_permutations: int,
    confidence: float,
    seed: int,
    primary: Mapping[str, Any] | None = None,
    flags: pandas.DataFrame | None = None,
) -> pandas.DataFrame:
    """Compare each condition with real images alone, and with earlier generators, by every metric.

    The primary test takes participants and runs as samples, as the intervals do: the difference over its
    standard error over both, against Student's distribution. The second one takes the trained networks as
    they are, and the participants alone as a sample: a permutation test that swaps both conditions of random
    participants, for the area under the ROC curve DeLong's test. It says nothing about networks that might
    have been trained with other random states, and therefore does not decide.

    Runs of the same number are independent between conditions: random states derive from the condition's
    name too. What is paired are the participants, and no p-value depends on the runs' numbers.

    ``resampled`` is that of `rhvae_mri.statistics.estimates.estimate_performance`. Each pair has one
    row per test cohort and metric, with its ``role``, the columns of the condition and, as ``reference``,
    ``real`` or the other generator: means of both, their difference with its interval, p-values as they are
    and corrected within the family of one test cohort and metric, but for the ``primary`` one, which is one
    test (`rhvae_mri.study.grid.choose_primary`), Cohen's d over the runs, the p-value of the second test,
    the published difference to real images, where there is one, and the ``flags`` of the generator's images
    (`rhvae_mri.generators.assessment.flags.list_flags`).
    """
    rows: list[dict[str, Any]] = []
    for each in sets:
        pairs = pair_conditions(each.conditions, primary)
        rows += _compare_on(each, pairs, resampled[each.test_cohort], confidence, n_permutations, seed)
    if not rows:
        return pandas.DataFrame(columns=list(COMPARISON_COLUMNS))
    table = pandas.DataFrame(rows)
    is_primary = (table[[*primary]] == pandas.Series(primary)).all(axis=1) if primary else table.index < 0
    table["role"] = numpy.where(is_primary, "primary", "secondary")
    families = table.groupby(list(FAMILY))["p_value"]
    table["p_holm"] = families.transform(holm)
    table["p_benjamini_hochberg"] = families.transform(benjamini_hochberg)
    table["n_tests"] = families.transform("count")
    key = [*PUBLISHED_KEY, "resolution", "reference"]
    table = table.merge(_published_differences(published), how="left", on=key)
    if flags is None:
        flags = pandas.DataFrame(columns=["generator", "training_set", "flags"])
    table = table.merge(flags, how="left", on=["generator", "training_set"])
    return table[list(COMPARISON_COLUMNS)]


def pair_conditions(
    conditions: pandas.DataFrame, primary: Mapping[str, Any] | None = None
) -> list[tuple[int, int]]:
    """Return the positions of what is compared, and of what with: real images, and earlier generators.

    Of the ``primary`` comparison the reference is the one that it names.
    """
    same = conditions[["architecture", "training_set", "resolution"]].apply(tuple, axis=1)
    is_reference = conditions["training_data"] == REFERENCE
    references = {key: place for place, key in same[is_reference].items()}
    pairs = [(place, references[key]) for place, key in same[~is_reference].items() if key in references]
    # conditions are in the order of the tables, and so are their generators
    for _, alike in conditions.groupby([name for name in CONDITION if name != "generator"], sort=False):
        pairs += [(later, earlier) for earlier, later in combinations(alike.index, 2)]
    if primary is None:
        return pairs
    is_tested = (conditions[list(CONDITION)] == pandas.Series(primary)[list(CONDITION)]).all(axis=1)
    is_reference = conditions["generator"] == primary["reference"]
    return [pair[::-1] if is_reference[pair[0]] and is_tested[pair[1]] else pair for pair in pairs]


def _compare_on(
    each: SetPredictions,
    pairs: Sequence[tuple[int, int]],
    resampled: numpy.ndarray,
    confidence: float,
    n_permutations: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Compare the conditions on one test set, one row for each metric and pair."""
    if not pairs:
        return
    for position, (metric, runs) in enumerate(metrics_by_run(each.labels, each.probabilities).items()):
        results = [outcomes(each.labels, one, metric) for one in each.probabilities]
        differences = [runs[place].mean() - runs[reference].mean() for place, reference in pairs]
        parts = [_parts_of_difference(each, metric, results, *pair) for pair in pairs]
        if metric == "auc":
            errors = [numpy.sqrt(part.participants) for part in parts]
            of_participants = t_test(numpy.round(differences, 12), errors, numpy.inf)
        else:
            added = [contributions(each.labels, result, metric) for result in results]
            by_pair = [added[place] - added[reference] for place, reference in pairs]
            own_seed = derive_seed(seed, "swap_test", each.test_cohort, metric)
            of_participants = swap_test(numpy.stack(by_pair, axis=1), n_permutations, own_seed)
        rows = zip(pairs, differences, parts, of_participants, strict=True)
        for (place, reference), difference, part, p_participants in rows:
            error, freedom = numpy.sqrt(part.total), part.degrees_of_freedom
            differences_resampled = resampled[place, position] - resampled[reference, position]
            low, high = interval_over_resamples(differences_resampled, error, freedom, confidence)
            percentages = {"mean": runs[place].mean(), "reference_mean": runs[reference].mean()}
            percentages |= {"difference": difference, "low": low, "high": high, "se": error}
            generator = each.conditions["generator"][reference]
            row = each.of(place) | {"metric": metric, "n_seeds": len(each.seeds)}
            row["n_replicates"] = each.count_replicates(place)
            row["interval_leaves_out"] = each.left_out(place, reference)
            row["reference"] = REFERENCE if generator == NO_GENERATOR else generator
            row |= {f"{name}_percent": round(100 * value, DECIMALS) for name, value in percentages.items()}
            row["p_value"] = float(t_test(round(difference, 12), error, freedom))
            row["cohens_d"] = round(float(cohens_d(runs[place], runs[reference])), DECIMALS)
            row["participants_test"] = "DeLong" if metric == "auc" else "permutation"
            yield row | {"p_participants": p_participants}


def _parts_of_difference(
    each: SetPredictions, metric: str, results: Sequence[numpy.ndarray], place: int, reference: int
) -> VarianceParts:
    """Estimate the parts of a difference's variance; replicates in common are paired, as participants are."""
    one, other = (
        average_replicates(results[each_one], each.replicates(each_one)) for each_one in (place, reference)
    )
    if each.have_replicates_in_common(place, reference):
        return split_variance(each.labels, one - other, metric)
    return split_variance(each.labels, one, metric, other)


def _published_differences(published: pandas.DataFrame) -> pandas.DataFrame:
    """Return the published mean of each condition less that of real images alone."""
    key = ["architecture", "training_set", "test_cohort", "metric"]
    is_reference = published["training_data"] == REFERENCE
    real = published[is_reference].set_index(key)["published_mean_percent"].rename("real")
    table = published[~is_reference].join(real, on=key)
    table["published_difference_percent"] = (table["published_mean_percent"] - table["real"]).round(1)
    table = table[[*PUBLISHED_KEY, "published_difference_percent"]]
    return table.assign(resolution=PUBLISHED_RESOLUTION, reference=REFERENCE)
