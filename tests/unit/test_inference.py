import numpy
import pytest
from scipy import stats

from rhvae_mri.statistics.inference import (
    benjamini_hochberg,
    cohens_d,
    equivalence_power,
    equivalence_test,
    holm,
    interval_over_resamples,
    percentile_interval,
    swap_test,
    t_interval,
    t_test,
)


def test_corrections_are_those_of_statsmodels_and_leave_out_what_is_missing():
    from statsmodels.stats.multitest import multipletests

    p_values = numpy.random.default_rng(0).random(40) ** 3
    numpy.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1])
    numpy.testing.assert_allclose(benjamini_hochberg(p_values), multipletests(p_values, method="fdr_bh")[1])
    # ascending 0.01, 0.03, 0.04, 0.5; Holm: times 4, 3, 2, 1, never falling
    p_values = [0.01, 0.04, 0.03, numpy.nan, 0.5]
    numpy.testing.assert_allclose(holm(p_values), [0.04, 0.09, 0.09, numpy.nan, 0.5])
    # Benjamini-Hochberg: times 4/1, 4/2, 4/3, 4/4, never rising from the end
    numpy.testing.assert_allclose(benjamini_hochberg(p_values), [0.04, 0.16 / 3, 0.16 / 3, numpy.nan, 0.5])
    assert holm([0.6, 0.7]).tolist() == [1, 1]


def test_equivalence_by_hand():
    # 5 - 1 = 4 = 2 standard errors inside the nearer bound
    assert equivalence_test(1, 2, numpy.inf, 5) == pytest.approx(stats.norm.sf(2))
    assert equivalence_test(-1, 2, 7, 5) == pytest.approx(stats.t.sf(2, 7))
    assert equivalence_test(5, 1, 7, 5) == pytest.approx(0.5)
    assert equivalence_test(8, 1, 7, 5) > 0.99


def test_the_power_of_equivalence_by_hand_and_in_repeated_studies():
    # 5 / 2 - 1.64485 = 0.85515; the normal distribution has 0.80377 below it
    assert equivalence_power(2, numpy.inf, 5, 0.05) == pytest.approx(2 * 0.80377 - 1, abs=1e-4)
    # Student's quantile of 10 degrees of freedom is 1.81246
    assert equivalence_power(1, 10, 5, 0.05) == pytest.approx(2 * stats.t.cdf(5 - 1.81246, 10) - 1, abs=1e-5)
    assert equivalence_power([4, 0], 10, 5, 0.05).tolist() == [0, 1]
    random = numpy.random.default_rng(0)
    difference = random.normal(scale=2, size=100_000)
    errors = 2 * numpy.sqrt(random.chisquare(40, difference.shape) / 40)
    share = (equivalence_test(difference, errors, 40, 5) < 0.05).mean()
    assert equivalence_power(errors, 40, 5, 0.05).mean() == pytest.approx(share, abs=0.02)


def test_intervals_and_the_t_test_are_those_of_scipy():
    sample = numpy.random.default_rng(2).normal(3, 2, 20)
    error = sample.std(ddof=1) / numpy.sqrt(20)
    expected = stats.ttest_1samp(sample, 2)
    numpy.testing.assert_allclose(
        t_interval(sample.mean(), error, 19, 0.9), expected.confidence_interval(0.9)
    )
    assert t_test(sample.mean() - 2, error, 19) == pytest.approx(expected.pvalue)
    numpy.testing.assert_allclose(
        t_test([-1.96, 0.0, 1.0, numpy.nan], [1.0, 0.0, 0.0, 1.0], numpy.inf),
        [2 * stats.norm.sf(1.96), 1, 0, numpy.nan],
    )
    replicates = numpy.random.default_rng(3).normal(size=(2, 1001))
    low, high = percentile_interval(replicates, 0.8)
    numpy.testing.assert_allclose([low, high], numpy.percentile(replicates, [10, 90], axis=1))


def test_an_interval_over_resamples_keeps_their_shape_and_takes_the_given_error():
    replicates = numpy.random.default_rng(3).exponential(size=5000)
    own = replicates.std(ddof=1)
    low, high = interval_over_resamples(replicates, own, numpy.inf, 0.95)
    numpy.testing.assert_allclose([low, high], numpy.percentile(replicates, [2.5, 97.5]))
    mean = replicates.mean()
    wide = interval_over_resamples(replicates, 2 * own, 4, 0.95)
    factor = 2 * stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975)
    numpy.testing.assert_allclose(wide, [mean + factor * (low - mean), mean + factor * (high - mean)])
    assert interval_over_resamples(numpy.ones(5), 3.0, 4, 0.95) == (1, 1)


def test_the_swap_test_is_exact_in_a_small_case_and_scipys():
    random = numpy.random.default_rng(4)
    differences = random.normal(0.4, 1, (9, 2))
    exact = [
        stats.permutation_test(
            (column, numpy.zeros(9)), lambda x, y: (x - y).sum(), permutation_type="samples", n_resamples=512
        ).pvalue
        for column in differences.T
    ]
    numpy.testing.assert_allclose(swap_test(differences, 20_000, seed=1), exact, atol=0.015)
    assert swap_test(numpy.zeros((5, 1)), 99, 0) == [1]
    assert swap_test(numpy.ones((30, 1)), 99, 0) == [0.01]


def test_cohens_d_by_hand_and_where_it_is_not_defined():
    # means 3 and 2, variances 1 and 1 of three values each
    assert cohens_d(numpy.array([2.0, 3, 4]), numpy.array([1.0, 2, 3])) == pytest.approx(1)
    # means 2 and 1, squares 8 with 2 and 2 with 1 degrees of freedom: sqrt(10 / 3)
    assert cohens_d(numpy.array([0.0, 2, 4]), numpy.array([0.0, 2])) == pytest.approx(1 / numpy.sqrt(10 / 3))
    assert numpy.isnan(cohens_d(numpy.ones(3), numpy.zeros(3)))
    assert numpy.isnan(cohens_d(numpy.ones((2, 1)), numpy.zeros((2, 1)))).all()
