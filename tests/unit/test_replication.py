import importlib

import numpy
import pandas
import pytest
from scipy import stats

from rhvae_mri.statistics.estimates import ESTIMATE_COLUMNS
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.replication import (
    DESCRIPTIVE,
    INCONCLUSIVE,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPLICATION_COLUMNS,
    REPRODUCED,
    VERDICTS,
    compare_with_published,
    count_verdicts,
    overall_statement,
)

OPTIONS = {"margin": 5.0, "confidence": 0.95, "minimum_runs": 10, "departures": []}


@pytest.fixture(scope="module")
def published(root):
    return read_published(root / "resources/published_results.tsv")


def our_results(published, shift=0.0, error=1.0, n_seeds=20, **others):
    """Estimates of every published condition, off by so much; only the runs vary."""
    table = published.rename(
        columns={"published_mean_percent": "mean_percent", "published_sd_percent": "sd_percent"}
    )
    mean = table["mean_percent"] + shift
    values = {
        "resolution": "downsampled",
        "mean_percent": mean,
        "low_percent": mean - 2 * error,
        "high_percent": mean + 2 * error,
        "se_percent": error,
        "se_participants_percent": 0.0,
        "se_seeds_percent": error,
        "se_replicates_percent": numpy.nan,
        "se_AD_percent": 0.0,
        "se_CN_percent": 0.0,
        "degrees_of_freedom": 100.0,
        "n_seeds": n_seeds,
        "n_replicates": 1,
        "n_AD": 100,
        "n_CN": 100,
        "interval_leaves_out": "other models of rhvae",
    }
    table = table.assign(**values | others)
    return table[list(ESTIMATE_COLUMNS)]


def test_all_168_published_numbers_are_there_whatever_was_run(published):
    everything = our_results(published)
    for ours in (everything, everything[everything["training_set"] == "train-50"], everything.head(0)):
        table = compare_with_published(ours, published, **OPTIONS)
        assert tuple(table.columns) == REPLICATION_COLUMNS
        assert len(table) == 168
        assert set(table["published_mean_percent"]) == set(published["published_mean_percent"])
        assert table["mean_percent"].notna().sum() == len(ours)
        assert (table["verdict"] == NOT_RUN).sum() == 168 - len(ours)
        assert sum(count_verdicts(table).values()) == 168
        assert list(count_verdicts(table)) == list(VERDICTS)


@pytest.mark.parametrize(
    ("shift", "error", "verdict"),
    [
        (0.5, 0.3, REPRODUCED),
        (2.0, 0.1, REPRODUCED),
        (20.0, 1.0, NOT_REPRODUCED),
        (4.0, 6.0, INCONCLUSIVE),
        (-1.0, 9.0, INCONCLUSIVE),
    ],
)
def test_verdicts_follow_from_difference_and_uncertainty(published, shift, error, verdict):
    table = compare_with_published(our_results(published, shift, error), published, **OPTIONS)
    judged = table["metric"] == "balanced_accuracy"
    assert set(table.loc[~judged, "verdict"]) == {DESCRIPTIVE}
    assert table.loc[~judged, "reason"].str.endswith("the verdict is on balanced accuracy alone").all()
    narrow = table[judged & (table["published_sd_percent"] < 2)]  # the published uncertainty is in it too
    assert len(narrow) > 10
    assert set(narrow["verdict"]) == {verdict}
    assert narrow["reason"].str.contains(f"{shift:+.1f} points", regex=False).all()
    if error == 0.1:  # reproduced even where the difference is significant
        assert (narrow.loc[narrow["published_sd_percent"] < 1.5, "p_difference"] < 0.05).all()


def test_numbers_of_one_row_by_hand(published):
    table = compare_with_published(our_results(published, 1.0, 2.0), published, **OPTIONS)
    row = table[(table["published_mean_percent"] == 70.3) & (table["published_sd_percent"] == 12.2)].iloc[0]
    of_published = 12.2 / numpy.sqrt(20)
    half = stats.t.ppf(0.975, 19) * of_published
    assert row["published_low_percent"] == pytest.approx(70.3 - half, abs=1e-3)
    assert row["published_high_percent"] == pytest.approx(70.3 + half, abs=1e-3)
    error = numpy.hypot(2, of_published)
    freedom = error**4 / (2**4 / 100 + of_published**4 / 19)
    assert row["p_difference"] == pytest.approx(2 * stats.t.sf(1 / error, freedom))
    assert row["p_equivalence"] == pytest.approx(stats.t.sf(4 / error, freedom))
    half = stats.t.ppf(0.975, freedom) * error
    assert row["difference_low_percent"] == pytest.approx(1 - half, abs=1e-3)
    assert row["difference_high_percent"] == pytest.approx(1 + half, abs=1e-3)


def test_the_published_participants_are_ours_scaled_to_their_numbers(published):
    # half of the published AD and a third of the CN participants; 6.25 + 1.44 holds 1.25 of pairs twice, so
    # that of our participants' part four fifths are without pairs
    parts = {"se_participants_percent": 2.5, "se_AD_percent": 2.0, "se_CN_percent": 1.5}
    parts |= {"se_seeds_percent": 1.2, "degrees_of_freedom": 50.0, "n_AD": 38, "n_CN": 143}
    ours = our_results(published, 1.0, numpy.sqrt(6.44), **parts)
    table = compare_with_published(ours, published, **OPTIONS)
    aibl, adni = table[table["test_cohort"] == "AIBL"], table[table["test_cohort"] == "ADNI"]
    runs = aibl["published_sd_percent"] ** 2 / 20
    of_ad, of_cn = 0.8 * 4 * 38 / 76, 0.8 * 2.25 * 143 / 429
    variance = 6.44 + of_ad + of_cn + runs
    numpy.testing.assert_allclose(aibl["difference_se_percent"], numpy.sqrt(variance), atol=1e-4)
    terms = 6.44**2 / 50 + runs**2 / 19 + ((4 + of_ad) ** 2 - 16) / 37 + ((2.25 + of_cn) ** 2 - 2.25**2) / 142
    numpy.testing.assert_allclose(aibl["degrees_of_freedom"], variance**2 / terms, atol=0.01)
    of_ad, of_cn = 0.8 * 4 * 38 / 100, 0.8 * 2.25 * 143 / 100
    variance = 6.44 + of_ad + of_cn + adni["published_sd_percent"] ** 2 / 20
    numpy.testing.assert_allclose(adni["difference_se_percent"], numpy.sqrt(variance), atol=1e-4)
    # of a single run the participants' part cannot be told from that of the pairs, and is the total
    single = our_results(published, 1.0, 2.5, 1, **parts | {"se_seeds_percent": numpy.nan})
    adni = compare_with_published(single, published, **OPTIONS).query("test_cohort == 'ADNI'")
    variance = 6.25 + 4 * 38 / 100 + 2.25 * 143 / 100 + adni["published_sd_percent"] ** 2 / 20
    numpy.testing.assert_allclose(adni["difference_se_percent"], numpy.sqrt(variance), atol=1e-4)
    assert adni["p_difference"].notna().all()


@pytest.mark.parametrize(
    ("n_replicates", "of_ours", "of_published"),
    [(5, 0.5, 5 * 0.25), (5, 0.0, 0.0), (5, numpy.nan, 5 * 1.0), (1, numpy.nan, 0.0)],
)
def test_the_published_study_has_one_generator(published, n_replicates, of_ours, of_published):
    ours = our_results(published, n_replicates=n_replicates, se_replicates_percent=of_ours)
    table = compare_with_published(ours, published, **OPTIONS)
    runs = table["published_sd_percent"] ** 2 / 20
    variance = 1 + of_published + runs
    numpy.testing.assert_allclose(table["difference_se_percent"], numpy.sqrt(variance), atol=1e-4)
    # the variance between our means of replicates counts once in ours, and K times in the published study
    terms = 1 / 100 + runs**2 / 19 + (0 if n_replicates == 1 else ((1 + n_replicates) ** 2 - 1) / 4)
    numpy.testing.assert_allclose(table["degrees_of_freedom"], variance**2 / terms, atol=0.01)
    assert set(table["interval_leaves_out"]) == {"other models of rhvae"}


def test_the_power_is_stated_beside_each_verdict(published):
    table = compare_with_published(our_results(published), published, **OPTIONS)
    error, freedom = table["difference_se_percent"], table["degrees_of_freedom"]
    expected = 200 * stats.t.cdf(5 / error - stats.t.ppf(0.95, freedom), freedom) - 100
    numpy.testing.assert_allclose(table["power_percent"], numpy.maximum(expected, 0), atol=0.02)
    assert table["power_percent"].max() > 95
    assert table.loc[table["published_sd_percent"] > 12, "power_percent"].max() < 60


def test_what_is_said_of_all_numbers_together_is_corrected_by_holm(published):
    ours = our_results(published, error=0.5)
    ours.loc[[0, 1, 2], "mean_percent"] += [25, 20, 1]
    table = compare_with_published(ours, published, **OPTIONS)
    by_p = table.sort_values("p_difference")
    p, holm = by_p["p_difference"].to_numpy(), by_p["p_difference_holm"].to_numpy()
    numpy.testing.assert_allclose(holm[:3], numpy.minimum(p[:3] * [168, 167, 166], 1))
    by_p = table.sort_values("p_equivalence")
    assert by_p["p_equivalence_holm"].iloc[0] == pytest.approx(168 * by_p["p_equivalence"].iloc[0])
    n_equivalent = (table["p_equivalence_holm"] < 0.05).sum()
    assert 0 < n_equivalent < 166
    found = f"2 of the 168 published numbers that can be compared differ from ours, and {n_equivalent} are "
    assert overall_statement(table).startswith(f"At a family-wise level of 5 % (Holm), {found}equivalent")
    # numbers without a condition of ours do not count
    table = compare_with_published(ours.head(84), published, **OPTIONS)
    assert table["p_difference_holm"].min() == pytest.approx(84 * table["p_difference"].min())
    assert table["p_difference_holm"].isna().sum() == 84
    table = compare_with_published(ours, published, **OPTIONS | {"departures": ["a is 1"]})
    assert overall_statement(table) == "None of the 168 published numbers can be compared with ours."


def test_an_identical_study_is_called_not_reproduced_in_5_percent(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    verdicts = importlib.import_module("verdicts")
    for setting in ((100, 20, 1, 0.0), (20, 10, 5, 2.5)):
        found = verdicts.simulate_verdicts(*setting, 300, seed=0)
        assert 1 < found["false"] < 8.8  # 5 and three standard errors
        assert found["se"] == pytest.approx(found["true_se"], rel=0.12)


def test_intervals_are_asked_both_ways(published):
    ours = our_results(published, 3.0, 2.0)
    table = compare_with_published(ours, published, **OPTIONS)
    assert set(table["published_in_our_interval"]) == {"yes"}  # 3 is less than 4
    half = stats.t.ppf(0.975, 19) * table["published_sd_percent"] / numpy.sqrt(20)
    expected = numpy.where(half >= 3, "yes", "no")
    assert table["ours_in_published_interval"].tolist() == expected.tolist()
    assert set(expected) == {"yes", "no"}
    none = compare_with_published(ours.head(0), published, **OPTIONS)
    assert none[["published_in_our_interval", "ours_in_published_interval"]].isna().all(axis=None)


def test_simulated_data_and_departures_forbid_a_verdict(published):
    ours = our_results(published)
    table = compare_with_published(ours, published, **OPTIONS | {"departures": ["the data are simulated"]})
    assert set(table["verdict"]) == {NOT_COMPARABLE}
    assert set(table["reason"]) == {"the data are simulated"}
    half = ours[ours["architecture"] == "baseline"]
    table = compare_with_published(half, published, **OPTIONS | {"departures": ["a is 1", "b is 2"]})
    assert set(table.loc[table["architecture"] == "baseline", "reason"]) == {"a is 1; b is 2"}
    assert set(table.loc[table["architecture"] == "optimized", "verdict"]) == {NOT_RUN}


def test_few_runs_and_undefined_metrics_get_no_verdict(published):
    table = compare_with_published(our_results(published, n_seeds=9), published, **OPTIONS)
    assert set(table["reason"]) == {"9 runs only; a verdict takes 10"}
    undefined = our_results(published).assign(mean_percent=numpy.nan, se_percent=numpy.nan)
    table = compare_with_published(undefined, published, **OPTIONS)
    assert set(table["reason"]) == {"the metric is not defined on this test set"}
    assert pandas.isna(table["p_equivalence"]).all()


def test_results_at_full_resolution_are_not_held_against_the_published_ones(published):
    ours = our_results(published).assign(resolution="full")
    assert set(compare_with_published(ours, published, **OPTIONS)["verdict"]) == {NOT_RUN}
