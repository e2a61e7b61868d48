import itertools

import made_up_study
import numpy
import pandas
import pytest
from figure_checks import drawn

from rhvae_mri.figures.training import draw_losses, draw_training
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.statistics.histories import HISTORY_COLUMNS, condition_of, read_histories
from rhvae_mri.study.grid import condition_path

SMALL = {"sizes": made_up_study.SIZES, "training_sets": ("train-8", "train-full")}


def folder_of(condition, seeds):
    return f"cnn/{condition_path(condition)}/seeds-{seeds}"


@pytest.mark.parametrize(
    "condition", made_up_study.conditions((20,), classic=True, generators=("rhvae", "vae"))
)
def test_a_condition_is_read_from_the_path_that_it_has(condition):
    path = f"/work/generator-old/training_data-7/{folder_of(condition, '0-4')}/history.tsv"
    assert condition_of(path) == condition
    assert ("/generator-vae/" in path) == (condition["generator"] == "vae")
    assert "generator-rhvae" not in path
    assert "generator-none" not in path


def test_histories_are_gathered_in_the_order_of_the_tables_whatever_the_order_of_the_files(tmp_path):
    options = {"sizes": (20,), "training_sets": ("train-8",), "full_resolution": False}
    grid = made_up_study.conditions(**options, generators=("rhvae", "ppca"))
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


BASELINE = {"architecture": "baseline", "training_set": "train-50"}


@pytest.mark.parametrize(
    ("grid", "n_seeds", "simulated"),
    [
        (SMALL, 5, True),
        ({"classic": True}, 3, False),
        ({"sizes": (), "full_resolution": False}, 1, True),
        (SMALL | {"generators": made_up_study.GENERATORS}, 2, True),
    ],
    ids=["demo", "paper", "smallest", "generators"],
)
def test_training_curves_say_what_they_are_of(tmp_path, grid, n_seeds, simulated):
    histories = made_up_study.histories(made_up_study.conditions(**grid), n_seeds, 12)
    own = {"architecture": "optimized", "training_set": grid.get("training_sets", ("train-50",))[0]}
    texts = drawn(tmp_path, draw_training, histories, **own, simulated=simulated).texts
    assert any(f"Training of the optimized network on {own['training_set']}" in text for text in texts)
    assert texts.count("(ppca)") == (4 if "generators" in grid else 0)


def test_training_curves_show_every_run_their_means_and_the_selected_epochs(tmp_path):
    grid = made_up_study.conditions(sizes=(20,), training_sets=("train-50",), full_resolution=False)
    histories = made_up_study.histories(grid, n_seeds=4, n_epochs=6)
    figure, _, source = drawn(tmp_path, draw_training, histories, **BASELINE)
    assert len(source) == 3 * 4 * 6
    assert len(figure.axes) == 3 * 2  # loss above accuracy for real, synthetic, augmented
    accuracy = figure.axes[1]
    runs = source[source["training_data"] == "real"]
    lines = [line for line in accuracy.lines if line.get_linestyle() == "-"]
    assert len(lines) == 2 * 4 + 2  # training and validation: every run, then the means
    mean = runs.groupby("epoch")["validation_balanced_accuracy_percent"].mean()
    assert lines[-1].get_ydata() == pytest.approx(mean.to_numpy())
    selected = next(line for line in accuracy.lines if line.get_marker() == "o")
    assert sorted(selected.get_xdata()) == sorted(runs.loc[runs["best"] == 1, "epoch"])
    highest = runs.groupby("seed")["validation_balanced_accuracy_percent"].max()
    assert sorted(selected.get_ydata()) == pytest.approx(sorted(highest))
    with pytest.raises(StudyError, match="no training history of the large network on train-50"):
        drawn(tmp_path, draw_training, histories, architecture="large", training_set="train-50")


def test_the_mean_of_runs_of_which_one_diverged_is_not_drawn_where_it_is_unknown(tmp_path):
    histories = made_up_study.histories(made_up_study.conditions(sizes=())[1:2], n_seeds=3, n_epochs=5)
    diverged = (histories["seed"] == 1) & (histories["epoch"] >= 3)
    histories.loc[diverged, ["train_loss", "validation_loss"]] = numpy.inf
    histories.loc[diverged, ["train_balanced_accuracy", "validation_balanced_accuracy"]] = numpy.nan
    figure = drawn(tmp_path, draw_training, histories, **BASELINE).figure
    mean = [line for line in figure.axes[1].lines if line.get_linestyle() == "-"][-1].get_ydata()
    assert numpy.isnan(mean).tolist() == [False, False, True, True, True]


def test_losses_mark_the_kept_weights_and_every_recovery(tmp_path):
    models = list(itertools.product(("train-full", "train-8"), ("AD", "CN")))
    histories = [
        made_up_study.rhvae_history(200, recoveries=(60, 90) if place == 3 else (), seed=place)
        for place in range(4)
    ]
    # a halved leapfrog step is a recovery too
    histories[2].loc[histories[2]["epoch"] >= 31, "leapfrog_step_size"] = 5e-4
    figure, texts, source = drawn(tmp_path, draw_losses, histories, models=models)
    recovered = source.loc[source["recovered"] == 1, ["training_set", "diagnosis", "epoch"]]
    assert recovered.to_numpy().tolist() == [
        ["train-8", "AD", 31],
        ["train-8", "CN", 60],
        ["train-8", "CN", 90],
    ]
    lowest = source.groupby(["training_set", "diagnosis"])["loss"].min()
    assert sorted(source.loc[source["selected"] == 1, "loss"]) == sorted(lowest)
    titles = [ax.get_title(loc="left") for ax in figure.axes[:4]]
    assert titles == ["AD, train-8", "CN, train-8", "AD, train-full", "CN, train-full"]
    assert {"reconstruction", "posterior", "went on with smaller steps", "nats per image"} <= set(texts)
    assert {"1", "10", "100"} <= set(texts)  # powers would have exponents of less than 5 points
    verticals = [
        line for line in figure.axes[1].lines if len(set(line.get_xdata())) == 1 < len(line.get_xdata())
    ]
    assert [line.get_xdata()[0] for line in verticals] == [60, 90]
    assert len(source) == 800
