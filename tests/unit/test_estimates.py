import numpy
import pandas
import pytest
from made_up_runs import write_predictions

from rhvae_mri.statistics.estimates import ESTIMATE_COLUMNS, count_confusions, estimate_performance
from rhvae_mri.statistics.metrics import ConfusionCounts, confusion_counts
from rhvae_mri.statistics.predictions import read_predictions, tabulate_runs
from rhvae_mri.statistics.published import read_published
from rhvae_mri.statistics.tables import classification_table


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    collected = read_predictions(write_predictions(tmp_path_factory.mktemp("predictions")))
    return [each for each in collected if each.set == "test"]


@pytest.fixture(scope="module")
def estimates(sets):
    return estimate_performance(sets, 200, 0.9, seed=5)


def test_means_and_deviations_are_those_of_the_result_table(sets, estimates, root):
    expected = classification_table(
        tabulate_runs(sets), read_published(root / "resources/published_results.tsv")
    )
    assert tuple(estimates.table.columns) == ESTIMATE_COLUMNS
    key = list(ESTIMATE_COLUMNS[:8])
    both = estimates.table.merge(expected, on=key, suffixes=("", "_expected"), validate="one_to_one")
    assert len(both) == len(expected) == len(estimates.table) == 16 * 2 * 4
    for name in ("mean_percent", "sd_percent", "n_seeds"):
        numpy.testing.assert_allclose(both[name], both[f"{name}_expected"], atol=1e-3)


def test_intervals_hold_their_mean_and_the_runs_part_follows_from_their_deviation(estimates):
    table = estimates.table
    assert (table["low_percent"] < table["mean_percent"]).all()
    assert (table["mean_percent"] < table["high_percent"]).all()
    numpy.testing.assert_allclose(table["se_seeds_percent"], table["sd_percent"] / numpy.sqrt(3), atol=1e-3)


def test_the_same_seed_gives_the_same_and_the_number_of_threads_plays_no_part(sets, estimates):
    again = estimate_performance(sets, 200, 0.9, seed=5, threads=2)
    pandas.testing.assert_frame_equal(again.table, estimates.table)
    pandas.testing.assert_frame_equal(again.curves, estimates.curves)
    other = estimate_performance(sets[:1], 200, 0.9, seed=6)
    assert not numpy.allclose(other.resampled["ADNI"], estimates.resampled["ADNI"])
    assert estimates.resampled["AIBL"].shape == (16, 4, 200)


def test_a_condition_does_not_change_the_estimates_of_another(sets, estimates):
    from dataclasses import replace

    one = sets[0]
    alone = replace(one, conditions=one.conditions.iloc[3:4], probabilities=one.probabilities[3:4])
    found = estimate_performance([alone], 200, 0.9, seed=5).table.reset_index(drop=True)
    pandas.testing.assert_frame_equal(found, estimates.table.iloc[12:16].reset_index(drop=True))


def test_curves_rise_to_one_inside_their_band(estimates):
    for _, curve in estimates.curves.groupby([*ESTIMATE_COLUMNS[:7]]):
        assert (curve["sensitivity"].diff().dropna() >= 0).all()
        assert curve["sensitivity"].iloc[-1] == curve["low"].iloc[-1] == 1
        assert (curve["low"] <= curve["high"]).all()
        middle = curve[(curve["false_positive_rate"] > 0.1)]
        assert (middle["low"] <= middle["sensitivity"]).all()
        assert (middle["sensitivity"] <= middle["high"]).all()


def test_confusion_counts_are_averaged_over_the_runs(sets):
    table = count_confusions(sets)
    assert len(table) == 32
    row, probabilities = table.iloc[20], sets[1].probabilities[4]
    counts = [confusion_counts(sets[1].labels, run) for run in probabilities]
    for name in ConfusionCounts._fields:
        values = [getattr(each, name) for each in counts]
        assert row[f"{name}_mean"] == pytest.approx(numpy.mean(values), abs=1e-4)
        assert row[f"{name}_sd"] == pytest.approx(numpy.std(values, ddof=1), abs=1e-4)
