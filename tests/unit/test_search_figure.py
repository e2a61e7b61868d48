import numpy
import pandas
import pytest
from figure_checks import drawn, marked

from rhvae_mri.figures.search import draw_search
from rhvae_mri.io.errors import StudyError
from rhvae_mri.search.leaderboard import rank_candidates, summarise_search
from rhvae_mri.search.space import Candidate, make_architecture

SHAPE = (84, 104, 89)
STUDY = {"resolution": "downsampled", "simulated": True}


def make_search(n, n_folds=5):
    """A leaderboard of n candidates of all kinds, with accuracies that are made up."""
    random = numpy.random.default_rng(n)
    candidates, rows = [], []
    for number in range(n):
        convolutions = random.integers(1, 4, random.integers(2, 7)).tolist()
        architecture = make_architecture(
            int(random.choice([2, 4, 5, 8, 16, 32])),
            convolutions,
            int(random.integers(1, 4)),
            random.uniform(0, 0.9),
            shape=SHAPE,
        )
        weight_decay = float(10 ** -random.uniform(2, 4)) * (number % 2)
        learning_rate = float(10 ** -random.uniform(2, 5))
        candidates.append(Candidate(number, architecture, learning_rate, weight_decay, 10**5 + number, {}))
        for fold in range(n_folds):
            accuracy = min(100.0, random.normal(70, 8))
            rows.append((number, fold, "finished", accuracy, 3, 10.0))
    columns = ["candidate", "fold", "status", "balanced_accuracy_percent", "selected_epoch", "seconds"]
    leaderboard = rank_candidates(candidates, pandas.DataFrame(rows, columns=columns))
    return leaderboard, summarise_search(candidates, leaderboard, resolution="downsampled", simulated=True)


@pytest.mark.parametrize(("n", "n_folds"), [(1, 2), (3, 2), (20, 5), (100, 5)])
def test_the_figure_shows_every_fold_and_every_mean_and_how_far_the_winner_can_be_trusted(
    n, n_folds, tmp_path
):
    leaderboard, summary = make_search(n, n_folds)
    figure, texts, source = drawn(tmp_path, draw_search, leaderboard, summary, **STUDY | {"simulated": n > 1})
    assert any(f"Random search, down-sampled: {n} candidates, {n_folds} folds" in text for text in texts)
    folds = leaderboard.filter(regex=r"^fold_\d_percent$").to_numpy()
    assert marked(figure.axes[0], "o") == pytest.approx(sorted(folds.flat))
    assert len(figure.axes) == 1 + 8
    for ax in figure.axes[1:]:
        assert marked(ax, "o") == pytest.approx(sorted(leaderboard["mean_percent"]))
    assert source["candidate"].tolist() == leaderboard["candidate"].tolist()
    assert source["fold_1_percent"].tolist() == pytest.approx(leaderboard["fold_1_percent"].tolist())
    assert f"winner's mean ± SE ({summary['winner']['se_percent']:.1f})" in texts
    assert f"winners on unseen folds ({summary['unseen_fold_percent']:.1f})" in texts


def test_a_candidate_without_weight_decay_stands_at_zero(tmp_path):
    leaderboard, summary = make_search(20)
    figure = drawn(tmp_path, draw_search, leaderboard, summary, **STUDY).figure
    ax = next(ax for ax in figure.axes if ax.get_xlabel() == "weight decay")
    places = dict(zip([label.get_text() for label in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    line = next(line for line in ax.lines if line.get_marker() == "o")
    at_zero = numpy.isclose(line.get_xdata(), places["0"])
    assert at_zero.tolist() == (leaderboard["weight_decay"] == 0).tolist()
    numpy.testing.assert_allclose(
        line.get_xdata()[~at_zero], numpy.log10(leaderboard["weight_decay"][~at_zero])
    )


def test_candidates_without_a_rank_are_counted_and_not_drawn(tmp_path):
    leaderboard, summary = make_search(6)
    leaderboard.loc[5, ["rank", "mean_percent", "sd_percent", "se_percent"]] = pandas.NA
    leaderboard.loc[5, "status"] = "diverged"
    figure = drawn(tmp_path, draw_search, leaderboard, summary | {"n_diverged": 1}, **STUDY).figure
    assert "1 diverged and not shown" in figure.get_suptitle()
    assert len(marked(figure.axes[1], "o")) == 5
    leaderboard["rank"] = pandas.NA
    with pytest.raises(StudyError, match="no ranked candidate"):
        drawn(tmp_path, draw_search, leaderboard, summary, **STUDY)
