import importlib
import inspect

import made_up_study
import matplotlib
import pytest
from figure_checks import NO_DOUBT, overlapping_texts, saved
from test_tables import PUBLISHED

from rhvae_mri.figures.accuracy import draw_seeds
from rhvae_mri.figures.registry import FIGURES, wildcards_of
from rhvae_mri.figures.style import colours, study_style
from rhvae_mri.figures.training import draw_losses
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv

GRID = made_up_study.conditions((16,), ("train-full",), False)


def test_texts_that_overlap_or_are_cut_are_found():
    with study_style():
        runs = made_up_study.runs(GRID, n_seeds=1)
        figure = draw_seeds(runs, read_tsv(PUBLISHED), NO_DOUBT, simulated=True).figure
        figure.axes[0].set_title("a title that is far too long for its half of the page, and runs on and on")
        figure.text(0.99, 0.5, "cut off")
        cut, pairs = overlapping_texts(figure)
    assert cut == ["cut off"]
    assert any("far too long" in text for pair in pairs for text in pair)


@pytest.mark.parametrize("name", ["seeds", "losses"])
def test_a_figure_is_drawn_the_same_twice_whatever_the_user_s_settings(name, tmp_path):
    models = {("train-full", diagnosis): made_up_study.rhvae_history(20) for diagnosis in ("AD", "CN")}
    draw, *sources = {
        "seeds": (draw_seeds, made_up_study.runs(GRID, n_seeds=2), read_tsv(PUBLISHED), NO_DOUBT),
        "losses": (lambda *given, **more: draw_losses(*given, models=list(models), **more), models.values()),
    }[name]
    first, second = tmp_path / "first", tmp_path / "second"
    saved(first, draw, *sources, simulated=False)
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False}):
        saved(second, draw, *sources, simulated=False)
        assert matplotlib.rcParams["font.size"] == 30
    for kind in ("svg", "pdf", "tsv"):
        assert (first / f"figure.{kind}").read_bytes() == (second / f"figure.{kind}").read_bytes()
    assert "<dc:date>" not in (first / "figure.svg").read_text()
    assert not [path for path in first.iterdir() if path.name.startswith(".")]


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
    given += ["other_generator"] * entry.of_generators
    assert sorted(inspect.signature(draw).parameters) == sorted(given)
