"""The main functions on the command line, from arrays to predictions."""

import re

import numpy
import pandas
import pytest

from rhvae_mri.command_line import main
from rhvae_mri.files import read_tsv
from rhvae_mri.tensor_files import ImageStack

SHAPE = (32, 32, 32)
SMALL = (8, 9, 7)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Images of two classes that differ in one bright corner, and their labels."""
    folder = tmp_path_factory.mktemp("study")
    random = numpy.random.default_rng(0)
    images = random.uniform(0, 0.3, (20, *SHAPE)).astype(numpy.float32)
    diagnoses = ["AD", "CN"] * 10
    images[::2, :16, :16, :16] += 0.6
    numpy.save(folder / "images.npy", images)
    numpy.save(folder / "small.npy", images[:, : SMALL[0], : SMALL[1], : SMALL[2]])
    sets = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    table = pandas.DataFrame({"image_id": range(20), "diagnosis": diagnoses, "set": sets})
    table.to_csv(folder / "labels.tsv", sep="\t", index=False)
    return folder


def test_an_rhvae_is_trained_and_makes_images(study):
    arguments = "--max-epochs 2 --batch-size 10 --latent-dimension 3 --device cpu"
    model, images = str(study / "model.safetensors"), str(study / "synthetic.safetensors")
    assert main(["train-rhvae", str(study / "small.npy"), model, *arguments.split()]) == 0
    assert len(read_tsv(study / "model.tsv")) == 2
    assert main(["generate", model, "3", images, "--seed", "5", "--device", "cpu"]) == 0
    with ImageStack(images) as stack:
        first = stack.as_array().copy()
    assert first.shape == (3, *SMALL)
    assert 0 <= first.min() < first.max() <= 1
    assert main(["generate", model, "3", images, "--seed", "6", "--device", "cpu"]) == 0
    with ImageStack(images) as stack:
        assert not numpy.array_equal(stack.as_array(), first)


def test_a_classifier_is_trained_and_tested(study, capsys):
    places = [str(study / name) for name in ("images.npy", "labels.tsv", "networks.safetensors")]
    assert main(["train-cnn", *places, "--epochs", "1", "--runs", "2", "--device", "cpu"]) == 0
    assert set(read_tsv(study / "networks.tsv")["run"]) == {0, 1}
    predictions = study / "predictions.tsv"
    order = [places[2], places[0], places[1], str(predictions)]
    assert main(["evaluate", *order, "--device", "cpu"]) == 0
    table = read_tsv(predictions, ("image_id",))
    assert table["image_id"].tolist() == ["16", "17", "18", "19"] * 2
    assert table["run"].tolist() == [0] * 4 + [1] * 4
    printed = re.findall(r"run (\d): sensitivity ([\d.]+) %, specificity ([\d.]+) %", capsys.readouterr().out)
    for run, sensitivity, specificity in printed:
        rows = table[table["run"] == int(run)]
        found = (rows["probability"] > 0.5).groupby(rows["diagnosis"]).mean()
        assert (float(sensitivity), float(specificity)) == (100 * found["AD"], 100 * (1 - found["CN"]))
    assert len(printed) == 2


def test_errors_are_printed_without_a_traceback(study, capsys):
    (study / "wrong.tsv").write_text("image_id\tdiagnosis\tset\n99\tAD\ttest\n")
    images = str(study / "images.npy")
    assert main(["train-cnn", images, str(study / "wrong.tsv"), "x.safetensors"]) == 1
    assert "The set train cannot be built" in capsys.readouterr().err
    assert main(["train-rhvae", str(study / "nowhere.npy"), "x.safetensors"]) == 1
    assert "nowhere.npy" in capsys.readouterr().err


def test_configurations_are_checked(root, tmp_path, capsys):
    assert main(["check-configuration", str(root / "config" / "config.yaml")]) == 0
    text = (root / "config" / "config.yaml").read_text().replace("  seeds: 5", "  sedes: 5")
    (tmp_path / "wrong.yaml").write_text(text)
    assert main(["check-configuration", str(tmp_path / "wrong.yaml")]) == 1
    assert "did you mean `seeds`?" in capsys.readouterr().err


def test_the_record_of_files_is_verified(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "nowhere.tsv")]) == 1
    assert "nowhere.tsv" in capsys.readouterr().err
