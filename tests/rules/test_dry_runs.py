"""Dry runs: every target and both configurations give the jobs that they should."""

import copy
import re
import shutil
import subprocess
import sys

import pandas
import pytest

from rhvae_mri.convert.oasis import CLINICAL_TABLE
from rhvae_mri.study_grid import batch_seeds, list_conditions


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
    assert jobs["convert_to_bids"] == (2 if target != "figures" else jobs["convert_to_bids"])
    assert ("train_cnn" in jobs) == (target != "audit")


def test_the_grid_of_the_simulated_study(dry_run, tmp_path, load_config):
    jobs = dry_run(tmp_path, load_config(), "all")
    # 2 architectures x 2 training sets x (real + 2 synthetic + 2 augmented), 5 seeds in one job
    assert jobs["train_cnn"] == jobs["evaluate"] == 20
    assert jobs["train_rhvae"] == jobs["generate_synthetic"] == 4


def test_one_more_seed_and_one_more_size_add_jobs_and_change_none(dry_run, tmp_path, load_config):
    config = load_config()
    config["cnn"]["seeds"] = 6
    config["synthetic"]["sizes"] = [20, 40, 60]
    jobs = dry_run(tmp_path, config, "all")
    assert jobs["train_cnn"] == 2 * 28
    assert jobs["evaluate"] == 28


def test_single_cells_of_the_grid_can_be_left_out(dry_run, tmp_path, load_config):
    config = load_config()
    config["grid"]["exclude"] = [
        {"architecture": "optimized", "training_data": "synthetic"},
        {"training_set": "train-8", "training_data": "synthetic"},
        {"training_set": "train-8", "training_data": "augmented"},
    ]
    jobs = dry_run(tmp_path, config, "all")
    # of each architecture's ten: train-8 real, and of train-full real, 2 augmented and, once, 2 synthetic
    assert jobs["train_cnn"] == jobs["evaluate"] == 6 + 4
    assert jobs["train_rhvae"] == jobs["measure_generation"] == 2


def test_classic_augmentation_adds_one_condition_and_needs_no_synthetic_image(dry_run, tmp_path, load_config):
    config = load_config()
    config["grid"]["training_data"] = ["real", "classic"]
    jobs = dry_run(tmp_path, config, "all")
    assert jobs["train_cnn"] == jobs["evaluate"] == 2 * 2 * 2
    assert not jobs.keys() & {"train_rhvae", "generate_synthetic", "draw_slices", "draw_generation"}
    config["grid"]["full_resolution"] = True
    assert dry_run(tmp_path, config, "all")["train_cnn"] == 2 * 2 * 3


SEARCH = {"split_folds", "train_candidates", "rank_candidates", "draw_search"}


def test_the_search_runs_when_it_is_asked_for_and_trains_no_other_network(dry_run, tmp_path, load_config):
    config = load_config()
    assert SEARCH.isdisjoint(dry_run(tmp_path, config, "all"))
    jobs = dry_run(tmp_path, config, "random_search")
    assert {rule: jobs[rule] for rule in SEARCH} == dict.fromkeys(SEARCH, 1)
    assert {"train_cnn", "train_rhvae", "evaluate"}.isdisjoint(jobs)
    config["search"] |= {"candidates": 7, "candidates_per_job": 3}
    config["grid"]["full_resolution"] = True
    jobs = dry_run(tmp_path, config, "random_search")
    assert jobs["split_folds"] == 1
    assert jobs["rank_candidates"] == jobs["draw_search"] == 2
    assert jobs["train_candidates"] == 2 * 3


def test_networks_that_take_their_architecture_from_the_search_wait_for_it(dry_run, tmp_path, load_config):
    config = load_config()
    config["cnn"]["optimized"] = "searched"
    jobs = dry_run(tmp_path, config, "all")
    assert {rule: jobs[rule] for rule in SEARCH} == dict.fromkeys(SEARCH, 1)
    assert jobs["train_cnn"] == 20
    condition = "training_set-train-8/training_data-real/n_synthetic-0/resolution-downsampled/predictions.tsv"
    of_search = "train_candidates", "rank_candidates"
    optimized = dry_run(tmp_path, config, f"results/cnn/architecture-optimized/{condition}")
    assert [optimized.get(rule) for rule in of_search] == [1, 1]
    baseline = dry_run(tmp_path, config, f"results/cnn/architecture-baseline/{condition}")
    assert set(of_search).isdisjoint(baseline)


def test_the_figure_of_saliency_shows_each_architecture_on_real_images(dry_run, tmp_path, load_config):
    config = load_config()
    jobs = dry_run(tmp_path, config, "figures")
    assert jobs["measure_saliency"] == 2
    assert jobs["draw_saliency"] == jobs["outline_regions"] == 1
    config["grid"]["training_data"] = ["synthetic"]
    assert not dry_run(tmp_path, config, "figures").keys() & {"measure_saliency", "draw_saliency"}


def test_a_further_cohort_is_converted_or_taken_as_it_is_and_evaluated(dry_run, tmp_path, load_config):
    config = load_config()
    (tmp_path / "bids").mkdir()
    config["cohorts"]["OASIS3"] = {"source": "bids", "bids": "bids"}
    jobs = dry_run(tmp_path, config, "all")
    assert jobs["list_images"] == jobs["check_quality"] == jobs["pack_tensors"] == jobs["draw_audit"] == 3
    assert jobs["convert_to_bids"] == 2
    assert jobs["train_cnn"] == jobs["evaluate"] == 20
    config["cohorts"]["OASIS3"]["source"] = "none"
    assert dry_run(tmp_path, config, "all")["list_images"] == 2
    tables = tmp_path / "tables"
    (tmp_path / "images" / "disc1" / "OAS1_0001_MR1").mkdir(parents=True)
    tables.mkdir()
    columns = ["ID", "M/F", "Hand", "Age", "Educ", "MMSE", "CDR"]
    pandas.DataFrame(columns=columns).to_excel(tables / CLINICAL_TABLE)
    config["cohorts"]["OASIS3"] = {"source": "oasis1", "images": "images", "tables": "tables"}
    assert dry_run(tmp_path, config, "all")["convert_to_bids"] == 3


def image_table(cohort, counts):
    """An image table as `list_images` writes it, of participants without any other file."""
    lines = [
        "image_id participant_id session_id cohort age sex site field_strength diagnosis mmse cdr path "
        "status reason".replace(" ", "\t")
    ]
    for diagnosis, number in counts.items():
        for i in range(number):
            participant = f"sub-{cohort}{diagnosis}{i}"
            path = f"results-paper/bids/cohort-{cohort}/{participant}.nii.gz"
            lines.append(
                f"{participant}_ses-M000\t{participant}\tses-M000\t{cohort}\t70\tF\t1\t3\t{diagnosis}"
                f"\t28\t0\t{path}\tkept\tn/a"
            )
    return "\n".join(lines) + "\n"


def image_files(table):
    """The table of digests that belongs to an image table."""
    paths = [line.split("\t")[11] for line in table.splitlines()[1:]]
    return "path\tcontent\n" + "".join(f"{path}\tx\n" for path in paths)


@pytest.fixture(scope="module")
def converted_paper_study(tmp_path_factory, load_config):
    """The published study as it stands after conversion: image tables of the published size."""
    folder = tmp_path_factory.mktemp("paper")
    config = load_config("paper.yaml")
    for cohort, counts in {"ADNI": {"AD": 362, "CN": 403}, "AIBL": {"AD": 76, "CN": 429}}.items():
        for kind in ("images", "tables"):
            (folder / "downloads" / cohort / kind).mkdir(parents=True)
            config["cohorts"][cohort][kind] = f"downloads/{cohort}/{kind}"
        bids = folder / "results-paper" / "bids" / f"cohort-{cohort}"
        bids.mkdir(parents=True)
        table = image_table(cohort, counts)
        for line in table.splitlines()[1:]:
            (folder / line.split("\t")[11]).touch()
        for part, name, content in (
            ("conversion", "conversion.tsv", ""),
            ("conversion", "tables.tsv", ""),
            ("conversion", "folders.json", "{}"),
            ("cohorts", "images.tsv", table),
            ("cohorts", "values.tsv", ""),
            ("cohorts", "image_files.tsv", image_files(table)),
        ):
            file = folder / "results-paper" / part / f"cohort-{cohort}" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
    return folder, config


def test_the_published_study_in_full(dry_run, converted_paper_study):
    folder, config = converted_paper_study
    jobs = dry_run(folder, config, "all")
    assert "convert_to_bids" not in jobs
    for rule in ("correct_bias", "register_to_mni", "crop_to_template"):
        assert jobs[rule] == 765 + 505
    # 2 architectures x 2 training sets x (2 resolutions of real + 6 synthetic + 6 augmented) x 20 seeds
    assert jobs["train_cnn"] == 2 * 2 * 14 * 20
    assert jobs["train_rhvae"] == 4


def pretend_to_have_trained(folder, config, n_seeds, per_job):
    """Write empty files where a study's template, quality, split, tensors, images and networks are."""
    results = folder / "results-paper"
    files = [f"template/template.{kind}" for kind in ("nii.gz", "json")]
    files += [f"quality/deep_quality_weights.{kind}" for kind in ("safetensors", "json")]
    files += [
        f"quality/cohort-{cohort}/{name}.tsv"
        for cohort in ("ADNI", "AIBL")
        for name in ("metrics", "deep_quality", "quality")
    ]
    files += [
        f"tensors/cohort-{cohort}/resolution-{resolution}/images.safetensors"
        for cohort in ("ADNI", "AIBL")
        for resolution in ("full", "downsampled")
    ]
    files += [f"split/duplicates_cohort-{cohort}.tsv" for cohort in ("ADNI", "AIBL")]
    files += [f"split/{name}" for name in ("split.tsv", "balance.tsv", "independent.tsv", "demographics.tsv")]
    files.append("split/leakage.json")
    files += [
        f"{part}/training_set-{training_set}/diagnosis-{diagnosis}/{name}"
        for part, name in (
            ("rhvae", "model.safetensors"),
            ("rhvae", "history.tsv"),
            ("synthetic", "images.safetensors"),
            ("synthetic", "images.tsv"),
            ("synthetic", "latent_codes.safetensors"),
            ("synthetic", "chains.json"),
        )
        for training_set in ("train-50", "train-full")
        for diagnosis in ("AD", "CN")
    ]
    for each in list_conditions(config["grid"], config["synthetic"]["sizes"]):
        place = "cnn/" + "/".join(f"{name}-{value}" for name, value in each.items())
        files += [
            f"{place}/seeds-{batch}/{name}"
            for batch in batch_seeds(n_seeds, per_job)
            for name in ("networks.safetensors", "history.tsv", "metrics.json")
        ]
    for file in files:
        (results / file).parent.mkdir(parents=True, exist_ok=True)
        (results / file).touch()


def test_one_more_seed_trains_again_only_a_batch_that_was_not_whole(dry_run, converted_paper_study, tmp_path):
    converted, config = converted_paper_study
    folder = tmp_path / "study"
    shutil.copytree(converted, folder)
    config = copy.deepcopy(config)
    config["cnn"] |= {"seeds": 12, "seeds_per_job": 5}
    config["grid"] |= {"architectures": ["baseline"], "training_sets": ["train-50"]}
    config["synthetic"]["sizes"] = [500, 10000]
    pretend_to_have_trained(folder, config, 10, 5)
    # 6 conditions; the batches 0-4 and 5-9 are there, 10-11 is new
    assert dry_run(folder, config, "tables")["train_cnn"] == 6
    pretend_to_have_trained(folder, config, 12, 5)
    assert "train_cnn" not in dry_run(folder, config, "tables")
    config["cnn"]["seeds"] = 13  # 10-12 takes the place of 10-11
    assert dry_run(folder, config, "tables")["train_cnn"] == 6
    config["synthetic"]["sizes"] = [500, 7000, 10000]
    config["cnn"]["seeds"] = 12
    assert dry_run(folder, config, "tables")["train_cnn"] == 2 * 3  # two conditions, three batches


def test_a_cohort_that_is_added_later_trains_nothing_again(dry_run, converted_paper_study, tmp_path):
    converted, config = converted_paper_study
    folder = tmp_path / "study"
    shutil.copytree(converted, folder)
    config = copy.deepcopy(config)
    pretend_to_have_trained(folder, config, 20, config["cnn"]["seeds_per_job"])
    assert "evaluate" in dry_run(folder, config, "tables")
    (folder / "bids").mkdir()
    config["cohorts"]["Third"] = {"source": "bids", "bids": "bids"}
    table = folder / "results-paper/cohorts/cohort-Third/images.tsv"
    table.parent.mkdir()
    table.write_text(image_table("Third", {"AD": 3, "CN": 4}))
    table.with_name("values.tsv").touch()
    table.with_name("image_files.tsv").write_text(image_files(table.read_text()))
    for line in table.read_text().splitlines()[1:]:
        place = folder / line.split("\t")[11]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    jobs = dry_run(folder, config, "tables")
    assert jobs["correct_bias"] == 7
    assert jobs["select_test_cohorts"] == 1
    assert jobs["evaluate"] == 56
    assert not jobs.keys() & {"split_cohort", "train_rhvae", "train_cnn", "generate_synthetic"}


def test_the_search_of_the_published_study(dry_run, converted_paper_study):
    folder, config = converted_paper_study
    jobs = dry_run(folder, config, "random_search")
    assert jobs["train_candidates"] == 2 * 100
    assert "train_cnn" not in jobs


def test_the_audit_of_the_published_study_trains_nothing(dry_run, converted_paper_study):
    folder, config = converted_paper_study
    assert "train_cnn" not in dry_run(folder, config, "audit")


def test_the_workflow_passes_snakemakes_own_linter(root):
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_download_takes_what_the_configuration_has_from_the_network(
    dry_run, converted_paper_study, tmp_path, load_config
):
    assert dry_run(*converted_paper_study, "download") == {
        "download": 1,
        "prepare_deep_quality": 1,
        "prepare_template": 1,
        "total": 3,
    }
    assert "prepare_template" not in dry_run(tmp_path, load_config(), "download")
