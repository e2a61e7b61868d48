"""Random draws of participants into sets that do not differ in age, sex and site, and the tests of that.

The tests of age and sex take the draws as masks, one row for each, and return one statistic and one p-value
for each: searching thousands of draws for a balanced one then costs a few matrix products.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy
import pandas
from scipy import stats

from rhvae_mri.study.seeds import derive_seed

#: Variable to the name of its test.
TESTS = {
    "age": "t-test",
    "sex": "chi-square",
    "site": "chi-square by permutation",
    "mmse": "Mann-Whitney",
    "cdr": "Mann-Whitney",
}
#: How many draws are examined at a time.
_BATCH = 256
#: Permutations behind one p-value of the sites.
_N_PERMUTATIONS = 999


class Outcomes(NamedTuple):
    """Statistics and p-values, each of shape (n_draws,)."""

    statistic: numpy.ndarray
    p_value: numpy.ndarray


class Criteria(NamedTuple):
    """Smallest p-values of age and sex, and of sites (None: not tested), and the most draws to look at."""

    p_threshold: float
    site_threshold: float | None
    max_tries: int


class Draw(NamedTuple):
    """The outcome of a search.

    `sets` has the number of each participant's set; `tests` one row for each pair of sets and variable, with
    first, second, variable, test, statistic, p_value and threshold; `n_tries` counts the draws examined.
    """

    sets: numpy.ndarray
    tests: pandas.DataFrame
    n_tries: int
    balanced: bool


def draw_balanced_sets(
    people: pandas.DataFrame, sizes: tuple[int, ...], criteria: Criteria, seed: int
) -> Draw:
    """Draw sets of some sizes at random, again and again, until no two of them differ.

    Participants have the columns age, sex and site. A missing value is left out of its test, and a variable
    of which nobody has a value is not tested. After ``criteria.max_tries`` the draw is returned whose
    smallest ratio of p-value to threshold is the largest.
    """
    variables = _encode(people, criteria)
    generator = numpy.random.default_rng(seed)
    dealt = numpy.repeat(numpy.arange(len(sizes), dtype=numpy.int8), sizes)
    best_score = -1.0  # below that of any draw
    for start in range(0, criteria.max_tries, _BATCH):
        n_draws = min(_BATCH, criteria.max_tries - start)
        draws = generator.permuted(numpy.tile(dealt, (n_draws, 1)), axis=1)
        scores = _score_age_and_sex(draws, variables, len(sizes), criteria)
        for position in numpy.flatnonzero(scores > best_score):
            # The sites cost most, so they are tested where the other variables leave a chance only.
            if scores[position] <= best_score:
                continue
            tests = _test_draw(draws[position], variables, len(sizes), criteria, seed)
            # a missing p-value counts as 0
            ratios = (tests["p_value"].fillna(0) / tests["threshold"]).clip(upper=1)
            score = float(ratios.min()) if len(tests) else 1.0
            if score > best_score:
                n_tries = start + int(position) + 1
                best, best_score = Draw(draws[position], tests, n_tries, score == 1), score
                if best.balanced:
                    return best
    return Draw(best.sets, best.tests, criteria.max_tries, balanced=False)


def compare_sets(people: pandas.DataFrame, sets: numpy.ndarray, seed: int) -> pandas.DataFrame:
    """Test, as `Draw.tests` without thresholds, whether sets differ that were made in another way."""
    criteria = Criteria(p_threshold=0.0, site_threshold=0.0, max_tries=0)
    tests = _test_draw(sets, _encode(people, criteria), int(sets.max()) + 1, criteria, seed)
    return tests.drop(columns="threshold")


def compare_variable(
    name: str, values: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray, seed: int
) -> tuple[float, float]:
    """Give statistic and p-value of the test of a variable; sexes and sites are codes, -1 where unknown."""
    if name == "site":
        return compare_frequencies_by_permutation(values, first, second, _N_PERMUTATIONS, seed)
    if name in ("mmse", "cdr"):
        found = stats.mannwhitneyu(values[first], values[second])
        return float(found.statistic), float(found.pvalue)
    outcomes = _COMPARISONS[name](values, first[None], second[None])
    return float(outcomes.statistic[0]), float(outcomes.p_value[0])


def compare_means(values: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray) -> Outcomes:
    """Compare means in each draw by Student's t-test for independent samples of equal variance.

    NaN values are left out; NaN where a set has no known value or both together fewer than three.
    """
    known = numpy.isfinite(values)
    x = numpy.where(known, values, 0.0)
    x = numpy.where(known, x - x.sum() / max(known.sum(), 1), 0.0)  # centred: the squares lose no digits
    sizes, means, squares = [], [], []
    for members in (first, second):
        weights = (members & known).astype(float)
        sizes.append(weights.sum(axis=1))
        means.append(weights @ x / numpy.maximum(sizes[-1], 1))
        squares.append(numpy.maximum(weights @ x**2 - sizes[-1] * means[-1] ** 2, 0))
    freedom = sizes[0] + sizes[1] - 2
    possible = (sizes[0] > 0) & (sizes[1] > 0) & (freedom > 0)
    variance = (squares[0] + squares[1]) / numpy.maximum(freedom, 1)
    error = numpy.sqrt(variance * (1 / numpy.maximum(sizes[0], 1) + 1 / numpy.maximum(sizes[1], 1)))
    difference = means[0] - means[1]
    with numpy.errstate(divide="ignore", invalid="ignore"):
        statistic = numpy.where(difference == 0, 0.0, difference / error)
    p_value = 2 * stats.t.sf(numpy.abs(statistic), numpy.maximum(freedom, 1))
    return Outcomes(numpy.where(possible, statistic, numpy.nan), numpy.where(possible, p_value, numpy.nan))


def compare_frequencies(codes: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray) -> Outcomes:
    """Compare frequencies of categories in each draw by the chi-square test, of two with Yates' correction.

    Negative codes are left out. The statistic is 0 and the p-value 1 where there is one category only, NaN
    where a set has no known category.
    """
    indicator = (codes[:, None] == numpy.arange(codes.max(initial=0) + 1)).astype(float)
    counts = numpy.stack([first @ indicator, second @ indicator], axis=1)
    statistic, freedom = _chi_square(counts, correct=True)
    p_value = numpy.where(freedom > 0, stats.chi2.sf(statistic, numpy.maximum(freedom, 1)), 1.0)
    possible = numpy.all(numpy.any(counts, axis=2), axis=1)
    return Outcomes(numpy.where(possible, statistic, numpy.nan), numpy.where(possible, p_value, numpy.nan))


def compare_frequencies_by_permutation(
    codes: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray, n_permutations: int, seed: int
) -> tuple[float, float]:
    """Compare the frequencies of many rare categories in one draw by a permutation test.

    The chi-square distribution is a poor approximation where most categories have a handful of members, as
    the sites of a large study have. The statistic is the same; its distribution under the hypothesis of
    no difference comes from dealing the same participants into sets of the same sizes at random.
    """
    length = codes.max(initial=0) + 1
    known = codes >= 0
    counts = numpy.stack(
        [numpy.bincount(codes[members & known], minlength=length) for members in (first, second)]
    )
    if not counts.any(axis=1).all():
        return numpy.nan, numpy.nan
    pooled = counts.sum(axis=0)
    statistic = float(_chi_square(counts[None], correct=False)[0][0])
    # Counts of categories in a random subset without replacement: no participant needs to be shuffled.
    dealt = numpy.random.default_rng(seed).multivariate_hypergeometric(
        pooled, int(counts[0].sum()), size=n_permutations, method="marginals"
    )
    permuted, _ = _chi_square(numpy.stack([dealt, pooled - dealt], axis=1), correct=False)
    as_large = int((permuted >= statistic - 1e-9).sum())
    return statistic, (1 + as_large) / (1 + n_permutations)


_COMPARISONS = {"age": compare_means, "sex": compare_frequencies}


def _chi_square(counts: numpy.ndarray, correct: bool) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Compute Pearson's statistic and its degrees of freedom; tables of shape (n_tables, 2, n_categories)."""
    rows = counts.sum(axis=2, keepdims=True)
    columns = counts.sum(axis=1, keepdims=True)
    expected = rows * columns / numpy.maximum(columns.sum(axis=2, keepdims=True), 1)
    freedom = (columns[:, 0] > 0).sum(axis=1) - 1
    deviation = numpy.abs(counts - expected)
    if correct:
        two = (freedom == 1)[:, None, None]
        deviation = numpy.where(two, numpy.maximum(deviation - 0.5, 0), deviation)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        terms = numpy.where(expected > 0, deviation**2 / expected, 0.0)
    return terms.sum(axis=(1, 2)), freedom


def _encode(people: pandas.DataFrame, criteria: Criteria) -> dict[str, numpy.ndarray]:
    """Return ages as numbers, sexes and sites as codes (-1: unknown); only what is to be tested."""
    names = ("age", "sex") if criteria.site_threshold is None else ("age", "sex", "site")
    return {
        name: people[name].to_numpy(float) if name == "age" else pandas.factorize(people[name])[0]
        for name in names
        if people[name].notna().any()
    }


def _score_age_and_sex(
    draws: numpy.ndarray, variables: dict[str, numpy.ndarray], n_sets: int, criteria: Criteria
) -> numpy.ndarray:
    """Return the smallest ratio, at most 1, of a p-value of age or sex to its threshold in each draw."""
    scores = numpy.ones(len(draws))
    for first, second in combinations(range(n_sets), 2):
        for name in variables.keys() & _COMPARISONS:
            p_values = _COMPARISONS[name](variables[name], draws == first, draws == second).p_value
            scores = numpy.minimum(scores, numpy.nan_to_num(p_values) / criteria.p_threshold)
    return scores


def _test_draw(
    sets: numpy.ndarray, variables: dict[str, numpy.ndarray], n_sets: int, criteria: Criteria, seed: int
) -> pandas.DataFrame:
    """Return all tests of one draw, see `Draw.tests`."""
    rows = []
    for first, second in combinations(range(n_sets), 2):
        own_seed = derive_seed(seed, "site", first, second)
        for name, values in variables.items():
            found = compare_variable(name, values, sets == first, sets == second, own_seed)
            threshold = criteria.site_threshold if name == "site" else criteria.p_threshold
            rows.append((first, second, name, TESTS[name], *found, threshold))
    columns = ["first", "second", "variable", "test", "statistic", "p_value", "threshold"]
    return pandas.DataFrame(rows, columns=columns)
