"""The predictions of all runs, a table for each condition, read into arrays; and the metrics of each run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
import pandas
from numpy import ndarray

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.statistics.conditions import (
    CONDITION,
    EVALUATED_SET,
    REAL_DATA,
    check_columns,
    describe,
    sort_rows,
)
from rhvae_mri.statistics.metrics import checked_predictions, metrics_by_run
from rhvae_mri.study.grid import FIXED, NO_GENERATOR, count_replicates, is_redrawn
from rhvae_mri.study.names import TRAIN_FULL

_RUN = (*CONDITION, "seed", *EVALUATED_SET)  # a run on a set

#: The columns of a table of predictions.
PREDICTION_COLUMNS = (*_RUN, "image_id", "label", "probability")

#: The columns of the table of runs.
RUN_COLUMNS = (*_RUN, "metric", "value_percent", "n_AD", "n_CN")

_NAMED_AT_MOST = 5  # how many faults a message lists


@dataclass(frozen=True)
class SetPredictions:
    """The predictions of every run on one set of participants."""

    test_cohort: str
    set: str  # validation or test
    conditions: pandas.DataFrame  # one row each, with the columns of `CONDITION`, in the order of the tables
    seeds: ndarray  # of the runs
    image_ids: list[str]  # one image of each participant
    labels: ndarray  # shape (n_images,), true for AD
    probabilities: ndarray  # of AD, float64, shape (n_conditions, n_runs, n_images)
    n_replicates: int = 1  # see `rhvae_mri.study.grid.count_replicates`
    redraws: bool = False

    def of(self, position: int) -> dict[str, Any]:
        """Return the columns that name a condition and this set, to begin a row of a table with."""
        return self.conditions.iloc[position].to_dict() | {"test_cohort": self.test_cohort}

    def replicates(self, position: int) -> ndarray:
        """Number the replicate that each run of a condition is of, shape (n_runs,).

        Where runs have neither a generator nor a draw of the training set in common, each is one of its own.
        """
        n = self.count_replicates(position)
        return self.seeds % n if n > 1 else numpy.arange(len(self.seeds))

    def count_replicates(self, position: int) -> int:
        """Count the replicates of a condition."""
        row = self.conditions.iloc[position]
        return count_replicates(row["generator"], row["training_set"], self.n_replicates, self.redraws)

    def have_replicates_in_common(self, position: int, other: int) -> bool:
        """Whether two conditions of one training set have the same draws of it, or the same generators."""
        generators = set(self.conditions["generator"].iloc[[position, other]])
        is_same_generator = len(generators) == 1 and not generators & {*FIXED}
        is_drawn = is_redrawn(self.conditions["training_set"].iloc[position], self.redraws)
        return self.n_replicates > 1 and (is_drawn or is_same_generator)

    def left_out(self, *positions: int) -> str | None:
        """Say over what else the results of conditions would vary, that their intervals leave out."""
        found = []
        for row in self.conditions.iloc[[*positions]].itertuples():
            if self.n_replicates == 1 and row.generator not in FIXED:
                found.append("other models of the generator")
            if row.training_set != TRAIN_FULL and not self.redraws:
                found.append(f"other draws of {row.training_set}")
        return "; ".join(dict.fromkeys(found)) or None

    @property
    def sizes(self) -> dict[str, int]:
        """The numbers of AD and CN images, by column of the tables."""
        n_ad = int(self.labels.sum())
        return {"n_AD": n_ad, "n_CN": len(self.labels) - n_ad}


def prediction_table(
    condition: Mapping[str, Any],
    seed: int,
    test_cohort: str,
    set: str,  # the name of the column
    image_ids: Sequence[str],
    labels: Sequence[int] | ndarray,
    probabilities: Sequence[float] | ndarray,
) -> pandas.DataFrame:
    """Build the table of one run's predictions on one set: one row per image, in the given order."""
    missing = [name for name in CONDITION if name not in condition]
    if missing:
        raise StudyError(f"The condition lacks {', '.join(missing)}.", where=f"condition {dict(condition)}")
    n_synthetic, data = int(condition["n_synthetic"]), condition["training_data"]
    entries = {name: condition[name] for name in CONDITION} | {"n_synthetic": n_synthetic}
    entries |= {"seed": int(seed), "test_cohort": test_cohort, "set": set}
    place = describe(entries)
    for name, is_synthetic in (
        ("n_synthetic", n_synthetic > 0),
        ("generator", condition["generator"] != NO_GENERATOR),
    ):
        if data in (REAL_DATA if is_synthetic else ("synthetic", "augmented")):
            raise StudyError(f"The training data are {data}, but {name} is {entries[name]}.", where=place)
    truth, chance = _checked(labels, probabilities, place)
    if len(image_ids) != len(truth):
        raise StudyError(f"There are {len(image_ids)} images for {len(truth)} labels.", where=place)
    table = pandas.DataFrame({"image_id": list(image_ids), "label": truth.astype(int), "probability": chance})
    table = table.assign(**entries)[list(PREDICTION_COLUMNS)]
    _check_images_occur_once(table, place)
    return table


def read_predictions(
    files: Iterable[str | os.PathLike[str]],
    seeds: Iterable[int] | None = None,
    *,
    n_replicates: int = 1,
    redraws: bool = False,
) -> list[SetPredictions]:
    """Read tables of predictions: of each evaluated set, ADNI before AIBL, validation before test.

    Every run is there; none is chosen. Every condition must have all ``seeds``; without these, the seeds that
    any condition has. The other arguments are those of `rhvae_mri.study.grid.count_replicates`. StudyError if
    a table is not valid, a run occurs twice, a condition lacks a seed or has one too many, or two runs were
    evaluated on different images of the same set.
    """
    tables = []
    for file in files:
        table = read_tsv(file, ("image_id",))
        check_columns(table, PREDICTION_COLUMNS, where=file)
        _checked(table["label"], table["probability"], os.fspath(file))
        _check_images_occur_once(table, os.fspath(file))
        tables.append(table[list(PREDICTION_COLUMNS)])
    if not tables:
        raise StudyError("There are no predictions to summarise.", remedy="Train and evaluate a condition.")
    _check_runs(pandas.concat([table[list(_RUN)].drop_duplicates() for table in tables]), seeds)
    by_set = dict(iter(pandas.concat(tables, ignore_index=True).groupby(list(EVALUATED_SET))))
    sets = sort_rows(pandas.DataFrame(list(by_set), columns=list(EVALUATED_SET)))
    keys = sets.itertuples(index=False, name=None)
    return [
        replace(_stack(cohort, part, by_set[cohort, part]), n_replicates=n_replicates, redraws=redraws)
        for cohort, part in keys
    ]


def _stack(cohort: str, part: str, rows: pandas.DataFrame) -> SetPredictions:
    """Put the runs of all conditions on one set above each other, in the order of the study's tables."""
    run = [*CONDITION, "seed"]
    # unlike pivot_table, pivot averages nothing
    wide = rows.pivot(index=run, columns="image_id", values=["label", "probability"])  # noqa: PD010
    labels = wide["label"].fillna(-1)
    differs = labels != labels.iloc[0]
    if differs.any(axis=None):
        other = differs.any(axis=1).idxmax()
        images = differs.columns[differs.loc[other]].tolist()
        names, first_and_other = {"test_cohort": cohort, "set": part}, (labels.index[0], other)
        raise StudyError(
            f"Two runs were not evaluated on the same images or labels: {_list(images)}.",
            where="; ".join(describe(dict(zip(run, key, strict=True)) | names) for key in first_and_other),
            cause="Some predictions are older than the split.",
            remedy="Delete the older predictions and run the workflow again.",
        )
    runs = sort_rows(wide.index.to_frame(index=False).rename_axis(None).assign(row=range(len(wide))))
    conditions = runs[list(CONDITION)].drop_duplicates(ignore_index=True)
    values = wide["probability"].to_numpy(float)[runs["row"]]
    return SetPredictions(
        test_cohort=cohort,
        set=part,
        conditions=conditions,
        seeds=runs["seed"].unique(),
        image_ids=labels.columns.tolist(),
        labels=labels.iloc[0].to_numpy() == 1,
        probabilities=values.reshape(len(conditions), -1, values.shape[1]),
    )


def tabulate_runs(sets: Sequence[SetPredictions]) -> pandas.DataFrame:
    """Compute the metrics of every run on every set, one row each with the columns of `RUN_COLUMNS`."""
    tables = []
    for each in sets:
        metrics = metrics_by_run(each.labels, each.probabilities)
        for position in range(len(each.conditions)):
            names = each.of(position) | {"set": each.set} | each.sizes
            for metric, values in metrics.items():
                columns = {"seed": each.seeds, "metric": metric, "value_percent": 100 * values[position]}
                tables.append(pandas.DataFrame(names | columns))
    return sort_rows(pandas.concat(tables)[list(RUN_COLUMNS)])


def _checked(labels: Any, probabilities: Any, place: str) -> tuple[ndarray, ndarray]:
    try:
        return checked_predictions(labels, probabilities)
    except StudyError as error:
        raise StudyError(error.what, where=place, cause=error.cause) from None


def _check_images_occur_once(table: pandas.DataFrame, place: str) -> None:
    repeated = table.loc[table.duplicated([*_RUN, "image_id"]), "image_id"]
    if len(repeated):
        raise StudyError(
            f"Images are predicted more than once: {_list(sorted(repeated.unique()))}.",
            where=place,
            cause="The same run was written twice.",
            remedy="Delete these predictions and let the workflow write them again.",
        )


def _check_runs(runs: pandas.DataFrame, seeds: Iterable[int] | None) -> None:
    """Check that each run is there once, and that every condition has the same seeds on every set."""
    repeated = runs[runs.duplicated()].drop_duplicates().to_dict("records")
    if repeated:
        raise StudyError(
            f"Runs occur more than once: {_list([describe(run) for run in repeated], '; ')}.",
            cause="Two files of predictions hold the same seed of one condition.",
            remedy="Give each seed to one job only.",
        )
    expected = set(runs["seed"]) if seeds is None else set(seeds)
    on_set = runs.groupby([*CONDITION, *EVALUATED_SET])["seed"].agg(set).to_dict()
    sets = sorted({key[len(CONDITION) :] for key in on_set})
    faults = [
        f"{describe(dict(zip(CONDITION, condition, strict=True)))}, {of_set[0]} {of_set[1]}: "
        f"{problem} {', '.join(map(str, sorted(which)))}"
        for condition in runs[list(CONDITION)].drop_duplicates().itertuples(index=False, name=None)
        for of_set in sets
        for given in [on_set.get((*condition, *of_set), set())]
        for problem, which in (("no seeds", expected - given), ("unknown seeds", given - expected))
        if which
    ]
    if faults:
        raise StudyError(
            f"Not every condition has the seeds {', '.join(map(str, sorted(expected)))}: "
            f"{_list(faults, '; ')}.",
            cause="A run is not finished, or the list of seeds was changed.",
            remedy="Run the workflow again: it trains what is missing.",
        )


def _list(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _NAMED_AT_MOST
    return separator.join(names[:_NAMED_AT_MOST]) + (f"{separator}and {more} more" if more > 0 else "")
