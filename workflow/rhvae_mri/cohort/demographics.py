"""Who is in each set of the study, and how much the sets differ in age, sex, site, MMSE and CDR.

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

from rhvae_mri.cohort.balance import TESTS, compare_variable
from rhvae_mri.cohort.images import read_images
from rhvae_mri.cohort.split import name_sets
from rhvae_mri.io.files import read_tsv
from rhvae_mri.study.seeds import derive_seed

#: Columns of the table of demographics: numbers of participants (of women, with a score), ages in years,
#: scores, and number of imaging sites.
COLUMNS = (
    *("set", "diagnosis", "n"),
    *("age_mean", "age_sd", "age_min", "age_max", "n_female", "female_percent"),
    *("n_mmse", "mmse_mean", "mmse_sd", "mmse_min", "mmse_max"),
    *("n_cdr", "cdr_mean", "cdr_min", "cdr_max", "n_sites"),
)

#: Columns of the table of differences.
DIFFERENCE_COLUMNS = (
    *("comparison", "diagnosis", "variable", "test", "n_first", "n_second"),
    *("statistic", "p_value", "standardized_difference"),
)

#: The sets that are compared with each other; the smaller training sets are parts of the first.
_PAIRS = (("train-full", "validation"), ("train-full", "test"), ("validation", "test"))


def read_described_sets(
    split: str | os.PathLike[str],
    independent: str | os.PathLike[str],
    images: Iterable[str | os.PathLike[str]],
) -> tuple[dict[str, pandas.DataFrame], dict[str, pandas.DataFrame]]:
    """Read the participants of the split's sets and of the independent cohorts, with the tables' scores."""
    known = pandas.concat([read_images(Path(table)) for table in images])
    scores = known[known["status"] == "kept"].set_index("image_id")[["mmse", "cdr"]]
    text = ("image_id", "participant_id", "sex", "site", "diagnosis")
    tables = [read_tsv(table, text).join(scores, on="image_id") for table in (split, independent)]
    test_cohorts = {str(cohort): people for cohort, people in tables[1].groupby("cohort")}
    return name_sets(tables[0]), test_cohorts


def describe_sets(sets: Mapping[str, pandas.DataFrame]) -> pandas.DataFrame:
    """Describe the participants (one image each) of each set, by diagnosis: the table of `COLUMNS`.

    Standard deviations are those of a sample (n - 1). Participants without a value are left out of its mean;
    a value that nobody has is missing.
    """
    rows = []
    for name, images in sets.items():
        for diagnosis, group in images.groupby("diagnosis"):
            row = {
                "set": name,
                "diagnosis": diagnosis,
                "n": len(group),
                "n_sites": group["site"].nunique() or None,
            }
            for variable in ("age", "mmse", "cdr"):
                found = group[variable].agg(n="count", mean="mean", sd="std", min="min", max="max")
                row |= {f"{variable}_{part}": value for part, value in found.items()}
            women = group["sex"].dropna() == "F"
            row |= {"n_female": int(women.sum()), "female_percent": 100 * women.mean()}
            rows.append(row)
    table = pandas.DataFrame(rows).rename(columns={"mmse_n": "n_mmse", "cdr_n": "n_cdr"})
    counts = dict.fromkeys(("n_mmse", "n_cdr", "n_sites"), "Int64")
    return table.reindex(columns=list(COLUMNS)).astype(counts).round(2)


def list_comparisons(
    sets: Mapping[str, pandas.DataFrame], test_cohorts: Mapping[str, pandas.DataFrame]
) -> dict[str, tuple[pandas.DataFrame, pandas.DataFrame]]:
    """Pair train-full, validation and test, smaller training sets and the rest, test and other cohorts."""
    full = sets["train-full"]
    pairs = {f"{first} vs {second}": (sets[first], sets[second]) for first, second in _PAIRS}
    for name in sets:
        if name.startswith("train-") and name != "train-full":
            rest = full[~full["image_id"].isin(sets[name]["image_id"])]
            pairs[f"{name} vs rest of train-full"] = (sets[name], rest)
    return pairs | {f"test vs {name}": (sets["test"], people) for name, people in test_cohorts.items()}


def compare_sets(
    comparisons: Mapping[str, tuple[pandas.DataFrame, pandas.DataFrame]], seed: int
) -> pandas.DataFrame:
    """Compare the pairs of `list_comparisons` within each diagnosis: the table of `DIFFERENCE_COLUMNS`.

    P-values are not corrected, differences are first less second, and missing where a set has no known value.
    """
    rows = []
    for name, (first, second) in comparisons.items():
        for diagnosis in sorted(set(first["diagnosis"]) | set(second["diagnosis"])):
            both = [people[people["diagnosis"] == diagnosis] for people in (first, second)]
            own_seed = derive_seed(seed, "compare_sets", name, diagnosis)
            for variable, test in TESTS.items():
                one, other = (people[variable].dropna() for people in both)
                values = pandas.concat([one, other])
                in_one = numpy.arange(len(values)) < len(one)
                codes = pandas.factorize(values)[0] if variable in ("sex", "site") else values.to_numpy(float)
                found = (numpy.nan, numpy.nan)
                if len(one) and len(other):
                    found = compare_variable(variable, codes, in_one, ~in_one, own_seed)
                spread = standardized_difference(variable, one, other)
                rows.append((name, diagnosis, variable, test, len(one), len(other), *found, spread))
    table = pandas.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return table.round({"statistic": 4, "p_value": 4, "standardized_difference": 3})


def standardized_difference(variable: str, first: pandas.Series, second: pandas.Series) -> float:
    """Return the difference of two sets in standard deviations, the root of their mean variance.

    Of the sex the share of women is compared; sites have none, nor have sets too small for a variance (NaN).
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
