import made_up_study
import numpy
import pandas
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts

from rhvae_mri.figures.losses import draw_losses, loss_source
from rhvae_mri.figures.training import draw_training, training_source
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.statistics.histories import HISTORY_COLUMNS, read_histories

DEMO = {"sizes": made_up_study.DEMO_SIZES, "training_sets": ("train-8", "train-full")}


def folder_of(condition, seeds):
    return "/".join(["cnn", *(f"{name}-{value}" for name, value in condition.items()), f"seeds-{seeds}"])


def test_histories_are_gathered_in_the_order_of_the_tables_whatever_the_order_of_the_files(tmp_path):
    grid = made_up_study.conditions(sizes=(20,), training_sets=("train-8",), full_resolution=False)
    whole = made_up_study.histories(grid, n_seeds=4, n_epochs=3)
    files = []
    for condition in grid:
        chosen = (whole[list(condition)] == list(condition.values())).all(axis="columns")
        for seeds in ("0-1", "2-3"):
            first, last = map(int, seeds.split("-"))
            part = whole[chosen & whole["seed"].between(first, last)]
            file = tmp_path / folder_of(condition, seeds) / "history.tsv"
            write_tsv(file, part[[*HISTORY_COLUMNS, "seed"]])
            files.append(file)
    gathered = read_histories(files[::-1])
    pandas.testing.assert_frame_equal(gathered, whole[gathered.columns], check_dtype=False)


def test_a_diverged_training_is_gathered_but_a_history_of_another_kind_is_refused(tmp_path):
    condition = made_up_study.conditions(sizes=())[0]
    history = made_up_study.histories([condition], n_seeds=1, n_epochs=2)[[*HISTORY_COLUMNS, "seed"]]
    file = tmp_path / folder_of(condition, "0-0") / "history.tsv"
    write_tsv(file, history.assign(train_loss=numpy.nan))
    assert read_histories([file])["train_loss"].isna().all()
    write_tsv(file, history.drop(columns="best"))
    with pytest.raises(StudyError, match="lacks the columns best"):
        read_histories([file])
    with pytest.raises(StudyError, match=r"does not name .*resolution"):
        read_histories([tmp_path / "cnn/architecture-baseline/history.tsv"])
    with pytest.raises(StudyError, match="no training history"):
        read_histories([])


@pytest.mark.parametrize(
    ("grid", "n_seeds", "simulated"),
    [(DEMO, 5, True), ({"classic": True}, 3, False), ({"sizes": (), "full_resolution": False}, 1, True)],
    ids=["demo", "paper", "smallest"],
)
def test_the_texts_of_training_curves_neither_overlap_nor_are_cut(tmp_path, grid, n_seeds, simulated):
    histories = made_up_study.histories(made_up_study.conditions(**grid), n_seeds, 12)
    training_set = grid.get("training_sets", ("train-50",))[0]
    figure = drawn(
        tmp_path,
        draw_training,
        histories,
        architecture="optimized",
        training_set=training_set,
        simulated=simulated,
    )
    assert overlapping_texts(figure) == ([], [])
    texts = svg_texts(tmp_path / "figure.svg")
    title = f"Training of the optimized network on {training_set}"
    assert (f"Simulated data: {title}" if simulated else title) in texts


def test_training_curves_show_every_run_their_means_and_the_selected_epochs(tmp_path):
    grid = made_up_study.conditions(sizes=(20,), training_sets=("train-8",), full_resolution=False)
    histories = made_up_study.histories(grid, n_seeds=4, n_epochs=6)
    figure = drawn(
        tmp_path, draw_training, histories, architecture="baseline", training_set="train-8", simulated=True
    )
    source = read_tsv(tmp_path / "figure.tsv")
    assert len(source) == 3 * 4 * 6
    assert len(figure.axes) == 3 * 2  # loss above accuracy for real, synthetic, augmented
    accuracy = figure.axes[1]
    runs = source[source["training_data"] == "real"]
    lines = [line for line in accuracy.lines if line.get_linestyle() == "-"]
    assert len(lines) == 2 * 4 + 2  # training and validation: every run, then the means
    mean = runs.groupby("epoch")["validation_balanced_accuracy_percent"].mean()
    assert lines[-1].get_ydata() == pytest.approx(mean.to_numpy())
    selected = next(line for line in accuracy.lines if line.get_marker() == "o")
    best = runs[runs["best"] == 1]
    assert sorted(selected.get_xdata()) == sorted(best["epoch"])
    assert sorted(selected.get_ydata()) == pytest.approx(
        sorted(runs.groupby("seed")["validation_balanced_accuracy_percent"].max())
    )


def test_the_mean_of_runs_of_which_one_diverged_is_not_drawn_where_it_is_unknown(tmp_path):
    histories = made_up_study.histories(made_up_study.conditions(sizes=())[1:2], n_seeds=3, n_epochs=5)
    diverged = (histories["seed"] == 1) & (histories["epoch"] >= 3)
    histories.loc[diverged, ["train_loss", "validation_loss"]] = numpy.inf
    histories.loc[diverged, ["train_balanced_accuracy", "validation_balanced_accuracy"]] = numpy.nan
    figure = drawn(
        tmp_path, draw_training, histories, architecture="baseline", training_set="train-50", simulated=True
    )
    mean = [line for line in figure.axes[1].lines if line.get_linestyle() == "-"][-1].get_ydata()
    assert numpy.isnan(mean).tolist() == [False, False, True, True, True]


def test_training_curves_need_histories():
    histories = made_up_study.histories(made_up_study.conditions(sizes=())[:1], 1, 2)
    with pytest.raises(StudyError, match="optimized network on train-50"):
        training_source(histories, "optimized", "train-50")


@pytest.fixture(scope="module")
def losses():
    return {
        (training_set, diagnosis): made_up_study.rhvae_history(
            200, recoveries=(60, 90) if (training_set, diagnosis) == ("train-8", "CN") else (), seed=seed
        )
        for seed, (training_set, diagnosis) in enumerate(
            [("train-full", "AD"), ("train-full", "CN"), ("train-8", "AD"), ("train-8", "CN")]
        )
    }


def test_losses_mark_the_kept_weights_and_every_recovery(losses, tmp_path):
    source = loss_source(losses)
    recovered = source[source["recovered"] == 1]
    assert recovered[["training_set", "diagnosis", "epoch"]].to_numpy().tolist() == [
        ["train-8", "CN", 60],
        ["train-8", "CN", 90],
    ]
    kept = source[source["selected"] == 1]
    lowest = source.groupby(["training_set", "diagnosis"])["loss"].min()
    assert len(kept) == 4
    assert sorted(kept["loss"]) == sorted(lowest)
    figure = drawn(tmp_path, draw_losses, losses.values(), models=losses, simulated=True)
    assert overlapping_texts(figure) == ([], [])
    titles = [ax.get_title(loc="left") for ax in figure.axes[:4]]
    assert titles == ["AD, train-8", "CN, train-8", "AD, train-full", "CN, train-full"]
    texts = svg_texts(tmp_path / "figure.svg")
    assert {"reconstruction", "posterior", "went on with smaller steps", "nats per image"} <= set(texts)
    assert {"1", "10", "100"} <= set(texts)  # powers would have exponents of less than 5 points
    verticals = [
        line for line in figure.axes[1].lines if len(set(line.get_xdata())) == 1 < len(line.get_xdata())
    ]
    assert [line.get_xdata()[0] for line in verticals] == [60, 90]
    assert len(read_tsv(tmp_path / "figure.tsv")) == 800


def test_a_halved_leapfrog_step_is_a_recovery_too(losses):
    history = losses["train-8", "AD"].copy()
    history.loc[history["epoch"] >= 31, "leapfrog_step_size"] = 5e-4
    source = loss_source({("train-8", "AD"): history})
    assert source.loc[source["recovered"] == 1, "epoch"].tolist() == [31]


def test_losses_are_drawn_the_same_twice(losses, tmp_path):
    for name in ("first", "second"):
        drawn(tmp_path / name, draw_losses, losses.values(), models=losses, simulated=False)
    for kind in ("svg", "pdf", "tsv"):
        first, second = ((tmp_path / name / f"figure.{kind}").read_bytes() for name in ("first", "second"))
        assert first == second


def test_losses_need_histories(losses):
    with pytest.raises(StudyError, match="no history of an RHVAE"):
        loss_source({})
    empty = losses["train-8", "AD"].iloc[:0]
    with pytest.raises(StudyError, match="the RHVAE of AD on train-8 has no epoch"):
        loss_source({("train-8", "AD"): empty})
