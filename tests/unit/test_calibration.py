import numpy
import pandas
import pytest
from made_up_runs import write_predictions

from rhvae_mri.statistics.calibration import (
    CALIBRATION_COLUMNS,
    MEASURES,
    calibration_errors,
    find_bins,
    logistic_calibration,
    measure_calibration,
    reliability_curve,
)
from rhvae_mri.statistics.predictions import read_predictions
from rhvae_mri.statistics.resampling import Resamples, draw_resamples


def made_up(n=400, slope=1.0, shift=0.0, n_runs=2, seed=0):
    """Outcomes that follow from the logit's ``slope`` and ``shift``: a calibrated network has 1 and 0."""
    random = numpy.random.default_rng(seed)
    logits = random.normal(scale=1.5, size=n)
    labels = random.random(n) < 1 / (1 + numpy.exp(-(slope * logits + shift)))
    noise = random.normal(scale=0.01, size=(n_runs, n))
    return labels, 1 / (1 + numpy.exp(-(logits + noise)))


def test_slope_and_intercept_are_those_of_statsmodels():
    import statsmodels.api as sm

    labels, probabilities = made_up(slope=0.6, shift=0.8)
    intercepts, slopes = logistic_calibration(labels, probabilities)
    for run, intercept, slope in zip(probabilities, intercepts, slopes, strict=True):
        logits = numpy.log(run / (1 - run))
        fit = sm.GLM(labels.astype(float), sm.add_constant(logits), family=sm.families.Binomial()).fit()
        assert slope == pytest.approx(fit.params[1], abs=1e-6)
        offset = sm.GLM(
            labels.astype(float), numpy.ones(len(run)), family=sm.families.Binomial(), offset=logits
        ).fit()
        assert intercept == pytest.approx(offset.params[0], abs=1e-6)


def test_there_is_no_slope_where_the_classes_are_separated_or_one_is_absent():
    labels = numpy.array([True, True, False, False])
    runs = numpy.array([[0.9, 0.8, 0.2, 0.1], [0.9, 0.3, 0.5, 0.1], [0.1, 0.2, 0.8, 0.9]])
    _, slopes = logistic_calibration(labels, runs)
    assert numpy.isnan(slopes).tolist() == [True, False, True]
    alike = 0.4 + 1e-9 * numpy.array([[3.0, 1.0, 2.0, 0.0]])  # almost any slope fits them
    assert numpy.isnan(logistic_calibration(labels, alike)[1]).all()
    intercepts, slopes = logistic_calibration(numpy.ones(4, bool), runs)
    assert numpy.isnan(slopes).all()
    assert numpy.isnan(intercepts).all()


def test_certain_probabilities_are_fitted_too():
    labels = numpy.array([True, False, True, False, True, False])
    intercepts, slopes = logistic_calibration(labels, numpy.array([[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]))
    assert numpy.isfinite(slopes).all()
    assert intercepts[0] == pytest.approx(0, abs=1e-6)  # as often too high as too low


def test_the_calibration_error_by_hand():
    labels = numpy.array([True, False, True, True])
    # bins of 1/2: (0.1, 0.3) with one AD of two, (0.5, 1.0) with two of two
    runs = numpy.array([[0.1, 0.3, 0.5, 1.0]])
    assert find_bins(runs, 2).tolist() == [[0, 0, 1, 1]]
    # |0.4 - 1| + |1.5 - 2| over four images
    assert calibration_errors(labels, runs, 2) == pytest.approx([(0.6 + 0.5) / 4])


def test_the_reliability_curve_by_hand():
    labels = numpy.array([True, False, True, True])
    runs = numpy.array([[0.1, 0.3, 0.5, 1.0], [0.6, 0.1, 0.1, 0.9]])
    curve = reliability_curve(runs, draw_resamples(labels, 2, 50, 0), 4, 0.9)
    assert curve["n_images"].tolist() == [1.5, 0.5, 1.0, 1.0]
    assert curve["observed_fraction"].tolist() == pytest.approx([2 / 3, 0, 1, 1], abs=1e-4)
    assert curve["mean_probability"].tolist() == pytest.approx([0.1, 0.3, 0.55, 0.95])
    assert (curve["bin_low"].tolist(), curve["bin_high"].tolist()) == (
        [0, 0.25, 0.5, 0.75],
        [0.25, 0.5, 0.75, 1],
    )


def test_the_band_of_the_curve_is_that_of_explicit_resamples():
    labels, probabilities = made_up(40, n_runs=3, seed=2)
    resamples = draw_resamples(labels, 3, 30, seed=4)
    shares = []
    for number in range(30):
        people = numpy.repeat(numpy.arange(40), resamples.participants[:, number].astype(int))
        runs = numpy.repeat(numpy.arange(3), resamples.runs[:, number].astype(int))
        bins = find_bins(probabilities[numpy.ix_(runs, people)], 3)
        shares.append([labels[people][numpy.nonzero(bins == place)[1]].mean() for place in range(3)])
    curve = reliability_curve(probabilities, resamples, 3, 0.8)
    expected = numpy.quantile(shares, [0.1, 0.9], axis=0)
    numpy.testing.assert_allclose(curve[["low", "high"]].to_numpy().T, expected, atol=1e-4)


def test_a_bin_without_images_is_empty():
    labels = numpy.array([True, False])
    nobody_varies = Resamples(labels, numpy.ones((2, 5), numpy.float32), numpy.ones((1, 5), numpy.float32))
    curve = reliability_curve(numpy.array([[0.9, 0.9]]), nobody_varies, 2, 0.9)
    assert curve.loc[0, ["mean_probability", "observed_fraction", "low", "high"]].isna().all()
    assert curve.loc[1, ["observed_fraction", "low", "high"]].tolist() == [0.5, 0.5, 0.5]


def test_the_tables_have_every_condition_measure_and_bin(tmp_path):
    from sklearn.metrics import brier_score_loss

    sets = [each for each in read_predictions(write_predictions(tmp_path)) if each.set == "test"]
    found = measure_calibration(sets, n_bins=5, n_resamples=200, confidence=0.95, seed=1)
    assert tuple(found.measures.columns) == CALIBRATION_COLUMNS
    assert len(found.measures) == 16 * 2 * len(MEASURES)
    assert len(found.curves) == 16 * 2 * 5
    assert list(found.curves.columns[:7]) == list(CALIBRATION_COLUMNS[:7])
    brier = found.measures[found.measures["measure"] == "brier_score"].reset_index(drop=True)
    expected = [brier_score_loss(sets[0].labels, run) for run in sets[0].probabilities[2]]
    assert brier.loc[2, "mean"] == pytest.approx(numpy.mean(expected), abs=1e-4)
    assert brier.loc[2, "sd"] == pytest.approx(numpy.std(expected, ddof=1), abs=1e-4)
    assert (brier["low"] < brier["mean"]).all()
    assert (brier["mean"] < brier["high"]).all()
    others = found.measures[found.measures["measure"] != "brier_score"]
    assert others["low"].isna().all()
    again = measure_calibration(sets, n_bins=5, n_resamples=200, confidence=0.95, seed=1)
    pandas.testing.assert_frame_equal(again.curves, found.curves)
