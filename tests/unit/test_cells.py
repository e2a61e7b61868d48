"""A cell is a value, a declared missing value, or it is listed."""

import json

import pytest
from bids_folders import listing, table, write_bids

from rhvae_mri.cohort.cells import Legend, read_cell
from rhvae_mri.cohort.clinical_terms import ClinicalTerms
from rhvae_mri.io.errors import StudyError

#: By variable and by whether they are used as they stand, read as something, or not understood: the value
#: of each cell.
CELLS = {
    ("age", "stands"): {"72.5": 72.5, "072": 72, "8.9e1": 89, "120": 120, "n/a": None},
    ("age", "read"): {
        **{"89+": 89, ">89": 89, "≥ 90": 90, "90 and over": 90, "72,5": 72.5, "072Y": 72, "870M": 72.5},
        **{"72 years old": 72, "72 ans": 72, "870 months": 72.5, "P72Y6M": 72.5, "２３": 23},
        **{"NULL": None, "--": None},
    },
    ("age", "listed"): dict.fromkeys(
        ["-4", "0", "999", "870", "1971", "1_0", "1,234", "70-75", "inf", "P", "=NA()"]
    ),
    ("sex", "stands"): {"F": "F"},
    ("sex", "read"): {
        **{"m": "M", "Woman": "F", "homme": "M", "weiblich": "F", "female participant": "F"},
        **{"other": None, "missing": None},
    },
    ("sex", "listed"): dict.fromkeys(["not male", "not known", "Mixed", "F/M", "1", "Maschine"]),
    ("diagnosis", "stands"): {"CN": "CN"},
    ("diagnosis", "read"): {
        **{"FTD": "FTD", "no dementia": "no dementia", "healthy controls": "CN", "unknown": None},
        **{"Alzheimer’s Disease": "AD", "healthy control": "CN"},
    },
    ("diagnosis", "listed"): {"2": "2"},
    ("mmse", "read"): {"28,5": 28.5},
    ("mmse", "listed"): {"31": None, "-1": None},
    ("cdr", "stands"): {"0.5": 0.5},
    ("cdr", "listed"): {"0.25": None},
    ("field_strength", "stands"): {"2.89362": 2.89362},
    ("field_strength", "read"): {"15000": 1.5, "3 Tesla": 3},
    ("field_strength", "listed"): {"1500": None, "0": None, "-1": None},
    ("site", "stands"): {"007": "007"},
    ("site", "read"): {"NULL": None},
}


@pytest.mark.parametrize(
    ("variable", "cell", "value", "fate"),
    [(name, cell, value, fate) for (name, fate), cells in CELLS.items() for cell, value in cells.items()],
)
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
