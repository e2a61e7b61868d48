"""The study's results against the published ones: a verdict on each published number, and why.

Verdicts are on balanced accuracy alone. Sensitivity and specificity vary so much, against each other, that a
study equal to the published one would hardly ever show equivalence; they have all but a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.statistics.conditions import CONDITION, sort_rows
from rhvae_mri.statistics.inference import (
    DECIMALS,
    equivalence_power,
    equivalence_test,
    holm,
    t_interval,
    t_test,
)
from rhvae_mri.statistics.published import (
    N_PUBLISHED_RUNS,
    PUBLISHED_KEY,
    PUBLISHED_RESOLUTION,
    PUBLISHED_SIZES,
)
from rhvae_mri.study.names import CLASSES

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
DESCRIPTIVE = "descriptive"
NOT_COMPARABLE = "not comparable"
NOT_RUN = "not run"

#: What the verdicts mean, in the order in which they are counted.
VERDICTS = {
    REPRODUCED: "the two one-sided tests show that both means differ by less than the margin",
    NOT_REPRODUCED: "the interval of the difference leaves out zero, and equivalence is not shown",
    INCONCLUSIVE: "neither a difference nor equivalence is shown: the uncertainty is too large",
    DESCRIPTIVE: "sensitivity and specificity, which vary too much to show equivalence, have no verdict",
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
    *("difference_se_percent", "degrees_of_freedom", "interval_leaves_out"),
    *("published_in_our_interval", "ours_in_published_interval", "p_difference", "p_equivalence"),
    *("p_difference_holm", "p_equivalence_holm", "margin_percent", "level_percent", "power_percent"),
    *("verdict", "reason"),
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
    over participants and runs, that of the difference over those of both studies. ``power_percent`` is the
    chance that a study equal to the published one is called reproduced. The p-values by Holm are corrected
    for all numbers that can be compared, of every metric.
    """
    table = published.assign(resolution=PUBLISHED_RESOLUTION).merge(
        estimates, how="left", on=[*PUBLISHED_KEY, "resolution"], validate="one_to_one"
    )
    mean, sd = table["published_mean_percent"], table["published_sd_percent"]
    published_error = sd / numpy.sqrt(N_PUBLISHED_RUNS)
    low, high = t_interval(mean, published_error, N_PUBLISHED_RUNS - 1, confidence)
    difference = table["mean_percent"] - mean
    error, freedom = _uncertainty(table)
    power = equivalence_power(error, freedom, margin, 1 - confidence)
    difference_low, difference_high = t_interval(difference, error, freedom, confidence)

    def yes_or_no(inside: pandas.Series) -> pandas.Series:
        return inside.map({True: "yes", False: "no"}).mask(table["mean_percent"].isna())

    table = table.assign(
        published_low_percent=low.round(DECIMALS),
        published_high_percent=high.round(DECIMALS),
        difference_percent=difference.round(DECIMALS),
        difference_low_percent=difference_low.round(DECIMALS),
        difference_high_percent=difference_high.round(DECIMALS),
        difference_se_percent=error.round(DECIMALS),
        degrees_of_freedom=freedom.round(2),
        published_in_our_interval=yes_or_no(mean.between(table["low_percent"], table["high_percent"])),
        ours_in_published_interval=yes_or_no(table["mean_percent"].between(low, high)),
        p_difference=t_test(difference, error, freedom),
        p_equivalence=equivalence_test(difference, error, freedom, margin),
        margin_percent=margin,
        level_percent=round(100 * (1 - confidence), DECIMALS),
        power_percent=(100 * power).round(DECIMALS),
        n_seeds=table["n_seeds"].astype("Int64"),
    )
    judged = [_judge(row, 1 - confidence, minimum_runs, departures) for row in table.itertuples()]
    table["verdict"], table["reason"] = zip(*judged, strict=True)
    is_comparable = ~table["verdict"].isin([NOT_COMPARABLE, NOT_RUN])
    for name in ("p_difference", "p_equivalence"):
        table[f"{name}_holm"] = holm(table[name].where(is_comparable))
    return sort_rows(table[list(REPLICATION_COLUMNS)])


def count_verdicts(table: pandas.DataFrame) -> dict[str, int]:
    """Count the published numbers by verdict, those without any included."""
    return table["verdict"].value_counts().reindex(list(VERDICTS), fill_value=0).to_dict()


def overall_statement(table: pandas.DataFrame) -> str:
    """Say of all published numbers together how many differ, and how many are equivalent."""
    n = int(table["p_difference_holm"].notna().sum())
    if not n:
        return f"None of the {len(table)} published numbers can be compared with ours."
    level, margin = table["level_percent"].iloc[0], table["margin_percent"].iloc[0]
    differ, equivalent = (
        int((table[f"p_{name}_holm"] < level / 100).sum()) for name in ("difference", "equivalence")
    )
    return (
        f"At a family-wise level of {level:g} % (Holm), {differ} of the {n} published numbers that can be "
        f"compared differ from ours, and {equivalent} are equivalent within ±{margin:g} points: were all the "
        f"same in truth, even one would be found to differ with a chance of {level:g} % at most, as far as "
        "the intervals leave nothing out."
    )


def _uncertainty(table: pandas.DataFrame) -> tuple[pandas.Series, pandas.Series]:
    """Return standard error and degrees of freedom of each difference, over all that varies in both studies.

    Of the published study the runs' part is known, and holds that of single pairs of run and participant. Its
    participants' part is estimated by ours without the pairs, by diagnosis, scaled from our numbers to the
    published ones. It has one generator and one draw of the training set: where we have K, their variance is
    K times that of our mean, at most that of our runs where each has its own; with one it is left out. Parts
    that rest on the same of our sums of squares are added before they are squared for the degrees of freedom
    (F. E. Satterthwaite, Biometrics Bulletin 2, 1946).
    """
    total, participants, runs, replicates = (
        table[f"se{name}_percent"] ** 2 for name in ("", "_participants", "_seeds", "_replicates")
    )
    # pairs, in the parts of participants and of runs, are once in the total
    without_pairs = ((total - runs) / participants).clip(0, 1).fillna(1)
    published_runs = table["published_sd_percent"] ** 2 / N_PUBLISHED_RUNS
    terms = total**2 / table["degrees_of_freedom"] + published_runs**2 / (N_PUBLISHED_RUNS - 1)
    variance = total + published_runs
    for place, name in enumerate(CLASSES):
        ours, n = table[f"se_{name}_percent"] ** 2, table[f"n_{name}"]
        n_published = table["test_cohort"].map({key: sizes[place] for key, sizes in PUBLISHED_SIZES.items()})
        of_published = without_pairs * ours * n / n_published
        variance += of_published
        terms += ((ours + of_published) ** 2 - ours**2) / (n - 1).clip(1)
    n_replicates, runs = table["n_replicates"], runs.fillna(0)  # there is none of a single run
    factor = n_replicates.where(n_replicates > 1, 0)
    variance += factor * replicates.fillna(runs)
    # the runs in each replicate, which are taken off, vary little beside replicates
    terms += ((1 + factor) ** 2 - 1) * runs**2 / (n_replicates - 1).clip(1)
    return numpy.sqrt(variance), variance**2 / terms


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
    if row.metric != "balanced_accuracy":
        return DESCRIPTIVE, f"{found}; the verdict is on balanced accuracy alone"
    if row.p_equivalence < alpha:
        return REPRODUCED, f"{found}: within ±{row.margin_percent:g} points"
    if row.p_difference < alpha:
        return NOT_REPRODUCED, f"{found}: not zero"
    return INCONCLUSIVE, f"{found}: zero is possible, and so are more than ±{row.margin_percent:g} points"
