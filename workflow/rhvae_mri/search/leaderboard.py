"""The ranking of the candidates, and how far the winner's accuracy can be trusted.

The winner's mean is the largest of many noisy ones, and each fold has also chosen its epoch: on new images it
is lower. Two numbers beside it say how much of it is luck: its standard error over the folds, and the mean
accuracy of winners chosen without the fold that they are judged on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.cnn.architectures import Architecture, read_architectures
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.search.cross_validation import DIVERGED, FINISHED
from rhvae_mri.search.space import HYPERPARAMETERS, Candidate, tabulate_candidates

#: What became of a candidate, if it did not diverge: trained on every fold, or given up after the first one.
COMPLETE, STOPPED = "complete", "stopped"

NOTE = (
    "The winner is the best of many on the same folds, and each fold chose its own epoch, so its mean is "
    "optimistic. `unseen_fold_percent` is the mean accuracy of winners chosen without the fold that they are "
    "judged on: it is free of the first kind of optimism, not of the second. `n_within_one_se` "
    "counts the candidates, the winner included, that are at most its standard error below it. Standard "
    "errors take the folds as independent, though their training sets overlap."
)


def rank_candidates(candidates: Sequence[Candidate], results: pandas.DataFrame) -> pandas.DataFrame:
    """Rank candidates by their mean balanced accuracy over the folds, the best first.

    The standard deviation is of a sample. The gap is how far a mean is below the winner's, and its standard
    error that of the difference over the folds. Of equal means the smaller network is first. Candidates that
    are not complete have no rank and no mean.
    """
    table = tabulate_candidates(candidates)
    if missing := sorted(set(table["candidate"]) - set(results["candidate"])):
        raise StudyError(f"Candidates without a result: {', '.join(map(str, missing))}.")
    accuracies = results.pivot_table(
        index="candidate", columns="fold", values="balanced_accuracy_percent", dropna=False
    ).loc[table["candidate"]]
    n_folds = len(accuracies.columns)
    counts = pandas.crosstab(results["candidate"], results["status"])
    counts = counts.reindex(table["candidate"], columns=[FINISHED, DIVERGED], fill_value=0)
    fates = [counts[FINISHED] == n_folds, counts[DIVERGED] > 0]
    table["status"] = numpy.select(fates, [COMPLETE, DIVERGED], STOPPED)
    values = accuracies.to_numpy(dtype=float, copy=True)
    values[(table["status"] != COMPLETE).to_numpy()] = numpy.nan
    if numpy.isnan(values).all():
        raise StudyError(
            "No candidate of the search was trained on every fold.",
            cause="All trainings diverged, or the level of `search: stop_below_percent` is too high.",
            remedy="Search lower learning rates, or lower this level.",
        )
    table["mean_percent"] = values.mean(axis=1)
    table["sd_percent"] = values.std(axis=1, ddof=1)
    table["se_percent"] = table["sd_percent"] / numpy.sqrt(n_folds)
    table["seconds"] = results.groupby("candidate")["seconds"].sum()[table["candidate"]].to_numpy()
    folds = [f"fold_{fold}_percent" for fold in accuracies.columns]
    table[folds] = accuracies.to_numpy()
    order = table.sort_values(["mean_percent", "n_parameters", "candidate"], ascending=[False, True, True])
    gaps = values[order.index[0]] - values[order.index]
    order["gap_percent"] = gaps.mean(axis=1)
    order["gap_se_percent"] = gaps.std(axis=1, ddof=1) / numpy.sqrt(n_folds)
    is_complete = order["status"] == COMPLETE
    order["rank"] = is_complete.cumsum().where(is_complete).astype("Int64")
    statistics = ["mean_percent", "sd_percent", "se_percent", "gap_percent", "gap_se_percent"]
    first = ["rank", "candidate", "status", *statistics, *folds, *HYPERPARAMETERS, "n_parameters", "seconds"]
    return order[[*first, *order.columns.drop(first)]].reset_index(drop=True)


def summarise_search(
    candidates: Sequence[Candidate], leaderboard: pandas.DataFrame, *, resolution: str, simulated: bool
) -> dict[str, Any]:
    """Describe the winner and what the search says of it, as JSON values for ``leaderboard.json``."""
    complete = leaderboard[leaderboard["status"] == COMPLETE]
    # Here equal means must not be ordered by the fold that is left out, as they are in the leaderboard.
    by_size = complete.sort_values(["n_parameters", "candidate"])
    folds = by_size.filter(regex=r"^fold_\d+_percent$")
    best = complete.iloc[0]
    is_near = complete["gap_percent"] <= best["se_percent"]
    winner = next(candidate for candidate in candidates if candidate.number == best["candidate"])
    statistics = ("mean_percent", "sd_percent", "se_percent")
    return {
        "simulated": simulated,
        "resolution": resolution,
        "n_candidates": len(leaderboard),
        "n_complete": len(complete),
        "n_diverged": int((leaderboard["status"] == DIVERGED).sum()),
        "n_stopped": int((leaderboard["status"] == STOPPED).sum()),
        "n_rejected_draws": int(leaderboard.filter(regex="^rejected_").to_numpy().sum()),
        "n_folds": len(folds.columns),
        "winner": winner.to_dict() | {name: round(float(best[name]), 4) for name in statistics},
        "n_within_one_se": int(is_near.sum()),
        "unseen_fold_percent": round(mean_on_unseen_folds(folds.to_numpy()), 4),
        "note": NOTE,
    }


def mean_on_unseen_folds(accuracies: numpy.ndarray) -> float:
    """Choose the best candidate without each fold in turn, and return their mean accuracy on that fold.

    ``accuracies`` has the shape (n_candidates, n_folds); of equal means the first candidate is chosen.
    """
    of_others = (accuracies.sum(axis=1, keepdims=True) - accuracies).round(9)
    chosen = of_others.argmax(axis=0)
    return float(accuracies[chosen, numpy.arange(accuracies.shape[1])].mean())


def choose_network(
    architectures: str | os.PathLike[str],
    architecture: str,
    resolution: str,
    learning_rate: float,
    weight_decay: float,
    search: str | os.PathLike[str] | None,
) -> tuple[Architecture, float, float]:
    """Choose what to train: an architecture of the study, or the winner of a search with its own settings.

    ``search`` is ``leaderboard.json`` of a search, from `summarise_search`; with one, all others are without
    effect. Learning rate and weight decay are those of Adam.
    """
    if search:
        winner = Candidate.from_dict(read_json(search)["winner"])
        return winner.architecture, winner.learning_rate, winner.weight_decay
    return read_architectures(architectures)[architecture][resolution], learning_rate, weight_decay
