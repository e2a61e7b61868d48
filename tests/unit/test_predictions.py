import numpy
import pandas
import pytest
from made_up_runs import SETS, make_predictions, write_predictions

from rhvae_mri.errors import StudyError
from rhvae_mri.evaluation.predictions import collect_predictions, load_predictions, save_predictions
from rhvae_mri.files import read_tsv, write_tsv


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_predictions(tmp_path_factory.mktemp("predictions"))


def test_the_arrays_hold_every_probability_at_its_place(files):
    sets = {(each.test_cohort, each.set): each for each in collect_predictions(reversed(files))}
    assert list(sets) == [("ADNI", "validation"), ("ADNI", "test"), ("AIBL", "test")]
    for key, each in sets.items():
        assert each.probabilities.shape == (16, 3, sum(SETS[key]))
        assert each.labels.sum() == SETS[key][0]
        for condition, table in make_predictions():
            same = (each.conditions == pd_row(condition)).all(axis=1)
            place = int(numpy.flatnonzero(same)[0])
            rows = table[(table["test_cohort"] == key[0]) & (table["set"] == key[1])]
            wide = rows.pivot_table(index="seed", columns="image_id", values="probability")
            numpy.testing.assert_array_equal(each.probabilities[place], wide.loc[each.seeds, each.image_ids])
    first = sets["ADNI", "test"].conditions.iloc[:2]
    assert first["resolution"].tolist() == ["full", "downsampled"]  # the order of the paper's tables


def pd_row(condition):
    return pandas.Series(condition)


def test_what_is_saved_is_loaded(files, tmp_path):
    sets = collect_predictions(files)
    save_predictions(tmp_path / "predictions.safetensors", sets)
    for loaded, each in zip(load_predictions(tmp_path / "predictions.safetensors"), sets[1:], strict=True):
        assert (loaded.test_cohort, loaded.set) == (each.test_cohort, "test")
        assert loaded.image_ids == each.image_ids
        pandas.testing.assert_frame_equal(loaded.conditions, each.conditions)
        for name in ("seeds", "labels", "probabilities"):
            numpy.testing.assert_array_equal(getattr(loaded, name), getattr(each, name))
    (validation,) = load_predictions(tmp_path / "predictions.safetensors", "validation")
    assert validation.test_cohort == "ADNI"
    with pytest.raises(StudyError, match="No run was evaluated on a set training"):
        load_predictions(tmp_path / "predictions.safetensors", "training")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda table: table[table["seed"] != 1],
        lambda table: table.replace({"image_id": {"sub-ADNItest003_ses-M000": "sub-other"}}),
        lambda table: table.assign(
            label=table["label"].where(table["image_id"] != "sub-AIBLtest002_ses-M000", 0)
        ),
        lambda table: table.drop(index=5),
    ],
)
def test_runs_that_do_not_match_are_refused(files, tmp_path, spoil):
    write_tsv(tmp_path / "predictions.tsv", spoil(read_tsv(files[3])))
    with pytest.raises(StudyError, match="do not all have the same seeds, images and labels"):
        collect_predictions([*files[:3], tmp_path / "predictions.tsv"])
    with pytest.raises(StudyError, match="no predictions"):
        collect_predictions([])
