import numpy
import pandas
import pytest
from figure_checks import drawn, overlapping_texts, svg_texts

from rhvae_mri.figures.generation import LAYOUTS, Pictures, draw_pictures, read_pictures
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.io.tensor_files import write_image_stack


def made_up_pictures(shape=(21, 26, 22), seed=0):
    """Images as `save_pictures` stores them, of random voxels."""
    rows = [
        {"picture": "traversal", "row": f"axis {axis}", "column": c, "position": c - 2.0, "share": 0.5**axis}
        for axis in (1, 2, 3)
        for c in range(5)
    ]
    rows += [
        {
            "picture": "interpolation",
            "row": row,
            "column": c,
            "image_id": {0: "sub-A", 6: "sub-B"}.get(c, numpy.nan),
            "position": round(c / 6, 6),
            "length": length,
            "density": -12.345 + c,
        }
        for row, length in (("straight line", 123.456), ("geodesic", 98.7))
        for c in range(7)
    ]
    rows += [
        {
            "picture": "neighbours",
            "row": row,
            "column": c,
            "image_id": f"sub-{c}",
            "distance": c / 100 if c else numpy.nan,
        }
        for row in ("closest", "typical", "farthest")
        for c in range(5)
    ]
    table = pandas.DataFrame(rows)
    table.insert(0, "key", [f"image-{number:03d}" for number in range(len(rows))])
    random = numpy.random.default_rng(seed)
    return Pictures(table, {key: random.random(shape, dtype=numpy.float32) for key in table["key"]})


@pytest.mark.parametrize("picture", LAYOUTS)
@pytest.mark.parametrize("shape", [(21, 26, 22), (84, 104, 89)], ids=["demo", "paper"])
def test_figures_show_each_image_of_both_classes(tmp_path, picture, shape):
    pictures = {"AD": made_up_pictures(shape), "CN": made_up_pictures(shape, seed=1)}
    figure = drawn(tmp_path, draw_pictures, picture, pictures, simulated=True)
    table = pictures["AD"].table
    images = [image for ax in figure.axes for image in ax.get_images()]
    assert len(images) == 2 * (table["picture"] == picture).sum()
    assert len({image.get_clim() for image in images}) == 1
    assert overlapping_texts(figure) == ([], [])
    source = read_tsv(tmp_path / "figure.tsv")
    assert len(source) == len(images)
    first = source.iloc[0]
    assert first["slice_index"] == shape[1] // 2
    expected = pictures["AD"].volumes[first["key"]][:, shape[1] // 2].mean()
    assert first["mean"] == pytest.approx(expected, abs=1e-5)
    assert any("Simulated data" in text for text in svg_texts(tmp_path / "figure.svg"))
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_images_say_what_they_are(tmp_path):
    for picture, expected in {
        "traversal": {"−2 SD", "mean", "+1 SD", "Axis 1", "25 %"},
        "interpolation": {"image A", "image B", "Geodesic", "(98.7)", "-12.3"},
        "neighbours": {"synthetic", "nearest 4", "Closest", "0.030"},
    }.items():
        drawn(tmp_path / picture, draw_pictures, picture, {"CN": made_up_pictures()}, simulated=False)
        texts = {line for text in svg_texts(tmp_path / picture / "figure.svg") for line in text.split("\n")}
        assert expected <= texts
        assert not any("imulated" in text for text in texts)


def test_stored_pictures_are_read_again(tmp_path):
    made = made_up_pictures()
    write_tsv(tmp_path / "pictures.tsv", made.table)
    stack = tmp_path / "pictures.safetensors"
    write_image_stack(stack, list(made.volumes), made.volumes.values(), (21, 26, 22))
    again = read_pictures(stack, read_tsv(tmp_path / "pictures.tsv"))
    pandas.testing.assert_frame_equal(again.table, made.table)
    for key, volume in made.volumes.items():
        numpy.testing.assert_array_equal(again.volumes[key], volume)


def test_missing_images_and_different_shapes_are_refused(tmp_path):
    made = made_up_pictures()
    empty = Pictures(made.table[made.table["picture"] != "traversal"], made.volumes)
    with pytest.raises(StudyError, match="no image of the traversal of AD"):
        drawn(tmp_path, draw_pictures, "traversal", {"AD": empty}, simulated=False)
    with pytest.raises(StudyError, match="no image of the neighbours"):
        drawn(tmp_path, draw_pictures, "neighbours", {}, simulated=False)
    with pytest.raises(StudyError, match="different shapes"):
        drawn(
            tmp_path,
            draw_pictures,
            "traversal",
            {"AD": made, "CN": made_up_pictures((9, 8, 7))},
            simulated=False,
        )
    assert list(tmp_path.iterdir()) == []
