"""The result table in the paper's layout, ours beside the published numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.pages.sheets import NO_VALUE, Cell, Sheet, mean_and_sd, number, write_sheets
from rhvae_mri.statistics.conditions import METRIC_LABELS, data_label, ordered

#: The metrics that the paper's tables show.
SHOWN_METRICS = ("sensitivity", "specificity", "balanced_accuracy")

_COMPARISONS = {
    True: "The published values, in brackets, come from real participants and larger sets. They are shown "
    "for orientation only: simulated results cannot be compared with them.",
    False: "The published values, in brackets, are means and standard deviations over 20 runs of networks "
    "trained on down-sampled images.",
}


def write_classification(
    table: pandas.DataFrame,
    page: str | os.PathLike[str],
    *,
    simulated: bool,
    title: str,
    made: Mapping[str, Any],
) -> None:
    """Write the result table as a web page, as Markdown and as LaTeX.

    Parameters
    ----------
    table : pandas.DataFrame
        From `rhvae_mri.statistics.tables.classification_table`.
    page, simulated, title, made
        As in `rhvae_mri.pages.sheets.write_sheets`.

    Raises
    ------
    StudyError
        If the table has no rows.
    """
    if table.empty:
        raise StudyError("The result table has no rows to show.", remedy="Summarise the runs first.")
    notes = (
        "Each cell is the mean ± standard deviation over all runs (seeds) in percent; no run is left out.",
        "Bold marks the highest mean of a column within a training set, and all that equal it. It says "
        "nothing about significance: for that there is the table of comparisons.",
        f"{_COMPARISONS[simulated]} A cell without brackets has no published value that could be read.",
        "Alzheimer's disease (AD) is the positive class: sensitivity is the share of participants with AD "
        "who are recognised, specificity the share of controls (CN) who are, balanced accuracy the mean of "
        "both. An image is called AD when its probability of AD is above 0.5.",
        "The standard deviation is that of a sample (divisor n − 1); which one the paper gives is not known.",
        "Every network was tested on participants who had no part in its training or selection. The "
        "other cohorts are independent.",
    )
    sheets = paper_layout(table)
    write_sheets(sheets, page, title=title, notes=notes, simulated=simulated, made=made, wide=False)


def paper_layout(table: pandas.DataFrame) -> list[Sheet]:
    """Arrange the result table as the paper does: columns are test cohort by metric, rows come in groups.

    There is one sheet for each architecture. Within a training set the rows are: real images at high
    resolution, real images, synthetic ones by number, synthetic and real ones by number.
    """
    sheets = []
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
                    str(name): tuple(_rows(rows[rows["training_set"] == name], cohorts))
                    for name in ordered("training_set", rows["training_set"])
                },
            )
        )
    return sheets


def _rows(table: pandas.DataFrame, cohorts: list[str]) -> Iterator[tuple[str | Cell, ...]]:
    """Give one row per condition of a training set; the table is in the right order already."""
    highest = table.groupby(["test_cohort", "metric"])["mean_percent"].max()
    for key, rows in table.groupby(["training_data", "n_synthetic", "resolution"], sort=False):
        found = {(row.test_cohort, row.metric): row for row in rows.itertuples()}
        cells = (_cell(found.get(place), highest) for place in product(cohorts, SHOWN_METRICS))
        yield data_label(*key), *cells, " / ".join(map(str, sorted(rows["n_seeds"].unique())))


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
