import numpy
import pandas
import pytest
from scipy import stats

from rhvae_mri.statistics.estimates import ESTIMATE_COLUMNS
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.replication import (
    INCONCLUSIVE,
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPLICATION_COLUMNS,
    REPRODUCED,
    VERDICTS,
    compare_with_published,
    count_verdicts,
)

OPTIONS = {"margin": 5.0, "confidence": 0.95, "minimum_runs": 10, "departures": []}


@pytest.fixture(scope="module")
def published(root):
    return read_published(root / "resources/published_results.tsv")


def our_results(published, shift=0.0, error=1.0, n_seeds=20):
    """Estimates of every published condition, off by so much."""
    table = published.rename(
        columns={"published_mean_percent": "mean_percent", "published_sd_percent": "sd_percent"}
    )
    mean = table["mean_percent"] + shift
    table = table.assign(
        resolution="downsampled",
        mean_percent=mean,
        low_percent=mean - 2 * error,
        high_percent=mean + 2 * error,
        se_percent=error,
        se_participants_percent=error,
        se_seeds_percent=error,
        degrees_of_freedom=100.0,
        n_seeds=n_seeds,
        n_AD=100,
        n_CN=100,
    )
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
    narrow = table[table["published_sd_percent"] < 2]  # the published uncertainty is in it too
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
