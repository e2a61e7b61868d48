import numpy
import pytest
from scipy import stats

from rhvae_mri.statistics.metrics import METRICS, metrics_by_run
from rhvae_mri.statistics.variance import (
    VarianceParts,
    average_replicates,
    contributions,
    mean_by_run,
    outcomes,
    split_variance,
    variance_of_replicates,
)

LABELS = numpy.repeat([True, False], [12, 15])


def made_up(seed=0):
    return numpy.random.default_rng(seed).integers(0, 9, (3, 27)) / 8  # many ties, some at 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_outcomes_average_to_the_metric_of_each_run(metric):
    probabilities = made_up()
    results = outcomes(LABELS, probabilities, metric)
    expected = [metrics_by_run(LABELS, run)[metric] for run in probabilities]
    numpy.testing.assert_allclose(mean_by_run(LABELS, results, metric), expected)
    if metric == "auc":
        assert results[:, ~LABELS].mean() == pytest.approx(numpy.mean(expected))
    else:
        assert contributions(LABELS, results, metric).sum() == pytest.approx(numpy.mean(expected))


def test_the_variance_of_an_area_over_participants_is_delongs():
    probabilities = made_up(1)
    kernel = numpy.mean(
        [
            (run[LABELS][:, None] > run[~LABELS]) + 0.5 * (run[LABELS][:, None] == run[~LABELS])
            for run in probabilities
        ],
        axis=0,
    )
    expected = kernel.mean(axis=1).var(ddof=1) / 12 + kernel.mean(axis=0).var(ddof=1) / 15
    parts = split_variance(LABELS, outcomes(LABELS, probabilities, "auc"), "auc")
    assert parts.participants == pytest.approx(expected)


def test_the_parts_are_those_of_the_analysis_of_variance():
    import pandas
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    results = outcomes(LABELS, made_up(2), "sensitivity")
    parts = split_variance(LABELS, results, "sensitivity")
    run, image = numpy.indices((3, 12))
    table = pandas.DataFrame({"y": results[:, LABELS].ravel(), "run": run.ravel(), "image": image.ravel()})
    squares = anova_lm(ols("y ~ C(run) + C(image)", table).fit())["mean_sq"] / (3 * 12)
    found = (parts.participants, parts.runs, parts.pairs)
    assert found == pytest.approx((squares["C(image)"], squares["C(run)"], squares["Residual"]))


@pytest.mark.parametrize("metric", METRICS)
def test_a_difference_has_the_participants_in_common_and_the_runs_of_both(metric):
    one, other = (outcomes(LABELS, made_up(seed), metric) for seed in (4, 5))
    parts = split_variance(LABELS, one, metric, other)
    alone = [split_variance(LABELS, each, metric) for each in (one, other)]
    assert parts.runs == pytest.approx(alone[0].runs + alone[1].runs)
    assert parts.pairs == pytest.approx(alone[0].pairs + alone[1].pairs)
    # the variance of a difference by its definition: less twice the covariance over the participants
    expected = alone[0].participants + alone[1].participants
    shares = {"sensitivity": (1, 0), "specificity": (0, 1), "balanced_accuracy": (0.5, 0.5), "auc": (1, 1)}
    for members, share in zip((LABELS, ~LABELS), shares[metric], strict=True):
        means = [each[:, members].mean(axis=0) for each in (one, other)]
        expected -= 2 * share**2 * numpy.cov(*means)[0, 1] / members.sum()
    assert parts.participants == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_other_numbers_of_the_runs_change_no_difference(metric):
    one, other = (outcomes(LABELS, made_up(seed), metric) for seed in (4, 5))
    parts = split_variance(LABELS, one, metric, other)
    again = split_variance(LABELS, one[[2, 0, 1]], metric, other[[0, 2, 1]])
    assert again.total == pytest.approx(parts.total, rel=1e-12)
    assert again.degrees_of_freedom == pytest.approx(parts.degrees_of_freedom, rel=1e-12)


def test_a_balanced_accuracy_varies_as_half_of_both_classes_do():
    results = outcomes(LABELS, made_up(3), "balanced_accuracy")
    both = split_variance(LABELS, results, "balanced_accuracy")
    ad, cn = (split_variance(LABELS, results, name) for name in ("sensitivity", "specificity"))
    assert both.participants == pytest.approx((ad.participants + cn.participants) / 4)
    assert both.pairs == pytest.approx((ad.pairs + cn.pairs) / 4)


def test_the_total_counts_single_pairs_once_and_is_never_below_them():
    assert VarianceParts((2.0, 1.0), (2.0,), (1.0,), 18, (5,)).total == 4
    assert VarianceParts((2.0, 1.0), (1.0, 1.5), (1.0, 0.5), 18, (5, 5)).total == 4
    assert VarianceParts((0.5, 0.0), (0.5,), (1.0,), 18, (5,)).total == 1
    assert VarianceParts((3.0, 0.0), (numpy.nan,), (numpy.nan,), 18, (1,)).total == 3
    one_run = split_variance(LABELS, outcomes(LABELS, made_up()[:1], "auc"), "auc")
    assert one_run.total == one_run.participants > 0
    lonely = numpy.array([True, False, False])
    parts = split_variance(LABELS, outcomes(LABELS, made_up(), "specificity"), "specificity")
    assert parts.by_class[0] == 0
    assert parts.by_class[1] == parts.participants > 0
    assert numpy.isnan(split_variance(lonely, numpy.ones((2, 3)), "sensitivity").total)
    assert split_variance(lonely, numpy.ones((2, 3)), "specificity").total == 0


def test_the_degrees_of_freedom_by_hand():
    # 18 of participants, 4 of runs: 4 ** 2 / (3 ** 2 / 18 + 2 ** 2 / 4 + 1 ** 2 / 72)
    both = (2.0, 1.0)
    one = VarianceParts(both, (2.0,), (1.0,), 18, (5,))
    assert one.degrees_of_freedom == pytest.approx(16 / (0.5 + 1 + 1 / 72))
    assert VarianceParts((0.0, 0.0), (2.0,), (0.0,), 18, (5,)).degrees_of_freedom == 4
    # two conditions whose runs vary alike have the freedom of both
    assert VarianceParts((0.0, 0.0), (2.0, 2.0), (0.0, 0.0), 18, (5, 5)).degrees_of_freedom == 8
    # 4 ** 2 / (2 ** 2 / 4 + 2 ** 2 / 9)
    unequal = VarianceParts((0.0, 0.0), (2.0, 2.0), (0.0, 0.0), 18, (5, 10))
    assert unequal.degrees_of_freedom == pytest.approx(16 / (1 + 4 / 9))
    assert VarianceParts(both, (numpy.nan,), (numpy.nan,), 18, (1,)).degrees_of_freedom == 18
    assert VarianceParts((0.0, 0.0), (0.0,), (0.0,), 18, (5,)).degrees_of_freedom == numpy.inf


def test_the_means_and_the_variance_of_replicates_by_hand():
    replicates = numpy.array([0, 1, 0, 1])
    results = numpy.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    numpy.testing.assert_array_equal(average_replicates(results, replicates), [[1, 0.5], [0.5, 0]])
    # means 3 and 7 vary by 8, of which the runs within, that vary by 2 and 18, explain 10 / 2
    by_run = numpy.array([2.0, 4.0, 4.0, 10.0])
    assert variance_of_replicates(by_run, replicates) == pytest.approx(8 / 2 - 10 / 4)
    assert variance_of_replicates(numpy.array([0.0, 0.0, 9.0, 9.0]), replicates) == 0
    assert numpy.isnan(variance_of_replicates(by_run, numpy.arange(4)))
    assert numpy.isnan(variance_of_replicates(by_run, numpy.zeros(4, int)))


def simulate(random, n_runs, n=40):
    """Two conditions with the same true sensitivity and specificity: a probit model of people and runs."""
    labels = numpy.repeat([True, False], [n, n])
    person = random.normal(size=2 * n)
    run = random.normal(scale=0.4, size=(2, n_runs, 1))
    noise = random.normal(scale=0.7, size=(2, n_runs, 2 * n))
    score = numpy.where(labels, 0.9, -0.9) + person + run + noise
    return labels, 1 / (1 + numpy.exp(-score))


#: The true sensitivity and specificity of `simulate`.
TRUTH = stats.norm.cdf(0.9 / numpy.sqrt(1 + 0.4**2 + 0.7**2))


@pytest.mark.parametrize("n_runs", [5, 20])
def test_the_variance_over_participants_and_runs_is_that_of_repeated_studies(n_runs):
    random = numpy.random.default_rng(n_runs)
    metrics = METRICS[:3]
    means, variances = [], []
    for _ in range(1000):
        labels, probabilities = simulate(random, n_runs)
        single = [outcomes(labels, probabilities[0], metric) for metric in metrics]
        other = [outcomes(labels, probabilities[1], metric) for metric in metrics]
        both = [*zip(single, [None] * 3, metrics, strict=True), *zip(single, other, metrics, strict=True)]
        each = [mean_by_run(labels, one, m).mean() for one, m in zip(single, metrics, strict=True)]
        means.append(
            each
            + [
                mean - mean_by_run(labels, one, m).mean()
                for mean, one, m in zip(each, other, metrics, strict=True)
            ]
        )
        variances.append([split_variance(labels, one, metric, base).total for one, base, metric in both])
    ratio = numpy.mean(variances, axis=0) / numpy.var(means, axis=0, ddof=1)
    numpy.testing.assert_allclose(ratio[:5], 1, atol=0.15)
    # the difference of balanced accuracies has little but the part of single pairs, the least that is taken
    assert 0.85 < ratio[5] < 1.4
    numpy.testing.assert_allclose(numpy.mean(means, axis=0), [TRUTH] * 3 + [0] * 3, atol=0.01)
