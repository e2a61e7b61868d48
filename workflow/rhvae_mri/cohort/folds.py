"""The folds of a cross-validation inside a training set, by participant.

Within each diagnosis and sex the participants are ordered by age and cut into runs of as many as there are
folds; each run is dealt at random, one participant to each fold. So every fold has the same share of each sex
and of each part of the range of ages, and which of two neighbours goes where is left to chance. What a run
at the end lacks goes to the folds that have fewest. The deal is repeated until no fold differs from the
others in age, on the level of the study's split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import pandas

from rhvae_mri.cohort.balance import compare_means, compare_sets
from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.names import CLASSES, TRAIN_FULL
from rhvae_mri.study.seeds import derive_seed

#: A deal is taken when every fold's ages reach this p-value, or else the best of so many deals is.
P_THRESHOLD = 0.80
MAX_DEALS = 200

_COLUMNS = ["image_id", "participant_id", "session_id", "diagnosis", "age", "sex", "site"]
_TEST_COLUMNS = ["comparison", "variable", "test", "statistic", "p_value"]


def split_folds(split: pandas.DataFrame, n_folds: int, seed: int) -> pandas.DataFrame:
    """Deal the participants of train-full to folds of equal size, stratified by diagnosis, sex and age.

    Per diagnosis, and per diagnosis and sex, two folds (from 0) differ by one participant at most. Who has no
    age comes last in order, and an unknown sex is a stratum.
    """
    if n_folds < 2:
        raise StudyError(f"A cross-validation needs two folds or more, not {n_folds}.", where="search: folds")
    people = split.loc[split[TRAIN_FULL] == 1, _COLUMNS].sort_values("participant_id", ignore_index=True)
    people["fold"] = -1
    totals = numpy.zeros(n_folds, dtype=int)
    for diagnosis in CLASSES:
        group = people[people["diagnosis"] == diagnosis]
        if len(group) < n_folds:
            raise StudyError(
                f"{TRAIN_FULL} has {len(group)} participants of the diagnosis {diagnosis}, too few for "
                f"{n_folds} folds.",
                where="search: folds",
                remedy="Ask for fewer folds.",
            )
        generator = numpy.random.default_rng(derive_seed(seed, "folds", diagnosis))
        dealt = _deal_best(group.reset_index(drop=True), totals, generator)
        people.loc[group.index, "fold"] = dealt
        totals += numpy.bincount(dealt, minlength=n_folds)
    return people


def compare_folds(folds: pandas.DataFrame, seed: int) -> pandas.DataFrame:
    """Test whether a fold differs from the others in age, sex or site, within each diagnosis."""
    tables = []
    for diagnosis in CLASSES:
        group = folds[folds["diagnosis"] == diagnosis]
        for fold in sorted(folds["fold"].unique()):
            is_other = (group["fold"] != fold).to_numpy(int)
            tests = compare_sets(group, is_other, derive_seed(seed, "tests", diagnosis, int(fold)))
            tables.append(tests.assign(comparison=f"fold {fold} vs the others, {diagnosis}"))
    return pandas.concat(tables, ignore_index=True)[_TEST_COLUMNS]


def check_folds(folds: pandas.DataFrame, split: pandas.DataFrame) -> dict[str, Any]:
    """Check each fold against those who train beside it, and all against validation and test."""
    kept_apart = {f"the study's {name} set": split[split["set"] == name] for name in ("validation", "test")}
    found = {}
    for fold, train, held_out in iterate_folds(folds):
        sets = folds.assign(set=numpy.where(folds.index.isin(held_out.index), "validation", "train"))
        sets[TRAIN_FULL] = (sets["set"] == "train").astype(int)
        trained = {f"fold {fold}": train["image_id"].tolist()}
        found[f"fold {fold}"] = check_leakage(sets, trained, {}, kept_apart=kept_apart)
    return found


def iterate_folds(folds: pandas.DataFrame) -> Iterator[tuple[int, pandas.DataFrame, pandas.DataFrame]]:
    """Yield each fold's number, the rows that train while it is held out, and its own rows."""
    for fold in sorted(folds["fold"].unique()):
        held_out = folds["fold"] == fold
        yield int(fold), folds[~held_out], folds[held_out]


def _deal_best(
    group: pandas.DataFrame, totals: numpy.ndarray, generator: numpy.random.Generator
) -> numpy.ndarray:
    """Deal the participants of a diagnosis until the ages of the folds are alike."""
    ages = group["age"].to_numpy(dtype=float)
    best_p_value = -1.0  # below that of any deal
    for _ in range(MAX_DEALS):
        dealt = _deal(group, totals, generator)
        inside = dealt == numpy.arange(len(totals))[:, None]
        p_value = float(numpy.nan_to_num(compare_means(ages, inside, ~inside).p_value).min())
        if p_value > best_p_value:
            best, best_p_value = dealt, p_value
        if best_p_value >= P_THRESHOLD:
            break
    return best


def _deal(group: pandas.DataFrame, totals: numpy.ndarray, generator: numpy.random.Generator) -> numpy.ndarray:
    """Deal the participants of a diagnosis once; ``totals`` has the size of each fold before."""
    n_folds = len(totals)
    dealt = numpy.empty(len(group), dtype=int)
    counts = numpy.zeros(n_folds, dtype=int)
    for _, stratum in group.groupby("sex", dropna=False):
        by_age = stratum.sort_values(["age", "participant_id"]).index.to_numpy()
        for start in range(0, len(by_age), n_folds):
            run = by_age[start : start + n_folds]
            # The folds with fewest of the diagnosis, then of all, then by lot.
            order = numpy.lexsort((generator.random(n_folds), totals + counts, counts))
            dealt[run] = generator.permutation(order[: len(run)])
            counts[dealt[run]] += 1
    return dealt
