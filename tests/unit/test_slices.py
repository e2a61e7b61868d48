import numpy
import pandas
import pytest
from figure_checks import SHAPES, drawn, write_stack

from rhvae_mri.figures.slices import (
    choose_examples,
    draw_generation,
    draw_intruders,
    draw_slices,
    middle_slice,
    mix_images,
    read_examples,
)
from rhvae_mri.io.files import read_tsv

#: Ten participants of each class, every second of whom is in train-4.
SPLIT = pandas.DataFrame({"image_id": [f"real-{number:02d}" for number in range(20)]})
SPLIT = SPLIT.assign(diagnosis=["AD"] * 10 + ["CN"] * 10, **{"train-4": [0, 1] * 10, "train-full": 1})

#: What the figures are told where the RHVAE is the only generator.
OWN = {"other_generator": "", "generators": ["rhvae"]}


def brains(names, shape, seed=0):
    random = numpy.random.default_rng(seed)
    return {name: random.random(shape, dtype=numpy.float32) for name in names}


@pytest.fixture
def stacks(tmp_path):
    """The inputs of figures with real and synthetic images, and the images."""

    def make(shape=SHAPES["demo"]):
        real, made = brains(SPLIT["image_id"], shape), []
        for seed, diagnosis in enumerate(("AD", "CN"), 1):
            made.append(brains([f"made-{diagnosis}-{n}" for n in range(9)], shape, seed))
        places = [write_stack(tmp_path / f"{n}.st", one) for n, one in enumerate((real, *made))]
        return (places[0], SPLIT, places[1:]), real | made[0] | made[1]

    return make


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


@pytest.mark.parametrize("size", SHAPES)
def test_slices_show_each_image_on_one_grey_scale(size, stacks, tmp_path):
    inputs, volumes = stacks(SHAPES[size])
    given = {"training_set": "train-full", "seed": 1, **OWN, "simulated": size == "demo"}
    shown = drawn(tmp_path, draw_slices, *inputs, **given)
    images = shown.images()
    assert len(images) == len(shown.source) == (2 * 3 + 2 * 3) * 3
    assert len({image.get_clim() for image in images}) == 1
    assert all(image.origin == "lower" for image in images)
    for row in shown.source[shown.source["plane"] == "coronal"].itertuples():
        assert row.slice_index == SHAPES[size][1] // 2
        pixels = volumes[row.image_id][:, row.slice_index]
        assert (row.minimum, row.mean) == pytest.approx((pixels.min(), pixels.mean()), abs=1e-5)
    assert {"AD", "CN", "axial", "coronal", "sagittal", "Synthetic images (RHVAE)"} <= set(shown.texts)
    assert ("Real images" in shown.texts) == (size != "demo")


def test_examples_are_drawn_by_chance_and_again_the_same():
    names = [f"sub-{i:03d}" for i in range(50)]
    chosen = choose_examples(names, 3, seed=5)
    assert chosen == choose_examples(names[::-1], 3, seed=5) == sorted(set(chosen))
    assert chosen != choose_examples(names, 3, seed=6)
    assert len(chosen) == 3
    assert choose_examples(["b", "a"], 3, seed=0) == ["a", "b"]


def test_examples_are_read_of_the_members_of_the_training_set(stacks):
    inputs, volumes = stacks()
    read = {}
    for figure in ("one", "two"):
        examples = read_examples(*inputs, training_set="train-4", count=3, seed=1, figure=figure)
        read[figure] = [one.image_id for one in examples]
        assert [one.kind for one in examples] == ["real"] * 6 + ["synthetic"] * 6
        assert [one.diagnosis for one in examples] == (["AD"] * 3 + ["CN"] * 3) * 2
        of_set = SPLIT[SPLIT["train-4"] == 1].set_index("image_id")["diagnosis"]
        for one in examples:
            assert of_set.get(one.image_id, one.image_id.split("-")[1]) == one.diagnosis
            numpy.testing.assert_array_equal(one.volume, volumes[one.image_id])
    assert read["one"] != read["two"]


def test_intruders_are_mixed_by_the_seed_alone_and_named_in_the_answers_only(stacks, tmp_path):
    inputs, volumes = stacks()
    examples = read_examples(*inputs, training_set="train-full", count=8, seed=1, figure="any")
    order = [one.image_id for one in mix_images(examples, 5)]
    assert order == [one.image_id for one in mix_images(examples[::-1], 5)]
    assert order != [one.image_id for one in mix_images(examples, 6)]
    figure, texts, source = drawn(tmp_path, draw_intruders, *inputs, training_set="train-full", seed=1, **OWN)
    answers = read_tsv(tmp_path / "figure_answers.tsv")
    assert answers["number"].tolist() == list(range(1, 33))
    assert answers["kind"].value_counts().to_dict() == {"real": 16, "synthetic": 16}
    of_ad = answers.loc[answers["diagnosis"] == "AD", "kind"].tolist()
    assert of_ad not in (sorted(of_ad), sorted(of_ad, reverse=True))
    assert {str(number) for number in answers["number"]} <= set(texts)
    for telling in ("real-", "made-"):
        assert telling not in (tmp_path / "figure.svg").read_text()
        assert telling not in (tmp_path / "figure.tsv").read_text()
    shown = [ax.get_images()[0].get_array() for ax in figure.axes]
    for row, mean, pixels in zip(answers.itertuples(), source["mean"], shown, strict=True):
        expected = volumes[row.image_id][:, 13].T
        assert row.kind == ("real" if row.image_id.startswith("real") else "synthetic")
        assert numpy.array_equal(pixels, expected)
        assert mean == pytest.approx(expected.mean(), abs=1e-6)


def made_up_pictures(shape, seed, picture):
    """Images as `save_pictures` stores them, of random voxels: their table, and the images by their keys."""
    rows = [
        {"picture": "traversal", "row": f"axis {axis}", "column": c, "position": c - 2.0, "share": 0.5**axis}
        for axis in (1, 2, 3)
        for c in range(5)
    ]
    rows += [
        {"picture": "interpolation", "row": row, "column": c, "position": round(c / 6, 6)}
        | {"image_id": {0: "sub-A", 6: "sub-B"}.get(c), "length": length, "density": -12.345 + c}
        for row, length in (("straight line", 123.456), ("geodesic", 98.7))
        for c in range(7)
    ]
    rows += [
        {"picture": "neighbours", "row": row, "column": c, "image_id": f"sub-{c}"}
        | {"distance": c / 100 if c else None}
        for row in ("closest", "typical", "farthest")
        for c in range(5)
    ]
    table = pandas.DataFrame([row for row in rows if row["picture"] == picture])
    table.insert(0, "key", [f"image-{number:03d}" for number in range(len(table))])
    return table, brains(table["key"], shape, seed)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize(
    ("picture", "expected"),
    {
        "traversal": {"−2 SD", "mean", "+1 SD", "Axis 1", "25 %"},
        "interpolation": {"image A", "image B", "Geodesic", "(98.7)", "-12.3"},
        "neighbours": {"synthetic", "nearest 4", "Closest", "0.030"},
    }.items(),
)
def test_pictures_of_a_model_show_each_image_of_both_classes_and_what_it_is(
    picture, expected, size, tmp_path
):
    stored = [made_up_pictures(SHAPES[size], seed, picture) for seed in (0, 1)]
    stacks = [write_stack(tmp_path / f"{n}.st", volumes) for n, (_, volumes) in enumerate(stored)]
    tables = [table for table, _ in stored]
    settings = {"picture": picture, **OWN, "simulated": size == "demo"}
    shown = drawn(tmp_path, draw_generation, stacks, tables, **settings)
    images = shown.images()
    assert len(images) == len(shown.source) == 2 * len(tables[0])
    assert len({image.get_clim() for image in images}) == 1
    first = shown.source.iloc[0]
    assert first["slice_index"] == SHAPES[size][1] // 2
    pixels = stored[0][1][first["key"]][:, first["slice_index"]]
    assert first["mean"] == pytest.approx(pixels.mean(), abs=1e-5)
    assert expected <= {line for text in shown.texts for line in text.split("\n")}


def test_of_several_generators_the_figures_name_their_own(stacks, tmp_path):
    inputs, _ = stacks()
    settings = {"training_set": "train-full", "seed": 1, "generators": ["rhvae", "vae"]}
    for part, name in (("", "RHVAE"), ("/generator-vae", "vae")):
        for draw in (draw_slices, draw_intruders):
            shown = drawn(tmp_path, draw, *inputs, **settings, other_generator=part)
            assert any(text.endswith(f"({name})") for text in shown.texts)


def test_a_generator_without_an_encoder_has_no_traversal_and_the_figure_says_why(tmp_path):
    stored = [made_up_pictures(SHAPES["demo"], seed, "neighbours") for seed in (0, 1)]
    stacks = [write_stack(tmp_path / f"{n}.st", volumes) for n, (_, volumes) in enumerate(stored)]
    tables = [table for table, _ in stored]
    mean = {"other_generator": "/generator-class_mean", "generators": ["rhvae", "class_mean"]}
    shown = drawn(tmp_path, draw_generation, stacks, tables, picture="traversal", **mean)
    assert shown.images() == []
    assert "Left out: class_mean has no encoder, and so no codes of real images." in shown.texts


def test_paths_without_lengths_and_densities_are_shown_without_them(tmp_path):
    stored = [made_up_pictures(SHAPES["demo"], seed, "interpolation") for seed in (0, 1)]
    stacks = [write_stack(tmp_path / f"{n}.st", volumes) for n, (_, volumes) in enumerate(stored)]
    tables = [table.drop(columns=["length", "density"]) for table, _ in stored]
    shown = drawn(tmp_path, draw_generation, stacks, tables, picture="interpolation", **OWN)
    assert len(shown.images()) == 2 * len(tables[0])
    assert not any("length" in text for text in shown.texts)
