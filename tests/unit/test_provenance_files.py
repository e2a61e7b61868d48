"""The chain of files with their checksums, and its verification."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import derived_study
import pandas
import pytest

from rhvae_mri.io.files import read_tsv
from rhvae_mri.provenance.files import COLUMNS, STEPS, main, record_files, verify_files

TABLE = "results/provenance/cohort-ADNI/files.tsv"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    derived_study.write_study()
    return tmp_path


def record(conversion=derived_study.CONVERSION, threads=1, target=TABLE):
    record_files(
        derived_study.IMAGES,
        derived_study.DERIVATIVES,
        derived_study.TEMPLATE,
        target,
        conversion=conversion,
        threads=threads,
    )
    return read_tsv(target, text_columns=COLUMNS)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_every_file_of_each_kept_image_is_listed(study):
    table = record()
    assert tuple(table.columns) == COLUMNS
    images = [derived_study.GOOD, derived_study.BAD]
    assert list(zip(table["image_id"], table["step"], strict=True)) == list(
        itertools.product(images, ("raw", *STEPS))
    )
    good = table[table["image_id"] == derived_study.GOOD]
    for row in good.itertuples():
        assert row.sha256 == sha256(row.path)
        assert int(row.bytes) == Path(row.path).stat().st_size
    assert good["note"].isna().all()


def test_the_chain_leads_from_the_cropped_image_to_the_dicom_files(study):
    rows = record().query("image_id == @derived_study.GOOD").set_index("step")
    paths = rows["path"]
    expected = {
        "cropped": [paths["registered"]],
        "registered": [paths["desc-N4"], paths["affine"], derived_study.TEMPLATE],
        "affine": [paths["desc-N4"], derived_study.TEMPLATE],
        "desc-N4": [paths["raw"]],
    }
    for step, sources in expected.items():
        assert rows.loc[step, "sources"].split("; ") == sources
        assert rows.loc[step, "sources_sha256"].split("; ") == [sha256(source) for source in sources]
    assert rows.loc["raw", "sources"] == "download:10/MPRAGE/I1"
    assert pandas.isna(rows.loc["raw", "sources_sha256"])


def test_a_dataset_that_was_given_in_bids_has_no_source_of_its_raw_images(study):
    assert record(conversion=None).query("step == 'raw'")["sources"].isna().all()


def test_an_empty_file_has_no_checksum_but_a_note(study):
    bad = record().query("image_id == @derived_study.BAD").set_index("step")
    assert bad.loc["raw", "sha256"] == sha256(derived_study.raw_path(derived_study.BAD))
    for step in STEPS:
        assert pandas.isna(bad.loc[step, "sha256"])
        assert bad.loc[step, "bytes"] == "0"
        assert bad.loc[step, "note"].endswith("left out: All voxels of the image have the value 0.")


def test_a_missing_file_is_noted(study):
    Path(derived_study.raw_path(derived_study.BAD)).unlink()
    assert record().query("image_id == @derived_study.BAD")["note"].iloc[0] == "the file is missing"


def test_paths_do_not_tell_where_the_study_is(study):
    paths = record()["path"]
    assert str(study) not in Path(TABLE).read_text()
    assert not any(path.startswith(("/", "..")) for path in paths)


def test_raw_images_outside_the_study_are_named_without_their_folder(study, monkeypatch):
    """The folder may be a person's own, so it is given again to verify them."""
    raw = study / Path(derived_study.RAW)
    inner = study / "inner"
    inner.mkdir()
    for name in ("derivatives", "template"):
        (study / "results" / name).rename(inner / name)
    monkeypatch.chdir(inner)
    moved = {
        step: [path.removeprefix("results/") for path in paths]
        for step, paths in derived_study.DERIVATIVES.items()
    }
    images = pandas.read_csv(study / derived_study.IMAGES, sep="\t", dtype=str)
    images["path"] = "../" + images["path"]
    images.to_csv("images.tsv", sep="\t", index=False)
    template = derived_study.TEMPLATE.removeprefix("results/")
    record_files("images.tsv", moved, template, "files.tsv")
    text = Path("files.tsv").read_text()
    assert ".." not in text.replace("...", "")
    assert study.name not in text
    row = read_tsv("files.tsv").query("step == 'raw' and image_id == @derived_study.GOOD").iloc[0]
    assert row["path"].startswith("bids:raw:sub-")
    assert row["sha256"] == sha256(raw / row["path"].removeprefix("bids:raw:"))
    assert set(verify_files("files.tsv", raw=raw)) == set()
    assert "give the BIDS folder" in verify_files("files.tsv")[row["path"]]


def test_files_as_recorded_pass(study, monkeypatch):
    pandas.testing.assert_frame_equal(record(), record(threads=3, target="again.tsv"))
    assert verify_files(TABLE) == {}
    monkeypatch.chdir("/")
    assert verify_files(study / TABLE, study) == {}


def test_a_source_outside_all_links_is_named_but_not_verified(study):
    sidecar = Path(derived_study.DERIVATIVES["desc-N4"][0].replace(".nii.gz", ".json"))
    sidecar.write_text(sidecar.read_text().replace('"bids:raw:', '"bids:another:'))
    row = record().query("image_id == @derived_study.GOOD and step == 'desc-N4'").iloc[0]
    assert row["sources"].startswith("bids:another:")
    assert pandas.isna(row["sources_sha256"])
    assert verify_files(TABLE) == {}


def test_every_difference_is_named(study):
    record()
    corrected, cropped = (derived_study.DERIVATIVES[step] for step in ("desc-N4", "cropped"))
    with open(corrected[0], "r+b") as file:  # one bit, the size stays
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))
    Path(cropped[0]).unlink()
    Path(cropped[1]).write_text("no longer empty")
    Path(derived_study.TEMPLATE).write_text("another template")
    assert verify_files(TABLE) == {
        corrected[0]: "differs",
        cropped[0]: "missing",
        cropped[1]: "was empty when recorded",
        derived_study.TEMPLATE: "differs",
    }


def test_a_record_that_contradicts_itself_is_named(study):
    table = record()
    source = table.loc[table["step"] == "desc-N4", "sources_sha256"].iloc[0]
    text = Path(TABLE).read_text()
    Path(TABLE).write_text(text.replace(source, "0" * 64, 1))
    problems = verify_files(TABLE)
    assert list(problems) == [derived_study.raw_path(derived_study.GOOD)]
    assert "different checksums" in problems[derived_study.raw_path(derived_study.GOOD)]


def test_the_command_line(study, capsys):
    record()
    assert main([TABLE]) == 0
    assert "All files are as recorded." in capsys.readouterr().out
    Path(derived_study.TEMPLATE).unlink()
    command = [sys.executable, "-m", "rhvae_mri.provenance.files", TABLE, ".", "--threads", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{derived_study.TEMPLATE}: missing" in done.stdout
    assert main([derived_study.IMAGES]) == 1
    assert "no column" in capsys.readouterr().err
