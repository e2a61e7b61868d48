"""The cross-validation of candidates: each is trained once for each fold, which chooses its epoch."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas
import torch

from rhvae_mri.cnn.training import TrainingDiverged, TrainingSettings, train_network
from rhvae_mri.cohort.folds import iterate_folds
from rhvae_mri.cohort.image_sets import build_image_set
from rhvae_mri.search.space import Candidate
from rhvae_mri.study.seeds import derive_seed

logger = logging.getLogger(__name__)

#: What became of a candidate in a fold.
FINISHED, DIVERGED, SKIPPED = "finished", "diverged", "skipped"

#: The columns that name a run of the search, and those of its result.
_RUN = ["candidate", "fold"]
_RESULT = [*_RUN, "status", "balanced_accuracy_percent", "selected_epoch", "seconds"]


def cross_validate(
    candidates: Sequence[Candidate],
    stack: str | os.PathLike[str],
    folds: pandas.DataFrame,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    device: torch.device,
    precision: str = "float32",
    stop_below_percent: float | None = None,
    checkpoints: Path | None = None,
    digest: str = "",
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Train candidates on real images, once for each fold; return the results and the histories of epochs.

    The balanced accuracy of a result is that of the fold in the epoch that it chose, its seconds those of
    training and validation. Folds after one that diverged are skipped, and so are those after a first fold
    below ``stop_below_percent``. The level is fixed, so that what is stopped does not depend on the order of
    the jobs. With a folder for ``checkpoints``, which the caller deletes, an interrupted call goes on.
    """
    results: list[dict[str, Any]] = []
    histories = [pandas.DataFrame(columns=[*_RUN, "epoch"])]
    for candidate in candidates:
        rates = candidate.learning_rate, candidate.weight_decay
        settings = TrainingSettings(epochs, batch_size, *rates, precision=precision)
        is_given_up = False
        for fold, train, held_out in iterate_folds(folds):
            row = {"candidate": candidate.number, "fold": fold, "status": SKIPPED}
            results.append(row)
            if is_given_up:
                continue
            name = f"candidate-{candidate.number}_fold-{fold}"
            try:
                # The sets are built for each training, so one fold at a time is in the device's memory.
                trained = train_network(
                    candidate.architecture,
                    build_image_set(stack, train),
                    build_image_set(stack, held_out),
                    settings,
                    seed=derive_seed(seed, candidate.number, fold),
                    device=device,
                    checkpoint=None if checkpoints is None else checkpoints / f"{name}.safetensors",
                    digest=digest,
                    name=name,
                )
            except TrainingDiverged as error:
                logger.warning("%s", error)
                row["status"] = DIVERGED
                is_given_up = True
                continue
            accuracy = 100 * trained.history[trained.selected_epoch - 1]["validation_balanced_accuracy"]
            row |= {
                "status": FINISHED,
                "balanced_accuracy_percent": accuracy,
                "selected_epoch": trained.selected_epoch,
                "seconds": round(len(train) * len(trained.history) / trained.images_per_second, 3),
            }
            if stop_below_percent is not None and fold == 0:
                is_given_up = accuracy < stop_below_percent
            history = pandas.DataFrame(trained.history)
            for position, column in enumerate(_RUN):
                history.insert(position, column, row[column])
            histories.append(history)
    found = pandas.concat(histories[1:] or histories, ignore_index=True)
    return pandas.DataFrame(results, columns=_RESULT), found
