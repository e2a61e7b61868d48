import math

import numpy
import pandas
import pytest

from rhvae_mri.cnn.architectures import read_architectures
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_json
from rhvae_mri.search.leaderboard import (
    choose_network,
    mean_on_unseen_folds,
    rank_candidates,
    summarise_search,
)
from rhvae_mri.search.space import Candidate, make_architecture

SHAPE = (21, 26, 22)


def make_candidates(n, sizes=None):
    """Candidates that differ in their learning rate, with numbers of parameters that are made up."""
    architecture = make_architecture(4, [1, 2], 2, 0.25, shape=SHAPE)
    sizes = sizes or [1000] * n
    rejected = {"too_many_poolings": 1, "too_many_parameters": 2}
    return [
        Candidate(number, architecture, (number + 1) * 1e-4, 1e-3, sizes[number], rejected)
        for number in range(n)
    ]


def make_results(*accuracies):
    """Results of candidates from their folds' accuracies; None: diverged, and NaN: skipped."""
    rows = []
    for candidate, folds in enumerate(accuracies):
        for fold, accuracy in enumerate(folds):
            status = "finished"
            if accuracy is None or math.isnan(accuracy):
                status = "diverged" if accuracy is None else "skipped"
            epoch, seconds = (1.0, 10.0 * (candidate + 1)) if status == "finished" else [numpy.nan] * 2
            percent = numpy.nan if accuracy is None else accuracy
            rows.append((candidate, fold, status, percent, epoch, seconds))
    columns = ["candidate", "fold", "status", "balanced_accuracy_percent", "selected_epoch", "seconds"]
    return pandas.DataFrame(rows, columns=columns)


def row_of(leaderboard, candidate):
    return leaderboard[leaderboard["candidate"] == candidate].iloc[0]


@pytest.fixture
def search():
    candidates = make_candidates(3)
    return candidates, rank_candidates(candidates, make_results([60, 70, 80], [85, 80, 90], [50, 50, 56]))


def test_the_statistics_equal_those_computed_by_hand(search):
    _, leaderboard = search
    assert leaderboard["candidate"].tolist() == [1, 0, 2]
    assert leaderboard["rank"].tolist() == [1, 2, 3]
    assert set(leaderboard["status"]) == {"complete"}
    best, second, last = (row_of(leaderboard, number) for number in (1, 0, 2))
    assert [best["mean_percent"], second["mean_percent"], last["mean_percent"]] == [85, 70, 52]
    # deviations of 0, -5 and 5 from 85
    assert best["sd_percent"] == pytest.approx(5)
    assert best["se_percent"] == pytest.approx(5 / math.sqrt(3))
    assert last["sd_percent"] == pytest.approx(math.sqrt(12))
    # differences of 25, 10 and 10, fold by fold: mean 15, variance (100 + 25 + 25) / 2
    assert second["gap_percent"] == pytest.approx(15)
    assert second["gap_se_percent"] == pytest.approx(math.sqrt(75 / 3))
    assert best["gap_percent"] == best["gap_se_percent"] == 0
    assert [second[f"fold_{fold}_percent"] for fold in range(3)] == [60, 70, 80]
    assert last["seconds"] == 90
    assert second["learning_rate"] == pytest.approx(1e-4)


def test_of_equal_means_the_smaller_network_wins():
    candidates = make_candidates(3, sizes=[500, 300, 300])
    leaderboard = rank_candidates(candidates, make_results([70, 80], [75, 75], [80, 70]))
    assert leaderboard["candidate"].tolist() == [1, 2, 0]


def test_candidates_that_were_not_trained_on_every_fold_are_listed_without_a_rank():
    candidates = make_candidates(4)
    results = make_results([50, math.nan], [60, 70], [None, math.nan], [99, None])
    leaderboard = rank_candidates(candidates, results)
    assert leaderboard["candidate"].tolist() == [1, 0, 2, 3]
    assert leaderboard["status"].tolist() == ["complete", "stopped", "diverged", "diverged"]
    assert leaderboard["rank"].tolist() == [1, pandas.NA, pandas.NA, pandas.NA]
    assert leaderboard["mean_percent"].isna().tolist() == [False, True, True, True]
    # what was measured is shown all the same
    assert row_of(leaderboard, 3)["fold_0_percent"] == 99
    assert row_of(leaderboard, 0)["seconds"] == 10
    summary = summarise_search(candidates, leaderboard, resolution="full", simulated=False)
    assert (summary["n_candidates"], summary["n_complete"]) == (4, 1)
    assert (summary["n_diverged"], summary["n_stopped"], summary["n_rejected_draws"]) == (2, 1, 12)


def test_a_search_without_any_complete_candidate_is_an_error():
    with pytest.raises(StudyError, match="No candidate of the search"):
        rank_candidates(make_candidates(1), make_results([None, math.nan]))


def test_a_missing_result_is_an_error():
    with pytest.raises(StudyError, match="without a result: 1, 2"):
        rank_candidates(make_candidates(3), make_results([50, 60]))


def test_winners_are_judged_on_the_fold_that_did_not_choose_them():
    # without fold 0 candidate 1 is chosen (80 + 80), without 1 and 2 candidate 0 (95 + 70, 95 + 60)
    accuracies = numpy.array([[95.0, 60.0, 70.0], [50.0, 80.0, 80.0]])
    assert mean_on_unseen_folds(accuracies) == pytest.approx((50 + 60 + 70) / 3)


def test_candidates_that_are_equal_without_a_fold_are_not_ordered_by_it():
    """The smaller network is judged, though the other one is better on the fold that is left out."""
    candidates = make_candidates(2, sizes=[100, 200])
    leaderboard = rank_candidates(candidates, make_results([50, 70], [90, 70]))
    summary = summarise_search(candidates, leaderboard, resolution="full", simulated=True)
    # without fold 0 both have 70: the smaller is judged, 50; without fold 1 the larger has 90: judged on 70
    assert summary["unseen_fold_percent"] == pytest.approx(60)


def test_the_summary_names_the_winner_and_its_uncertainty(search):
    candidates, leaderboard = search
    summary = summarise_search(candidates, leaderboard, resolution="downsampled", simulated=True)
    assert summary["simulated"] is True
    assert summary["winner"]["number"] == 1
    assert summary["winner"]["mean_percent"] == 85
    assert summary["winner"]["se_percent"] == pytest.approx(2.8868)
    assert summary["n_within_one_se"] == 1
    assert summary["n_folds"] == 3
    assert "optimistic" in summary["note"]


def test_the_winner_brings_its_own_settings_and_others_keep_those_of_the_configuration(
    search, tmp_path, root
):
    candidates, leaderboard = search
    file = tmp_path / "leaderboard.json"
    write_json(file, summarise_search(candidates, leaderboard, resolution="downsampled", simulated=True))
    published = root / "resources" / "architectures.json"
    settings = (published, "optimized", "downsampled", 0.5, 0.25)
    architecture, learning_rate, weight_decay = choose_network(*settings, file)
    assert architecture == candidates[1].architecture
    assert (architecture.dropout, learning_rate, weight_decay) == (0.25, pytest.approx(2e-4), 1e-3)
    for nothing in (None, []):
        assert choose_network(*settings, nothing) == (
            read_architectures(published)["optimized"]["downsampled"],
            0.5,
            0.25,
        )
