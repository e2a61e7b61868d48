"""A further cohort, given in BIDS by configuration alone, is tested with the networks that are there."""

import copy

import pandas
import pytest
from simulated_bids import write_dataset

from rhvae_mri.io.files import read_tsv
from rhvae_mri.study.grid import condition_path, list_conditions

pytestmark = pytest.mark.demo


def test_a_cohort_that_is_added_later_is_tested_and_nothing_is_trained_again(demo, run_snakemake, tmp_path):
    config = copy.deepcopy(demo.config)
    folder = tmp_path / "study"
    study = demo.copy_to(folder)
    condition = list_conditions(config["grid"], config["synthetic"]["sizes"])[0]
    place = f"results/cnn/{condition_path(condition)}"
    before = read_tsv(folder / place / "predictions.tsv")
    trained = {path: path.stat().st_mtime_ns for path in (folder / place).glob("seeds-*/*")}

    config["cohorts"]["Third"] = write_dataset(tmp_path / "bids", {"AD": 2, "CN": 2, "MCI": 1})
    targets = (f"{place}/predictions.tsv", "results/split/demographics.tsv")
    result = run_snakemake(folder, config, "--verbose", "--", *targets, snakefile=study.snakefile)
    assert result.returncode == 0, result.stdout
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert "rule preprocess_image" in result.stdout
    assert "wildcards: cohort=ADNI" not in result.stdout

    after = read_tsv(folder / place / "predictions.tsv")
    pandas.testing.assert_frame_equal(
        after[after["test_cohort"] != "Third"].reset_index(drop=True), before, check_exact=False, atol=1e-6
    )
    third = after[after["test_cohort"] == "Third"]
    assert set(third["set"]) == {"test"}
    assert third.groupby("seed")["label"].sum().tolist() == [2] * config["cnn"]["seeds"]
    assert third.groupby("seed").size().tolist() == [4] * config["cnn"]["seeds"]
    people = read_tsv(folder / "results/split/independent.tsv", ("site",))
    people = people[people["cohort"] == "Third"]
    assert sorted(people["diagnosis"]) == ["AD", "AD", "CN", "CN"]
    assert people["site"].isna().all()
    assert "Third" in set(read_tsv(folder / "results/split/demographics.tsv")["set"])


def test_another_cohort_is_split_where_it_has_the_role_of_training(demo, run_snakemake, tmp_path):
    config = copy.deepcopy(demo.config)
    study = demo.copy_to(tmp_path / "study")
    config["cohorts"]["ADNI"]["role"], config["cohorts"]["AIBL"]["role"] = "test", "train"
    config["split"] |= {"n_test_per_class": 1, "train_subsets": [2], "require_balance": False}
    config["split"]["validation_fraction"] = 0.25  # of four
    config["grid"]["training_sets"] = ["train-2", "train-full"]
    place = "results/cnn/architecture-baseline/training_set-train-2/training_data-real/n_synthetic-0"
    place += "/resolution-downsampled/predictions.tsv"
    result = run_snakemake(study.folder, config, "--", place, snakefile=study.snakefile)
    assert result.returncode == 0, result.stdout
    assert read_tsv(study.results / "split/split.tsv")["participant_id"].str.startswith("sub-AIBL").all()
    assert set(read_tsv(study.results / "split/independent.tsv")["cohort"]) == {"ADNI"}
    tested = read_tsv(study.folder / place)
    assert set(zip(tested["test_cohort"], tested["set"], strict=True)) == {
        ("ADNI", "test"),
        ("AIBL", "test"),
        ("AIBL", "validation"),
    }
