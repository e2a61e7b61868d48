import os
import signal

import numpy
import pandas
import pytest
import torch
from test_folds import make_split

from rhvae_mri.cnn import training
from rhvae_mri.cnn.training import TrainingSettings, train_network
from rhvae_mri.cohort.folds import iterate_folds, split_folds
from rhvae_mri.cohort.image_sets import build_image_set
from rhvae_mri.io.tensor_files import write_image_stack
from rhvae_mri.runtime.interrupts import TrainingInterrupted
from rhvae_mri.search.cross_validation import cross_validate
from rhvae_mri.search.space import Candidate, make_architecture
from rhvae_mri.study.seeds import derive_seed

SHAPE = (9, 8, 7)
CPU = torch.device("cpu")
SETTINGS = {"epochs": 3, "batch_size": 4, "seed": 11, "device": CPU}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A stack of noise in which AD has a brighter corner, and the folds of its participants."""
    split = make_split(9, 8)
    file = tmp_path_factory.mktemp("study") / "images.safetensors"
    random = numpy.random.default_rng(0)
    images = random.random((len(split), *SHAPE), dtype=numpy.float32) * 0.6
    images[(split["diagnosis"] == "AD").to_numpy(), :4, :4, :4] += 0.35
    write_image_stack(file, split["image_id"].tolist(), images, SHAPE)
    return file, split_folds(split, 3, seed=1)


def make_candidate(number, learning_rate=1e-2, n_blocks=2):
    architecture = make_architecture(4, [1] * n_blocks, 1, 0.1, shape=SHAPE)
    return Candidate(number, architecture, learning_rate, 1e-3, 0, {})


@pytest.fixture(scope="module")
def trained(study):
    return cross_validate([make_candidate(0), make_candidate(5, n_blocks=1)], *study, **SETTINGS)


def test_each_fold_is_held_out_by_a_training_of_its_own(study, trained):
    """The same numbers as training by hand on the other folds, with the seed of candidate and fold."""
    file, folds = study
    results, history = trained
    assert results["candidate"].tolist() == [0, 0, 0, 5, 5, 5]
    assert results["fold"].tolist() == [0, 1, 2] * 2
    assert set(results["status"]) == {"finished"}
    fold, train, held_out = list(iterate_folds(folds))[1]
    expected = train_network(
        make_candidate(5, n_blocks=1).architecture,
        build_image_set(file, train),
        build_image_set(file, held_out),
        TrainingSettings(3, 4, 1e-2, 1e-3),
        seed=derive_seed(11, 5, fold),
        device=CPU,
    )
    row = results.iloc[4]
    rows = history[(history["candidate"] == 5) & (history["fold"] == 1)]
    assert rows["validation_loss"].tolist() == [epoch["validation_loss"] for epoch in expected.history]
    best = max(epoch["validation_balanced_accuracy"] for epoch in expected.history)
    assert row["balanced_accuracy_percent"] == pytest.approx(100 * best)
    assert row["selected_epoch"] == expected.selected_epoch
    assert row["seconds"] > 0


def test_a_candidate_gives_the_same_alone(study, trained):
    results, history = cross_validate([make_candidate(5, n_blocks=1)], *study, **SETTINGS)
    columns = ["candidate", "fold", "status", "balanced_accuracy_percent", "selected_epoch"]
    both = trained[0][trained[0]["candidate"] == 5].reset_index(drop=True)
    pandas.testing.assert_frame_equal(results[columns], both[columns])
    together = trained[1][trained[1]["candidate"] == 5].reset_index(drop=True)
    pandas.testing.assert_frame_equal(history, together)


def test_a_candidate_that_diverges_is_given_up_and_the_next_one_goes_on(study):
    candidates = [make_candidate(0, learning_rate=1e30), make_candidate(1)]
    results, history = cross_validate(candidates, *study, **SETTINGS)
    assert results["status"].tolist() == ["diverged", "skipped", "skipped", *["finished"] * 3]
    assert results["balanced_accuracy_percent"].isna().tolist() == [True] * 3 + [False] * 3
    assert set(history["candidate"]) == {1}
    results, history = cross_validate(candidates[:1], *study, **SETTINGS)
    assert len(results) == 3
    assert history.empty
    assert {"candidate", "fold", "epoch"} <= set(history.columns)


def test_a_poor_first_fold_ends_a_candidate_where_a_level_is_given_and_a_later_one_does_not(study, trained):
    by_fold = trained[0][trained[0]["candidate"] == 0]["balanced_accuracy_percent"]
    assert by_fold[1:].min() < by_fold[0], "the test needs a later fold that is worse"
    for level, expected in (
        (by_fold[0], ["finished"] * 3),
        (by_fold[0] + 0.1, ["finished", *["skipped"] * 2]),
    ):
        results, _ = cross_validate([make_candidate(0)], *study, **SETTINGS, stop_below_percent=level)
        assert results["status"].tolist() == expected


def test_an_interrupted_search_goes_on_where_it_was(study, trained, tmp_path, monkeypatch):
    """A signal in the second epoch of the fourth training; the first three are not trained again."""
    candidates = [make_candidate(0), make_candidate(5, n_blocks=1)]
    plain, n_epochs = training.train_epoch, [0]

    def counted(*arguments, **options):
        n_epochs[0] += 1
        if n_epochs[0] == 11:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(*arguments, **options)

    monkeypatch.setattr(training, "train_epoch", counted)
    with pytest.raises(TrainingInterrupted):
        cross_validate(candidates, *study, **SETTINGS, checkpoints=tmp_path)
    results, history = cross_validate(candidates, *study, **SETTINGS, checkpoints=tmp_path)
    assert n_epochs[0] == 18
    assert results["balanced_accuracy_percent"].tolist() == trained[0]["balanced_accuracy_percent"].tolist()
    pandas.testing.assert_frame_equal(history, trained[1])
