"""The cross-validation of candidates: each is trained once for each fold, which chooses its epoch."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas
import torch

from rhvae_mri.cnn.storage import TrainedNetwork
from rhvae_mri.cnn.training import TrainingDiverged, TrainingSettings, train_network
from rhvae_mri.cohort.folds import iterate_folds
from rhvae_mri.search.space import Candidate
from rhvae_mri.seeds import derive_seed
from rhvae_mri.study_data import build_image_set

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
    """Train candidates on real images, once for each fold.

    Parameters
    ----------
    candidates : sequence of Candidate
        What to train.
    stack : path
        The packed images of ADNI.
    folds : pandas.DataFrame
        From `rhvae_mri.cohort.folds.split_folds`.
    epochs, batch_size, precision
        Settings that all candidates share; see `rhvae_mri.cnn.training.TrainingSettings`.
    seed : int
        The seed of the search; every candidate and fold has its own.
    device : torch.device
        Where to compute.
    stop_below_percent : float, optional
        A candidate whose first fold has a lower balanced accuracy is not trained on the others. The level is
        fixed, so that what is stopped does not depend on the order of the jobs.
    checkpoints : path, optional
        A folder for the checkpoints, so that the call can be interrupted and goes on. The caller deletes it.
    digest : str
        Identifies images and code; see `rhvae_mri.cnn.training.train_network`.

    Returns
    -------
    results : pandas.DataFrame
        One row for each candidate and fold: candidate, fold, status, balanced_accuracy_percent (of the fold,
        in the epoch that it chose), selected_epoch, seconds (training and validation). ``skipped`` are the
        folds after one that diverged, or after a first fold below ``stop_below_percent``.
    history : pandas.DataFrame
        One row for each candidate, fold and epoch; see `rhvae_mri.cnn.storage.TrainedNetwork`.
    """
    results: list[dict[str, Any]] = []
    histories: list[pandas.DataFrame] = []
    for candidate in candidates:
        rates = candidate.learning_rate, candidate.weight_decay
        settings = TrainingSettings(epochs, batch_size, *rates, precision=precision)
        for fold, train, held_out in iterate_folds(folds):
            row = {"candidate": candidate.number, "fold": fold, "status": SKIPPED}
            results.append(row)
            if _is_given_up(results, candidate.number, stop_below_percent):
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
            else:
                row |= _describe(trained, len(train))
                histories.append(pandas.DataFrame(trained.history).assign(**{k: row[k] for k in _RUN}))
    return pandas.DataFrame(results, columns=_RESULT), _join(histories)


def _is_given_up(results: list[dict[str, Any]], number: int, stop_below_percent: float | None) -> bool:
    """Whether the folds that a candidate has behind it exclude it from the search."""
    behind = [row for row in results[:-1] if row["candidate"] == number]
    if any(row["status"] != FINISHED for row in behind):
        return True
    if stop_below_percent is None or not behind:
        return False
    return behind[0]["balanced_accuracy_percent"] < stop_below_percent


def _describe(trained: TrainedNetwork, n_images: int) -> dict[str, Any]:
    """The outcome of a finished training on ``n_images`` images."""
    selected = trained.history[trained.selected_epoch - 1]
    return {
        "status": FINISHED,
        "balanced_accuracy_percent": 100 * selected["validation_balanced_accuracy"],
        "selected_epoch": trained.selected_epoch,
        "seconds": round(n_images * len(trained.history) / trained.images_per_second, 3),
    }


def _join(histories: list[pandas.DataFrame]) -> pandas.DataFrame:
    """Join the histories, with the columns that name the run first; there may be none."""
    if not histories:
        return pandas.DataFrame(columns=[*_RUN, "epoch"])
    history = pandas.concat(histories, ignore_index=True)
    return history[[*_RUN, *history.columns.drop(_RUN)]]
