import json

import pandas
import pytest

from rhvae_mri.cohort.leakage import check_leakage
from rhvae_mri.io.errors import StudyError


def make_split():
    rows = []
    for number in range(12):
        name = "train" if number < 6 else "validation" if number < 9 else "test"
        participant = f"sub-{number:02d}"
        row = {"image_id": f"{participant}_ses-M000", "participant_id": participant, "set": name}
        rows.append({**row, "train-full": int(number < 6), "train-2": int(number < 2)})
    return pandas.DataFrame(rows)


def make_aibl():
    names = [f"sub-AIBL{number}" for number in range(3)]
    return pandas.DataFrame({"image_id": [f"{name}_ses-M000" for name in names], "participant_id": names})


MODELS = {
    "rhvae train-2 AD": ["sub-00_ses-M000"],
    "cnn train-full": [f"sub-{n:02d}_ses-M000" for n in range(6)],
}


def test_a_clean_split_passes():
    report = check_leakage(make_split(), MODELS, {"AIBL": make_aibl()})
    assert report["passed"] is True
    expected = {"train": 6, "validation": 3, "test": 3, "train-full": 6, "train-2": 2, "AIBL": 3}
    assert report["n_participants"] == expected
    assert "no participants of AIBL whose image another one has too" in report["checks"]
    assert json.loads(json.dumps(report)) == report


def in_two_sets(split, aibl, models):
    twin = split[split["participant_id"] == "sub-11"].assign(image_id="sub-11_ses-M006", set="validation")
    return pandas.concat([split, twin]), aibl, models


def subset_outside(split, aibl, models):
    split.loc[split["participant_id"] == "sub-07", "train-2"] = 1
    return split, aibl, models


def train_full_with_test(split, aibl, models):
    split.loc[split["participant_id"] == "sub-10", "train-full"] = 1
    return split, aibl, models


def missing_from_train_full(split, aibl, models):
    split.loc[split["participant_id"] == "sub-04", "train-full"] = 0
    return split, aibl, models


def image_twice(split, aibl, models):
    split.loc[split["participant_id"] == "sub-10", "image_id"] = "sub-03_ses-M000"
    return split, aibl, models


def aibl_twice(split, aibl, models):
    aibl.loc[1, "image_id"] = "sub-AIBL0_ses-M000"
    return split, aibl, models


def model_saw_test(split, aibl, models):
    return split, aibl, {**models, "cnn": ["sub-00_ses-M000", "sub-09_ses-M000"]}


def model_saw_validation(split, aibl, models):
    return split, aibl, {**models, "rhvae": ["sub-08_ses-M000"]}


def model_saw_aibl(split, aibl, models):
    return split, aibl, {**models, "rhvae": ["sub-AIBL0_ses-M000"]}


def model_saw_an_image_twice(split, aibl, models):
    return split, aibl, {**models, "rhvae": ["sub-01_ses-M000"] * 2}


def unknown_set(split, aibl, models):
    split.loc[0, "set"] = "training"
    return split, aibl, models


@pytest.mark.parametrize(
    ("plant", "messages"),
    [
        (in_two_sets, ["in more than one set: sub-11", "with more than one image: sub-11"]),
        (subset_outside, ["participants of train-2 who are not in train-full: sub-07"]),
        (train_full_with_test, ["train-full outside the set train, or missing from it: sub-10"]),
        (missing_from_train_full, ["train-full outside the set train, or missing from it: sub-04"]),
        (image_twice, ["images that occur more than once: sub-03_ses-M000"]),
        (aibl_twice, ["images of AIBL that occur more than once: sub-AIBL0_ses-M000"]),
        (model_saw_test, ["images that cnn was trained on and that are not in train-full: sub-09_ses-M000"]),
        (model_saw_validation, ["images that rhvae was trained on and that are not in train-full: sub-08"]),
        (model_saw_aibl, ["images that rhvae was trained on and that are not in train-full: sub-AIBL0"]),
        (model_saw_an_image_twice, ["rhvae was trained on more than once: sub-01_ses-M000"]),
        (unknown_set, ["unknown sets: training"]),
    ],
)
def test_planted_leaks_are_found_and_named(plant, messages):
    split, aibl, models = plant(make_split(), make_aibl(), MODELS)
    with pytest.raises(StudyError) as raised:
        check_leakage(split, models, {"AIBL": aibl})
    for message in messages:
        assert message in raised.value.what


def test_all_leaks_are_named_at_once():
    split = make_split()
    split.loc[split["participant_id"] == "sub-07", "train-2"] = 1
    split.loc[0, "set"] = "training"
    with pytest.raises(
        StudyError, match=r"unknown sets: training; .*train-2 who are not in train-full: sub-07"
    ):
        check_leakage(split, {}, {"AIBL": make_aibl()})


def test_a_long_list_is_cut():
    images = [f"sub-x{number:03d}" for number in range(50)]
    with pytest.raises(StudyError, match="sub-x019 and 30 more"):
        check_leakage(make_split(), {"cnn": images}, {})
