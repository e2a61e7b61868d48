"""One thing of a good BIDS dataset is changed: the right table, an exclusion or a clear refusal comes."""

import pytest
from fuzz_bids import differences, list_dataset, run_seed, write_files
from fuzz_dataset import SAME, good_dataset
from fuzz_laboratory import Laboratory

#: Seeds of the tables and names, of all kinds in turn; and of the kinds whose images are preprocessed.
SEEDS = range(26)
IMAGES = [(0, "intensity"), (1, "intensity"), (0, "orientation"), (1, "orientation")]


@pytest.fixture(scope="module")
def files():
    return good_dataset()


def test_the_good_dataset_gives_the_table_that_the_changes_start_from(files, tmp_path):
    rows, listed = list_dataset(write_files(tmp_path / "bids", files))
    assert differences(rows, listed, SAME) == []
    assert sum(row["status"] == "kept" for row in rows.values()) == 12


@pytest.mark.parametrize("seed", SEEDS)
def test_a_change_of_a_dataset_is_never_silent(seed, files, tmp_path):
    result = run_seed(seed, files, tmp_path)
    assert not result.problem, (result.kind, result.what)


@pytest.fixture(scope="module")
def laboratory(files, tmp_path_factory):
    return Laboratory(files, tmp_path_factory.mktemp("images") / "laboratory")


@pytest.mark.parametrize(("seed", "kind"), IMAGES)
def test_a_change_of_an_image_is_never_silent(seed, kind, files, laboratory, tmp_path):
    result = run_seed(seed, files, tmp_path, laboratory, (kind,))
    assert not result.problem, (result.kind, result.what)
