"""A cell is a value, a declared missing value, or it is listed."""

import json

import pytest
from bids_folders import listing, table, write_bids

from rhvae_mri.cohort.cells import Legend, read_cell
from rhvae_mri.cohort.clinical_terms import ClinicalTerms
from rhvae_mri.io.errors import StudyError

#: Variable, cell, value, and whether it is used as it stands, read as something, or not understood.
CELLS = [
    ("age", "72.5", 72.5, "stands"),
    ("age", "072", 72, "stands"),
    ("age", "8.9e1", 89, "stands"),
    ("age", "120", 120, "stands"),
    ("age", "n/a", None, "stands"),
    ("age", "89+", 89, "read"),
    ("age", ">89", 89, "read"),
    ("age", "≥ 90", 90, "read"),
    ("age", "90 and over", 90, "read"),
    ("age", "72,5", 72.5, "read"),
    ("age", "072Y", 72, "read"),
    ("age", "870M", 72.5, "read"),
    ("age", "72 years old", 72, "read"),
    ("age", "72 ans", 72, "read"),
    ("age", "870 months", 72.5, "read"),
    ("age", "P72Y6M", 72.5, "read"),
    ("age", "２３", 23, "read"),
    ("age", "NULL", None, "read"),
    ("age", "-4", None, "listed"),
    ("age", "0", None, "listed"),
    ("age", "999", None, "listed"),
    ("age", "870", None, "listed"),
    ("age", "1971", None, "listed"),
    ("age", "1_0", None, "listed"),
    ("age", "1,234", None, "listed"),
    ("age", "70-75", None, "listed"),
    ("age", "inf", None, "listed"),
    ("age", "P", None, "listed"),
    ("sex", "F", "F", "stands"),
    ("sex", "m", "M", "read"),
    ("sex", "Woman", "F", "read"),
    ("sex", "homme", "M", "read"),
    ("sex", "weiblich", "F", "read"),
    ("sex", "female participant", "F", "read"),
    ("sex", "other", None, "read"),
    ("sex", "missing", None, "read"),
    ("sex", "not male", None, "listed"),
    ("sex", "not known", None, "listed"),
    ("sex", "Mixed", None, "listed"),
    ("sex", "F/M", None, "listed"),
    ("sex", "1", None, "listed"),
    ("sex", "Maschine", None, "listed"),
    ("diagnosis", "CN", "CN", "stands"),
    ("diagnosis", "FTD", "FTD", "read"),
    ("diagnosis", "no dementia", "no dementia", "read"),
    ("diagnosis", "healthy controls", "CN", "read"),
    ("diagnosis", "unknown", None, "read"),
    ("age", "--", None, "read"),
    ("age", "=NA()", None, "listed"),
    ("diagnosis", "Alzheimer’s Disease", "AD", "read"),
    ("diagnosis", "healthy control", "CN", "read"),
    ("diagnosis", "2", "2", "listed"),
    ("mmse", "28,5", 28.5, "read"),
    ("mmse", "31", None, "listed"),
    ("mmse", "-1", None, "listed"),
    ("cdr", "0.5", 0.5, "stands"),
    ("cdr", "0.25", None, "listed"),
    ("field_strength", "2.89362", 2.89362, "stands"),
    ("field_strength", "15000", 1.5, "read"),
    ("field_strength", "3 Tesla", 3, "read"),
    ("field_strength", "1500", None, "listed"),
    ("field_strength", "0", None, "listed"),
    ("field_strength", "-1", None, "listed"),
    ("site", "NULL", None, "read"),
    ("site", "007", "007", "stands"),
]


@pytest.mark.parametrize(("variable", "cell", "value", "fate"), CELLS)
def test_what_becomes_of_a_cell(variable, cell, value, fate):
    reading = read_cell(variable, cell)
    assert reading.value == (pytest.approx(value) if isinstance(value, float) else value)
    assert reading.understood == (fate != "listed")
    assert bool(reading.outcome) == (fate != "stands")


def test_a_legend_says_what_codes_mean():
    levels = Legend({}, {"1": "male", "2": "Female", "M": "mujer"})
    assert [read_cell("sex", cell, levels).value for cell in ("1", "2.0", "M", "3")] == ["M", "F", "F", None]
    declared = Legend({"n/a": [-4, "unknown"], "F": [0]}, {})
    assert [read_cell("sex", cell, declared).value for cell in ("unknown", "0")] == [None, "F"]
    assert read_cell("age", "-4.0", declared).understood
    assert read_cell("age", "870", Legend({}, {}, "months")).value == pytest.approx(72.5)
    assert read_cell("age", "71", Legend({}, {}, "yrs")).value == 71
    assert read_cell("age", "‑4", Legend({"n/a": ["‑4"]}, {})).understood


def cohort(folder, ages, **files):
    names = [f"sub-{number:02d}" for number in range(len(ages))]
    rows = [f"{name} {age} 1 AD Oslo 25" for name, age in zip(names, ages, strict=True)]
    images = {f"{name}/anat/{name}_T1w.nii.gz": number for number, name in enumerate(names)}
    return write_bids(
        folder,
        {"participants.tsv": table("participant_id age sex diagnosis site mmse", *rows), **images, **files},
    )


LEGEND = {"participants.json": json.dumps({"sex": {"Levels": {"1": {"Description": "Male"}}}})}


def test_every_value_that_was_not_used_as_it_stands_is_listed_with_its_participants(tmp_path):
    images, values = listing(cohort(tmp_path / "bids", ["70", "89+", "89+", "999", "n/a"], **LEGEND))
    assert images["age"].fillna(-1).tolist() == [70, 89, 89, -1, -1]
    assert set(images["sex"]) == {"M"}
    found = values.set_index(["variable", "value"])
    assert found.loc[("age", "89+"), "participants"] == "sub-01 sub-02"
    assert found.loc[("age", "89+"), "status"] == "read"
    assert found.loc[("age", "999"), "status"] == "not understood"
    assert found.loc[("sex", "1"), "n_participants"] == 5
    assert len(values) == 3


def test_a_cohort_that_writes_in_a_way_of_its_own_is_refused_until_it_says_how(tmp_path):
    folder = cohort(tmp_path / "bids", ["70"] * 6)
    with pytest.raises(StudyError, match=r"sex: 6 of 6 participants \('1'\)") as raised:
        listing(folder)
    assert "`values" in raised.value.remedy
    images, _ = listing(folder, terms=ClinicalTerms(values={"sex": {"F": [1]}}))
    assert set(images["sex"]) == {"F"}
    three_of_many = cohort(tmp_path / "other", ["999"] * 3 + ["70"] * 3, **LEGEND)
    assert (listing(three_of_many)[0]["status"] == "kept").all()


def test_a_variable_without_a_column_is_listed(tmp_path):
    folder = cohort(tmp_path / "bids", ["70"] * 6, **LEGEND)
    path = folder / "participants.tsv"
    path.write_text(path.read_text().replace("age", "alter"))
    (row,) = listing(folder)[1].query("outcome == 'no column of it'").to_dict("records")
    assert (row["variable"], row["n_participants"]) == ("age", 0)
