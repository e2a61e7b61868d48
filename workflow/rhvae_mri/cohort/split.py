"""The split of the training cohort into train-full, validation and test, and the training sets inside.

As the study did it: a fixed number of participants per diagnosis is drawn for the test, the rest is split
into training and validation with ``int(validation_fraction * rest)`` participants per diagnosis for
validation, and a smaller training set has a fixed number per diagnosis out of train-full. A draw is repeated
until, within each diagnosis, no two sets differ in age, sex and site, or, for a smaller training set, it does
not differ from the rest of train-full in age and sex.

Age is compared by a t-test and sex by a chi-square test, and each p-value has to reach 0.80, as in ClinicaDL.
Unlike there, the chi-square test goes by counts, the draws are seeded and their number is bounded. How the
study compared sites is not known: here it is a permutation test on the level of 0.05.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy
import pandas

from rhvae_mri.cohort.balance import Criteria, Draw, draw_balanced_sets
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.study.grid import drawn_set
from rhvae_mri.study.names import CLASSES, TRAIN_FULL
from rhvae_mri.study.seeds import derive_seed

logger = logging.getLogger(__name__)

#: The sets of the split, as the column ``set`` names them.
SETS = ("test", "validation", "train")
#: The set that is kept apart for the generator of the same name, see `rhvae_mri.generators.copies.RealSteps`.
ORACLE = "oracle"
#: Most draws per diagnosis [ours].
MAX_TRIES = 20_000

_COLUMNS = ["image_id", "participant_id", "session_id", "diagnosis", "age", "sex", "site"]
_BALANCE_COLUMNS = ["comparison", "variable", "test", "statistic", "p_value", "threshold", "n_tries"]


class SplitResult(NamedTuple):
    """The table of the split (a row for each participant) and of the tests of its balance."""

    split: pandas.DataFrame
    balance: pandas.DataFrame


def split_cohort(
    images: pandas.DataFrame,
    *,
    n_test_per_class: int,
    validation_fraction: float,
    train_subsets: Sequence[int],
    seed: int,
    n_draws: int = 1,
    n_oracle_per_class: int = 0,
    p_threshold: float = 0.80,
    site_threshold: float = 0.05,
    max_tries: int = MAX_TRIES,
    require_balance: bool = True,
) -> SplitResult:
    """Split a cohort's participants into training, validation and test sets.

    Parameters
    ----------
    images : pandas.DataFrame
        The usable images, one for each participant, see `rhvae_mri.cohort.images.select_usable`.
    n_test_per_class : int
        Participants per diagnosis in the test set.
    validation_fraction : float
        Fraction of the remaining participants of a diagnosis that validate, rounded down.
    train_subsets : sequence of int
        Participants per diagnosis in each smaller training set: 50 makes ``train-50``.
    seed : int
        Seed of the split. Each smaller training set has a seed of its own, so that adding one changes
        nothing else.
    n_draws : int
        How often each smaller training set is drawn, see `rhvae_mri.study.grid.drawn_set`.
    n_oracle_per_class : int
        Participants per diagnosis that are drawn first, at random, and kept apart as the set `ORACLE`.
    p_threshold, site_threshold : float
        Smallest p-values of the tests of age and sex, and of site.
    max_tries, require_balance : int, bool
        Draws per diagnosis before the search ends; then raise an error (True), or warn and take the best.

    Raises
    ------
    StudyError
        If the images are not one for each AD or CN participant, a diagnosis has too few participants, or no
        balanced draw was found.

    References
    ----------
    Chadebec et al. (2022), arXiv 2105.00026; `clinicadl tsvtools split` for the tests and the threshold.
    """
    if repeated := sorted(number for number in set(train_subsets) if list(train_subsets).count(number) > 1):
        raise StudyError(f"The training set train-{repeated[0]} is asked for twice.")
    criteria = Criteria(p_threshold, site_threshold, max_tries)
    subsets = {
        drawn_set(f"train-{number}", draw): number for number in train_subsets for draw in range(n_draws)
    }
    people = _check_images(images).assign(set="", **dict.fromkeys((TRAIN_FULL, *subsets), 0))
    balance: list[pandas.DataFrame] = []
    for diagnosis in CLASSES:
        group = people[people["diagnosis"] == diagnosis]
        sizes = set_sizes(
            diagnosis, len(group), n_test_per_class, validation_fraction, train_subsets, n_oracle_per_class
        )
        if n_oracle_per_class:
            own_seed = derive_seed(seed, ORACLE, diagnosis) % 2**32
            apart = group.sample(n_oracle_per_class, random_state=own_seed)
            people.loc[apart.index, "set"] = ORACLE
            group = group.drop(apart.index)
        draw = draw_balanced_sets(group, sizes, criteria, derive_seed(seed, "sets", diagnosis))
        people.loc[group.index, "set"] = numpy.array(SETS)[draw.sets]
        balance.append(_balance_rows(draw, (*SETS[:2], TRAIN_FULL), diagnosis, require_balance))
        train = group[draw.sets == SETS.index("train")]
        people.loc[train.index, TRAIN_FULL] = 1
        for name, number in subsets.items():
            members = train.index
            if number < len(train):
                parts, own_seed = (number, len(train) - number), derive_seed(seed, name, diagnosis)
                draw = draw_balanced_sets(train, parts, criteria._replace(site_threshold=None), own_seed)
                members = train.index[draw.sets == 0]
                compared = (name, f"rest of {TRAIN_FULL}")
                balance.append(_balance_rows(draw, compared, diagnosis, require_balance))
            people.loc[members, name] = 1
    return SplitResult(people.drop(columns=["mmse", "cdr"]), pandas.concat(balance, ignore_index=True))


def set_sizes(
    diagnosis: str,
    n_participants: int,
    n_test: int,
    validation_fraction: float,
    train_subsets: Sequence[int],
    n_apart: int = 0,
) -> tuple[int, int, int]:
    """Return how many participants of one diagnosis test, validate and train; ``n_apart`` do neither."""
    if n_test < 1 or not 0 < validation_fraction < 1:
        raise StudyError(
            f"A test with {n_test} participants and a validation with a fraction of {validation_fraction} of "
            "the others make no split.",
            remedy="Test at least one participant per diagnosis; validate with a fraction between 0 and 1.",
        )
    least = max([2, *train_subsets])
    rest = 0
    while (n_validation := _round_down(validation_fraction * rest)) < 1 or rest - n_validation < least:
        rest += 1
    if n_participants < n_test + rest + n_apart:
        apart = f", {n_apart} to keep apart as oracle" if n_apart else ""
        raise StudyError(
            f"Diagnosis {diagnosis} has {n_participants} participants with a usable image, but the split "
            f"needs {n_test + rest + n_apart}: {n_test} to test and {rest} to validate and train{apart}.",
            cause="The cohort is small, or many images were left out: see images.tsv and quality.tsv.",
            remedy="Lower the number of test participants or the size of the largest training set.",
        )
    rest = n_participants - n_test - n_apart
    n_validation = _round_down(validation_fraction * rest)
    return n_test, n_validation, rest - n_validation


def name_sets(split: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    """Return the rows of each set by its name: the training sets, validation and test."""
    sets = {name: split[split[name] == 1] for name in split if name.startswith("train-")}
    apart = [ORACLE] if (split["set"] == ORACLE).any() else []
    return sets | {name: split[split["set"] == name] for name in ("validation", "test", *apart)}


def draw_test_cohorts(
    cohorts: Mapping[str, pandas.DataFrame], n_per_class: Mapping[str, int | str], seed: int
) -> dict[str, pandas.DataFrame]:
    """Choose the tested participants of every independent cohort, so many per diagnosis; not named: all."""
    tested = {}
    for name, images in cohorts.items():
        people, number = _check_images(images), n_per_class.get(name, "all")
        chosen = []
        for diagnosis in CLASSES if number != "all" else ():
            group = people[people["diagnosis"] == diagnosis]
            if len(group) < int(number):
                raise StudyError(
                    f"Diagnosis {diagnosis} of the independent cohort has {len(group)} participants with a "
                    f"usable image, but {number} are to be tested.",
                    remedy="Lower that number, or test all participants.",
                )
            generator = numpy.random.default_rng(derive_seed(derive_seed(seed, name), diagnosis))
            chosen.append(group.iloc[numpy.sort(generator.permutation(len(group))[: int(number)])])
        tested[name] = pandas.concat(chosen).sort_index().reset_index(drop=True) if chosen else people
    return tested


def write_independent(target: Path, test_cohorts: Mapping[str, pandas.DataFrame]) -> None:
    """Write the tested participants of the independent cohorts as one table, with a column cohort."""
    columns = ["cohort", *_COLUMNS]
    tables = [images.assign(cohort=name)[columns] for name, images in test_cohorts.items()]
    nobody = pandas.DataFrame(columns=columns)
    write_tsv(target, pandas.concat(tables, ignore_index=True) if tables else nobody)


def _check_images(images: pandas.DataFrame) -> pandas.DataFrame:
    """Return the images ordered by participant, or raise StudyError if they are not fit to be split."""
    if repeated := sorted(set(images["participant_id"][images["participant_id"].duplicated()])):
        raise StudyError(
            f"Participants with more than one image: {', '.join(repeated)}.",
            remedy="Keep one image for each participant: participants are split, not images.",
        )
    foreign = images[~images["diagnosis"].isin(CLASSES)]
    if len(foreign):
        raise StudyError(
            f"Participants who are neither AD nor CN: {', '.join(sorted(foreign['participant_id']))}.",
            remedy="Leave them out: the classifiers tell AD from CN.",
        )
    # The draws must depend on who is there, not on the order of the rows.
    return images[[*_COLUMNS, "mmse", "cdr"]].sort_values("participant_id", ignore_index=True)


def _balance_rows(
    draw: Draw, names: tuple[str, ...], diagnosis: str, require_balance: bool
) -> pandas.DataFrame:
    """Return the rows of the table of balance; warn or raise StudyError if the draw is not balanced."""
    tests = draw.tests.assign(n_tries=draw.n_tries)
    pairs = zip(tests["first"], tests["second"], strict=True)
    tests["comparison"] = [f"{names[first]} vs {names[second]}, {diagnosis}" for first, second in pairs]
    if not draw.balanced:
        short = tests[~(tests["p_value"] >= tests["threshold"])]
        reached = "; ".join(
            f"{row.comparison}: {row.variable} p = {row.p_value:.3f}, not {row.threshold:g}"
            for row in short.itertuples()
        )
        error = StudyError(
            f"None of {draw.n_tries} random draws is balanced.",
            where=f"diagnosis {diagnosis}",
            cause=f"The best draw has {reached}. A small cohort may have no balanced split.",
            remedy="Allow more tries, lower the threshold of the p-values, or accept the best draw.",
        )
        if require_balance:
            raise error
        logger.warning("%s", error)
    return tests[_BALANCE_COLUMNS]


def _round_down(number: float) -> int:
    """Round down, but not 28.999999999999996, which is what 0.29 * 100 gives."""
    return int(number + 1e-9)
