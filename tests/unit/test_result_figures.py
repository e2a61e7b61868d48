import made_up_study
import numpy
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts
from test_tables import PUBLISHED

from rhvae_mri.figures.confusion import draw_confusion
from rhvae_mri.figures.curves import draw_reliability, draw_roc
from rhvae_mri.figures.sizes import draw_sizes, size_source
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.statistics.published import check_published

GRIDS = {
    "demo": made_up_study.conditions(made_up_study.DEMO_SIZES, ("train-8", "train-full"), False),
    "paper": made_up_study.conditions(classic=True),
    "real only": made_up_study.conditions((), ("train-full",), False),
}


@pytest.fixture(scope="module")
def published():
    return read_tsv(PUBLISHED)


@pytest.mark.parametrize("name", GRIDS)
def test_the_texts_of_the_curves_by_size_neither_overlap_nor_are_cut(name, published, tmp_path):
    runs = made_up_study.runs(GRIDS[name], n_seeds=3)
    estimates = made_up_study.estimates(runs)
    figure = drawn(tmp_path, draw_sizes, runs, estimates, published, simulated=name == "demo")
    assert overlapping_texts(figure) == ([], [])
    texts = " ".join(svg_texts(tmp_path / "figure.svg"))
    assert ("imulated" in texts) == (name == "demo")
    assert ("classic" in texts) == (name == "paper")
    assert ("synthetic + real" in texts) == (name != "real only")


def test_the_curves_by_size_show_means_intervals_runs_and_published_means(published, tmp_path):
    runs = made_up_study.runs(GRIDS["paper"], n_seeds=4)
    estimates = made_up_study.estimates(runs)
    figure = drawn(tmp_path, draw_sizes, runs, estimates, published, simulated=False)
    source = read_tsv(tmp_path / "figure.tsv")
    assert set(source["resolution"]) == {"downsampled"}
    shown = runs[
        (runs["set"] == "test")
        & (runs["metric"] == "balanced_accuracy")
        & (runs["resolution"] == "downsampled")
    ]
    assert sorted(source["value_percent"]) == pytest.approx(sorted(shown["value_percent"]))
    augmented = source[
        (source["architecture"] == "baseline")
        & (source["training_set"] == "train-50")
        & (source["test_cohort"] == "ADNI")
        & (source["training_data"] == "augmented")
    ].drop_duplicates("n_synthetic")
    panel = figure.axes[0]
    diamonds = [line.get_ydata() for line in panel.lines if line.get_marker() == "D"]
    assert any(
        numpy.allclose(line, augmented["published_mean_percent"]) for line in diamonds if len(line) == 6
    )
    assert augmented["published_mean_percent"].notna().all()
    bars = [segment for one in panel.containers for segment in one[2][0].get_segments()]
    ends = sorted((segment[0][1], segment[1][1]) for segment in bars)
    both = source[
        (source["architecture"] == "baseline")
        & (source["training_set"] == "train-50")
        & (source["test_cohort"] == "ADNI")
        & (source["n_synthetic"] > 0)
    ].drop_duplicates(["training_data", "n_synthetic"])
    expected = sorted(zip(both["low_percent"], both["high_percent"], strict=True))
    assert numpy.allclose(ends, expected)


def test_runs_without_an_estimate_are_refused(published):
    runs = made_up_study.runs(GRIDS["demo"], n_seeds=2)
    estimates = made_up_study.estimates(runs)
    with pytest.raises(StudyError, match="estimates lacks conditions"):
        size_source(runs, estimates[estimates["n_synthetic"] == 0], check_published(published))
    with pytest.raises(StudyError, match="no run with a balanced accuracy"):
        size_source(runs[runs["metric"] == "auc"], estimates, check_published(published))


@pytest.mark.parametrize("name", GRIDS)
def test_the_texts_of_curves_and_matrices_neither_overlap_nor_are_cut(name, tmp_path):
    grid = GRIDS[name]
    estimates = made_up_study.estimates(made_up_study.runs(grid, n_seeds=2))
    baseline = {"architecture": "baseline"}
    for part, draw, tables, wildcards in (
        ("roc", draw_roc, (made_up_study.roc_curves(grid), estimates), baseline),
        ("reliability", draw_reliability, (made_up_study.reliability_curves(grid),), baseline),
        (
            "confusion",
            draw_confusion,
            (made_up_study.confusions(grid, 76, 429),),
            baseline | {"cohort": "AIBL"},
        ),
    ):
        figure = drawn(tmp_path / part, draw, *tables, **wildcards, simulated=name == "demo")
        assert overlapping_texts(figure) == ([], []), part
        texts = svg_texts(tmp_path / part / "figure.svg")
        assert any("Simulated data" in text for text in texts) == (name == "demo")
        per_set = len(grid) // 2 // (2 if name != "real only" else 1)
        assert len(figure.axes) == per_set * (2 if name != "real only" else 1)


def test_roc_curves_have_their_band_and_area(tmp_path):
    grid = GRIDS["real only"]
    curves = made_up_study.roc_curves(grid)
    estimates = made_up_study.estimates(made_up_study.runs(grid, n_seeds=2))
    figure = drawn(tmp_path, draw_roc, curves, estimates, architecture="baseline", simulated=True)
    (ax,) = figure.axes
    solid = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert len(solid) == len(ax.collections) == 2
    of_adni = curves[(curves["architecture"] == "baseline") & (curves["test_cohort"] == "ADNI")]
    assert solid[0].get_ydata() == pytest.approx(of_adni["sensitivity"].to_numpy())
    areas = estimates[(estimates["metric"] == "auc") & (estimates["architecture"] == "baseline")]
    shown = [text.get_text() for text in ax.texts]
    assert shown == [f"AUC {area:.1f} %" for area in areas["mean_percent"]]


def test_a_bin_without_images_is_left_out_of_the_reliability_curve(tmp_path):
    grid = GRIDS["real only"]
    figure = drawn(
        tmp_path,
        draw_reliability,
        made_up_study.reliability_curves(grid, n_bins=10),
        architecture="baseline",
        simulated=True,
    )
    (ax,) = figure.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [9, 9]


def test_a_confusion_matrix_has_its_counts_in_the_right_places(tmp_path):
    grid = GRIDS["real only"]
    counts = made_up_study.confusions(grid, 30, 70)
    figure = drawn(tmp_path, draw_confusion, counts, architecture="optimized", cohort="ADNI", simulated=True)
    (ax,) = figure.axes
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
        drawn(
            tmp_path,
            draw_reliability,
            made_up_study.reliability_curves(grid),
            architecture="optimized",
            simulated=True,
        )
    with pytest.raises(StudyError, match="no confusion matrix of the baseline network on OASIS"):
        drawn(
            tmp_path,
            draw_confusion,
            made_up_study.confusions(grid),
            architecture="baseline",
            cohort="OASIS",
            simulated=True,
        )
    assert list(tmp_path.iterdir()) == []
