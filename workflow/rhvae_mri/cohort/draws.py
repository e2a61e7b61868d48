"""Random draws of participants into sets that do not differ in age, sex and site."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy
import pandas

from rhvae_mri.cohort.balance import (
    Outcomes,
    compare_frequencies,
    compare_frequencies_by_permutation,
    compare_means,
)
from rhvae_mri.seeds import derive_seed

#: How many draws are examined at a time.
_BATCH = 256
#: Permutations behind one p-value of the sites.
N_PERMUTATIONS = 999
#: Names of the tests in the tables.
_TESTS = {"age": "t-test", "sex": "chi-square", "site": "chi-square by permutation"}


@dataclass(frozen=True)
class Criteria:
    """When a draw is balanced, and how long to look for one.

    Attributes
    ----------
    p_threshold : float
        Smallest p-value of the tests of age and sex.
    site_threshold : float or None
        Smallest p-value of the test of sites; None: sites are not tested.
    max_tries : int
        Number of draws after which the best one so far is taken.
    """

    p_threshold: float
    site_threshold: float | None
    max_tries: int


@dataclass(frozen=True)
class Draw:
    """The outcome of a search.

    Attributes
    ----------
    sets : numpy.ndarray
        Shape (n,), the number of each participant's set.
    tests : pandas.DataFrame
        One row for each pair of sets and tested variable, with the columns first, second (numbers of the
        sets), variable, test, statistic, p_value and threshold.
    n_tries : int
        How many draws were examined.
    balanced : bool
        Whether every p-value reaches its threshold.
    """

    sets: numpy.ndarray
    tests: pandas.DataFrame
    n_tries: int
    balanced: bool


def draw_balanced_sets(
    people: pandas.DataFrame, sizes: tuple[int, ...], criteria: Criteria, seed: int
) -> Draw:
    """Draw sets at random, again and again, until no two of them differ.

    Parameters
    ----------
    people : pandas.DataFrame
        One row for each participant, with the columns age, sex and site. A missing value is left out of its
        test, and a variable of which nobody has a value is not tested.
    sizes : tuple of int
        The sizes of the sets; they sum to the number of participants.
    criteria : Criteria
        When to stop.
    seed : int
        Seed of the draws.

    Returns
    -------
    Draw
        The first balanced draw, or, after ``criteria.max_tries``, the one whose smallest ratio of p-value to
        threshold is the largest.
    """
    variables = _encode(people, criteria)
    generator = numpy.random.default_rng(seed)
    best_score = -1.0  # below that of any draw
    for start in range(0, criteria.max_tries, _BATCH):
        draws = _deal(generator, sizes, min(_BATCH, criteria.max_tries - start))
        scores = _score_age_and_sex(draws, variables, len(sizes), criteria)
        for position in numpy.flatnonzero(scores > best_score):
            # The sites cost most, so they are tested where the other variables leave a chance only.
            if scores[position] <= best_score:
                continue
            tests = _test_draw(draws[position], variables, len(sizes), criteria, seed)
            score = _score(tests["p_value"], tests["threshold"])
            if score > best_score:
                n_tries = start + int(position) + 1
                best, best_score = Draw(draws[position], tests, n_tries, score == 1), score
                if best.balanced:
                    return best
    return Draw(best.sets, best.tests, criteria.max_tries, balanced=False)


def compare_sets(people: pandas.DataFrame, sets: numpy.ndarray, seed: int) -> pandas.DataFrame:
    """Test whether sets differ in age, sex and site that were made in another way than by a search.

    Parameters
    ----------
    people : pandas.DataFrame
        As for `draw_balanced_sets`.
    sets : numpy.ndarray
        Shape (n,), the number of each participant's set, from 0 on.
    seed : int
        Seed of the permutation test of the sites.

    Returns
    -------
    pandas.DataFrame
        As `Draw.tests`, without thresholds.
    """
    criteria = Criteria(p_threshold=0.0, site_threshold=0.0, max_tries=0)
    tests = _test_draw(sets, _encode(people, criteria), int(sets.max()) + 1, criteria, seed)
    return tests.drop(columns="threshold")


def _encode(people: pandas.DataFrame, criteria: Criteria) -> dict[str, numpy.ndarray]:
    """Return ages as numbers, sexes and sites as codes (-1: unknown); only what is to be tested."""
    names = ("age", "sex") if criteria.site_threshold is None else ("age", "sex", "site")
    variables = {}
    for name in names:
        if people[name].notna().any():
            column = people[name]
            codes = column if name == "age" else pandas.factorize(column)[0]
            variables[name] = numpy.asarray(codes, dtype=float if name == "age" else int)
    return variables


def _deal(generator: numpy.random.Generator, sizes: tuple[int, ...], n_draws: int) -> numpy.ndarray:
    """Draw the number of each participant's set; shape (n_draws, n)."""
    dealt = numpy.repeat(numpy.arange(len(sizes), dtype=numpy.int8), sizes)
    return generator.permuted(numpy.tile(dealt, (n_draws, 1)), axis=1)


def _compare(
    name: str, variables: dict[str, numpy.ndarray], draws: numpy.ndarray, pair: tuple[int, int]
) -> Outcomes:
    """Compare the ages or the sexes of two sets in each draw."""
    compare = compare_means if name == "age" else compare_frequencies
    return compare(variables[name], draws == pair[0], draws == pair[1])


def _score_age_and_sex(
    draws: numpy.ndarray, variables: dict[str, numpy.ndarray], n_sets: int, criteria: Criteria
) -> numpy.ndarray:
    """Return the smallest ratio, at most 1, of a p-value of age or sex to its threshold in each draw."""
    scores = numpy.ones(len(draws))
    for pair in combinations(range(n_sets), 2):
        for name in variables.keys() & {"age", "sex"}:
            p_values = _compare(name, variables, draws, pair).p_value
            scores = numpy.minimum(scores, numpy.nan_to_num(p_values) / criteria.p_threshold)
    return scores


def _test_draw(
    sets: numpy.ndarray, variables: dict[str, numpy.ndarray], n_sets: int, criteria: Criteria, seed: int
) -> pandas.DataFrame:
    """Return all tests of one draw, see `Draw.tests`."""
    rows = []
    for first, second in combinations(range(n_sets), 2):
        for name in variables:
            if name == "site":
                threshold = criteria.site_threshold
                statistic, p_value = compare_frequencies_by_permutation(
                    variables[name],
                    sets == first,
                    sets == second,
                    N_PERMUTATIONS,
                    derive_seed(seed, "site", first, second),
                )
            else:
                threshold = criteria.p_threshold
                outcomes = _compare(name, variables, sets[None], (first, second))
                statistic, p_value = float(outcomes.statistic[0]), float(outcomes.p_value[0])
            rows.append((first, second, name, _TESTS[name], statistic, p_value, threshold))
    columns = ["first", "second", "variable", "test", "statistic", "p_value", "threshold"]
    return pandas.DataFrame(rows, columns=columns)


def _score(p_values: pandas.Series, thresholds: pandas.Series) -> float:
    """Return the smallest ratio of a p-value to its threshold, at most 1; a missing p-value counts as 0."""
    return float((p_values.fillna(0) / thresholds).clip(upper=1).min()) if len(p_values) else 1.0
