"""The check that no participant who is tested was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from rhvae_mri.errors import StudyError

#: How many names an error lists for one kind of leak.
_MOST_NAMES = 20


def check_leakage(
    split: pandas.DataFrame,
    training_images: Mapping[str, Sequence[str]],
    test_cohorts: Mapping[str, pandas.DataFrame],
) -> dict[str, Any]:
    """Hold the sets of the study against each other.

    Parameters
    ----------
    split : pandas.DataFrame
        The table of the split: image_id, participant_id, set, and a column of 0 and 1 for each training set
        (train-full, train-50, …).
    training_images : mapping of str to sequence of str
        Name of a trained model to the images that it was trained on; may be empty.
    test_cohorts : mapping of str to pandas.DataFrame
        Name of an independent cohort (AIBL) to its images, with the columns image_id and participant_id.

    Returns
    -------
    dict
        What was compared, for ``leakage.json``: the numbers of participants and the checks, all passed.

    Raises
    ------
    StudyError
        If a participant is in two sets, an image occurs twice, a training set is not inside train-full, a
        model was trained on an image that is not in train-full, or a participant of an independent cohort
        is in the split; with all their names.
    """
    subsets = [name for name in split.columns if name.startswith("train-")]
    training = split[split["set"] == "train"]
    leaks = {
        "participants in more than one set": _repeated_across(split, "set"),
        "participants with more than one image": _repeated(split["participant_id"]),
        "images that occur more than once": _repeated(
            pandas.concat([split["image_id"], *(cohort["image_id"] for cohort in test_cohorts.values())])
        ),
        "unknown sets": sorted(set(split["set"]) - {"train", "validation", "test"}),
        "participants of train-full outside the set train, or missing from it": _names(
            split[(split["train-full"] == 1) != (split["set"] == "train")]
        ),
    }
    for name in subsets:
        leaks[f"participants of {name} who are not in train-full"] = _names(
            split[(split[name] == 1) & (split["train-full"] != 1)]
        )
    for name, images in training_images.items():
        foreign = set(images) - set(training["image_id"])
        leaks[f"images that {name} was trained on and that are not in train-full"] = sorted(foreign)
        leaks[f"images that {name} was trained on more than once"] = _repeated(
            pandas.Series(images, dtype=str)
        )
    for name, cohort in test_cohorts.items():
        shared = set(cohort["participant_id"]) & set(split["participant_id"])
        leaks[f"participants of {name} in the split of the training cohort"] = sorted(shared)
    found = {kind: names for kind, names in leaks.items() if names}
    if found:
        raise StudyError(
            "Data leak: " + "; ".join(f"{kind}: {_listed(names)}" for kind, names in found.items()) + ".",
            cause="A table was edited by hand or comes from another run, or a cohort was given twice.",
            remedy="Delete the folder split/ of the results and run the workflow again.",
        )
    participants = {name: int((split["set"] == name).sum()) for name in ("train", "validation", "test")}
    participants |= {name: int((split[name] == 1).sum()) for name in subsets}
    participants |= {name: len(cohort) for name, cohort in test_cohorts.items()}
    return {"passed": True, "n_participants": participants, "checks": [f"no {kind}" for kind in leaks]}


def _repeated(names: pandas.Series) -> list[str]:
    """Return the names that occur more than once."""
    return sorted(set(names[names.duplicated()]))


def _repeated_across(split: pandas.DataFrame, column: str) -> list[str]:
    """Return the participants with more than one value in a column."""
    values = split.groupby("participant_id")[column].nunique()
    return sorted(values.index[values > 1])


def _names(rows: pandas.DataFrame) -> list[str]:
    """Return the participants of some rows."""
    return sorted(set(rows["participant_id"]))


def _listed(names: list[str]) -> str:
    """Join names; of very many only the first."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
