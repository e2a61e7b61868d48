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


def change(participant, **values):
    """Put other values into the row of a participant."""

    def plant(split, aibl, models):
        split.loc[split["participant_id"] == participant, list(values)] = list(values.values())
        return split, aibl, models

    return plant


def in_two_sets(split, aibl, models):
    twin = split[split["participant_id"] == "sub-11"].assign(image_id="sub-11_ses-M006", set="validation")
    return pandas.concat([split, twin]), aibl, models


def aibl_twice(split, aibl, models):
    return split, aibl.assign(image_id=["sub-AIBL0_ses-M000"] * 2 + ["sub-AIBL2_ses-M000"]), models


def saw(model, *images):
    """Let a model be trained on other images."""
    return lambda split, aibl, models: (split, aibl, {**models, model: [f"{one}_ses-M000" for one in images]})


OUTSIDE = "train-full outside the set train, or missing from it"


@pytest.mark.parametrize(
    ("plant", "messages"),
    [
        (in_two_sets, ["in more than one set: sub-11", "with more than one image: sub-11"]),
        (change("sub-07", **{"train-2": 1}), ["participants of train-2 who are not in train-full: sub-07"]),
        (change("sub-10", **{"train-full": 1}), [f"{OUTSIDE}: sub-10"]),
        (change("sub-04", **{"train-full": 0}), [f"{OUTSIDE}: sub-04"]),
        (change("sub-10", image_id="sub-03_ses-M000"), ["images that occur more than once: sub-03_ses-M000"]),
        (aibl_twice, ["images of AIBL that occur more than once: sub-AIBL0_ses-M000"]),
        (
            saw("cnn", "sub-00", "sub-09"),
            ["cnn was trained on and that are not in train-full: sub-09_ses-M000"],
        ),
        (saw("rhvae", "sub-01", "sub-01"), ["rhvae was trained on more than once: sub-01_ses-M000"]),
        (change("sub-00", set="training"), ["unknown sets: training"]),
    ],
)
def test_planted_leaks_are_found_and_named(plant, messages):
    split, aibl, models = plant(make_split(), make_aibl(), MODELS)
    with pytest.raises(StudyError) as raised:
        check_leakage(split, models, {"AIBL": aibl})
    for message in messages:
        assert message in raised.value.what


def test_a_long_list_is_cut():
    images = [f"sub-x{number:03d}" for number in range(50)]
    with pytest.raises(StudyError, match="sub-x019 and 30 more"):
        check_leakage(make_split(), {"cnn": images}, {})
