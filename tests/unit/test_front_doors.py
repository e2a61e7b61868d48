"""Whatever is given to the commands, the answer is a sentence and no traceback."""

import subprocess
import sys
from pathlib import Path

import numpy
import pandas
import pytest

from rhvae_mri.command_line import main
from rhvae_mri.tensor_files import write_image_stack

SHAPE = (8, 9, 7)


@pytest.fixture
def folder(tmp_path):
    random = numpy.random.default_rng(0)
    images = random.uniform(0, 1, (8, *SHAPE)).astype(numpy.float32)
    numpy.save(tmp_path / "images.npy", images)
    write_image_stack(tmp_path / "images.safetensors", [str(number) for number in range(8)], images, SHAPE)
    numpy.save(tmp_path / "objects.npy", numpy.array([None, "x"], dtype=object), allow_pickle=True)
    numpy.save(tmp_path / "flat.npy", images[0])
    numpy.save(tmp_path / "number.npy", numpy.float32(1))
    numpy.save(tmp_path / "large.npy", images * 255)
    numpy.save(tmp_path / "nan.npy", numpy.where(images > 0.5, numpy.nan, images))
    numpy.save(tmp_path / "words.npy", numpy.array([["a"]]))
    for name in ("empty.npy", "empty.safetensors", "empty.tsv", "empty.yaml"):
        (tmp_path / name).touch()
    for name in ("text.npy", "text.safetensors", "text.tsv"):
        (tmp_path / name).write_text("this is\nno such file\tat\nall")
    (tmp_path / "broken.yaml").write_text("a: [1\nb: }")
    (tmp_path / "list.yaml").write_text("- 1\n- 2")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    sets = ["train"] * 4 + ["validation"] * 4
    labels = pandas.DataFrame({"image_id": range(8), "diagnosis": ["AD", "CN"] * 4, "set": sets})
    labels.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    labels.drop(columns="set").to_csv(tmp_path / "without.tsv", sep="\t", index=False)
    labels.to_csv(tmp_path / "commas.tsv", index=False)
    labels.assign(image_id=[0, 1, 2, 3, 0, 5, 6, 7]).to_csv(tmp_path / "leak.tsv", sep="\t", index=False)
    labels.assign(diagnosis="MCI").to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    labels.assign(Participant_ID=list("pqrspqrs")).to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    names = [f"sub-{number % 4}_ses-M{12 * (number // 4):02d}" for number in range(8)]
    labels.assign(image_id=names).to_csv(tmp_path / "visits.tsv", sep="\t", index=False)
    write_image_stack(tmp_path / "named.safetensors", names, images, SHAPE)
    images[5] = images[0]
    numpy.save(tmp_path / "twins.npy", images)
    return tmp_path


#: A command and a word of the answer.
COMMANDS = [
    ("train-rhvae objects.npy model.safetensors", "no array of images"),
    ("train-rhvae empty.npy model.safetensors", "no array of images"),
    ("train-rhvae text.npy model.safetensors", "no array of images"),
    ("train-rhvae flat.npy model.safetensors", "an array of float32 of shape (8, 9, 7)"),
    ("train-rhvae number.npy model.safetensors", "an array of float32 of shape ()"),
    ("train-rhvae words.npy model.safetensors", "an array of <U1"),
    ("train-rhvae large.npy model.safetensors", "values from"),
    ("train-rhvae nan.npy model.safetensors", "values from nan"),
    ("train-rhvae nowhere.npy model.safetensors", "nowhere.npy"),
    ("train-rhvae empty.safetensors model.safetensors", "no file of tensors"),
    ("train-rhvae text.safetensors model.safetensors", "no file of tensors"),
    ("train-rhvae nowhere.safetensors model.safetensors", "does not exist"),
    ("train-rhvae . model.safetensors", "does not exist"),
    ("generate text.safetensors 3 new.safetensors", "text.safetensors"),
    ("generate images.safetensors 3 new.safetensors", "images.safetensors"),
    ("generate nowhere.safetensors 3 new.safetensors", "nowhere.safetensors"),
    ("train-cnn images.npy empty.tsv networks.safetensors", "The table cannot be read"),
    ("train-cnn images.npy text.tsv networks.safetensors", "The table"),
    ("train-cnn images.npy without.tsv networks.safetensors", "no column set"),
    ("train-cnn images.npy commas.tsv networks.safetensors", "no column image_id, diagnosis, set"),
    ("train-cnn images.npy leak.tsv networks.safetensors", "Data leak: image_id in more than one set: 0"),
    (
        "train-cnn named.safetensors visits.tsv networks.safetensors",
        "participant_id in more than one set: sub-0",
    ),
    ("train-cnn images.npy people.tsv networks.safetensors", "participant_id in more than one set: p"),
    ("train-cnn twins.npy labels.tsv networks.safetensors", "the same voxels in more than one set: 0, 5"),
    ("train-cnn images.npy other.tsv networks.safetensors", "The set train cannot be built"),
    ("evaluate text.safetensors images.npy labels.tsv new.tsv --set train", "text.safetensors"),
    ("evaluate images.safetensors images.npy labels.tsv new.tsv --set train", "images.safetensors"),
    ("evaluate nowhere.safetensors images.npy labels.tsv new.tsv --set train", "nowhere.safetensors"),
    ("evaluate nowhere.safetensors images.npy labels.tsv new.tsv", "The set test cannot be built"),
    ("check-configuration empty.yaml", "not valid"),
    ("check-configuration broken.yaml", "no YAML"),
    ("check-configuration bytes.yaml", "no YAML"),
    ("check-configuration list.yaml", "not valid"),
    ("check-configuration nowhere.yaml", "nowhere.yaml"),
    ("verify empty.tsv", "The table cannot be read"),
    ("verify labels.tsv", "no column"),
    ("verify nowhere.tsv", "nowhere.tsv"),
]


@pytest.mark.parametrize(("command", "words"), COMMANDS)
def test_every_command_says_what_is_wrong_with_its_files(folder, monkeypatch, capsys, command, words):
    monkeypatch.chdir(folder)
    options = [] if command.startswith(("check", "verify")) else ["--device", "cpu"]
    assert main([*command.split(), *options]) == 1
    captured = capsys.readouterr()
    assert words in captured.err + captured.out


def test_no_traceback_of_the_process(folder):
    library = Path(__file__).parents[2] / "workflow"
    run = subprocess.run(
        [sys.executable, "-m", "rhvae_mri", "train-rhvae", "objects.npy", "m.safetensors", "--device", "cpu"],
        cwd=folder,
        env={"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
