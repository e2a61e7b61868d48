"""The results arranged for reading: the paper's table, the comparisons, the verdicts on published numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pandas

from rhvae_mri.pages.sheets import (
    NO_VALUE,
    Cell,
    Sheet,
    interval,
    mean_and_sd,
    number,
    p_value,
    sheet_of,
    write_sheets,
)
from rhvae_mri.statistics.comparisons import REFERENCE
from rhvae_mri.statistics.conditions import (
    DATA,
    METRIC_LABELS,
    data_label,
    list_doubts,
    list_generators,
    ordered,
)
from rhvae_mri.statistics.replication import VERDICTS, count_verdicts, overall_statement

#: The metrics that the paper's tables show.
SHOWN_METRICS = ("sensitivity", "specificity", "balanced_accuracy")

#: Of the published values, by whether the study is simulated.
_PUBLISHED = {
    True: "The published values, in brackets, come from real participants and larger sets. They are shown "
    "for orientation only: simulated results cannot be compared with them.",
    False: "The published values, in brackets, are means and standard deviations over 20 runs of networks "
    "trained on down-sampled images.",
}

_CLASSIFICATION_NOTES = (
    "Each cell is the mean ± standard deviation over all runs (seeds) in percent; no run is left out.",
    "Bold marks the highest mean of a column within a training set, and all that equal it. It says "
    "nothing about significance: for that there is the table of comparisons.",
    "{} A cell without brackets has no published value that could be read.",
    "Alzheimer's disease (AD) is the positive class: sensitivity is the share of participants with AD "
    "who are recognised, specificity the share of controls (CN) who are, balanced accuracy the mean of "
    "both. An image is called AD when its probability of AD is above 0.5.",
    "The standard deviation is that of a sample (divisor n − 1); which one the paper gives is not known.",
    "Every network was tested on participants who had no part in its training or selection. The "
    "other cohorts are independent.",
)

_COMPARISON_NOTES = (
    "Each condition is compared with real images alone: same architecture, training set, resolution and "
    "participants. A difference is ours less that of real images, in percentage points, with its bootstrap "
    "interval over participants and runs.",
    "p, the primary test, takes participants and runs as samples: Student's test of the difference over its "
    "standard error over both (analysis of variance of crossed random effects, Satterthwaite's degrees of "
    "freedom). It answers whether other networks, trained alike and tested on other participants, would "
    "differ.",
    "The primary test of the study is named in its configuration (statistics.primary), before there are "
    "results, and needs no correction. All others are secondary: p (Holm) and p (BH) are corrected for those "
    "of one table. Holm bounds the chance of any false rejection, Benjamini-Hochberg the share of false ones "
    "among all.",
    "p (participants) takes the trained networks as they are: a permutation test that swaps both conditions "
    "of random participants, for the area under the ROC curve DeLong's test. It is shown for comparison and "
    "decides nothing.",
    "d is Cohen's d over the runs. Runs of the same number are independent between conditions; what is "
    "paired are the participants.",
)

#: Before all other notes, of each generator with flags.
_DOUBT = "A gain by these synthetic images is doubtful: {}."

#: What the intervals and tests of a table leave out, beside the training and validation participants.
_LEFT_OUT = "Intervals and p-values hold for this split of the cohort; they leave out: {}."
_ALL_IN = "Intervals and p-values hold for this split of the cohort."

_NO_CONTROL = (
    "The study has no condition of real images alone with as many steps of training (generator real_steps): "
    "a gain may come from further steps."
)

_GENERATOR_NOTE = (
    "Generators are compared with each other too, where all else is the same: a difference is the one of the "
    "condition less the one that it is held against. The corrections are for both kinds of tests together."
)

_REPLICATION_NOTES = (
    *(f"{verdict[0].upper()}{verdict[1:]}: {meaning}." for verdict, meaning in VERDICTS.items()),
    "Our interval is over participants and runs; the published one is Student's over the 20 published runs, "
    "with the published participants.",
    "The difference is ours less the published mean, in percentage points. Its interval and p-values are "
    "over participants and runs of both studies; the published participants' part is estimated by ours, "
    "scaled to their numbers. For participants whom both studies have it is too large: verdicts are cautious "
    "then. What is left out is named; it lets more numbers differ by chance than the level says.",
    "p (equivalence) is that of two one-sided tests against the margin of the configuration "
    "(statistics.equivalence_margin). Power is the chance, in percent, that a study with the published true "
    "mean is called reproduced, given the uncertainty of the row; where it is low, an inconclusive verdict "
    "says nothing against either study.",
    "A verdict is on its number alone, and some of many are wrong by chance. p (Holm) are corrected for all "
    "numbers that can be compared, of every metric, and what is said of all together rests on them.",
)


def write_classification(
    table: pandas.DataFrame,
    page: str | os.PathLike[str],
    *,
    simulated: bool,
    title: str,
    made: Mapping[str, Any],
    doubts: Sequence[str] = (),
) -> None:
    """Write the result table (`rhvae_mri.statistics.tables.classification_table`) for reading."""
    notes = [
        *map(_DOUBT.format, doubts),
        *(note.format(_PUBLISHED[simulated]) for note in _CLASSIFICATION_NOTES),
    ]
    sheets = paper_layout(table)
    write_sheets(sheets, page, title=title, notes=notes, simulated=simulated, made=made, wide=False)


def paper_layout(table: pandas.DataFrame) -> list[Sheet]:
    """Arrange the result table as the paper does: columns are test cohort by metric, rows come in groups.

    There is one sheet for each architecture. Within a training set the rows are: real images at high
    resolution, real images, synthetic ones by number, synthetic and real ones by number.
    """
    sheets = []
    named = len(list_generators(table)) > 1
    for architecture in ordered("architecture", table["architecture"]):
        rows = table[table["architecture"] == architecture]
        cohorts = ordered("test_cohort", rows["test_cohort"])
        metrics = [METRIC_LABELS[metric].capitalize() for metric in SHOWN_METRICS]
        sheets.append(
            Sheet(
                f"{architecture.capitalize()} architecture",
                "Test results in percent: mean ± SD of our runs (published mean ± SD).",
                ("Training data", *metrics * len(cohorts), "Runs"),
                spans=tuple(cohorts),
                groups={
                    str(name): tuple(_rows(rows[rows["training_set"] == name], cohorts, named))
                    for name in ordered("training_set", rows["training_set"])
                },
            )
        )
    return sheets


def _rows(table: pandas.DataFrame, cohorts: list[str], named: bool) -> Iterator[tuple[str | Cell, ...]]:
    """Give one row per condition of a training set; the table is in the right order already."""
    highest = table.groupby(["test_cohort", "metric"])["mean_percent"].max()
    for key, rows in table.groupby(list(DATA), sort=False):
        found = {(row.test_cohort, row.metric): row for row in rows.itertuples()}
        cells = (_cell(found.get(place), highest) for place in product(cohorts, SHOWN_METRICS))
        yield data_label(*key, named=named), *cells, " / ".join(map(str, sorted(rows["n_seeds"].unique())))


def _cell(row: Any, highest: pandas.Series) -> Cell:
    """Set a mean beside the published one; it is the best if no other is larger to the shown decimal."""
    if row is None or pandas.isna(row.mean_percent):
        value, best = NO_VALUE, False
    else:
        value = mean_and_sd(row.mean_percent, row.sd_percent)
        best = number(row.mean_percent) == number(highest[row.test_cohort, row.metric])
    if row is None or pandas.isna(row.published_mean_percent):
        return Cell(value, "", best)
    return Cell(value, mean_and_sd(row.published_mean_percent, row.published_sd_percent), best)


def write_comparisons(
    table: pandas.DataFrame,
    page: str | os.PathLike[str],
    *,
    title: str,
    simulated: bool,
    training_cohort: str,
) -> None:
    """Write the comparisons (`rhvae_mri.statistics.comparisons.compare_conditions`) for reading."""
    title = f"{title}: conditions against real images"
    sheets = comparison_sheets(table, training_cohort)
    left_out = ", ".join(dict.fromkeys("; ".join(table["interval_leaves_out"].dropna()).split("; ")))
    notes = [*map(_DOUBT.format, list_doubts(table)), *_COMPARISON_NOTES]
    notes.append(_LEFT_OUT.format(left_out) if left_out else _ALL_IN)
    if "real_steps" not in {*table["generator"], *table["reference"]}:
        notes.append(_NO_CONTROL)
    if _has_several(table):
        title += " and against each other"
        notes.append(_GENERATOR_NOTE)
    write_sheets(sheets, page, title=title, notes=notes, simulated=simulated)


def write_replication(
    table: pandas.DataFrame, page: str | os.PathLike[str], *, title: str, simulated: bool
) -> None:
    """Write the verdicts (`rhvae_mri.statistics.replication.compare_with_published`) for reading."""
    title = f"{title}: against the published results"
    write_sheets(replication_sheets(table), page, title=title, notes=_REPLICATION_NOTES, simulated=simulated)


def comparison_sheets(table: pandas.DataFrame, training_cohort: str) -> list[Sheet]:
    """Arrange the comparisons: the primary one, then the others by test cohort and metric."""
    first_family = (training_cohort, "balanced_accuracy")
    families = [
        (cohort, metric)
        for metric in ordered("metric", table["metric"])
        for cohort in ordered("test_cohort", table["test_cohort"])
    ]
    named = _has_several(table)
    what = "Conditions against real images alone" + (", generators against each other" if named else "")
    is_primary = table["role"] == "primary"
    sheets = []
    for row in table[is_primary].itertuples():
        caption = (
            f"{METRIC_LABELS[row.metric][0].upper()}{METRIC_LABELS[row.metric][1:]} on {row.test_cohort}"
        )
        cells = [_comparison_row(row, named)]
        sheets.append(sheet_of("Primary test", f"{caption}, in percent.", cells, labels=("Against",)))
    for cohort, metric in sorted(families, key=lambda family: family != first_family):
        rows = table[(table["test_cohort"] == cohort) & (table["metric"] == metric) & ~is_primary]
        if rows.empty:
            continue
        heading = f"{METRIC_LABELS[metric][0].upper()}{METRIC_LABELS[metric][1:]} on {cohort}"
        caption = f"{what}, in percent; {len(rows)} secondary tests."
        cells = [_comparison_row(row, named) for row in rows.itertuples()]
        sheets.append(sheet_of(heading, caption, cells, labels=("Against",)))
    return sheets


def _has_several(table: pandas.DataFrame) -> bool:
    """Whether there are several generators: the first may only be what others are compared with."""
    return len(list_generators(table)) > 1 or (table["reference"] != REFERENCE).any()


def _comparison_row(row: Any, named: bool) -> dict[str, str]:
    """Write one comparison; with several generators it says against what it is."""
    data = data_label(*(getattr(row, name) for name in DATA), named=named)
    return {
        "Condition": f"{row.architecture}, {row.training_set}, {data}",
        **({"Against": row.reference} if named else {}),
        "Mean": number(row.mean_percent),
        "Reference" if named else "Real": number(row.reference_mean_percent),
        "Difference": number(row.difference_percent, sign=True),
        "Interval": interval(row.low_percent, row.high_percent, sign=True),
        "p": p_value(row.p_value),
        "p (Holm)": p_value(row.p_holm),
        "p (BH)": p_value(row.p_benjamini_hochberg),
        "d": number(row.cohens_d, 2, sign=True),
        "p (participants)": p_value(row.p_participants),
        "Published difference": number(row.published_difference_percent, sign=True),
    }


def replication_sheets(table: pandas.DataFrame) -> list[Sheet]:
    """Arrange the verdicts: first their counts, then one table for each architecture."""
    counts = tuple((verdict, str(count)) for verdict, count in count_verdicts(table).items())
    caption = f"Of {len(table)} published numbers. {overall_statement(table)}"
    sheets = [Sheet("Verdicts", caption, ("Verdict", "Published numbers"), counts)]
    for architecture in ordered("architecture", table["architecture"]):
        rows = table[table["architecture"] == architecture].itertuples()
        sheets.append(
            sheet_of(
                f"{architecture.capitalize()} architecture",
                "Mean ± SD over runs in percent, with intervals.",
                map(_replication_row, rows),
                texts=("Reason", "Left out"),
                labels=("Test set and metric", "Verdict"),
            )
        )
    return sheets


def _replication_row(row: Any) -> dict[str, str]:
    data = data_label(*(getattr(row, name) for name in DATA))
    return {
        "Condition": f"{row.training_set}, {data}",
        "Test set and metric": f"{row.test_cohort} {METRIC_LABELS[row.metric]}",
        "Published": mean_and_sd(row.published_mean_percent, row.published_sd_percent),
        "Interval": interval(row.published_low_percent, row.published_high_percent),
        "Ours": mean_and_sd(row.mean_percent, row.sd_percent),
        "Our interval": interval(row.low_percent, row.high_percent),
        "Runs": number(row.n_seeds, 0),
        "Verdict": row.verdict,
        "Power": number(row.power_percent, 0),
        "Reason": row.reason,
        "Left out": _or_nothing(row.interval_leaves_out),
        "Published in our interval": _or_nothing(row.published_in_our_interval),
        "Ours in the published one": _or_nothing(row.ours_in_published_interval),
        "p (difference)": p_value(row.p_difference),
        "p (Holm)": p_value(row.p_difference_holm),
        "p (equivalence)": p_value(row.p_equivalence),
        "p (equivalence, Holm)": p_value(row.p_equivalence_holm),
    }


def _or_nothing(value: str | float) -> str:
    return value if isinstance(value, str) else NO_VALUE
