"""Mending of datasets that are invalid in the ways in which Clinica leaves them."""

import json

import pytest
from bids_checks import bids_errors
from nifti_files import write_nifti

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.convert.bids_cleaning import mend_dataset
from rhvae_mri.io.files import read_json

README = "This folder was converted by a test that does what Clinica does, as far as validity goes. " * 2


def write_dataset(cohort, folder):
    """Write a dataset of two sessions, as Clinica's converter of the cohort does."""
    person = f"sub-{cohort}10"
    tables = {
        "ADNI": (
            "alternative_id_1\tparticipant_id\tsex\tsite\n10\tsub-ADNI10\tM\t2\n",
            "RID\tsession_id\tage\tdiagnosis\n10\tses-M000\t71.5\tCN\n10\tses-M012\t72.5\tCN\n",
            "filename\tscan_id\tmri_field\nanat/{name}.nii.gz\t7\t{field}\n",
        ),
        "AIBL": (
            "participant_id\tdate_of_birth\tsex\tsite\nsub-AIBL10\t1936\tM\t2\n",
            "session_id\texamination_date\tage\tdiagnosis\nses-M000\t12/04/2006\t70\tCN\nses-M012\tn/a\t71\tCN\n",
            "filename\tacq_time\nanat / {name}.json\t2006-12-04T00:00:00\n"
            "anat / {name}.nii.gz\t2006-12-04T00:00:00\n",
        ),
    }
    participants, sessions, scans = tables[cohort]
    (folder / "conversion_info" / "v0").mkdir(parents=True)
    (folder / "conversion_info" / "v0" / "t1_paths.tsv").write_text("Subject_ID\tPath\n10\t/data/10\n")
    (folder / ".bidsignore").write_text("swi/\nconversion_info/")
    (folder / "README").write_text(README)
    description = {"Name": cohort, "BIDSVersion": "1.7.0", "DatasetType": "raw"}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    (folder / "participants.tsv").write_text(participants)
    (folder / person).mkdir()
    (folder / person / f"{person}_sessions.tsv").write_text(sessions)
    for session, field in {"ses-M000": "1.5", "ses-M012": "n/a"}.items():
        name, place = f"{person}_{session}_T1w", folder / person / session
        image = write_nifti(place / "anat" / f"{name}.nii.gz")
        (place / f"{person}_{session}_scans.tsv").write_text(scans.format(name=name, field=field))
        if cohort == "AIBL":
            image.with_name(f"{name}.json").write_text('{"MagneticFieldStrength": 3.0, "BodyPart": "HEAD"}')
    return folder


@pytest.fixture(params=["ADNI", "AIBL"])
def dataset(request, tmp_path):
    return write_dataset(request.param, tmp_path / "bids")


def test_the_validator_accepts_a_mended_dataset(dataset):
    codes = {code for code, _ in bids_errors(dataset)}
    wrong = {"ADNI": "TSV_COLUMN_ORDER_INCORRECT", "AIBL": "SCANS_FILENAME_NOT_MATCH_DATASET"}
    assert {"NOT_INCLUDED", wrong[read_json(dataset / "dataset_description.json")["Name"]]} <= codes
    mend_dataset(dataset)
    (dataset / ".snakemake_timestamp").touch()
    assert bids_errors(dataset) == []


def test_only_the_order_of_columns_and_file_names_change(dataset):
    tables = sorted(dataset.rglob("*.tsv"))
    before = {path: read_rows(path) for path in tables}
    mend_dataset(dataset)
    assert sorted(dataset.rglob("*.tsv")) == tables
    for path in tables:
        expected = before[path]
        if path.name.endswith("_scans.tsv"):
            expected = [row | {"filename": row["filename"].replace(" ", "")} for row in expected]
        assert read_rows(path) == expected
    assert (dataset / "participants.tsv").read_text().startswith("participant_id\t")


def test_a_second_mending_changes_nothing(dataset):
    mend_dataset(dataset)
    first = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    mend_dataset(dataset)
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == first


def test_the_field_strength_of_the_table_goes_beside_the_image(tmp_path):
    folder = write_dataset("ADNI", tmp_path / "bids")
    mend_dataset(folder)
    (sidecar,) = folder.rglob("*_T1w.json")  # the second image's field strength is not known
    assert read_json(sidecar) == {"MagneticFieldStrength": 1.5}
    assert sidecar.name == "sub-ADNI10_ses-M000_T1w.json"


def test_a_sidecar_of_the_converter_stays(tmp_path):
    folder = write_dataset("AIBL", tmp_path / "bids")
    before = {path: path.read_bytes() for path in folder.rglob("*_T1w.json")}
    mend_dataset(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*_T1w.json")} == before


def test_the_description_names_the_converter(dataset):
    mend_dataset(dataset)
    content = read_json(dataset / "dataset_description.json")
    assert [program["Name"] for program in content["GeneratedBy"]] == ["Clinica", "rhvae-mri"]
    assert content["BIDSVersion"] == "1.7.0"


def test_cells_with_quotes_keep_their_text(tmp_path):
    folder = write_dataset("ADNI", tmp_path / "bids")
    table = folder / "participants.tsv"
    table.write_text('site\tparticipant_id\n"a ""b"" c"\tsub-ADNI10\n')
    mend_dataset(folder)
    assert read_rows(table) == [{"participant_id": "sub-ADNI10", "site": 'a "b" c'}]
