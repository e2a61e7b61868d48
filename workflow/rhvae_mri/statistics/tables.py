"""The study's result table: means and standard deviations over seeds, beside the published ones."""

from __future__ import annotations

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.statistics.conditions import CONDITION, check_columns, describe, sort_rows
from rhvae_mri.statistics.inference import DECIMALS, mean_and_sd
from rhvae_mri.statistics.predictions import RUN_COLUMNS
from rhvae_mri.statistics.published import PUBLISHED_KEY, PUBLISHED_RESOLUTION

_CELL = [*CONDITION, "test_cohort", "metric"]
_OURS = [*_CELL, "mean_percent", "sd_percent", "n_seeds"]

#: The columns of the result table.
CLASSIFICATION_COLUMNS = (*_OURS, "published_mean_percent", "published_sd_percent")


def classification_table(runs: pandas.DataFrame, published: pandas.DataFrame) -> pandas.DataFrame:
    """Average the test metrics over all seeds and set the published values beside them.

    The standard deviation is that of a sample (divisor n - 1). Which one the paper gives could not be read,
    so this is an assumption of the study; with 20 runs the other one is 2.5 % smaller.

    Values are in percent, NaN where there is no published value (those are of the down-sampled resolution) or
    a metric is not defined.
    """
    check_columns(runs, [column for column in RUN_COLUMNS if column != "value_percent"])
    tested = runs[runs["set"] == "test"]
    if tested.empty:
        raise StudyError("No run was evaluated on a test set.", remedy="Evaluate the runs on the test set.")
    repeated = tested.duplicated([*_CELL, "seed"])
    if repeated.any():
        raise StudyError(f"A run occurs more than once: {describe(tested[repeated].iloc[0])}.")
    rows = []
    for key, values in tested.groupby(_CELL, sort=False)["value_percent"]:
        mean, sd = (round(value, DECIMALS) for value in mean_and_sd(values))
        rows.append((*key, mean, sd, len(values)))
    beside, key = published.assign(resolution=PUBLISHED_RESOLUTION), [*PUBLISHED_KEY, "resolution"]
    table = pandas.DataFrame(rows, columns=_OURS).merge(beside, how="left", on=key, validate="one_to_one")
    return sort_rows(table[list(CLASSIFICATION_COLUMNS)])


def sizes_of_test_sets(runs: pandas.DataFrame) -> dict[str, str]:
    """Say in words how many AD and CN images each test set has, for the provenance of a page."""
    sets = runs.loc[runs["set"] == "test", ["test_cohort", "n_AD", "n_CN"]].drop_duplicates()
    return {
        f"{cohort} test set": f"{n_ad} AD and {n_cn} CN participants"
        for cohort, n_ad, n_cn in sort_rows(sets).itertuples(index=False)
    }
