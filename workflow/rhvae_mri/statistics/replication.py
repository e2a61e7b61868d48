"""The study's results against the published ones: a verdict on each published number, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.statistics.conditions import CONDITION, sort_rows
from rhvae_mri.statistics.inference import DECIMALS, equivalence_test, t_interval, t_test
from rhvae_mri.statistics.published import N_PUBLISHED_RUNS, PUBLISHED_KEY, PUBLISHED_RESOLUTION

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"

#: What the verdicts mean, in the order in which they are counted.
VERDICTS = {
    REPRODUCED: "the two one-sided tests show that both means differ by less than the margin",
    NOT_REPRODUCED: "the interval of the difference leaves out zero, and equivalence is not shown",
    INCONCLUSIVE: "neither a difference nor equivalence is shown: the uncertainty is too large",
    NOT_COMPARABLE: "the study differs from the published one in what decides its results",
    NOT_RUN: "the study has no such condition",
}

#: The columns of the comparison with the published results.
REPLICATION_COLUMNS = (
    *CONDITION,
    *("test_cohort", "metric"),
    *(f"published_{name}_percent" for name in ("mean", "sd", "low", "high")),
    *(f"{name}_percent" for name in ("mean", "sd", "low", "high")),
    *("n_seeds", "difference_percent", "difference_low_percent", "difference_high_percent"),
    *("published_in_our_interval", "ours_in_published_interval", "p_difference", "p_equivalence"),
    *("margin_percent", "verdict", "reason"),
)


def compare_with_published(
    estimates: pandas.DataFrame,
    published: pandas.DataFrame,
    *,
    margin: float,
    confidence: float,
    minimum_runs: int,
    departures: Sequence[str],
) -> pandas.DataFrame:
    """Set every published number against ours: one row each, with the columns of `REPLICATION_COLUMNS`.

    A difference of fewer percentage points than ``margin`` counts as none; the tests have the level
    1 - ``confidence``. There is no verdict with fewer than ``minimum_runs``, nor with any of ``departures``:
    in what the study differs from the published one, in words.

    The published interval is Student's, of 20 runs: of other runs with the same participants. Our interval is
    over participants and runs. The standard error of the difference has ours (both) and the published runs';
    how much the published means owe to their participants cannot be known, so it is a lower bound.
    """
    ours = estimates.drop(columns=["se_participants_percent", "se_seeds_percent", "n_AD", "n_CN"])
    table = published.assign(resolution=PUBLISHED_RESOLUTION).merge(
        ours, how="left", on=[*PUBLISHED_KEY, "resolution"], validate="one_to_one"
    )
    mean, sd = table["published_mean_percent"], table["published_sd_percent"]
    published_error = sd / numpy.sqrt(N_PUBLISHED_RUNS)
    low, high = t_interval(mean, published_error, N_PUBLISHED_RUNS - 1, confidence)
    difference = table["mean_percent"] - mean
    error = numpy.hypot(table["se_percent"], published_error)
    of_ours = table["se_percent"] ** 4 / table["degrees_of_freedom"]
    freedom = error**4 / (of_ours + published_error**4 / (N_PUBLISHED_RUNS - 1))
    difference_low, difference_high = t_interval(difference, error, freedom, confidence)

    def yes_or_no(inside: pandas.Series) -> pandas.Series:
        return inside.map({True: "yes", False: "no"}).mask(table["mean_percent"].isna())

    table = table.assign(
        published_low_percent=low.round(DECIMALS),
        published_high_percent=high.round(DECIMALS),
        difference_percent=difference.round(DECIMALS),
        difference_low_percent=difference_low.round(DECIMALS),
        difference_high_percent=difference_high.round(DECIMALS),
        published_in_our_interval=yes_or_no(mean.between(table["low_percent"], table["high_percent"])),
        ours_in_published_interval=yes_or_no(table["mean_percent"].between(low, high)),
        p_difference=t_test(difference, error, freedom),
        p_equivalence=equivalence_test(difference, error, freedom, margin),
        margin_percent=margin,
        n_seeds=table["n_seeds"].astype("Int64"),
    )
    judged = [_judge(row, 1 - confidence, minimum_runs, departures) for row in table.itertuples()]
    table["verdict"], table["reason"] = zip(*judged, strict=True)
    return sort_rows(table[list(REPLICATION_COLUMNS)])


def count_verdicts(table: pandas.DataFrame) -> dict[str, int]:
    """Count the published numbers by verdict, those without any included."""
    return table["verdict"].value_counts().reindex(list(VERDICTS), fill_value=0).to_dict()


def _judge(row: Any, alpha: float, minimum_runs: int, departures: Sequence[str]) -> tuple[str, str]:
    if pandas.isna(row.n_seeds):
        return NOT_RUN, "the condition is not in the grid of this study"
    if departures:
        return NOT_COMPARABLE, "; ".join(departures)
    if row.n_seeds < minimum_runs:
        return NOT_COMPARABLE, f"{row.n_seeds} runs only; a verdict takes {minimum_runs}"
    if pandas.isna(row.mean_percent) or pandas.isna(row.p_equivalence):
        return NOT_COMPARABLE, "the metric is not defined on this test set"
    low, high = row.difference_low_percent, row.difference_high_percent
    found = f"the difference is {row.difference_percent:+.1f} points ({low:+.1f} to {high:+.1f})"
    if row.p_equivalence < alpha:
        return REPRODUCED, f"{found}: within ±{row.margin_percent:g} points"
    if row.p_difference < alpha:
        return NOT_REPRODUCED, f"{found}: not zero"
    return INCONCLUSIVE, f"{found}: zero is possible, and so are more than ±{row.margin_percent:g} points"
