"""The result table in the paper's layout, as plain data that any format can be written from."""

from __future__ import annotations

from dataclasses import dataclass

import pandas

from rhvae_mri.statistics.conditions import METRIC_LABELS, data_label, ordered

#: The metrics that the paper's tables show.
SHOWN_METRICS = ("sensitivity", "specificity", "balanced_accuracy")

_DECIMALS = 1  # of what is shown

#: What stands where a value is not defined or does not exist.
NO_VALUE = "n/a"


@dataclass(frozen=True)
class Cell:
    """Our value and, where there is one, the published value, each as text in percent.

    ``best`` is whether no value of the same column and training set is larger, to the shown decimal.
    """

    value: str
    published: str | None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One condition: its training data, its cells and its number of runs."""

    label: str
    cells: tuple[Cell, ...]
    n_seeds: str


@dataclass(frozen=True)
class Group:
    """The rows of one training set."""

    training_set: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Panel:
    """The table of one architecture: columns are test cohort by metric, rows come in groups."""

    architecture: str
    cohorts: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The test cohort and the metric's label of each column of cells."""
        return [(cohort, METRIC_LABELS[metric]) for cohort in self.cohorts for metric in SHOWN_METRICS]


def paper_layout(table: pandas.DataFrame) -> list[Panel]:
    """Arrange the result table as the paper does.

    Parameters
    ----------
    table : pandas.DataFrame
        From `classification_table`.

    Returns
    -------
    list of Panel
        One for each architecture. Within a training set the rows are: real images at high resolution, real
        images, synthetic ones by number, synthetic and real ones by number.
    """
    return [
        Panel(
            str(architecture),
            tuple(cohorts := ordered("test_cohort", rows["test_cohort"])),
            tuple(
                Group(str(training_set), _rows(rows[rows["training_set"] == training_set], cohorts))
                for training_set in ordered("training_set", rows["training_set"])
            ),
        )
        for architecture in ordered("architecture", table["architecture"])
        for rows in [table[table["architecture"] == architecture]]
    ]


def _rows(table: pandas.DataFrame, cohorts: list[str]) -> tuple[Row, ...]:
    """Make one row per condition of a training set; the table is in the right order already."""
    keys = ["training_data", "n_synthetic", "resolution"]
    shown = table["mean_percent"].map(_shown, na_action="ignore").astype(float)
    highest = shown.groupby([table["test_cohort"], table["metric"]]).max()
    return tuple(
        Row(
            data_label(*key),
            tuple(_cell(rows, cohort, metric, highest) for cohort in cohorts for metric in SHOWN_METRICS),
            " / ".join(str(number) for number in sorted(rows["n_seeds"].unique())),
        )
        for key, rows in table.groupby(keys, sort=False)
    )


def _cell(rows: pandas.DataFrame, cohort: str, metric: str, highest: pandas.Series) -> Cell:
    found = rows[(rows["test_cohort"] == cohort) & (rows["metric"] == metric)]
    if found.empty:
        return Cell(NO_VALUE, None)
    row = found.iloc[0]
    value = _mean_with_sd(row["mean_percent"], row["sd_percent"])
    best = float(_shown(row["mean_percent"])) == highest[cohort, metric]
    if pandas.isna(row["published_mean_percent"]):
        return Cell(value, None, best)
    return Cell(value, _mean_with_sd(row["published_mean_percent"], row["published_sd_percent"]), best)


def _mean_with_sd(mean: float, sd: float) -> str:
    if pandas.isna(mean):
        return NO_VALUE
    return _shown(mean) if pandas.isna(sd) else f"{_shown(mean)} ± {_shown(sd)}"


def _shown(percent: float) -> str:
    return f"{percent:.{_DECIMALS}f}"
