"""All predictions of a study as dense arrays: condition by run by image, one array for each evaluated set.

The tables of predictions name a condition in every row; the statistics need the same images of the same runs
side by side, again and again. The arrays hold the same numbers in a hundredth of the reading time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
from safetensors import safe_open
from safetensors.numpy import save_file

from rhvae_mri.errors import StudyError
from rhvae_mri.evaluation.conditions import CONDITION, EVALUATED_SET, describe, sort_rows
from rhvae_mri.evaluation.runs import PREDICTION_COLUMNS
from rhvae_mri.files import atomic_path, read_tsv

_REMEDY = "Delete the older predictions and run the workflow again."


@dataclass(frozen=True)
class SetPredictions:
    """The predictions of every run on one set of participants.

    Attributes
    ----------
    test_cohort, set : str
        The set: ``ADNI`` or ``AIBL``, ``validation`` or ``test``.
    conditions : pandas.DataFrame
        One row for each condition, with the columns of `CONDITION`, in the order of the study's tables.
    seeds : numpy.ndarray of int, shape (n_runs,)
        The runs' numbers.
    image_ids : list of str, length n_images
        One image of each participant.
    labels : numpy.ndarray of bool, shape (n_images,)
        True for AD.
    probabilities : numpy.ndarray of float64, shape (n_conditions, n_runs, n_images)
        Probabilities of AD.
    """

    test_cohort: str
    set: str
    conditions: pandas.DataFrame
    seeds: numpy.ndarray
    image_ids: list[str]
    labels: numpy.ndarray
    probabilities: numpy.ndarray

    def of(self, position: int) -> dict[str, Any]:
        """Return the columns that name a condition and this set, to begin a row of a table with."""
        return self.conditions.iloc[position].to_dict() | {"test_cohort": self.test_cohort}


def collect_predictions(files: Iterable[str | os.PathLike[str]]) -> list[SetPredictions]:
    """Read the tables of predictions of all conditions.

    Parameters
    ----------
    files : iterable of path
        One table for each condition, with the columns of `PREDICTION_COLUMNS`.

    Returns
    -------
    list of SetPredictions
        ADNI before AIBL, validation before test.

    Raises
    ------
    StudyError
        If two conditions do not have the same runs, images or labels on a set.
    """
    found: dict[tuple[str, str], list[tuple[dict[str, Any], pandas.DataFrame]]] = {}
    for file in files:
        table = read_tsv(file, ("image_id",))
        condition = {name: table[name].iloc[0] for name in CONDITION}
        for key, rows in table[list(PREDICTION_COLUMNS)].groupby(list(EVALUATED_SET)):
            # Unlike pivot_table, pivot refuses an image that a run predicts twice.
            wide = rows.pivot(index="image_id", columns="seed", values="probability")  # noqa: PD010
            labels = rows.groupby("image_id")["label"].first()
            found.setdefault(key, []).append((condition, wide.assign(label=labels)))
    if not found:
        raise StudyError("There are no predictions to collect.", remedy="Train and evaluate a condition.")
    sets = sort_rows(pandas.DataFrame(list(found), columns=list(EVALUATED_SET)))
    return [
        _stack(cohort, part, found[cohort, part]) for cohort, part in sets.itertuples(index=False, name=None)
    ]


def _stack(
    cohort: str, part: str, tables: Sequence[tuple[dict[str, Any], pandas.DataFrame]]
) -> SetPredictions:
    """Put the runs of all conditions on one set above each other, in the order of the study's tables."""
    conditions = sort_rows(pandas.DataFrame([condition for condition, _ in tables]).reset_index())
    in_order = [tables[position] for position in conditions.pop("index")]
    first = in_order[0][1]
    for condition, table in in_order:
        same = table.index.equals(first.index) and table.columns.equals(first.columns)
        if not same or not table["label"].equals(first["label"]) or table.isna().any(axis=None):
            raise StudyError(
                f"The runs on {cohort} {part} do not all have the same seeds, images and labels.",
                where=describe(condition),
                cause="Some predictions are older than the split, or a run is not finished.",
                remedy=_REMEDY,
            )
    runs = first.columns.drop("label")
    return SetPredictions(
        test_cohort=cohort,
        set=part,
        conditions=conditions,
        seeds=runs.to_numpy(int),
        image_ids=first.index.tolist(),
        labels=first["label"].to_numpy() == 1,
        probabilities=numpy.stack([table[runs].to_numpy(float).T for _, table in in_order]),
    )


def save_predictions(path: str | os.PathLike[str], sets: Sequence[SetPredictions]) -> None:
    """Write collected predictions to a safetensors file, atomically.

    For each set there are ``<cohort>/<set>/probabilities``, ``labels`` and ``seeds``; the header names
    conditions and images.
    """
    arrays, names = {}, {}
    for each in sets:
        key = f"{each.test_cohort}/{each.set}"
        arrays[f"{key}/probabilities"] = each.probabilities
        arrays[f"{key}/labels"] = each.labels.astype(numpy.uint8)
        arrays[f"{key}/seeds"] = each.seeds.astype(numpy.int64)
        names[key] = json.dumps(
            {"conditions": each.conditions.to_dict("list"), "image_ids": each.image_ids}, ensure_ascii=False
        )
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata=names)


def load_predictions(path: str | os.PathLike[str], part: str = "test") -> list[SetPredictions]:
    """Read the predictions of all test sets, or of all sets of another name, from `save_predictions`."""
    sets = []
    with safe_open(path, "numpy") as file:
        names = {key: json.loads(text) for key, text in file.metadata().items()}
        for key in sorted(names):  # ADNI before AIBL
            cohort, found = key.split("/")
            if found == part:
                sets.append(
                    SetPredictions(
                        test_cohort=cohort,
                        set=found,
                        conditions=pandas.DataFrame(names[key]["conditions"]),
                        seeds=file.get_tensor(f"{key}/seeds"),
                        image_ids=names[key]["image_ids"],
                        labels=file.get_tensor(f"{key}/labels") == 1,
                        probabilities=file.get_tensor(f"{key}/probabilities"),
                    )
                )
    if not sets:
        raise StudyError(f"No run was evaluated on a set {part}.", where=path)
    return sets
