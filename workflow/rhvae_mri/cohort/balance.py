"""Tests of whether two sets of participants differ in age, sex or site, for many draws at once.

Each function takes the draws as masks, one row for each, and returns one statistic and one p-value for each:
searching thousands of draws for a balanced one then costs a few matrix products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
from scipy import stats


class Outcomes(NamedTuple):
    """Statistics and p-values, each of shape (n_draws,)."""

    statistic: numpy.ndarray
    p_value: numpy.ndarray


def compare_means(values: numpy.ndarray, first: numpy.ndarray, second: numpy.ndarray) -> Outcomes:
    """Compare means by Student's t-test for independent samples of equal variance.

    `values` (n,); `first`, `second` (n_draws, n).
    """
    known = numpy.isfinite(values)
    x = numpy.where(known, values, 0.0)
    x = numpy.where(known, x - x.sum() / max(known.sum(), 1), 0.0)  # centred: the squares lose no digits
    sizes, means, squares = [], [], []
    for members in (first, second):
        weights = (members & known).astype(float)
        size = weights.sum(axis=1)
        mean = weights @ x / numpy.maximum(size, 1)
        sizes.append(size)
        means.append(mean)
        squares.append(numpy.maximum(weights @ x**2 - size * mean**2, 0))
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
    """Compare the frequencies of categories by the chi-square test of a contingency table.

    With two categories Yates' correction for continuity applies, as it is usual.

    `codes` (n,); `first`, `second` (n_draws, n).
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

    `codes` (n,); `first`, `second` (n,).
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
    generator = numpy.random.default_rng(seed)
    dealt = generator.multivariate_hypergeometric(
        pooled, int(counts[0].sum()), size=n_permutations, method="marginals"
    )
    permuted, _ = _chi_square(numpy.stack([dealt, pooled - dealt], axis=1), correct=False)
    as_large = int((permuted >= statistic - 1e-9).sum())
    return statistic, (1 + as_large) / (1 + n_permutations)


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
