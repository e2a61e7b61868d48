from itertools import combinations

import numpy
import pytest
from scipy import stats

from rhvae_mri.cohort.balance import compare_frequencies, compare_frequencies_by_permutation, compare_means


def random_sets(random, n_draws, n, n_sets=3):
    return random.integers(0, n_sets, (n_draws, n))


@pytest.mark.parametrize("n", [12, 60])
def test_means_are_compared_as_scipy_does(n):
    random = numpy.random.default_rng(n)
    ages, sets = random.normal(75, 7, n), random_sets(random, 20, n)
    ages[0] = numpy.nan
    outcomes = compare_means(ages, sets == 0, sets == 1)
    for draw, statistic, p_value in zip(sets, *outcomes, strict=True):
        expected = stats.ttest_ind(ages[draw == 0], ages[draw == 1], nan_policy="omit")
        assert statistic == pytest.approx(expected.statistic, abs=1e-10)
        assert p_value == pytest.approx(expected.pvalue, abs=1e-10)


@pytest.mark.parametrize("n_categories", [2, 3, 7])
def test_frequencies_are_compared_as_scipy_does(n_categories):
    random = numpy.random.default_rng(n_categories)
    codes, sets = random.integers(0, n_categories, 40), random_sets(random, 30, 40)
    codes[::9], sets[:, ::9] = -1, 0  # whose category is unknown counts as if in neither set
    outcomes = compare_frequencies(codes, sets == 0, sets == 1)
    for draw, statistic, p_value in zip(sets, *outcomes, strict=True):
        table = numpy.array(
            [numpy.bincount(codes[(draw == k) & (codes >= 0)], minlength=n_categories) for k in (0, 1)]
        )
        expected = stats.chi2_contingency(table[:, table.any(axis=0)])
        assert statistic == pytest.approx(expected.statistic)
        assert p_value == pytest.approx(expected.pvalue)


def test_edge_cases():
    first = numpy.array([[True, True, False, False], [False, False, False, False]])
    second = numpy.array([[False, False, True, True]] * 2)
    same = compare_means(numpy.full(4, 70.0), first, second)
    assert (same.statistic[0], same.p_value[0]) == (0, 1)
    apart = compare_means(numpy.array([60.0, 60, 70, 70]), first, second)
    assert apart.p_value[0] == 0
    assert numpy.isnan(apart.p_value[1])  # nobody is in the first set
    assert numpy.isnan(compare_means(numpy.array([numpy.nan, numpy.nan, 60, 61]), first, second).p_value[0])
    one_sex = compare_frequencies(numpy.zeros(4, int), first, second)
    assert (one_sex.statistic[0], one_sex.p_value[0]) == (0, 1)
    assert numpy.isnan(one_sex.p_value[1])
    nobody = compare_frequencies_by_permutation(numpy.array([0, 1, -1, -1]), first[0], second[0], 9, seed=0)
    assert numpy.isnan(nobody).all()


def test_the_permutation_test_is_exact_in_a_small_case():
    codes = numpy.array([0, 0, 1, 1, 2, 2, 2, 0])
    first = numpy.zeros(8, bool)
    first[[0, 1, 7]] = True

    def statistic(members):
        table = numpy.array([numpy.bincount(codes[group], minlength=3) for group in (members, ~members)])
        return stats.chi2_contingency(table).statistic

    everyone = []
    for chosen in combinations(range(8), 3):
        members = numpy.zeros(8, bool)
        members[list(chosen)] = True
        everyone.append(statistic(members))
    exact = numpy.mean(numpy.array(everyone) >= statistic(first) - 1e-9)
    found, p_value = compare_frequencies_by_permutation(codes, first, ~first, 20_000, seed=1)
    assert found == pytest.approx(statistic(first))
    assert p_value == pytest.approx(exact, abs=0.01)


def test_no_p_value_is_less_than_that_of_the_permutations_and_the_sets_themselves():
    sites, members = numpy.arange(150) // 4, numpy.arange(150) < 40
    assert compare_frequencies_by_permutation(sites, members, ~members, 199, 0)[1] == 1 / 200
