"""Who is in each set, how the sets differ, and that nobody is in two: arranged for reading."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pandas

from rhvae_mri.pages.sheets import NO_VALUE, Sheet, number, p_value, sheet_of, write_sheets

_NOTES = (
    "Means ± standard deviations of a sample (divisor n − 1), ranges in brackets. Participants without "
    "a value are left out of its mean; the number of the others is then given.",
    "Differences are within a diagnosis, first set less second. A standardized difference is in standard "
    "deviations, the root of the mean of both variances; below 0.1 it is usually called negligible.",
    "Tests: Student's t-test of age, chi-square test of sex, chi-square test by permutation of the sites, "
    "Mann-Whitney test of the scores. The p-values are not corrected for their number.",
    "Age, sex and site were balanced when the split was drawn (split/balance.tsv has the tests that "
    "decided); the scores were not.",
    "A smaller training set is a part of train-full and is compared with the rest of it.",
)

_LABELS = {"age": "age", "sex": "women", "site": "site", "mmse": "MMSE", "cdr": "CDR"}


def write_demographics(
    demographics: pandas.DataFrame,
    differences: pandas.DataFrame,
    leakage: Mapping[str, Any],
    page: str | os.PathLike[str],
    *,
    title: str,
    simulated: bool,
) -> None:
    """Write the description of the sets, from `describe_sets`, `compare_sets` and `check_leakage`."""
    sizes = ", ".join(f"{name} {n}" for name, n in leakage["n_participants"].items())
    sheets = [
        sheet_of(
            "Participants",
            "One image for each participant.",
            map(_describe, demographics.itertuples()),
            labels=("Diagnosis",),
        ),
        sheet_of(
            "Differences between the sets",
            "Tests and standardized differences, within each diagnosis.",
            map(_compare, differences.itertuples()),
            labels=("Diagnosis", "Variable", "Test"),
        ),
        Sheet(
            "Leakage",
            f"Checks that the study has passed. Participants: {sizes}.",
            ("Check", "Result"),
            tuple((check[0].upper() + check[1:], "holds") for check in leakage["checks"]),
            labels=("Result",),
        ),
    ]
    write_sheets(sheets, page, title=f"{title}: participants", notes=_NOTES, simulated=simulated)


def _describe(row: Any) -> dict[str, str]:
    women = f"{row.n_female} ({number(row.female_percent)} %)"
    mmse = _mean_with_range(row.mmse_mean, row.mmse_sd, row.mmse_min, row.mmse_max)
    cdr = _mean_with_range(row.cdr_mean, None, row.cdr_min, row.cdr_max)
    return {
        "Set": row.set,
        "Diagnosis": row.diagnosis,
        "N": str(row.n),
        "Age in years": _mean_with_range(row.age_mean, row.age_sd, row.age_min, row.age_max),
        "Women": NO_VALUE if pandas.isna(row.female_percent) else women,
        "MMSE": mmse + _known(row.n_mmse, row.n),
        "CDR": cdr + _known(row.n_cdr, row.n),
        "Sites": number(row.n_sites, 0),
    }


def _mean_with_range(mean: float, sd: float | None, low: float, high: float) -> str:
    if pandas.isna(mean):
        return NO_VALUE
    spread = "" if sd is None or pandas.isna(sd) else f" ± {number(sd)}"
    return f"{number(mean, 1 if sd is not None else 2)}{spread} [{low:g}–{high:g}]"


def _known(n_known: int, n: int) -> str:
    return f", n = {n_known}" if 0 < n_known < n else ""


def _compare(row: Any) -> dict[str, str]:
    return {
        "Sets": row.comparison,
        "Diagnosis": row.diagnosis,
        "Variable": _LABELS[row.variable],
        "Known": f"{row.n_first}, {row.n_second}",
        "Test": row.test,
        "Statistic": number(row.statistic, 2),
        "p": p_value(row.p_value),
        "Standardized difference": number(row.standardized_difference, 2, sign=True),
    }
