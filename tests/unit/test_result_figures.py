import made_up_study
import numpy
import pandas
import pytest
from figure_checks import NO_DOUBT, drawn, marked
from test_tables import PUBLISHED

from rhvae_mri.figures.accuracy import draw_seeds, draw_sizes
from rhvae_mri.figures.panels import arrange_conditions, draw_confusion, draw_reliability, draw_roc
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv

PAIR = ("train-8", "train-full")
GRIDS = {
    "demo": made_up_study.conditions(made_up_study.SIZES, PAIR, False),
    "demo with classic": made_up_study.conditions((20, 40), PAIR, classic=True),
    "paper": made_up_study.conditions(),
    "paper with classic": made_up_study.conditions(classic=True),
    "three sets": made_up_study.conditions((16, 24, 32), ("train-8", "train-50", "train-full")),
    "real only": made_up_study.conditions((), ("train-full",), False),
    "generators": made_up_study.conditions((40,), PAIR, False, generators=made_up_study.GENERATORS),
    "generators of the paper": made_up_study.conditions(
        classic=True, generators=(*made_up_study.GENERATORS, "jitter")
    ),
}
FEW = ("demo", "paper with classic", "real only", "generators")
BASELINE = {"architecture": "baseline"}
DOUBT = pandas.DataFrame(
    [("rhvae", "train-full", "AD: covers none of its training images"), ("vae", "train-full", None)] * 2,
    columns=NO_DOUBT.columns,
)


@pytest.fixture(scope="module")
def published():
    return read_tsv(PUBLISHED)


def is_shown(runs):
    return (runs["set"] == "test") & (runs["metric"] == "balanced_accuracy")


@pytest.mark.parametrize("name", GRIDS)
def test_strips_show_every_run_and_the_published_means(name, published, tmp_path):
    runs = made_up_study.runs(GRIDS[name], {"paper": 20, "real only": 1}.get(name, 5))
    figure, texts, source = drawn(tmp_path, draw_seeds, runs, published, NO_DOUBT, simulated="demo" in name)
    shown = sorted(runs.loc[is_shown(runs), "value_percent"])
    assert sorted(source["value_percent"]) == pytest.approx(shown)
    assert sorted(mark for ax in figure.axes for mark in marked(ax, "o")) == pytest.approx(shown)
    assert {"one run, train-full", "mean ± SD of the runs", "chance"} <= set(texts)
    if name == "demo":
        assert {"Baseline network, ADNI", "Optimized network, AIBL", "20", "40"} <= set(texts)
        marks = [mark for ax in figure.axes for mark in marked(ax, "D")]
        assert sorted(mark for mark in marks if numpy.isfinite(mark)) == [77.7, 78.4, 81.9, 85.5]
    if name == "generators":
        assert texts.count("oracle, 40") == 2  # synthetic, and with real images
    assert any("rhvae" in text for text in texts) == name.startswith("generators")


@pytest.mark.parametrize("name", FEW)
def test_the_curves_by_size_show_means_intervals_runs_and_published_means(name, published, tmp_path):
    runs = made_up_study.runs(GRIDS[name], n_seeds=3)
    estimates = made_up_study.estimates(runs)
    tables = (runs, estimates, published, NO_DOUBT)
    figure, texts, source = drawn(tmp_path, draw_sizes, *tables, simulated=name == "demo")
    assert ("classic" in " ".join(texts)) == (name == "paper with classic")
    assert ("synthetic + real" in " ".join(texts)) == (name != "real only")
    shown = runs[is_shown(runs) & (runs["resolution"] == "downsampled")]
    assert sorted(source["value_percent"]) == pytest.approx(sorted(shown["value_percent"]))
    if name == "paper with classic":
        panel = source.query("architecture == 'baseline' and training_set == 'train-50'")
        panel = panel[panel["test_cohort"] == "ADNI"].drop_duplicates(["training_data", "n_synthetic"])
        theirs = panel.loc[panel["training_data"] == "augmented", "published_mean_percent"]
        assert theirs.notna().all()
        diamonds = [line.get_ydata() for line in figure.axes[0].lines if line.get_marker() == "D"]
        assert any(len(line) == 6 and numpy.allclose(line, theirs) for line in diamonds)
        bars = [segment for one in figure.axes[0].containers for segment in one[2][0].get_segments()]
        made = panel[panel["n_synthetic"] > 0]
        ends = sorted((segment[0][1], segment[1][1]) for segment in bars)
        assert numpy.allclose(ends, sorted(zip(made["low_percent"], made["high_percent"], strict=True)))


def test_a_doubtful_gain_is_called_so_in_the_heading(published, tmp_path):
    runs = made_up_study.runs(GRIDS["generators"], n_seeds=2)
    estimates = made_up_study.estimates(runs)
    for draw, *tables in ((draw_sizes, estimates, published), (draw_seeds, published)):
        _, texts, _ = drawn(tmp_path, draw, runs, *tables, DOUBT)
        line = "A gain is doubtful (tables/flags.tsv says why): rhvae on train-full"
        assert sum(text.endswith(f"\n{line}") or text == line for text in texts) == 1
        assert not any(" vae on train-full" in text for text in texts)


def test_strips_and_curves_need_runs_on_a_test_set(published, tmp_path):
    runs = made_up_study.runs(GRIDS["demo"], n_seeds=2)
    estimates = made_up_study.estimates(runs)
    for draw, *tables in ((draw_sizes, estimates, published), (draw_seeds, published)):
        with pytest.raises(StudyError, match="no run with a balanced accuracy"):
            drawn(tmp_path, draw, runs[runs["metric"] == "auc"], *tables, NO_DOUBT)


@pytest.mark.parametrize("name", ["generators", "generators of the paper"])
def test_each_kind_and_generator_has_a_curve_that_is_told_apart_in_grey(name, published, tmp_path):
    runs = made_up_study.runs(GRIDS[name], n_seeds=2)
    figure, texts, _ = drawn(tmp_path, draw_sizes, runs, made_up_study.estimates(runs), published, NO_DOUBT)
    assert {"synthetic (vae)", "synthetic + real (vae)", "synthetic (rhvae)"} <= set(texts)
    curves = [container[0] for container in figure.axes[0].containers]
    n_generators = len({one["generator"] for one in GRIDS[name]} - {"none"})
    assert len({(one.get_marker(), one.get_markerfacecolor() == "white") for one in curves}) == len(curves)
    assert len({one.get_color() for one in curves}) == n_generators == len(curves) / 2


@pytest.mark.parametrize("name", FEW)
def test_every_condition_has_a_panel(name, tmp_path):
    grid = GRIDS[name]
    estimates = made_up_study.estimates(made_up_study.runs(grid, n_seeds=2))
    for draw, tables, wildcards in (
        (draw_roc, (made_up_study.roc_curves(grid), estimates), {}),
        (draw_reliability, (made_up_study.reliability_curves(grid),), {}),
        (draw_confusion, (made_up_study.confusions(grid, 76, 429),), {"cohort": "AIBL"}),
    ):
        figure, texts, _ = drawn(tmp_path, draw, *tables, **BASELINE, **wildcards, simulated=name == "demo")
        assert len(figure.axes) == len(grid) // 2
        assert texts.count("(vae)") == (4 if name == "generators" else 0)
        assert ("(rhvae)" in texts) == (name == "generators")


def test_the_sizes_of_a_generator_are_in_one_row_where_it_holds_them():
    grid = made_up_study.conditions((20, 40), ("train-8",), generators=made_up_study.GENERATORS)
    rows = arrange_conditions(pandas.DataFrame(grid), 5, together=True)
    named = [[part["generator"].iloc[0] for _, part in row] for row in rows]
    pairs = [["rhvae", "rhvae", "vae", "vae"], ["ppca", "ppca", "oracle", "oracle"]]
    assert named == [["none", "none"], *pairs * 2]
    rows = arrange_conditions(pandas.DataFrame(made_up_study.conditions()[:14]), 4, together=True)
    assert [len(row) for row in rows] == [2, 4, 2, 4, 2]


def test_roc_curves_have_their_band_and_area(tmp_path):
    grid = GRIDS["real only"]
    curves = made_up_study.roc_curves(grid)
    estimates = made_up_study.estimates(made_up_study.runs(grid, n_seeds=2))
    (ax,) = drawn(tmp_path, draw_roc, curves, estimates, **BASELINE).figure.axes
    solid = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert len(solid) == len(ax.collections) == 2
    of_adni = curves[(curves["architecture"] == "baseline") & (curves["test_cohort"] == "ADNI")]
    assert solid[0].get_ydata() == pytest.approx(of_adni["sensitivity"].to_numpy())
    areas = estimates[(estimates["metric"] == "auc") & (estimates["architecture"] == "baseline")]
    shown = [text.get_text() for text in ax.texts]
    assert shown == [f"AUC {area:.1f} %" for area in areas["mean_percent"]]


def test_a_bin_without_images_is_left_out_of_the_reliability_curve(tmp_path):
    curves = made_up_study.reliability_curves(GRIDS["real only"], n_bins=10)
    (ax,) = drawn(tmp_path, draw_reliability, curves, **BASELINE).figure.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [9, 9]


def test_a_confusion_matrix_has_its_counts_in_the_right_places(tmp_path):
    counts = made_up_study.confusions(GRIDS["real only"], 30, 70)
    (ax,) = drawn(tmp_path, draw_confusion, counts, architecture="optimized", cohort="ADNI").figure.axes
    row = counts[(counts["architecture"] == "optimized") & (counts["test_cohort"] == "ADNI")].iloc[0]
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    places = {
        (0, 0): "true_positives",
        (1, 0): "false_negatives",
        (0, 1): "false_positives",
        (1, 1): "true_negatives",
    }
    for place, name in places.items():
        assert texts[place] == f"{row[f'{name}_mean']:.1f}\n± {row[f'{name}_sd']:.1f}"
    shares = ax.get_images()[0].get_array()
    assert numpy.allclose(shares.sum(axis=1), 1)
    assert shares[1, 1] == pytest.approx(row["true_negatives_mean"] / 70)


def test_what_is_not_there_cannot_be_drawn(tmp_path):
    grid = [one for one in GRIDS["real only"] if one["architecture"] == "baseline"]
    with pytest.raises(StudyError, match="no curve of the optimized network"):
        drawn(tmp_path, draw_reliability, made_up_study.reliability_curves(grid), architecture="optimized")
    with pytest.raises(StudyError, match="no confusion matrix of the baseline network on OASIS"):
        drawn(tmp_path, draw_confusion, made_up_study.confusions(grid), **BASELINE, cohort="OASIS")
    assert list(tmp_path.iterdir()) == []
