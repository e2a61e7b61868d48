"""Means, tests, intervals, corrections for many tests and effect sizes, on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy import stats

#: Decimals of percentages in tables; far below what a participant more or less changes.
DECIMALS = 4


def mean_and_sd(values: ArrayLike) -> tuple[float, float]:
    """Return mean and standard deviation of a sample (divisor n - 1) over the runs; NaN if not defined.

    A NaN among the runs makes both NaN: a mean over fewer runs than it says would mislead.
    """
    values = numpy.asarray(values, float)
    mean = float(values.mean()) if len(values) else numpy.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else numpy.nan


def percentile_interval(resampled: ndarray, confidence: float) -> tuple[ndarray, ndarray]:
    """Return the bootstrap percentile interval along the last axis; NaN where a resample is."""
    tail = (1 - confidence) / 2
    low, high = numpy.quantile(resampled, [tail, 1 - tail], axis=-1)
    return low, high


def interval_over_resamples(
    resampled: ndarray, standard_error: float, degrees_of_freedom: float, confidence: float
) -> tuple[float, float]:
    """Return the percentile interval of resampled values that are brought to a better known standard error.

    The values of one quantity, shape (n_resamples,), give the interval's shape; it is wider than
    ``standard_error`` has it by the ratio of Student's quantile to the normal one. Without a standard error
    there is none: NaN.
    """
    if numpy.isnan(standard_error):
        return numpy.nan, numpy.nan
    centre, spread = resampled.mean(), resampled.std(ddof=1)
    level = (1 + confidence) / 2
    wider = stats.t.ppf(level, degrees_of_freedom) / stats.norm.ppf(level)
    factor = wider * standard_error / spread if spread > 0 else 1.0
    low, high = percentile_interval(centre + (resampled - centre) * factor, confidence)
    return float(low), float(high)


def t_interval(
    estimate: Any, standard_error: Any, degrees_of_freedom: ArrayLike, confidence: float
) -> tuple[Any, Any]:
    """Return Student's interval of an estimate: numbers, arrays or columns, as the estimate is."""
    half = stats.t.ppf((1 + confidence) / 2, degrees_of_freedom) * standard_error
    return estimate - half, estimate + half


def t_test(difference: ArrayLike, standard_error: ArrayLike, degrees_of_freedom: ArrayLike) -> ndarray:
    """Return the two-sided p-value of a difference.

    Where the standard error is zero the p-value is 1 for a difference of zero and 0 for any other.
    """
    difference, standard_error = numpy.asarray(difference, float), numpy.asarray(standard_error, float)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        ratio = numpy.where(difference == 0, 0.0, numpy.abs(difference) / standard_error)
    ratio = numpy.where(numpy.isnan(difference) | numpy.isnan(standard_error), numpy.nan, ratio)
    return 2 * stats.t.sf(ratio, degrees_of_freedom)


def equivalence_test(
    difference: ArrayLike, standard_error: ArrayLike, degrees_of_freedom: ArrayLike, margin: float
) -> ndarray:
    """Return the p-value of equivalence within ± margin: the larger one of two one-sided t-tests (TOST).

    D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    difference, standard_error = numpy.asarray(difference, float), numpy.asarray(standard_error, float)
    not_below = stats.t.sf((difference + margin) / standard_error, degrees_of_freedom)
    not_above = stats.t.cdf((difference - margin) / standard_error, degrees_of_freedom)
    return numpy.maximum(not_below, not_above)


def equivalence_power(
    standard_error: ArrayLike, degrees_of_freedom: ArrayLike, margin: float, level: float
) -> ndarray:
    """Return the chance that `equivalence_test` has a p-value below the level where nothing differs in truth.

    The test succeeds where the difference is nearer to zero than the margin less Student's quantile times
    the standard error, which is taken as it was estimated (S. A. Julious, Statistics in Medicine 23, 2004).
    """
    with numpy.errstate(divide="ignore"):
        bound = margin / numpy.asarray(standard_error, float) - stats.t.ppf(1 - level, degrees_of_freedom)
    return numpy.maximum(2 * stats.t.cdf(bound, degrees_of_freedom) - 1, 0)


def holm(p_values: ArrayLike) -> ndarray:
    """Adjust the p-values of a family by Holm's method; missing ones stay missing and do not count."""
    return _adjust(p_values, lambda p: numpy.maximum.accumulate(p * numpy.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> ndarray:
    """Adjust the p-values of a family by Benjamini and Hochberg's method, which bounds false discoveries.

    statsmodels and scipy divide by i / n where this multiplies by n / i: their last digit differs.
    """

    def from_the_largest(p: ndarray) -> ndarray:
        scaled = p * len(p) / numpy.arange(1, len(p) + 1)
        return numpy.minimum.accumulate(scaled[::-1])[::-1]

    return _adjust(p_values, from_the_largest)


def _adjust(p_values: ArrayLike, in_order: Callable[[ndarray], ndarray]) -> ndarray:
    """Adjust ascending p-values by a function, cut off at 1, and return them in the given order."""
    p_values = numpy.asarray(p_values, float)
    adjusted = numpy.full(p_values.shape, numpy.nan)
    known = numpy.flatnonzero(~numpy.isnan(p_values))
    order = known[numpy.argsort(p_values[known], kind="stable")]
    adjusted[order] = numpy.minimum(in_order(p_values[order]), 1)
    return adjusted


def swap_test(contributions: ndarray, n_permutations: int, seed: int) -> ndarray:
    """Test paired differences by swapping both conditions of random participants (sign-flip permutation).

    ``contributions``, shape (n_participants, n_tests), is what each participant adds to the difference of two
    conditions. Without a difference it might as well have the other sign. Returned are two-sided p-values,
    each at least 1 / (n_permutations + 1). Random signs are the same in all tests, and what a product of
    matrices rounds is within the tolerance: a p-value does not depend on the other tests.
    """
    signs = 2 * numpy.random.default_rng(seed).integers(0, 2, (n_permutations, len(contributions))) - 1
    observed = numpy.abs(contributions.sum(axis=0))
    permuted = numpy.abs(signs.astype(float) @ contributions)
    return (1 + (permuted >= observed * (1 - 1e-9) - 1e-12).sum(axis=0)) / (1 + n_permutations)


def cohens_d(first: ndarray, second: ndarray) -> ndarray:
    """Return the difference of two independent samples' means, first less second, in pooled deviations.

    The samples lie along the last axis. NaN where a sample has one value only or none varies.
    """
    n, m = first.shape[-1], second.shape[-1]
    if min(n, m) < 2:
        return numpy.full(first.shape[:-1], numpy.nan)
    squares = (n - 1) * first.var(axis=-1, ddof=1) + (m - 1) * second.var(axis=-1, ddof=1)
    pooled = numpy.sqrt(squares / (n + m - 2))
    difference = first.mean(axis=-1) - second.mean(axis=-1)
    return numpy.divide(difference, pooled, out=numpy.full(pooled.shape, numpy.nan), where=pooled > 0)
