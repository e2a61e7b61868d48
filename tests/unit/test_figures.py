import importlib
import inspect
import re

import matplotlib
import numpy
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts
from matplotlib.text import Text
from test_tables import PUBLISHED, make_runs

from rhvae_mri.figures.registry import FIGURES, wildcards_of
from rhvae_mri.figures.seeds import draw_seeds, strip_source
from rhvae_mri.figures.slices import choose_examples, compare_slices, middle_slice
from rhvae_mri.figures.style import colours, study_style
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.statistics.published import check_published
from rhvae_mri.statistics.tables import classification_table


def tables(**grid):
    return make_runs(**grid), read_tsv(PUBLISHED)


def test_strips_show_every_run_and_say_what_is_simulated(tmp_path):
    runs, published = tables(sizes=(16, 32), training_sets=("train-8", "train-full"), n_seeds=5)
    figure = drawn(tmp_path, draw_seeds, runs, published, simulated=True)
    texts = svg_texts(tmp_path / "figure.svg")
    assert "Simulated data: Balanced accuracy of every run on the test sets" in texts
    for expected in ("Baseline network, ADNI", "Optimized network, AIBL", "one run, train-8", "16", "32"):
        assert expected in texts
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    source = read_tsv(tmp_path / "figure.tsv")
    shown = runs[(runs["metric"] == "balanced_accuracy") & (runs["set"] == "test")]
    assert sorted(source["value_percent"]) == pytest.approx(sorted(shown["value_percent"]))
    points = [
        y for ax in figure.axes for line in ax.lines if line.get_marker() == "o" for y in line.get_ydata()
    ]
    assert sorted(points) == pytest.approx(sorted(shown["value_percent"]))
    published = [
        y
        for ax in figure.axes
        for line in ax.lines
        if line.get_marker() == "D"
        for y in line.get_ydata()
        if numpy.isfinite(y)
    ]
    assert sorted(published) == [77.7, 78.4, 81.9, 85.5]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("grid", "simulated"),
    [
        ({"sizes": (16, 32), "training_sets": ("train-8", "train-full"), "n_seeds": 5}, True),
        ({"n_seeds": 20}, False),
        ({"sizes": (10000,), "training_sets": ("train-full",), "n_seeds": 1}, False),
        (
            {"sizes": (16, 24, 32), "training_sets": ("train-8", "train-50", "train-full"), "n_seeds": 2},
            True,
        ),
        ({"sizes": (20, 40), "training_sets": ("train-8", "train-full"), "classic": True}, True),
        ({"n_seeds": 20, "classic": True}, False),
    ],
    ids=["demo", "paper", "smallest", "three-sets", "demo-classic", "paper-classic"],
)
def test_the_texts_of_strips_neither_overlap_nor_are_cut(grid, simulated):
    with study_style():
        figure = draw_seeds(*tables(**grid), simulated=simulated).figure
        assert overlapping_texts(figure) == ([], [])
        shown = [text.get_text() for text in figure.findobj(Text)]
    assert any("Simulated data" in text for text in shown) == simulated


def test_texts_that_overlap_or_are_cut_are_found():
    with study_style():
        figure = draw_seeds(*tables(sizes=(16,), n_seeds=1), simulated=True).figure
        figure.axes[0].set_title("a title that is far too long for its half of the page, and runs on and on")
        figure.text(0.99, 0.5, "cut off")
        cut, pairs = overlapping_texts(figure)
    assert cut == ["cut off"]
    assert any("far too long" in text for pair in pairs for text in pair)


def test_strips_need_runs_that_are_in_the_table():
    runs, published = tables(sizes=(16,), n_seeds=1)
    table = classification_table(runs, check_published(published))
    with pytest.raises(StudyError, match="no run with a balanced accuracy"):
        strip_source(runs[runs["metric"] == "auc"], table)
    with pytest.raises(StudyError, match="lacks conditions"):
        strip_source(runs, table[table["architecture"] == "baseline"])


def test_a_figure_is_drawn_the_same_twice_whatever_the_user_s_settings(tmp_path):
    runs, published = tables(sizes=(16,), n_seeds=2)
    first, second = tmp_path / "first", tmp_path / "second"
    drawn(first, draw_seeds, runs, published, simulated=False)
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False}):
        drawn(second, draw_seeds, runs, published, simulated=False)
        assert matplotlib.rcParams["font.size"] == 30
    for kind in ("svg", "pdf", "tsv"):
        assert (first / f"figure.{kind}").read_bytes() == (second / f"figure.{kind}").read_bytes()
    assert "imulated" not in (first / "figure.svg").read_text()


def brains(diagnoses=("AD", "CN"), count=2, shape=(21, 26, 22), seed=0):
    random = numpy.random.default_rng(seed)
    return {
        diagnosis: {f"{diagnosis}{seed}{i}": random.random(shape, dtype=numpy.float32) for i in range(count)}
        for diagnosis in diagnoses
    }


def test_slices_are_those_of_the_middle_with_the_left_on_the_left():
    volume = numpy.zeros((5, 7, 4), dtype=numpy.float32)
    volume[4, 3, 2] = 1  # right of the middle
    volume[2, 6, 2] = 2  # in front of it
    volume[2, 3, 3] = 3  # above it
    index, pixels = middle_slice(volume, "axial")
    assert (index, pixels.shape, pixels[3, 4], pixels[6, 2]) == (2, (7, 5), 1, 2)
    index, pixels = middle_slice(volume, "coronal")
    assert (index, pixels.shape, pixels[2, 4], pixels[3, 2]) == (3, (4, 5), 1, 3)
    index, pixels = middle_slice(volume, "sagittal")
    assert (index, pixels.shape, pixels[2, 6], pixels[3, 3]) == (2, (4, 7), 2, 3)


def test_slices_show_each_image_on_one_grey_scale(tmp_path):
    shape = (21, 26, 22)
    real, synthetic = brains(shape=shape), brains(shape=shape, seed=1, count=1)
    figure = drawn(tmp_path, compare_slices, real, synthetic, simulated=True)
    images = [image for ax in figure.axes for image in ax.get_images()]
    assert len(images) == (2 * 2 + 2 * 1) * 3
    assert len({image.get_clim() for image in images}) == 1
    assert all(image.origin == "lower" for image in images)
    source = read_tsv(tmp_path / "figure.tsv")
    assert len(source) == len(images)
    row = source[(source["image_id"] == "CN00") & (source["plane"] == "coronal")].iloc[0]
    assert row["slice_index"] == shape[1] // 2
    assert row["mean"] == pytest.approx(real["CN"]["CN00"][:, shape[1] // 2].mean(), abs=1e-5)
    texts = svg_texts(tmp_path / "figure.svg")
    assert "Simulated data: Real and synthetic images, middle slices" in texts
    assert {"AD", "CN", "axial", "coronal", "sagittal", "Synthetic images (RHVAE)"} <= set(texts)
    assert overlapping_texts(figure) == ([], [])


def test_slices_of_a_real_study_are_not_called_simulated(tmp_path):
    shape = (84, 104, 89)
    real, synthetic = brains(("CN",), 1, shape), brains(("CN",), 1, shape, seed=1)
    figure = drawn(tmp_path, compare_slices, real, synthetic, simulated=False)
    assert overlapping_texts(figure) == ([], [])
    svg = (tmp_path / "figure.svg").read_text()
    assert "imulated" not in svg
    assert "Real images" in svg_texts(tmp_path / "figure.svg")
    assert re.search(r"<dc:date>", svg) is None


@pytest.mark.parametrize(
    ("real", "synthetic", "message"),
    [
        (brains(), brains(("AD",)), "real images of AD, CN but synthetic images of AD"),
        (brains(count=0), brains(), "no image to show"),
        ({}, {}, "no image to show"),
        (brains(("AD",)), brains(("AD",), shape=(3, 4, 5), seed=1), "has the shape"),
        (brains(("AD",)), {"AD": {"x": numpy.full((21, 26, 22), numpy.nan)}}, "Image x has voxels"),
    ],
)
def test_bad_images_are_refused(tmp_path, real, synthetic, message):
    with pytest.raises(StudyError, match=message):
        drawn(tmp_path, compare_slices, real, synthetic, simulated=True)
    assert list(tmp_path.iterdir()) == []


def test_examples_are_drawn_by_chance_and_again_the_same():
    names = [f"sub-{i:03d}" for i in range(50)]
    chosen = choose_examples(names, 3, seed=5)
    assert chosen == choose_examples(names[::-1], 3, seed=5) == sorted(set(chosen))
    assert chosen != choose_examples(names, 3, seed=6)
    assert len(chosen) == 3
    assert choose_examples(["b", "a"], 3, seed=0) == ["a", "b"]


def test_colours_can_be_told_apart():
    with study_style():
        assert len(set(colours(["a", "b", "c"]).values())) == 3
        with pytest.raises(StudyError, match="6 colours, but there are 7"):
            colours(list("abcdefg"))


@pytest.mark.parametrize("pattern", FIGURES)
def test_the_function_of_a_figure_takes_what_its_entry_names(pattern):
    entry = FIGURES[pattern]
    module, function = entry.draw.split(".")
    draw = getattr(importlib.import_module(f"rhvae_mri.figures.{module}"), function)
    given = [*entry.inputs, *entry.arguments, *wildcards_of(pattern), "simulated"]
    assert sorted(inspect.signature(draw).parameters) == sorted(given)
