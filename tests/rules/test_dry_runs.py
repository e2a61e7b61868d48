"""Dry runs: every target and both configurations give the jobs that they should."""

import os
import re
import time

import pandas
import pytest

from rhvae_mri.convert.oasis import CLINICAL_TABLE
from rhvae_mri.io.files import write_text, write_tsv


def count_jobs(output):
    """The numbers of jobs by rule, from the table that a dry run prints."""
    return {rule: int(n) for rule, n in re.findall(r"^([a-z_]+) +(\d+)$", output, re.MULTILINE)}


@pytest.fixture(scope="module")
def dry_run(run_snakemake):
    def run(folder, config, *targets):
        result = run_snakemake(folder, config, "--dry-run", "--quiet", "rules", "--", *targets)
        assert result.returncode == 0, result.stdout
        return count_jobs(result.stdout)

    return run


@pytest.mark.parametrize("target", ["all", "audit", "tables", "figures"])
def test_every_target_of_the_simulated_study_can_be_planned(dry_run, tmp_path, load_config, target):
    jobs = dry_run(tmp_path, load_config(), target)
    assert jobs["simulate_adni"] == 1
    assert target == "figures" or jobs["convert_to_bids"] == 2
    assert ("train_cnn" in jobs) == (target != "audit")


#: The published study's grid; the simulated one has one network and one training set.
GRID = {
    "architectures": ["baseline", "optimized"],
    "training_sets": ["train-20", "train-full"],
    "training_data": ["real", "synthetic", "augmented"],
    "generators": ["rhvae"],
}
NO_SYNTHETIC = [
    {"architecture": "optimized", "training_data": "synthetic"},
    {"training_set": "train-20", "training_data": "synthetic"},
    {"training_set": "train-20", "training_data": "augmented"},
]
TRAINING = ("train_cnn", "evaluate", "train_generator")
SYNTHETIC = ("train_generator", "generate_synthetic", "draw_slices", "draw_generation")
SEARCH = ("split_folds", "train_candidates", "rank_candidates", "draw_search")
CLASSIC = {"grid": {"training_data": ["real", "classic"]}}
FULL = {"grid": {"full_resolution": True}}


@pytest.mark.parametrize(
    ("changes", "target", "expected"),
    [
        # 2 architectures x 2 training sets x (real + 2 synthetic + 2 augmented), all seeds in one job
        (
            {},
            "all",
            {"train_cnn": 20, "evaluate": 20, "train_generator": 4, "generate_synthetic": 4}
            | dict.fromkeys(SEARCH, 0),
        ),
        # two jobs a condition, of which there are 28
        (
            {"cnn": {"seeds": 7}, "synthetic": {"sizes": [20, 40, 60]}},
            "all",
            {"train_cnn": 56, "evaluate": 28},
        ),
        # of each architecture's ten: train-20 real; of train-full real, 2 augmented and, once, 2 synthetic
        (
            {"grid": {"exclude": NO_SYNTHETIC}},
            "all",
            {"train_cnn": 10, "evaluate": 10, "train_generator": 2, "measure_generation": 2},
        ),
        (CLASSIC, "all", {"train_cnn": 8, "evaluate": 8} | dict.fromkeys(SYNTHETIC, 0)),
        ({"grid": CLASSIC["grid"] | FULL["grid"]}, "all", {"train_cnn": 12}),
        ({}, "random_search", dict.fromkeys(SEARCH, 1) | dict.fromkeys(TRAINING, 0)),
        (
            {"search": {"candidates": 7, "candidates_per_job": 3}} | FULL,
            "random_search",
            dict.fromkeys(SEARCH, 2) | {"split_folds": 1, "train_candidates": 2 * 3},
        ),
        ({"cnn": {"optimized": "searched"}}, "all", dict.fromkeys(SEARCH, 1) | {"train_cnn": 20}),
        ({}, "figures", {"measure_saliency": 2, "draw_saliency": 1, "outline_regions": 1}),
        ({"grid": {"training_data": ["synthetic"]}}, "figures", {"measure_saliency": 0, "draw_saliency": 0}),
        ({}, "download", {"prepare_template": 0}),
    ],
)
def test_the_configuration_decides_how_often_a_rule_runs(
    dry_run, tmp_path, load_config, changes, target, expected
):
    config = load_config()
    config["grid"] |= GRID
    config["synthetic"]["sizes"] = [20, 40]
    for section, values in changes.items():
        config[section] |= values
    jobs = dry_run(tmp_path, config, target)
    assert {rule: jobs.get(rule, 0) for rule in expected} == expected


@pytest.mark.parametrize(("architecture", "n_jobs"), [("optimized", 1), ("baseline", None)])
def test_only_networks_that_take_their_architecture_from_the_search_wait_for_it(
    dry_run, tmp_path, load_config, architecture, n_jobs
):
    config = load_config()
    config["grid"] |= GRID
    config["cnn"]["optimized"] = "searched"
    condition = (
        "training_set-train-20/training_data-real/n_synthetic-0/resolution-downsampled/predictions.tsv"
    )
    jobs = dry_run(tmp_path, config, f"results/cnn/architecture-{architecture}/{condition}")
    assert [jobs.get(rule) for rule in ("train_candidates", "rank_candidates")] == [n_jobs, n_jobs]


def test_a_further_cohort_is_converted_or_taken_as_it_is_and_evaluated(dry_run, tmp_path, load_config):
    config = load_config()
    (tmp_path / "bids").mkdir()
    config["cohorts"]["OASIS3"] = {"source": "bids", "bids": "bids"}
    jobs = dry_run(tmp_path, config, "all")
    assert jobs["list_images"] == jobs["check_quality"] == jobs["pack_tensors"] == jobs["draw_audit"] == 3
    assert jobs["convert_to_bids"] == 2
    assert jobs["train_cnn"] == jobs["evaluate"] == 5
    config["cohorts"]["OASIS3"]["source"] = "none"
    assert dry_run(tmp_path, config, "all")["list_images"] == 2
    tables = tmp_path / "tables"
    (tmp_path / "images" / "disc1" / "OAS1_0001_MR1").mkdir(parents=True)
    tables.mkdir()
    columns = ["ID", "M/F", "Hand", "Age", "Educ", "MMSE", "CDR"]
    pandas.DataFrame(columns=columns).to_excel(tables / CLINICAL_TABLE)
    config["cohorts"]["OASIS3"] = {"source": "oasis1", "images": "images", "tables": "tables"}
    assert dry_run(tmp_path, config, "all")["convert_to_bids"] == 3


def write_listed_images(folder, cohort, counts):
    """Write what `list_images` does of images without any content, and these."""
    rows = [
        {
            "image_id": f"sub-{cohort}{diagnosis}{number}_ses-M000",
            "participant_id": f"sub-{cohort}{diagnosis}{number}",
            "session_id": "ses-M000",
            "cohort": cohort,
            **{"age": 70, "sex": "F", "site": "1", "field_strength": 3, "diagnosis": diagnosis},
            **{"mmse": 28, "cdr": 0},
            "path": f"results-paper/bids/cohort-{cohort}/sub-{cohort}{diagnosis}{number}.nii.gz",
            "status": "kept",
            "reason": None,
        }
        for diagnosis, n_images in counts.items()
        for number in range(n_images)
    ]
    images = pandas.DataFrame(rows)
    for path in images["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    place = folder / "results-paper" / "cohorts" / f"cohort-{cohort}"
    write_tsv(place / "images.tsv", images)
    write_tsv(place / "image_files.tsv", images[["path"]].assign(content="x"))
    (place / "values.tsv").touch()


def convert_paper_study(folder, config, counts):
    """The published study in a folder as it stands after conversion, with so many images of each class."""
    for cohort, of_cohort in counts.items():
        for kind in ("images", "tables"):
            (folder / "downloads" / cohort / kind).mkdir(parents=True)
            config["cohorts"][cohort][kind] = f"downloads/{cohort}/{kind}"
        for name, content in (("conversion.tsv", ""), ("tables.tsv", ""), ("folders.json", "{}")):
            write_text(folder / f"results-paper/conversion/cohort-{cohort}/{name}", content)
        write_listed_images(folder, cohort, of_cohort)
    return folder, config


@pytest.fixture(scope="module")
def paper_study(tmp_path_factory, load_config):
    counts = {"ADNI": {"AD": 362, "CN": 403}, "AIBL": {"AD": 76, "CN": 429}}
    return convert_paper_study(tmp_path_factory.mktemp("paper"), load_config("paper.yaml"), counts)


@pytest.fixture
def small_study(tmp_path, load_config):
    counts = {"ADNI": {"AD": 2, "CN": 2}, "AIBL": {"AD": 1, "CN": 1}}
    return convert_paper_study(tmp_path, load_config("paper.yaml"), counts)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "all",
            {"convert_to_bids": 0, "train_generator": 4}
            | {"preprocess_image": 765 + 505}
            # 2 architectures x 2 training sets x (2 sizes of real + 6 synthetic + 6 augmented) x 20 seeds
            | {"train_cnn": 2 * 2 * 14 * 20},
        ),
        ("random_search", {"train_candidates": 2 * 100, "train_cnn": 0}),
        ("audit", {"train_cnn": 0, "preprocess_image": 765 + 505}),
        ("download", {"download": 1, "prepare_deep_quality": 1, "prepare_template": 1, "total": 3}),
    ],
)
def test_the_published_study(dry_run, paper_study, target, expected):
    jobs = dry_run(*paper_study, target)
    assert {rule: jobs.get(rule, 0) for rule in expected} == expected


@pytest.fixture
def pretend_to_have_trained(run_snakemake):
    """Write empty files where the networks of a study, and all that leads to them, are going to be."""

    def run(folder, config):
        plan = run_snakemake(folder, config, "--dry-run", "--omit-from", "evaluate", "--", "tables").stdout
        outputs, present = re.findall(r"^    output: (.*)$", plan, re.MULTILINE), time.time()
        for file in (folder / name for names in outputs for name in names.split(", ")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            os.utime(file, (present, present))  # the jobs are not in their order

    return run


def test_one_more_seed_trains_again_only_a_batch_that_was_not_whole(
    dry_run, small_study, pretend_to_have_trained
):
    folder, config = small_study
    config["cnn"] |= {"seeds": 10, "seeds_per_job": 5}
    config["grid"] |= {**GRID, "architectures": ["baseline"], "training_sets": ["train-50"]}
    config["synthetic"]["sizes"] = [500, 10000]
    pretend_to_have_trained(folder, config)
    config["cnn"]["seeds"] = 12  # 6 conditions; the batches 0-4 and 5-9 are there, 10-11 is new
    assert dry_run(folder, config, "tables")["train_cnn"] == 6
    pretend_to_have_trained(folder, config)
    assert "train_cnn" not in dry_run(folder, config, "tables")
    config["cnn"]["seeds"] = 13  # 10-12 takes the place of 10-11
    assert dry_run(folder, config, "tables")["train_cnn"] == 6
    config["synthetic"]["sizes"] = [500, 7000, 10000]
    config["cnn"]["seeds"] = 12
    assert dry_run(folder, config, "tables")["train_cnn"] == 2 * 3  # two conditions, three batches


def test_a_cohort_that_is_added_later_trains_nothing_again(dry_run, small_study, pretend_to_have_trained):
    folder, config = small_study
    pretend_to_have_trained(folder, config)
    assert "evaluate" in dry_run(folder, config, "tables")
    (folder / "bids").mkdir()
    config["cohorts"]["Third"] = {"source": "bids", "bids": "bids"}
    write_listed_images(folder, "Third", {"AD": 3, "CN": 4})
    jobs = dry_run(folder, config, "tables")
    assert jobs["preprocess_image"] == 7
    assert jobs["select_test_cohorts"] == 1
    assert jobs["evaluate"] == 56
    assert not jobs.keys() & {"split_cohort", "train_generator", "train_cnn", "generate_synthetic"}
