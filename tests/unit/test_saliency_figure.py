import numpy
import pandas
import pytest
from figure_checks import SHAPES, drawn, write_stack
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from rhvae_mri.figures.saliency import blend, draw_saliency
from rhvae_mri.io.errors import StudyError

SHAPE = SHAPES["demo"]
SHADES = {"AD": "#D55E00", "CN": "#0072B2"}


def made_up(architecture="baseline", method="integrated_gradients", shape=SHAPE, seed=0):
    """A head whose centre speaks for AD; in AD images twice as much as in CN images."""
    random = numpy.random.default_rng(seed)
    grid = numpy.stack(numpy.meshgrid(*(numpy.linspace(-1, 1, n) for n in shape), indexing="ij"))
    head = (grid**2).sum(axis=0) < 0.8
    maps, rows = {}, []
    for diagnosis, strength in (("CN", 1e-3), ("AD", 2e-3)):
        maps[f"{diagnosis}/image"] = (head * 0.6).astype(numpy.float32)
        signs = numpy.where((grid**2).sum(axis=0) < 0.1, strength, -0.2e-3)
        maps[f"{diagnosis}/attribution"] = (signs * head).astype(numpy.float32)
        for number in range(4):
            brain = float(random.uniform(60, 80))
            rows.append(
                {"architecture": architecture, "training_set": "train-full", "training_data": "real"}
                | {
                    "generator": "none",
                    "n_synthetic": 0,
                    "resolution": "downsampled",
                    "seed": 3,
                    "validation_percent": 87.5,
                }
                | {"method": method, "steps": 64, "image_id": f"sub-{diagnosis}{number}_ses-M000"}
                | {"diagnosis": diagnosis, "log_odds": 2.5, "log_odds_empty": 0.5}
                | {"attribution": 2.0 + 0.1 * (-1) ** number, "brain_percent": brain}
                | {"head_percent": 99 - brain, "outside_percent": 1.0, "brain_intensity_percent": 55.0}
                | {"head_intensity_percent": 44.0, "outside_intensity_percent": 1.0}
            )
    return pandas.DataFrame(rows), maps


def draw(folder, networks, simulated=True):
    stacks = [write_stack(folder / f"{number}.st", maps) for number, (_, maps) in enumerate(networks)]
    tables = [table for table, _ in networks]
    return drawn(folder, draw_saliency, stacks, tables, training_cohort="ADNI", simulated=simulated)


@pytest.mark.parametrize(
    ("size", "method"),
    [("demo", "integrated_gradients"), ("demo", "gradient_x_input"), ("paper", "integrated_gradients")],
)
def test_the_figure_says_what_it_shows(tmp_path, size, method):
    networks = [made_up("baseline", method, SHAPES[size]), made_up("optimized", method, SHAPES[size], 1)]
    figure, found, source = draw(tmp_path, networks, size == "demo")
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert sum("seed 3, validation balanced accuracy 87.5 %" in text for text in texts) == 2
    assert sum(text.startswith("log odds of AD per voxel, 10⁻³") for text in texts) == 2
    has_sum = method == "integrated_gradients"
    assert ("5.0 % (baseline), 5.0 % (optimized)" in " ".join(" ".join(found).split())) == has_sum
    assert source["sum_error_percent"].isna().all() != has_sum
    assert len(figure.axes) == 2 * (2 * 9 + 1)


def test_the_source_table_has_the_shares_and_the_error_of_the_sum(tmp_path):
    network = made_up()
    table = draw(tmp_path, [network]).source
    assert table["region"].tolist() == ["brain", "head", "outside"] * 2
    assert set(table["sum_error_percent"]) == {5.0}
    brain = network[0].groupby("diagnosis")["brain_percent"]
    of_brain = table[table["region"] == "brain"]
    assert of_brain["mean_percent"].tolist() == pytest.approx(brain.mean().tolist(), abs=1e-3)
    assert of_brain["sd_percent"].tolist() == pytest.approx(brain.std().tolist(), abs=1e-3)
    assert table["n_images"].tolist() == [4] * 6


def test_slices_have_the_colour_of_the_class_that_a_voxel_speaks_for(tmp_path):
    figure = draw(tmp_path, [made_up()]).figure
    pictures = [ax.images[0].get_array() for ax in figure.axes[:18]]
    assert [picture.shape[:2] for picture in pictures] == (
        [(26, 21)] * 3 + [(22, 21)] * 3 + [(22, 26)] * 3
    ) * 2
    middle = pictures[1]  # axial, of AD
    numpy.testing.assert_allclose(middle[13, 10], to_rgb(SHADES["AD"]))
    assert middle[13, 3, 2] > middle[13, 3, 0]  # bluish: for CN
    numpy.testing.assert_allclose(middle[0, 0], 0)
    weaker = pictures[10]  # the same of CN, on the same scale
    numpy.testing.assert_allclose(weaker[13, 10], 0.7 * 0.5 + 0.5 * numpy.array(to_rgb(SHADES["AD"])))


def test_a_blend_is_grey_without_attribution_and_coloured_with_much_of_it():
    image = numpy.array([[0.2, 0.4, 0.8, 0.4]])
    found = blend(image, numpy.array([[0.0, 2.0, -9.0, -0.5]]), 0.8, 1.0, SHADES)
    numpy.testing.assert_allclose(found[0, 0], 0.7 * 0.25)
    numpy.testing.assert_allclose(found[0, 1], to_rgb(SHADES["AD"]))
    numpy.testing.assert_allclose(found[0, 2], to_rgb(SHADES["CN"]))
    numpy.testing.assert_allclose(found[0, 3], 0.7 * 0.25 + 0.5 * numpy.array(to_rgb(SHADES["CN"])))


def test_a_faulty_table_is_refused(tmp_path):
    table, maps = made_up()
    with pytest.raises(StudyError, match="lacks the columns brain_percent"):
        draw(tmp_path, [(table.drop(columns="brain_percent"), maps)])
