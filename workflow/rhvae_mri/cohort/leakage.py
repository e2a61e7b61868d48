"""The check that nobody who is tested was trained on.

Names are compared within a cohort only: two cohorts may both have a ``sub-01``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
    n_sets = split.groupby("participant_id")["set"].nunique()
    in_train, in_full = split["set"] == "train", split["train-full"] == 1
    names = split["participant_id"]
    leaks = {
        "participants in more than one set": set(n_sets.index[n_sets > 1]),
        "participants with more than one image": _repeated(names),
        "images that occur more than once": _repeated(split["image_id"]),
        "unknown sets": set(split["set"]) - {"train", "validation", "test", "oracle"},
        "participants of train-full outside the set train, or missing from it": set(
            names[in_full != in_train]
        ),
    }
    for name in subsets:
        leaks[f"participants of {name} who are not in train-full"] = set(names[(split[name] == 1) & ~in_full])
    for name, images in training_images.items():
        foreign = set(images) - set(split["image_id"][in_train])
        leaks[f"images that {name} was trained on and that are not in train-full"] = foreign
        leaks[f"images that {name} was trained on more than once"] = _repeated(images)
    for name, apart in kept_apart.items():
        leaks[f"participants of {name} in the split"] = set(apart["participant_id"]) & set(names)
    for name, people in {cohort: split, **test_cohorts}.items():
        if name in test_cohorts:
            leaks[f"images of {name} that occur more than once"] = _repeated(people["image_id"])
        doubtful = set(twins["participant_id"][twins["cohort"] == name]) & set(people["participant_id"])
        leaks[f"participants of {name} whose image another one has too"] = doubtful
    found = []
    for kind, leaked in leaks.items():
        more = f" and {len(leaked) - _MOST_NAMES} more" if len(leaked) > _MOST_NAMES else ""
        found += [f"{kind}: {', '.join(sorted(leaked)[:_MOST_NAMES])}{more}"] if leaked else []
    if found:
        raise StudyError(
            f"Data leak: {'; '.join(found)}.",
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


def _repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}
