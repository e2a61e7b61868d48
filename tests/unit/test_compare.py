"""Two folders of results side by side, made by hand, and the record from the tensors to the predictions."""

import os
import shutil
from pathlib import Path

import nibabel
import numpy
import pandas
import pytest
import yaml
from safetensors.numpy import save_file

from rhvae_mri.io.files import read_tsv, save_image, write_json, write_text, write_tsv
from rhvae_mri.provenance import files
from rhvae_mri.provenance.chain import COLUMNS, RECORD, STEPS, files_of, list_files, record_chain
from rhvae_mri.provenance.compare import main

IMAGE = "derivatives/cohort-ADNI/sub-1/ses-M0/anat/sub-1_ses-M0"
REGISTERED = f"{IMAGE}_space-MNI152NLin2009cSym_res-1.5x1.5x1.5_T1w.nii.gz"
RHVAE = "rhvae/training_set-train-full/diagnosis-{}/model.safetensors"
SYNTHETIC = "synthetic/training_set-train-full/diagnosis-AD"
CONDITION = "cnn/architecture-baseline/training_set-train-full"
NETWORKS = f"{CONDITION}/seeds-0-1/networks.safetensors"
PREDICTIONS = f"{CONDITION}/predictions.tsv"
#: A file of each step, in the order of the steps.
FILES = {
    "downloads/cohort-ADNI/images/1.dcm": "simulated downloads",
    "bids/cohort-ADNI/sub-1/ses-M0/anat/sub-1_ses-M0_T1w.nii.gz": "images in BIDS",
    "template/template.nii.gz": "template",
    f"{IMAGE}_desc-N4_T1w.nii.gz": "N4",
    f"{IMAGE}_space-MNI152NLin2009cSym_res-1.5x1.5x1.5_affine.mat": "registration",
    REGISTERED: "registration",
    REGISTERED.replace("_T1w", "_desc-Crop_T1w"): "crop",
    "quality/cohort-ADNI/metrics.tsv": "quality",
    "tensors/cohort-ADNI/resolution-full/images.safetensors": "tensors",
    "split/split.tsv": "split",
    RHVAE.format("AD"): "weights of the generators",
    RHVAE.format("CN"): "weights of the generators",
    "generators/vae/training_set-train-full/diagnosis-AD/model.safetensors": "weights of the generators",
    f"{SYNTHETIC}/latent_codes.safetensors": "latent codes",
    f"{SYNTHETIC}/images.safetensors": "synthetic images",
    "search/folds.tsv": "random search",
    NETWORKS: "weights of the CNNs",
    PREDICTIONS: "predictions",
    "statistics/estimates.tsv": "tables",
}
MACHINES = {
    "a" * 16: {"processor": {"flags": "fpu avx avx2"}, "torch": {"threads": 1}},
    "b" * 16: {"processor": {"flags": "avx512f avx fpu"}, "torch": {"threads": 2}},
}
VALUES = numpy.linspace(-1, 4, 24, dtype=numpy.float32).reshape(2, 3, 4)


def write_values(path, values=VALUES, text="x", **metadata):
    """Write a file with numbers, of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".nii.gz"):
        save_image(path, nibabel.Nifti1Image(values, numpy.eye(4)))
    elif path.suffix == ".safetensors":
        save_file({"a": values, "b": values[0].copy()}, path, metadata=metadata or None)
    elif path.suffix == ".tsv":
        columns = {"number": values.ravel(), "word": [text] * values.size}
        write_tsv(path, pandas.DataFrame(columns).assign(absent=None))
    else:
        path.write_bytes(values.tobytes())


def write_study(folder, machine="a" * 16, **configuration):
    for name in FILES:
        write_values(folder / name)
    write_text(folder / "provenance/configuration.yaml", yaml.safe_dump(configuration))
    write_json(folder / "provenance/software.json", {"rhvae-mri": {"revision": "c0ffee"}})
    for name, record in MACHINES.items():
        write_json(folder / f"provenance/machines/{name}.json", record)
    for log, name in {
        "preprocess_image/cohort-ADNI/sub-1/ses-M0/sub-1_ses-M0": "a" * 16,
        "train_generator/rhvae/training_set-train-full_diagnosis-AD": machine,
        "train_generator/rhvae/training_set-train-full_diagnosis-MCI": "b" * 16,
        "train_cnn/architecture-baseline/training_set-train-full/seeds-0-1": machine,
    }.items():
        write_text(folder / f"logs/{log}.log", f"...\nComputed on the machine {name}, see …\n")


@pytest.fixture
def studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "one")
    write_study(tmp_path / "two", machine="b" * 16)
    return Path("one"), Path("two")


def compare(studies, capsys):
    """The exit status, what is printed, and the table, by step."""
    status = main([str(each) for each in studies])
    table = studies[0] / "comparison.tsv"
    return status, capsys.readouterr(), read_tsv(table).set_index("step") if table.is_file() else None


def test_every_file_is_of_its_step_and_every_step_has_one(studies):
    names = list_files(studies[0])
    found = {name: step.name for step in STEPS for name in files_of(step, names)}
    assert found == FILES
    assert list(dict.fromkeys(FILES.values())) == [step.name for step in STEPS]


def test_equal_studies_are_equal(studies, capsys):
    status, said, table = compare(studies, capsys)
    assert status == 0
    assert f"equal in all {len(FILES)} files" in said.out
    assert not table[["differ", "only_here", "only_there"]].to_numpy().any()


def test_the_first_step_that_differs_is_named_with_what_made_it(studies, capsys):
    changed = VALUES.copy()
    changed[1, 2, 3] = 3.5  # the largest value was 4
    for name in (RHVAE.format("AD"), NETWORKS):
        write_values(studies[1] / name, changed)
    write_values(studies[1] / PREDICTIONS, changed * 2)
    status, said, table = compare(studies, capsys)
    assert status == 1
    assert "first step at which they differ: weights of the generators." in said.out
    # the third class has no such file, so its log does not count
    assert said.out.endswith("(one | two):\n  processor.flags: avx2 | avx512f\n  torch.threads: 1 | 2\n")
    row = table.loc["weights of the generators"]
    assert (row["files"], row["differ"], row["most_different"]) == (3, 1, RHVAE.format("AD"))
    assert (row["difference"], row["relative"]) == pytest.approx((0.5, 0.125))
    assert table["differ"].sum() == 3


def test_voxels_and_texts_in_tables_count(studies, capsys):
    write_values(studies[1] / REGISTERED, VALUES + numpy.float32(1))
    write_values(studies[1] / "split/split.tsv", text="y")
    status, said, table = compare(studies, capsys)
    assert status == 1
    assert "differ: registration." in said.out
    assert "Nothing differs in what is recorded of its jobs" in said.out
    assert table.loc["registration", "difference"] == pytest.approx(1)
    assert table.loc["split", "differ"] == 1
    assert numpy.isnan(table.loc["split", "difference"])


def test_other_metadata_are_no_difference_and_other_shapes_are(studies, capsys):
    write_values(studies[1] / NETWORKS, images_per_second="7")
    assert compare(studies, capsys)[0] == 0
    write_values(studies[1] / NETWORKS, VALUES[:, :2])
    _, said, table = compare(studies, capsys)
    assert "differ: weights of the CNNs." in said.out
    assert numpy.isnan(table.loc["weights of the CNNs", "difference"])


def test_a_file_of_equal_size_and_time_is_read_and_another_way_to_write_numbers_is_no_difference(
    studies, capsys
):
    ours, theirs = (study / PREDICTIONS for study in studies)
    theirs.write_text(theirs.read_text().replace("4.0\t", "4.00\t"))
    assert ours.read_bytes() != theirs.read_bytes()
    assert compare(studies, capsys)[0] == 0
    theirs.write_text(ours.read_text().replace("4.0\t", "5.0\t"))
    os.utime(theirs, ns=(ours.stat().st_mtime_ns,) * 2)
    assert compare(studies, capsys)[2].loc["predictions", "difference"] == 1


@pytest.mark.parametrize("name", [REGISTERED, NETWORKS, PREDICTIONS])
def test_an_empty_file_differs(studies, capsys, name):
    (studies[1] / name).write_bytes(b"")
    status, said, _ = compare(studies, capsys)
    assert status == 1
    assert f"differ: {FILES[name]}." in said.out


def test_a_missing_file_differs_unless_its_digest_was_recorded(studies, capsys):
    for study in studies:
        record_chain(study, study / RECORD)
    (studies[1] / NETWORKS).unlink()
    status, said, table = compare(studies, capsys)
    assert status == 0
    assert "1 files are not there; their recorded digests were compared." in said.out
    write_values(studies[0] / NETWORKS, VALUES * 2)  # what is there counts, not its record
    assert "differ: weights of the CNNs." in compare(studies, capsys)[1].out
    (studies[1] / RECORD).unlink()
    _, said, table = compare(studies, capsys)
    assert table.loc["weights of the CNNs", "only_here"] == 1
    assert "differ: weights of the CNNs." in said.out


def test_a_stale_record_is_no_difference(studies, capsys):
    for study in studies:
        record_chain(study, study / RECORD)
    write_values(studies[1] / RHVAE.format("CN"), VALUES * 2)
    assert "differ: weights of the generators." in compare(studies, capsys)[1].out
    write_values(studies[0] / RHVAE.format("CN"), VALUES * 2)
    assert compare(studies, capsys)[0] == 0


def test_another_configuration_is_said_but_not_other_threads(studies, capsys):
    write_study(studies[1], study={"seed": 5}, cnn={"threads": 8})
    status, said, _ = compare(studies, capsys)
    assert status == 0
    assert "different configurations (one | two):\n  study.seed: 20220503 | 5\n\n" in said.out


def test_a_folder_without_results_is_refused(studies, capsys):
    shutil.rmtree(studies[1])
    status, said, table = compare(studies, capsys)
    assert status == 2
    assert "This is no folder of results.\n  where:        " in said.err
    assert table is None


def test_the_record_has_the_files_from_the_tensors_to_the_predictions(studies, capsys):
    record_chain("one", f"one/{RECORD}")
    table = read_tsv(f"one/{RECORD}")
    assert tuple(table.columns) == COLUMNS
    steps = list(FILES.values())
    recorded = list(FILES)[steps.index("tensors") : steps.index("tables")]
    assert sorted(table["path"]) == sorted(f"one/{name}" for name in recorded)
    first = table.set_index("path")
    write_values(studies[0] / NETWORKS, images_per_second="7")
    record_chain("one", f"one/{RECORD}", threads=3)
    again = read_tsv(f"one/{RECORD}").set_index("path")
    assert (first["content"] == again["content"]).all()
    assert list(first.index[first["sha256"] != again["sha256"]]) == [f"one/{NETWORKS}"]
    assert files.verify_files(f"one/{RECORD}") == {}
    write_values(studies[0] / NETWORKS, VALUES * 2)
    assert files.main([f"one/{RECORD}"]) == 1
    assert capsys.readouterr().out.startswith(f"one/{NETWORKS}: differs\n")
