"""The training histories of all runs as one table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

import pandas

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.statistics.conditions import CONDITION, check_columns, own_generator, sort_rows

#: What the history of one run has in each row, besides its seed.
HISTORY_COLUMNS = (
    *("epoch", "train_loss", "train_balanced_accuracy", "validation_loss", "validation_balanced_accuracy"),
    "best",
)


def read_histories(files: Iterable[str | os.PathLike[str]]) -> pandas.DataFrame:
    """Read the histories of all batches of seeds of all conditions, as `train_cnn` writes them.

    The parts of their paths name the condition, each as ``column-value``.

    Returns
    -------
    pandas.DataFrame
        One row per run and epoch, in the order of the study's tables: the columns of
        `rhvae_mri.statistics.conditions.CONDITION`, ``seed`` and those of `HISTORY_COLUMNS`. Losses are mean
        cross entropies in nats, balanced accuracies are fractions, and ``best`` is 1 in the epoch whose
        weights validation selected.
    """
    tables = []
    for file in files:
        condition = condition_of(file)
        history = read_tsv(file)
        # Not of the other columns: a training that diverged has losses that are not numbers.
        check_columns(history, ["seed", "epoch", "best"], where=file)
        tables.append(history.assign(**condition).reindex(columns=[*CONDITION, "seed", *HISTORY_COLUMNS]))
    if not tables:
        raise StudyError("There is no training history to gather.", remedy="Train a condition.")
    return sort_rows(pandas.concat(tables, ignore_index=True))


def condition_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a condition from the parts of a path; one without a generator's name is of the study's own."""
    named: dict[str, Any] = {}
    for name, value in (part.split("-", 1) for part in PurePath(path).parts if "-" in part):
        named[name] = value
        if name == "training_data":
            named["generator"] = own_generator(value)
    missing = [name for name in CONDITION if name not in named]
    if missing:
        raise StudyError(f"The path does not name {', '.join(missing)}.", where=path)
    return {name: named[name] for name in CONDITION} | {"n_synthetic": int(named["n_synthetic"])}
