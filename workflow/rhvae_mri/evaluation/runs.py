"""From the predictions of each run to one table of every run's metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.errors import StudyError
from rhvae_mri.evaluation.conditions import CONDITION, EVALUATED_SET, check_columns, describe, sort_rows
from rhvae_mri.evaluation.metrics import checked_predictions, classification_metrics
from rhvae_mri.files import read_tsv

#: The columns of a table of predictions.
PREDICTION_COLUMNS = (*CONDITION, "seed", *EVALUATED_SET, "image_id", "label", "probability")

#: The columns of the table of runs.
RUN_COLUMNS = (*CONDITION, "seed", *EVALUATED_SET, "metric", "value_percent", "n_AD", "n_CN")

_RUN_ON_SET = (*CONDITION, "seed", *EVALUATED_SET)
_NAMED_AT_MOST = 5  # how many faults a message lists


def prediction_table(
    condition: Mapping[str, Any],
    seed: int,
    test_cohort: str,
    set: str,  # the name of the column
    image_ids: Sequence[str],
    labels: Sequence[int] | numpy.ndarray,
    probabilities: Sequence[float] | numpy.ndarray,
) -> pandas.DataFrame:
    """Build the table of one run's predictions on one set.

    Parameters
    ----------
    condition : mapping
        The values of the columns of `CONDITION`; a number may be given as text.
    seed : int
        The run's seed, as in the configuration.
    test_cohort : str
        ADNI or AIBL.
    set : str
        The part of the cohort's split: ``validation`` or ``test``.
    image_ids : sequence of str, length n
        The images, each once.
    labels : sequence of int, length n
        1 for AD, 0 for CN.
    probabilities : sequence of float, length n
        The probabilities of AD, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row per image, in the given order, with the columns of `PREDICTION_COLUMNS`.

    Raises
    ------
    StudyError
        If the condition lacks an entry or contradicts itself, an image occurs twice, or labels or
        probabilities are not valid.
    """
    missing = [name for name in CONDITION if name not in condition]
    if missing:
        raise StudyError(f"The condition lacks {', '.join(missing)}.", where=f"condition {dict(condition)}")
    entries = {name: condition[name] for name in CONDITION}
    entries["n_synthetic"] = int(entries["n_synthetic"])
    entries |= {"seed": int(seed), "test_cohort": test_cohort, "set": set}
    place = describe(entries)
    data = entries["training_data"]
    if (data in ("real", "classic") and entries["n_synthetic"]) or (
        data in ("synthetic", "augmented") and not entries["n_synthetic"] > 0
    ):
        raise StudyError(
            f"The training data are {data}, but n_synthetic is {entries['n_synthetic']}.", where=place
        )
    truth, chance = _checked(labels, probabilities, place)
    if len(image_ids) != len(truth):
        raise StudyError(f"There are {len(image_ids)} images for {len(truth)} labels.", where=place)
    table = pandas.DataFrame({"image_id": list(image_ids), "label": truth.astype(int), "probability": chance})
    _check_images_occur_once(table, place)
    return table.assign(**entries)[list(PREDICTION_COLUMNS)]


def summarise_runs(
    predictions: Iterable[str | os.PathLike[str] | pandas.DataFrame], seeds: Iterable[int] | None = None
) -> pandas.DataFrame:
    """Compute the metrics of every run on every set.

    Parameters
    ----------
    predictions : iterable of path or pandas.DataFrame
        Tables of predictions. Each is read, summarised and dropped before the next one.
    seeds : iterable of int, optional
        The seeds that every condition must have. Without them, the seeds that any condition has.

    Returns
    -------
    pandas.DataFrame
        One row per run, evaluated set and metric, with the columns of `RUN_COLUMNS`, in the order of the
        study's tables: ``value_percent`` (0 to 100, NaN where it is not defined) and the set's numbers of
        AD and CN images. Every run is there; none is chosen.

    Raises
    ------
    StudyError
        If a table is not valid, a run occurs twice, a condition lacks a seed or has one too many, or two
        runs were evaluated on different images of the same set.
    """
    found: list[dict[str, Any]] = []
    # equal sets are kept once: a study has thousands of runs
    image_sets: dict[frozenset[tuple[str, bool]], frozenset[tuple[str, bool]]] = {}
    for source in predictions:
        place = "a table in memory" if isinstance(source, pandas.DataFrame) else os.fspath(source)
        table = source if isinstance(source, pandas.DataFrame) else read_tsv(source, ("image_id",))
        check_columns(table, PREDICTION_COLUMNS, where=place)
        for key, rows in table.groupby(list(_RUN_ON_SET), sort=False):
            run = dict(zip(_RUN_ON_SET, key, strict=True)) | _evaluate(rows, place)
            run["images"] = image_sets.setdefault(run["images"], run["images"])
            found.append(run)
    if not found:
        raise StudyError("There are no predictions to summarise.", remedy="Train and evaluate a condition.")
    _check_runs_occur_once(found)
    _check_seeds(found, seeds)
    _check_same_images(found)
    rows = [
        {name: run[name] for name in (*_RUN_ON_SET, "n_AD", "n_CN")}
        | {"metric": metric, "value_percent": 100 * value}
        for run in found
        for metric, value in run["metrics"].items()
    ]
    return sort_rows(pandas.DataFrame(rows)[list(RUN_COLUMNS)])


def _evaluate(rows: pandas.DataFrame, place: str) -> dict[str, Any]:
    """Evaluate one run on one set; the images are kept to compare them with other runs'."""
    where = f"{place}: {describe(rows.iloc[0])}"
    truth, chance = _checked(rows["label"], rows["probability"], where)
    _check_images_occur_once(rows, where)
    return {
        "metrics": classification_metrics(truth, chance),
        "n_AD": int(truth.sum()),
        "n_CN": int((~truth).sum()),
        "images": frozenset(zip(rows["image_id"], truth.tolist(), strict=True)),
    }


def _checked(labels: Any, probabilities: Any, place: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    try:
        return checked_predictions(labels, probabilities)
    except StudyError as error:
        raise StudyError(error.what, where=place, cause=error.cause) from None


def _check_images_occur_once(rows: pandas.DataFrame, place: str) -> None:
    repeated = sorted(rows.loc[rows["image_id"].duplicated(), "image_id"].unique())
    if repeated:
        raise StudyError(
            f"Images are predicted more than once: {_list(repeated)}.",
            where=place,
            cause="The same run was written twice.",
            remedy="Delete these predictions and let the workflow write them again.",
        )


def _check_runs_occur_once(found: list[dict[str, Any]]) -> None:
    keys = [tuple(run[name] for name in _RUN_ON_SET) for run in found]
    table = pandas.Series(keys)
    repeated = table[table.duplicated()].unique()
    if len(repeated):
        names = [describe(dict(zip(_RUN_ON_SET, key, strict=True))) for key in repeated]
        raise StudyError(
            f"Runs occur more than once: {_list(names, '; ')}.",
            cause="Two files of predictions hold the same seed of one condition.",
            remedy="Give each seed to one job only.",
        )


def _check_seeds(found: list[dict[str, Any]], seeds: Iterable[int] | None) -> None:
    expected = {run["seed"] for run in found} if seeds is None else {int(seed) for seed in seeds}
    sets = {tuple(run[name] for name in EVALUATED_SET) for run in found}
    present: dict[tuple[Any, ...], dict[tuple[Any, ...], set[int]]] = {}
    for run in found:
        of_condition = present.setdefault(
            tuple(run[name] for name in CONDITION), {one: set() for one in sets}
        )
        of_condition[tuple(run[name] for name in EVALUATED_SET)].add(int(run["seed"]))
    faults = []
    for condition, of_condition in present.items():
        name = describe(dict(zip(CONDITION, condition, strict=True)))
        for (cohort, part), given in sorted(of_condition.items()):
            faults += [
                f"{name}, {cohort} {part}: {problem} {', '.join(map(str, sorted(which)))}"
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


def _check_same_images(found: list[dict[str, Any]]) -> None:
    first_on_set: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in found:
        first = first_on_set.setdefault(tuple(run[name] for name in EVALUATED_SET), run)
        if run["images"] != first["images"]:
            different = sorted({image for image, _ in run["images"] ^ first["images"]})
            raise StudyError(
                f"Two runs were not evaluated on the same images or labels: {_list(different)}.",
                where=f"{describe(first)}; {describe(run)}",
                cause="Some predictions are older than the split.",
                remedy="Delete the older predictions and run the workflow again.",
            )


def _list(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _NAMED_AT_MOST
    return separator.join(names[:_NAMED_AT_MOST]) + (f"{separator}and {more} more" if more > 0 else "")
