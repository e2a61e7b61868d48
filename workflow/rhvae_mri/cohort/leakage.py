"""The check that nobody who is tested was trained on.

Names are compared within a cohort only: two cohorts may both have a ``sub-01``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from rhvae_mri.cohort.duplicates import COLUMNS
from rhvae_mri.io.errors import StudyError

#: How many names an error lists for one kind of leak.
_MOST_NAMES = 20


def check_leakage(
    split: pandas.DataFrame,
    training_images: Mapping[str, Sequence[str]],
    test_cohorts: Mapping[str, pandas.DataFrame],
    duplicates: pandas.DataFrame | None = None,
    kept_apart: Mapping[str, pandas.DataFrame] | None = None,
    *,
    cohort: str = "the split",
) -> dict[str, Any]:
    """Check that no participant and no image is in two sets of the study.

    Parameters
    ----------
    split : pandas.DataFrame
        The table of the split: image_id, participant_id, set, and a column of 0 and 1 for each training set
        (train-full, train-50, …).
    training_images : mapping of str to sequence of str
        Name of a trained model to the images that it was trained on; may be empty.
    test_cohorts, kept_apart : mapping of str to pandas.DataFrame
        Images (image_id, participant_id) of independent cohorts, and of further sets of the same cohort of
        which nobody may be in the split, by name.
    duplicates, cohort : pandas.DataFrame, str
        The images that more than one participant has, and the name that the cohort that was split has there.

    Returns
    -------
    dict
        What was compared, for ``leakage.json``: the numbers of participants, the checks, all passed, and the
        participants who are left out because others have their images too.

    Raises
    ------
    StudyError
        With the names of all participants and images that are where they must not be.
    """
    kept_apart = kept_apart or {}
    twins = pandas.DataFrame(columns=list(COLUMNS)) if duplicates is None else duplicates
    subsets = [name for name in split.columns if name.startswith("train-")]
    in_train, in_full = split["set"] == "train", split["train-full"] == 1
    leaks = {
        "participants in more than one set": _repeated_across(split, "set", "participant_id"),
        "participants with more than one image": _repeated(split["participant_id"]),
        "images that occur more than once": _repeated(split["image_id"]),
        "unknown sets": set(split["set"]) - {"train", "validation", "test"},
        "participants of train-full outside the set train, or missing from it": set(
            split["participant_id"][in_full != in_train]
        ),
    }
    for name in subsets:
        outside = split["participant_id"][(split[name] == 1) & ~in_full]
        leaks[f"participants of {name} who are not in train-full"] = set(outside)
    for name, images in training_images.items():
        foreign = set(images) - set(split["image_id"][in_train])
        leaks[f"images that {name} was trained on and that are not in train-full"] = foreign
        leaks[f"images that {name} was trained on more than once"] = _repeated(
            pandas.Series(images, dtype=str)
        )
    for name, apart in kept_apart.items():
        shared = set(apart["participant_id"]) & set(split["participant_id"])
        leaks[f"participants of {name} in the split"] = shared
    for name, people in {cohort: split, **test_cohorts}.items():
        if name in test_cohorts:
            leaks[f"images of {name} that occur more than once"] = _repeated(people["image_id"])
        doubtful = set(twins["participant_id"][twins["cohort"] == name]) & set(people["participant_id"])
        leaks[f"participants of {name} whose image another one has too"] = doubtful
    _refuse(
        leaks,
        cause="A table was edited by hand, or comes from another run.",
        remedy="Make the tables again: snakemake --forcerun split_cohort.",
    )
    participants = {name: int((split["set"] == name).sum()) for name in ("train", "validation", "test")}
    participants |= {name: int((split[name] == 1).sum()) for name in subsets}
    participants |= {name: len(cohort) for name, cohort in {**test_cohorts, **kept_apart}.items()}
    return {
        "passed": True,
        "n_participants": participants,
        "checks": [f"no {kind}" for kind in leaks],
        "left_out": twins.to_dict("records"),
    }


def check_labels(labels: pandas.DataFrame, digests: Mapping[str, str]) -> None:
    """Check that no image, participant or content (digest) of labels from elsewhere is in two sets."""
    columns = [name for name in ("image_id", "participant_id") if name in labels]
    leaks = {f"{name} in more than one set": _repeated_across(labels, "set", name) for name in columns}
    leaks["images that occur more than once"] = _repeated(labels["image_id"])
    content = labels.assign(content=labels["image_id"].map(digests))
    shared = content["content"].isin(_repeated_across(content, "set", "content"))
    leaks["images with the same voxels in more than one set"] = set(content["image_id"][shared])
    _refuse(leaks, remedy="Give each image one row, and all images of a participant the same set.")


def _refuse(leaks: Mapping[str, set[str]], *, remedy: str, cause: str | None = None) -> None:
    """Raise StudyError with the names of all leaks, if there is one."""
    found = []
    for kind, names in leaks.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        found += [f"{kind}: {', '.join(sorted(names)[:_MOST_NAMES])}{more}"] if names else []
    if found:
        raise StudyError(f"Data leak: {'; '.join(found)}.", cause=cause, remedy=remedy)


def _repeated(names: pandas.Series) -> set[str]:
    """Return the names that occur more than once."""
    return set(names[names.duplicated()])


def _repeated_across(table: pandas.DataFrame, column: str, name: str) -> set[str]:
    """Return the participants, or what else ``name`` is, with more than one value in a column."""
    values = table.groupby(name)[column].nunique()
    return set(values.index[values > 1])
