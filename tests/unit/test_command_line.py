"""The commands, from arrays to predictions; whatever they are given, the answer is no traceback."""

import re
import subprocess
import sys

import numpy
import pandas
import pytest

from rhvae_mri.command_line import main
from rhvae_mri.files import read_tsv
from rhvae_mri.provenance.files import main as verify
from rhvae_mri.tensor_files import ImageStack, write_image_stack

SHAPE = (32, 32, 32)
SMALL = (8, 9, 7)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Images of two classes that differ in one bright corner, and their labels."""
    folder = tmp_path_factory.mktemp("study")
    random = numpy.random.default_rng(0)
    images = random.uniform(0, 0.3, (20, *SHAPE)).astype(numpy.float32)
    images[::2, :16, :16, :16] += 0.6
    numpy.save(folder / "images.npy", images)
    numpy.save(folder / "small.npy", images[:, : SMALL[0], : SMALL[1], : SMALL[2]])
    sets = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    table = pandas.DataFrame({"image_id": range(20), "diagnosis": ["AD", "CN"] * 10, "set": sets})
    table.to_csv(folder / "labels.tsv", sep="\t", index=False)
    return folder


def run(folder, command):
    """Run a command, whose words with a dot are files of a folder, on the CPU."""
    words = [str(folder / word) if "." in word else word for word in command.split()]
    return main([*words, *([] if words[0].startswith("check") else ["--device", "cpu"])])


def test_an_rhvae_is_trained_and_makes_images(study):
    options = "--max-epochs 2 --batch-size 10 --latent-dimension 3"
    assert run(study, f"train-rhvae small.npy model.safetensors {options}") == 0
    assert len(read_tsv(study / "model.tsv")) == 2
    drawn = []
    for seed in (5, 6):
        assert run(study, f"generate model.safetensors 3 synthetic.safetensors --seed {seed}") == 0
        with ImageStack(study / "synthetic.safetensors") as stack:
            drawn.append(stack.as_array().copy())
    assert drawn[0].shape == (3, *SMALL)
    assert 0 <= drawn[0].min() < drawn[0].max() <= 1
    assert not numpy.array_equal(*drawn)


def test_a_classifier_is_trained_and_tested(study, capsys):
    assert run(study, "train-cnn images.npy labels.tsv networks.safetensors --epochs 1 --runs 2") == 0
    assert set(read_tsv(study / "networks.tsv")["run"]) == {0, 1}
    assert run(study, "evaluate networks.safetensors images.npy labels.tsv predictions.tsv") == 0
    table = read_tsv(study / "predictions.tsv", ("image_id",))
    assert table["image_id"].tolist() == ["16", "17", "18", "19"] * 2
    assert table["run"].tolist() == [0] * 4 + [1] * 4
    printed = re.findall(r"run (\d): sensitivity ([\d.]+) %, specificity ([\d.]+) %", capsys.readouterr().out)
    for number, sensitivity, specificity in printed:
        rows = table[table["run"] == int(number)]
        found = (rows["probability"] > 0.5).groupby(rows["diagnosis"]).mean()
        assert (float(sensitivity), float(specificity)) == (100 * found["AD"], 100 * (1 - found["CN"]))
    assert len(printed) == 2


def test_configurations_are_checked(root, tmp_path, capsys):
    text = (root / "config" / "config.yaml").read_text()
    for name, content in (("right", text), ("wrong", text.replace("  seeds: 5", "  sedes: 5"))):
        (tmp_path / f"{name}.yaml").write_text(content)
    assert run(tmp_path, "check-configuration right.yaml") == 0
    assert run(tmp_path, "check-configuration wrong.yaml") == 1
    assert "did you mean `seeds`?" in capsys.readouterr().err


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """Images and tables, each with another fault."""
    folder = tmp_path_factory.mktemp("spoiled")
    images = numpy.random.default_rng(0).uniform(0, 1, (8, *SMALL)).astype(numpy.float32)
    numpy.save(folder / "objects.npy", numpy.array([None, "x"], dtype=object), allow_pickle=True)
    arrays = {
        "images": images,
        "flat": images[0],
        "number": numpy.float32(1),
        "large": images * 255,
        "nan": numpy.where(images > 0.5, numpy.nan, images),
        "words": numpy.array([["a"]]),
        "twins": images[[0, 1, 2, 3, 4, 0, 6, 7]],
    }
    for name, array in arrays.items():
        numpy.save(folder / f"{name}.npy", array)
    visits = [f"sub-{number % 4}_ses-M{12 * (number // 4):02d}" for number in range(8)]
    for name, keys in (("images", [str(number) for number in range(8)]), ("named", visits)):
        write_image_stack(folder / f"{name}.safetensors", keys, images, SMALL)
    for name in ("empty.npy", "empty.safetensors", "empty.tsv", "empty.yaml"):
        (folder / name).touch()
    for name in ("text.npy", "text.safetensors", "text.tsv"):
        (folder / name).write_text("this is\nno such file\tat\nall")
    (folder / "broken.yaml").write_text("a: [1\nb: }")
    (folder / "list.yaml").write_text("- 1\n- 2")
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    sets = ["train"] * 4 + ["validation"] * 4
    labels = pandas.DataFrame({"image_id": range(8), "diagnosis": ["AD", "CN"] * 4, "set": sets})
    tables = {
        "labels": labels,
        "without": labels.drop(columns="set"),
        "absent": labels.assign(image_id=range(90, 98)),
        "leak": labels.assign(image_id=[0, 1, 2, 3, 0, 5, 6, 7]),
        "other": labels.assign(diagnosis="MCI"),
        "people": labels.assign(Participant_ID=list("pqrspqrs")),
        "visits": labels.assign(image_id=visits),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    labels.to_csv(folder / "commas.tsv", index=False)
    return folder


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("objects.npy", "no array of images"),
        ("empty.npy", "no array of images"),
        ("text.npy", "no array of images"),
        ("flat.npy", "an array of float32 of shape (8, 9, 7)"),
        ("number.npy", "an array of float32 of shape ()"),
        ("words.npy", "an array of <U1"),
        ("large.npy", "values from"),
        ("nan.npy", "values from nan"),
        ("nowhere.npy", "nowhere.npy"),
        ("empty.safetensors", "no file of tensors"),
        ("text.safetensors", "no file of tensors"),
        ("nowhere.safetensors", "does not exist"),
        (".", "does not exist"),
    ],
)
def test_images_that_are_none_are_named(spoiled, capsys, images, words):
    assert run(spoiled, f"train-rhvae {images} model.safetensors") == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        ("images.npy", "empty.tsv", "The table cannot be read"),
        ("images.npy", "text.tsv", "The table"),
        ("images.npy", "without.tsv", "no column set"),
        ("images.npy", "commas.tsv", "no column image_id, diagnosis, set"),
        ("images.npy", "leak.tsv", "Data leak: image_id in more than one set: 0"),
        ("named.safetensors", "visits.tsv", "participant_id in more than one set: sub-0"),
        ("images.npy", "people.tsv", "participant_id in more than one set: p"),
        ("twins.npy", "labels.tsv", "the same voxels in more than one set: 0, 5"),
        ("images.npy", "other.tsv", "The set train cannot be built"),
        ("images.npy", "absent.tsv", "Images that are not there: 90, 91, 92, 93"),
    ],
)
def test_labels_that_cannot_be_and_data_that_leak_are_named(spoiled, capsys, images, labels, words):
    assert run(spoiled, f"train-cnn {images} {labels} networks.safetensors") == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("model", ["text", "images", "nowhere"])
@pytest.mark.parametrize("command", ["generate {} 3 x.tsv", "evaluate {} images.npy labels.tsv x.tsv"])
def test_a_model_that_is_none_is_named(spoiled, capsys, command, model):
    options = " --set train" if command.startswith("evaluate") else ""
    assert run(spoiled, command.format(f"{model}.safetensors") + options) == 1
    assert f"{model}.safetensors" in capsys.readouterr().err


def test_an_empty_set_is_named(spoiled, capsys):
    assert run(spoiled, "evaluate nowhere.safetensors images.npy labels.tsv x.tsv") == 1
    assert "The set test cannot be built" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "not valid"),
        ("broken", "no YAML"),
        ("bytes", "no YAML"),
        ("list", "not valid"),
        ("nowhere", "nowhere.yaml"),
    ],
)
def test_a_configuration_that_is_none_is_named(spoiled, capsys, name, words):
    assert run(spoiled, f"check-configuration {name}.yaml") == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [("empty", "The table cannot be read"), ("labels", "no column"), ("nowhere", "nowhere.tsv")],
)
def test_a_record_of_files_that_is_none_is_named(spoiled, capsys, name, words):
    assert verify([str(spoiled / f"{name}.tsv")]) == 1
    assert words in capsys.readouterr().err


def test_no_traceback_of_the_process(spoiled, root):
    process = subprocess.run(
        [sys.executable, "-m", "rhvae_mri", "train-rhvae", "objects.npy", "m.safetensors", "--device", "cpu"],
        cwd=spoiled,
        env={"PYTHONPATH": str(root / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
