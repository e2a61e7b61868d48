import numpy
import pandas
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts

from rhvae_mri.figures.search import draw_search
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
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


def dots(ax):
    return sorted(y for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata())


def test_the_figure_shows_every_fold_and_every_mean_and_says_what_is_simulated(tmp_path):
    leaderboard, summary = make_search(20)
    figure = drawn(tmp_path, draw_search, leaderboard, summary, **STUDY)
    title = "Simulated data: Random search, down-sampled: 20 candidates, 5 folds"
    assert title in svg_texts(tmp_path / "figure.svg")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    folds = leaderboard.filter(regex=r"^fold_\d_percent$").to_numpy()
    assert dots(figure.axes[0]) == pytest.approx(sorted(folds.flat))
    assert len(figure.axes) == 1 + 8
    for ax in figure.axes[1:]:
        assert dots(ax) == pytest.approx(sorted(leaderboard["mean_percent"]))
    source = read_tsv(tmp_path / "figure.tsv")
    assert source["candidate"].tolist() == leaderboard["candidate"].tolist()
    assert source["fold_4_percent"].tolist() == pytest.approx(leaderboard["fold_4_percent"].tolist())


def test_the_legend_states_how_far_the_winner_can_be_trusted(tmp_path):
    leaderboard, summary = make_search(20)
    drawn(tmp_path, draw_search, leaderboard, summary, **STUDY | {"simulated": False})
    texts = svg_texts(tmp_path / "figure.svg")
    assert f"winner's mean ± SE ({summary['winner']['se_percent']:.1f})" in texts
    assert f"winners on unseen folds ({summary['unseen_fold_percent']:.1f})" in texts
    assert not any("Simulated" in text for text in texts)


def test_a_candidate_without_weight_decay_stands_at_zero(tmp_path):
    leaderboard, summary = make_search(20)
    ax = next(
        ax
        for ax in drawn(tmp_path, draw_search, leaderboard, summary, **STUDY).axes
        if ax.get_xlabel() == "weight decay"
    )
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
    figure = drawn(tmp_path, draw_search, leaderboard, summary | {"n_diverged": 1}, **STUDY)
    assert "1 diverged and not shown" in figure.get_suptitle()
    assert len(dots(figure.axes[1])) == 5
    leaderboard["rank"] = pandas.NA
    with pytest.raises(StudyError, match="no ranked candidate"):
        drawn(tmp_path, draw_search, leaderboard, summary, **STUDY)


@pytest.mark.parametrize("n", [1, 3, 100])
def test_no_text_overlaps_or_is_cut_off(tmp_path, n):
    leaderboard, summary = make_search(n, n_folds=2 if n < 100 else 5)
    cut, pairs = overlapping_texts(drawn(tmp_path, draw_search, leaderboard, summary, **STUDY))
    assert not cut
    assert not pairs
