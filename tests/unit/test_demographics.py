import numpy
import pandas
import pytest

from rhvae_mri.cohort.demographics import COLUMNS, describe_sets


def people():
    return pandas.DataFrame(
        {
            "diagnosis": ["AD", "AD", "AD", "CN", "CN"],
            "age": [70.0, 75.0, 83.0, 60.0, numpy.nan],
            "sex": ["F", "M", "F", "M", None],
            "site": ["1", "2", "1", "3", None],
            "mmse": [20.0, 22.0, 27.0, 30.0, 29.0],
            "cdr": [0.5, 1.0, 1.0, 0.0, 0.0],
        }
    )


def test_values_by_hand():
    table = describe_sets({"train-full": people()})
    assert list(table.columns) == list(COLUMNS)
    patients, controls = table.to_dict("records")
    assert patients == {
        "set": "train-full",
        "diagnosis": "AD",
        "n": 3,
        "age_mean": 76.0,
        "age_sd": pytest.approx(6.56),  # sqrt((36 + 1 + 49) / 2)
        "age_min": 70.0,
        "age_max": 83.0,
        "n_female": 2,
        "female_percent": 66.67,
        "n_mmse": 3,
        "mmse_mean": 23.0,
        "mmse_sd": pytest.approx(3.61),  # sqrt((9 + 1 + 16) / 2)
        "mmse_min": 20.0,
        "mmse_max": 27.0,
        "n_cdr": 3,
        "cdr_mean": 0.83,
        "cdr_min": 0.5,
        "cdr_max": 1.0,
        "n_sites": 2,
    }
    assert (controls["n"], controls["age_mean"], controls["female_percent"]) == (2, 60.0, 0.0)
    assert numpy.isnan(controls["age_sd"])
    assert controls["n_sites"] == 1


def test_sets_stay_in_order_and_values_that_nobody_has_are_missing():
    nothing = people().assign(age=numpy.nan, sex=None, site=None, mmse=numpy.nan, cdr=None)
    table = describe_sets({"test": people(), "AIBL": nothing})
    assert table["set"].tolist() == ["test", "test", "AIBL", "AIBL"]
    known = [name for name in COLUMNS[3:] if not name.startswith("n_") or name == "n_sites"]
    assert table.loc[table["set"] == "AIBL", known].isna().all().all()
    assert (table.loc[table["set"] == "AIBL", ["n_female", "n_mmse", "n_cdr"]] == 0).all().all()
    assert describe_sets({}).empty
