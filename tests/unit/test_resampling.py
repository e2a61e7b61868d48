import numpy
import pytest
from test_variance import TRUTH, simulate

from rhvae_mri.statistics.inference import interval_over_resamples, t_test
from rhvae_mri.statistics.metrics import METRICS, metrics_by_run
from rhvae_mri.statistics.resampling import (
    FALSE_POSITIVE_RATES,
    Resamples,
    draw_resamples,
    resample_metrics,
    the_sample_itself,
)
from rhvae_mri.statistics.variance import mean_by_run, outcomes, split_variance


def made_up(n_ad=7, n_cn=9, n_runs=4, seed=0):
    random = numpy.random.default_rng(seed)
    labels = numpy.repeat([True, False], [n_ad, n_cn])
    return labels, random.integers(0, 9, (n_runs, n_ad + n_cn)) / 8  # many ties, some at 0.5


def test_the_sample_itself_gives_the_mean_of_the_metrics_over_the_runs():
    labels, probabilities = made_up()
    expected = numpy.mean([list(metrics_by_run(labels, run).values()) for run in probabilities], axis=0)
    found, _ = resample_metrics(probabilities, the_sample_itself(labels, 4))
    numpy.testing.assert_allclose(found[:, 0], expected, atol=1e-12)


def test_a_resample_is_the_sample_with_participants_and_runs_repeated():
    labels, probabilities = made_up(seed=1)
    resamples = draw_resamples(labels, 4, 25, seed=3)
    found, _ = resample_metrics(probabilities, resamples)
    for number in range(25):
        people = numpy.repeat(numpy.arange(16), resamples.participants[:, number].astype(int))
        runs = numpy.repeat(numpy.arange(4), resamples.runs[:, number].astype(int))
        expected = numpy.mean(
            [list(metrics_by_run(labels[people], probabilities[run, people]).values()) for run in runs],
            axis=0,
        )
        numpy.testing.assert_allclose(found[:, number], expected, atol=1e-6)


def test_a_curve_is_scikit_learns_where_no_scores_are_equal():
    from sklearn.metrics import roc_curve

    random = numpy.random.default_rng(2)
    labels = numpy.repeat([True, False], [30, 50])
    probabilities = random.random((3, 80))
    _, curve = resample_metrics(probabilities, the_sample_itself(labels, 3))
    expected = []
    for run in probabilities:
        rates, sensitivities, _ = roc_curve(labels, run, drop_intermediate=False)
        expected.append([sensitivities[rates <= rate + 1e-12].max() for rate in FALSE_POSITIVE_RATES])
    numpy.testing.assert_allclose(curve[:, 0], numpy.mean(expected, axis=0), atol=1e-12)
    assert curve[-1, 0] == 1


def test_draws_are_one_less_than_there_are_within_each_diagnosis():
    labels, _ = made_up()
    resamples = draw_resamples(labels, 5, 300, seed=0)
    assert (resamples.participants[labels].sum(axis=0) == 6).all()
    assert (resamples.participants[~labels].sum(axis=0) == 8).all()
    assert (resamples.runs.sum(axis=0) == 4).all()
    assert numpy.unique(resamples.participants, axis=1).shape[1] > 250
    two = draw_resamples(labels, 2, 300, seed=0).runs  # one of two is drawn, each as often
    assert (two.sum(axis=0) == 1).all()
    assert 100 < two[0].sum() < 200
    single = draw_resamples(labels, 1, 10, seed=0)
    assert (single.runs == 1).all()


def test_the_variance_over_the_resamples_is_unbiased_with_few_runs():
    random = numpy.random.default_rng(0)
    labels = numpy.repeat([True, False], [400, 400])
    probabilities = numpy.repeat(random.random((5, 1)), 800, axis=1)  # the runs alone vary
    probabilities = numpy.where(random.random((5, 800)) < probabilities, 0.9, 0.1)
    fixed = Resamples(
        labels, numpy.ones((800, 4000), numpy.float32), draw_resamples(labels, 5, 4000, seed=1).runs
    )
    replicates = resample_metrics(probabilities, fixed)[0][0]
    of_runs = (probabilities[:, labels] > 0.5).mean(axis=1)
    assert replicates.var() == pytest.approx(of_runs.var(ddof=1) / 5, rel=0.08)
    assert replicates.mean() == pytest.approx(of_runs.mean(), abs=0.01)


@pytest.mark.parametrize("present", [True, False])
def test_an_absent_class_leaves_undefined_what_needs_it(present):
    labels = numpy.full(6, present)
    metrics, curve = resample_metrics(numpy.full((2, 6), 0.9), draw_resamples(labels, 2, 3, 0))
    assert numpy.isnan(metrics[2:]).all()
    assert numpy.isnan(curve).all()
    assert (metrics[0 if present else 1] == (1 if present else 0)).all()
    assert numpy.isnan(metrics[1 if present else 0]).all()


@pytest.mark.parametrize(("n_runs", "least"), [(5, 0.92), (20, 0.92)])
def test_intervals_cover_the_truth_and_a_true_null_hypothesis_is_seldom_rejected(n_runs, least):
    random = numpy.random.default_rng(7)
    metrics = METRICS[:3]
    covered, rejected = [], []
    for repeat in range(300):
        labels, probabilities = simulate(random, n_runs)
        resamples = draw_resamples(labels, n_runs, 400, seed=repeat)
        replicates = [resample_metrics(one, resamples)[0] for one in probabilities]
        for position, metric in enumerate(metrics):
            results = [outcomes(labels, one, metric) for one in probabilities]
            parts = split_variance(labels, results[0], metric)
            error, freedom = numpy.sqrt(parts.total), parts.degrees_of_freedom
            low, high = interval_over_resamples(replicates[0][position], error, freedom, 0.95)
            covered.append(low <= TRUTH <= high)
            parts = split_variance(labels, results[0], metric, results[1])
            mean = mean_by_run(labels, results[0] - results[1], metric).mean()
            rejected.append(t_test(mean, numpy.sqrt(parts.total), parts.degrees_of_freedom) < 0.05)
    coverage = numpy.reshape(covered, (300, 3)).mean(axis=0)
    assert (coverage > least).all()
    assert (coverage < 0.99).all()
    level = numpy.reshape(rejected, (300, 3)).mean(axis=0)
    assert (level > 0.01).all()
    assert (level < 0.08).all()
