"""How much the sets of the study differ in age, sex, site, MMSE and CDR: tests and standardized differences.

The tests of age, sex and site are those by which the split was drawn (`rhvae_mri.cohort.balance`). The
scores had no part in it; as they are bounded and skewed, they are compared by ranks. A p-value depends on the
size of the sets, a standardized difference does not: below 0.1 it is usually called negligible.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy
import pandas
from scipy import stats

from rhvae_mri.cohort.balance import (
    compare_frequencies,
    compare_frequencies_by_permutation,
    compare_means,
)
from rhvae_mri.cohort.draws import N_PERMUTATIONS
from rhvae_mri.cohort.images import read_images
from rhvae_mri.cohort.split import name_sets
from rhvae_mri.files import read_tsv
from rhvae_mri.seeds import derive_seed

#: Variable to the name of its test.
TESTS = {
    "age": "t-test",
    "sex": "chi-square",
    "site": "chi-square by permutation",
    "mmse": "Mann-Whitney",
    "cdr": "Mann-Whitney",
}

COLUMNS = (
    "comparison",
    "diagnosis",
    "variable",
    "test",
    "n_first",
    "n_second",
    "statistic",
    "p_value",
    "standardized_difference",
)


def read_described_sets(
    split: str | os.PathLike[str],
    independent: str | os.PathLike[str],
    images: Iterable[str | os.PathLike[str]],
) -> tuple[dict[str, pandas.DataFrame], dict[str, pandas.DataFrame]]:
    """Read the participants of each set, with their scores."""
    known = pandas.concat([read_images(Path(table)) for table in images])
    scores = known[known["status"] == "kept"].set_index("image_id")[["mmse", "cdr"]]
    text = ("image_id", "participant_id", "sex", "site", "diagnosis")
    tables = [read_tsv(table, text).join(scores, on="image_id") for table in (split, independent)]
    test_cohorts = {str(cohort): people for cohort, people in tables[1].groupby("cohort")}
    return name_sets(tables[0]), test_cohorts


def list_comparisons(
    sets: Mapping[str, pandas.DataFrame], test_cohorts: Mapping[str, pandas.DataFrame]
) -> dict[str, tuple[pandas.DataFrame, pandas.DataFrame]]:
    """Pair the sets that are compared."""
    full = sets["train-full"]
    pairs = {
        f"{first} vs {second}": (sets[first], sets[second])
        for first, second in (("train-full", "validation"), ("train-full", "test"), ("validation", "test"))
    }
    for name in sets:
        if name.startswith("train-") and name != "train-full":
            rest = full[~full["image_id"].isin(sets[name]["image_id"])]
            pairs[f"{name} vs rest of train-full"] = (sets[name], rest)
    return pairs | {f"test vs {name}": (sets["test"], people) for name, people in test_cohorts.items()}


def compare_sets(
    comparisons: Mapping[str, tuple[pandas.DataFrame, pandas.DataFrame]], seed: int
) -> pandas.DataFrame:
    """Compare pairs of sets, within each diagnosis.

    Parameters
    ----------
    comparisons : mapping of str to pair of pandas.DataFrame
        From `list_comparisons`: participants with the columns diagnosis, age, sex, site, mmse and cdr.
    seed : int
        Seed of the permutations.

    Returns
    -------
    pandas.DataFrame
        One row for each comparison, diagnosis and variable, with the columns `COLUMNS`: numbers of
        participants with a known value, statistic, p-value (not corrected) and standardized difference, first
        less second. Missing where a set has no known value; sites have no standardized difference.
    """
    rows = []
    for name, (first, second) in comparisons.items():
        for diagnosis in sorted(set(first["diagnosis"]) | set(second["diagnosis"])):
            both = [people[people["diagnosis"] == diagnosis] for people in (first, second)]
            for variable, test in TESTS.items():
                one, other = (people[variable].dropna() for people in both)
                own_seed = derive_seed(seed, "compare_sets", name, diagnosis)
                statistic, p_value = _test(variable, one, other, own_seed)
                sizes = {"n_first": len(one), "n_second": len(other)}
                rows.append(
                    {"comparison": name, "diagnosis": diagnosis, "variable": variable, "test": test}
                    | sizes
                    | {"statistic": statistic, "p_value": p_value}
                    | {"standardized_difference": standardized_difference(variable, one, other)}
                )
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    return table.round({"statistic": 4, "p_value": 4, "standardized_difference": 3})


def standardized_difference(variable: str, first: pandas.Series, second: pandas.Series) -> float:
    """Return the difference of two sets in standard deviations, the root of their mean variance.

    References
    ----------
    P. C. Austin, Communications in Statistics: Simulation and Computation 38, 2009.
    """
    if variable == "site" or min(len(first), len(second)) < (1 if variable == "sex" else 2):
        return float("nan")
    if variable == "sex":
        shares = [float((values == "F").mean()) for values in (first, second)]
        difference, variances = shares[0] - shares[1], [share * (1 - share) for share in shares]
    else:
        difference = float(first.mean() - second.mean())
        variances = [float(values.var()) for values in (first, second)]
    spread = numpy.sqrt(sum(variances) / 2)
    return 0.0 if difference == 0 else float(difference / spread) if spread > 0 else float("nan")


def _test(variable: str, first: pandas.Series, second: pandas.Series, seed: int) -> tuple[float, float]:
    """Return statistic and p-value."""
    if not (len(first) and len(second)):
        return float("nan"), float("nan")
    values = pandas.concat([first, second])
    in_first = numpy.arange(len(values)) < len(first)
    if variable in ("mmse", "cdr"):
        found = stats.mannwhitneyu(first, second)
        return float(found.statistic), float(found.pvalue)
    if variable == "age":
        outcomes = compare_means(values.to_numpy(float), in_first[None], ~in_first[None])
    else:
        codes = pandas.factorize(values)[0]
        if variable == "site":
            return compare_frequencies_by_permutation(codes, in_first, ~in_first, N_PERMUTATIONS, seed)
        outcomes = compare_frequencies(codes, in_first[None], ~in_first[None])
    return float(outcomes.statistic[0]), float(outcomes.p_value[0])
