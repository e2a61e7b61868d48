import json
from pathlib import Path

import numpy
import pandas
import pytest
from clinica_dataset import Dataset, write_table
from nifti_files import write_nifti

from rhvae_mri.cohort.images import COLUMNS, list_images, read_images, select_usable
from rhvae_mri.io.errors import StudyError


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


def test_the_rules_of_the_study(dataset):
    dataset.add("sub-A", ("ses-M000", "CN", True), ("ses-M006", "CN", True))
    dataset.add("sub-B", ("ses-M000", "MCI", True), ("ses-M006", "MCI", True))
    dataset.add("sub-C", ("ses-M000", "CN", True), ("ses-M006", "MCI", False), ("ses-M012", "CN", True))
    dataset.add("sub-D", ("ses-M000", "AD", False), ("ses-M006", "AD", True))
    dataset.add("sub-E", ("ses-M000", "AD", False))
    dataset.add("sub-F", ("ses-M000", None, True))
    dataset.add("sub-G", ("ses-M000", None, True), ("ses-M012", "AD", False))
    dataset.add("sub-H")
    dataset.converted("sub-A", "ses-M000", "converted")
    dataset.converted("sub-B", "ses-M018", "missing", "no image in the download: no folder I12")
    dataset.converted("sub-D", "ses-M000", "unreadable", "3 files are cut short")
    dataset.converted("sub-H", None, "missing")
    dataset.converted("sub-I", "ses-M000", "passed over", "the study's quality check rejects it")
    dataset.converted("sub-I", None, "missing", "no series")
    dataset.converted("sub-J", "ses-M000", "converted")
    assert dataset.fates() == {
        "sub-A_ses-M000": "kept",
        "sub-A_ses-M006": "not the first usable visit",
        "sub-B_ses-M000": "diagnosis MCI is not studied",
        "sub-B_ses-M006": "diagnosis MCI is not studied",
        "sub-B_ses-M018": "no image in the download: no folder I12",
        "sub-C_ses-M000": "diagnosis changes between visits (CN, MCI)",
        "sub-C_ses-M012": "diagnosis changes between visits (CN, MCI)",
        "sub-D_ses-M000": "DICOM series unreadable: 3 files are cut short",
        "sub-D_ses-M006": "kept",
        "sub-E": "no image in the download",
        "sub-F_ses-M000": "no diagnosis",
        "sub-G_ses-M000": "kept",
        "sub-H": "no image in the download",
        "sub-I_ses-M000": "the study's quality check rejects it",
        "sub-J_ses-M000": "converted, but not in the BIDS dataset",
    }


def test_metadata_of_adni(dataset):
    dataset.add("sub-A", ("ses-M000", "AD", True), ("ses-M006", "AD", True))
    dataset.add("sub-G", ("ses-M000", None, True), ("ses-M012", "AD", False))
    table = dataset.table()
    assert list(table.columns) == list(COLUMNS)
    first = table.iloc[0]
    assert first.drop(["path", "reason"]).to_dict() == {
        **{"image_id": "sub-A_ses-M000", "participant_id": "sub-A", "session_id": "ses-M000"},
        **{"cohort": "ADNI", "age": 70.5, "sex": "F", "site": "007", "field_strength": 1.5},
        **{"diagnosis": "AD", "mmse": 28, "cdr": 0.5, "status": "kept"},
    }
    assert Path(first["path"]) == dataset.image("sub-A", "ses-M000")
    assert table["age"].tolist() == [70.5, 71.0, 70.5]
    assert table["diagnosis"].tolist() == ["AD", "AD", "AD"]  # a visit without one has the others'
    assert table["reason"].isna().tolist() == [True, False, True]


def test_metadata_of_aibl(tmp_path):
    bids = tmp_path / "aibl"
    name = "sub-AIBL10"
    people = [{"participant_id": name, "date_of_birth": 1936, "sex": "M", "site": 2, "apoe_gen1": 3}]
    write_table(bids / "participants.tsv", people)
    visit = {"session_id": "ses-M000", "examination_date": "01/02/2007", "cdr_global": 0.0, "MMS": 30.0}
    visits = [{**visit, "diagnosis": "CN", "age": 71}, {**visit, "session_id": "ses-M018", "diagnosis": "CN"}]
    write_table(bids / name / f"{name}_sessions.tsv", visits)
    for session in ("ses-M000", "ses-M018"):
        path = write_nifti(bids / name / session / "anat" / f"{name}_{session}_T1w.nii.gz")
        scans = {"filename": f"anat / {path.name}", "acq_time": None, "mri_field": 1.5}
        write_table(path.parents[1] / f"{name}_{session}_scans.tsv", [scans])
    sidecar = bids / name / "ses-M000" / "anat" / f"{name}_ses-M000_T1w.json"
    sidecar.write_text(json.dumps({"MagneticFieldStrength": 3}))
    list_images("AIBL", bids, None, None, tmp_path / "images.tsv")
    first, second = read_images(tmp_path / "images.tsv").to_dict("records")
    known = {"age": 71, "sex": "M", "site": "2", "field_strength": 3, "diagnosis": "CN", "mmse": 30, "cdr": 0}
    assert known.items() <= first.items()
    assert second["field_strength"] == 1.5
    assert numpy.isnan(second["age"])


@pytest.mark.parametrize("text", ["[1, 2]", "{broken", "\x00"])
def test_a_damaged_json_file_costs_no_image(dataset, text):
    dataset.add("sub-A", ("ses-M000", "AD", True))
    dataset.image("sub-A", "ses-M000", "_T1w.json").write_text(text)
    (row,) = dataset.table().to_dict("records")
    assert (row["status"], row["field_strength"]) == ("kept", 1.5)


def test_a_plain_dataset_without_sessions(tmp_path):
    bids = tmp_path / "plain"
    people = [
        {"participant_id": "sub-02", "Age": 61, "sex": "female", "Group": "Dementia", "mmse": 20},
        {"participant_id": "sub-01", "Age": "n/a", "sex": "male", "Group": "control", "mmse": "n/a"},
        {"participant_id": "sub-03", "Age": 40, "sex": "O", "Group": "MS", "mmse": 30},
    ]
    write_table(bids / "participants.tsv", people)
    for name in ("sub-01", "sub-02", "sub-03", "sub-04"):
        write_nifti(bids / name / "anat" / f"{name}_T1w.nii.gz")
    target = tmp_path / "images.tsv"
    list_images("AIBL", bids, None, None, target)
    table = read_images(target)
    assert table["session_id"].isna().all()
    rows = table[["image_id", "diagnosis", "sex", "age", "reason"]].fillna("").to_numpy().tolist()
    assert rows == [
        ["sub-01", "CN", "M", "", ""],
        ["sub-02", "AD", "F", 61, ""],
        ["sub-03", "MS", "", 40, "diagnosis MS is not studied"],
        ["sub-04", "", "", "", "no diagnosis"],
    ]
    list_images("AIBL", bids, None, None, target, require_diagnosis=False)
    assert set(read_images(target)["status"]) == {"kept"}


def test_the_next_usable_visit_is_taken(dataset):
    dataset.add("sub-A", *((f"ses-M{month:03d}", "AD", True) for month in (0, 6, 12, 24)))
    dataset.image("sub-A", "ses-M000").write_bytes(b"no image")
    write_nifti(dataset.image("sub-A", "ses-M006"), shape=(45, 54, 12))
    fates = dataset.fates()
    assert fates["sub-A_ses-M000"].startswith("unreadable NIfTI: ")
    assert fates["sub-A_ses-M006"] == "grossly wrong geometry: field of view of 180 x 216 x 48 mm"
    assert fates["sub-A_ses-M012"] == "kept"
    assert fates["sub-A_ses-M024"] == "not the first usable visit"


def test_two_images_of_one_session(dataset):
    dataset.add("sub-A", ("ses-M000", "AD", True))
    write_nifti(dataset.image("sub-A", "ses-M000", "_run-2_T1w.nii.gz"))
    first = dataset.image("sub-A", "ses-M000").rename(dataset.image("sub-A", "ses-M000", "_run-1_T1w.nii.gz"))
    reason = "a second image of the same session (run-2)"
    assert dataset.fates() == {"sub-A_ses-M000": "kept", "sub-A_ses-M000_scan-2": reason}
    write_nifti(first, shape=(45, 54))
    reason = "grossly wrong geometry: 2 dimensions (45 x 54) instead of 3"
    assert dataset.fates() == {"sub-A_ses-M000_scan-1": reason, "sub-A_ses-M000": "kept"}


def test_no_usable_image_is_an_error_that_counts_the_reasons(dataset):
    dataset.add("sub-A", ("ses-M000", "MCI", True))
    dataset.add("sub-B")
    words = "diagnosis MCI is not studied: 1; no image in the download: 1"
    with pytest.raises(StudyError) as raised:
        dataset.table()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (None, "no participants.tsv"),
        ([{"id": "sub-A"}], "no column participant_id"),
        ([{"participant_id": "sub-A"}, {"participant_id": "sub-A"}], r"more than once: sub-A \(lines 2, 3\)"),
        ([{"participant_id": "A"}], r"not those of BIDS: A \(line 2\)"),
    ],
)
def test_bad_participants_tables(tmp_path, people, message):
    (tmp_path / "bids").mkdir()
    if people:
        write_table(tmp_path / "bids" / "participants.tsv", people)
    with pytest.raises(StudyError, match=message):
        list_images("ADNI", tmp_path / "bids", None, None, tmp_path / "images.tsv")


def test_other_bad_input(dataset):
    dataset.add("sub-A", ("ses-M000", "AD", True))
    dataset.converted("sub-A", "ses-M000", "lost")
    with pytest.raises(StudyError, match="Unknown status of a conversion: lost"):
        dataset.table()
    dataset.conversion.clear()
    with pytest.raises(StudyError, match="does not exist"):
        list_images("ADNI", dataset.bids / "elsewhere", None, None, dataset.target)
    (dataset.bids / "participants.tsv").write_bytes(b"participant_id\n\xff\xfe\n")
    with pytest.raises(StudyError, match="cannot be read"):
        list_images("ADNI", dataset.bids, None, None, dataset.target)


def test_the_same_dataset_gives_the_same_bytes(dataset):
    for name in ("sub-B", "sub-A"):
        dataset.add(name, ("ses-M012", "AD", True), ("ses-M006", "AD", True))
    table = dataset.table()
    written = dataset.target.read_bytes()
    dataset.participants.reverse()
    dataset.table()
    assert dataset.target.read_bytes() == written
    assert table["image_id"].is_monotonic_increasing


def test_usable_images_are_kept_and_passed(dataset):
    for name in ("sub-A", "sub-B", "sub-C"):
        dataset.add(name, ("ses-M000", "AD", True), ("ses-M006", "AD", True))
    images = dataset.table()
    kept = images["image_id"][images["status"] == "kept"].tolist()
    quality = pandas.DataFrame({"image_id": kept, "status": ["passed", "failed", "passed"]})
    usable = select_usable(images, quality)
    assert usable["image_id"].tolist() == ["sub-A_ses-M000", "sub-C_ses-M000"]
    with pytest.raises(StudyError, match="without a quality check: sub-C_ses-M000"):
        select_usable(images, quality[:2])
    with pytest.raises(StudyError, match="more than one quality check: sub-A_ses-M000"):
        select_usable(images, pandas.concat([quality, quality[:1]]))
