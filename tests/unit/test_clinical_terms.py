"""A BIDS dataset with names and values of its own is read by configuration alone."""

import pandas
import pytest
from nifti_files import write_nifti

from rhvae_mri.cohort.clinical_terms import ClinicalTerms, terms_of_cohort
from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.io.errors import StudyError

COLUMNS = {"age": "Age_At_Scan", "sex": "gender_code", "site": "centre", "diagnosis": "clinical_status"}
VALUES = {"diagnosis": {"AD": [2, "probable AD"], "CN": [0]}, "sex": {"M": [1], "F": [2]}}

PEOPLE = [
    # participant, age, sex, centre, status
    ("sub-001", 71.5, 1, "north", "0"),
    ("sub-002", 80, 2, "south", "2.0"),
    ("sub-003", 75, 2, "south", "Probable AD"),
    ("sub-004", 66, 1, "north", "1"),
    ("sub-005", 69, 9, None, None),
]


@pytest.fixture
def dataset(tmp_path):
    """Five participants without sessions; the usual columns are there too, with other contents."""
    table = pandas.DataFrame(PEOPLE, columns=["participant_id", *COLUMNS.values()])
    table = table.assign(age=1, sex="M", site="wrong", diagnosis="CN")
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    for name in table["participant_id"]:
        write_nifti(tmp_path / name / "anat" / f"{name}_T1w.nii.gz")
    return tmp_path


def read(folder, terms):
    list_images("Third", folder, None, None, folder / "images.tsv", terms=terms)
    return read_images(folder / "images.tsv").set_index("participant_id")


def test_columns_and_values_of_the_configuration_are_used(dataset):
    table = read(dataset, ClinicalTerms(COLUMNS, VALUES))
    kept = table[table["status"] == "kept"]
    assert kept["diagnosis"].to_dict() == {"sub-001": "CN", "sub-002": "AD", "sub-003": "AD"}
    assert kept["sex"].tolist() == ["M", "F", "F"]
    assert kept["age"].tolist() == [71.5, 80, 75]
    assert kept["site"].tolist() == ["north", "south", "south"]
    assert set(table["cohort"]) == {"Third"}
    assert table.loc["sub-004", "reason"] == "diagnosis 1 is not studied"
    assert table.loc["sub-005", "reason"] == "no diagnosis"
    assert pandas.isna(table.loc["sub-005", "sex"])


def test_sessions_have_the_same_terms(dataset):
    pandas.DataFrame({"session_id": ["ses-1", "ses-2"], "clinical_status": [0, 2]}).to_csv(
        dataset / "sub-001" / "sub-001_sessions.tsv", sep="\t", index=False
    )
    write_nifti(dataset / "sub-001" / "ses-1" / "anat" / "sub-001_ses-1_T1w.nii.gz")
    table = read(dataset, ClinicalTerms(COLUMNS, VALUES))
    assert "diagnosis changes between visits (CN, AD)" in table.loc["sub-001", "reason"].tolist()


def test_a_column_that_no_table_has_is_named_with_those_that_are_there(dataset):
    with pytest.raises(StudyError, match="no column clinical_statsu") as caught:
        read(dataset, ClinicalTerms(COLUMNS | {"diagnosis": "clinical_statsu"}))
    assert "Age_At_Scan" in caught.value.remedy


def test_a_cohort_without_own_terms_has_the_usual_ones():
    assert terms_of_cohort("bids", None, None) == ClinicalTerms()
    assert terms_of_cohort("oasis1", None, None).columns == {"diagnosis": "diagnosis_bl"}
    own = {"diagnosis": "x", "age": "y"}
    assert terms_of_cohort("oasis1", own, None).columns == own
