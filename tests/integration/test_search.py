"""The random search on the simulated study, by the command of README.md: the demo itself searches nothing."""

import copy
import re

import pytest

from rhvae_mri.io.files import read_json, read_tsv

pytestmark = pytest.mark.demo

#: As in README.md.
SEARCH = ".venv/bin/snakemake random_search"


@pytest.fixture(scope="module")
def searched(demo):
    """The demo after the search."""
    assert demo.returncode == 0, demo.output
    search = demo.run(SEARCH)
    assert search.returncode == 0, search.output
    return demo


@pytest.fixture(scope="module")
def plan(searched, run_snakemake):
    """The numbers of jobs by rule that a dry run of a configuration plans."""

    def run(config, target):
        arguments = ("--dry-run", "--quiet", "rules", "--", target)
        result = run_snakemake(searched.folder, config, *arguments, snakefile=searched.snakefile)
        assert result.returncode == 0, result.stdout
        return {rule: int(n) for rule, n in re.findall(r"^([a-z_]+) +(\d+)$", result.stdout, re.MULTILINE)}

    return run


def test_the_leaderboard_has_every_candidate_and_names_the_winner(searched):
    folder = searched.results / "search/resolution-downsampled"
    leaderboard = read_tsv(folder / "leaderboard.tsv")
    asked = searched.config["search"]
    assert sorted(leaderboard["candidate"]) == list(range(asked["candidates"]))
    complete = leaderboard[leaderboard["status"] == "complete"]
    assert len(complete) >= 1
    folds = complete[[f"fold_{fold}_percent" for fold in range(asked["folds"])]]
    assert folds.stack().between(0, 100).all()
    assert complete["mean_percent"].tolist() == pytest.approx(folds.mean(axis=1).tolist())
    assert complete["mean_percent"].is_monotonic_decreasing
    summary = read_json(folder / "leaderboard.json")
    assert summary["winner"]["number"] == leaderboard["candidate"][0]
    assert summary["winner"]["mean_percent"] == pytest.approx(leaderboard["mean_percent"][0], abs=1e-4)
    history = read_tsv(folder / f"candidates-0-{asked['candidates'] - 1}" / "history.tsv")
    assert len(history) >= len(complete) * asked["folds"] * asked["epochs"]


def test_nobody_who_validates_or_is_tested_is_in_a_fold(searched):
    folds = read_tsv(searched.results / "search/folds.tsv")
    split = read_tsv(searched.results / "split/split.tsv")
    assert sorted(folds["image_id"]) == sorted(split["image_id"][split["set"] == "train"])
    leakage = read_json(searched.results / "search/leakage.json")
    assert all(fold["passed"] for fold in leakage.values())


def test_what_is_shown_says_that_the_data_are_simulated(searched):
    assert "Simulated data" in (searched.results / "figures/search_downsampled.svg").read_text()
    assert read_json(searched.results / "search/resolution-downsampled/leaderboard.json")["simulated"] is True


def test_the_search_writes_nothing_elsewhere_and_leaves_no_checkpoint(searched):
    written = searched.run(SEARCH).written
    new = [name for name in written if not name.startswith(("logs/", "benchmarks/"))]
    assert new
    assert all(name.startswith(("search/", "figures/search_")) for name in new), new
    assert not any("checkpoints" in name for name in new)


def test_a_second_search_has_nothing_to_do(searched, run_snakemake):
    result = run_snakemake(searched.folder, searched.config, "random_search", snakefile=searched.snakefile)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout


def test_more_candidates_train_only_the_new_ones_and_another_space_all(demo, plan):
    config = copy.deepcopy(demo.config)
    config["search"]["candidates"] += 1
    assert plan(config, "random_search")["train_candidates"] == 1
    config = copy.deepcopy(demo.config)
    config["search"]["candidates"] += config["search"]["candidates_per_job"]
    config["search"]["space"]["n_blocks"] = [2, 5]
    assert plan(config, "random_search")["train_candidates"] == 2


def test_with_the_winner_as_the_optimized_network_only_that_one_is_trained(demo, plan):
    config = copy.deepcopy(demo.config)
    config["cnn"]["optimized"] = "searched"
    config["grid"]["architectures"] = ["baseline", "optimized"]
    jobs = plan(config, "all")
    conditions = len(
        read_tsv(demo.results / "tables/runs.tsv")[
            ["training_set", "n_synthetic", "training_data", "generator"]
        ].drop_duplicates()
    )
    assert jobs["train_cnn"] == jobs["evaluate"] == conditions
    assert "train_candidates" not in jobs
