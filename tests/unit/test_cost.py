"""The estimate of a study's cost, from made-up benchmarks that follow a known law."""

import copy
import math

import pytest
import yaml
from made_up_reference import HEAD, MEMORY, benchmark, core_seconds, write_reference

from rhvae_mri.cost.estimate import COLUMNS, EXPONENT, QUANTITIES, STAGES, describe_estimate, estimate_cost
from rhvae_mri.cost.workload import StudySizes, disk_work, expected_sizes, list_jobs, sizes_of_results
from rhvae_mri.io.errors import StudyError

SPEEDUP = (10, 200)


@pytest.fixture(scope="module")
def config(load_config):
    config = load_config()
    config["grid"] |= {
        "architectures": ["baseline", "optimized"],
        "training_sets": ["train-20", "train-full"],
        "generators": ["rhvae"],
    }
    return config


@pytest.fixture(scope="module")
def paper(load_config):
    return load_config("paper.yaml")


def rows(table):
    return {row["stage"]: row for row in table.to_dict("records")}


def test_the_sizes_of_the_published_study(paper):
    sizes = expected_sizes(paper, 3.0)
    assert sizes.images == {"ADNI": 765, "AIBL": 505}
    assert sizes.scans == {"ADNI": 2295, "AIBL": 1515}
    assert sizes.training == {
        ("train-full", "AD"): 210,
        ("train-full", "CN"): 243,
        ("train-50", "AD"): 50,
        ("train-50", "CN"): 50,
    }
    assert sizes.validation == {"AD": 52, "CN": 60}
    assert sizes.tested == 200


def test_a_further_cohort_of_unknown_size_is_left_out(paper):
    config = copy.deepcopy(paper)
    config["cohorts"]["OASIS"] = config["cohorts"]["AIBL"] | {"source": "bids", "bids": "oasis"}
    assert expected_sizes(config, 1.0) == expected_sizes(paper, 1.0)


def test_the_jobs_of_the_published_study(paper):
    counts = {}
    for job in list_jobs(paper, expected_sizes(paper, 1.0)):
        counts[job.rule] = counts.get(job.rule, 0) + job.count
    assert counts["preprocess_image"] == 765 + 505
    assert counts["train_cnn"] == 2 * 2 * 14 * 20
    assert counts["evaluate"] == 2 * 2 * 14
    assert counts["train_candidates"] == 2 * 100
    assert counts["train_generator"] == 4
    assert counts["check_deep_quality"] == 2
    assert set(counts) == set(STAGES)


def test_the_sizes_of_a_finished_study_are_counted_in_its_tables(config, tmp_path):
    sizes = sizes_of_results(write_reference(tmp_path, config), config)
    assert sizes == StudySizes(
        {"ADNI": 10, "AIBL": 3},
        {"ADNI": 20, "AIBL": 6},
        {("train-20", "AD"): 1, ("train-20", "CN"): 1, ("train-full", "AD"): 3, ("train-full", "CN"): 3},
        {"AD": 1, "CN": 1},
        2,
    )
    assert sizes.scans_per_image == 2.0


@pytest.mark.parametrize(("seconds", "startup"), [(12.0, 2.0), (2.0, 1.0)])
def test_a_worked_example(config, tmp_path, seconds, startup):
    # 13 scans of 6 mm took 12 s each, 2 s of it startup. A scan of 1 mm has 216 times the voxels, so it
    # takes 2 + 216 x 10 = 2162 s; exponents of 0.85 and 1.15 make 2 + 96.4 x 10 and 2 + 483.8 x 10.
    # Of a job of 2 s, no more than half is startup.
    rest = seconds - startup
    results = write_reference(tmp_path, config, left_out=STAGES)
    for cohort, count in {"ADNI": 10, "AIBL": 3}.items():
        for number in range(count):
            benchmark(results / f"benchmarks/preprocess_image/cohort-{cohort}/a/b{number}.tsv", seconds, 120)
    large = copy.deepcopy(config)
    large["template"]["voxel_size"] = 1
    row = rows(estimate_cost(results, large, SPEEDUP))["preprocess_image"]
    images = 80 + 80 + 6 + 10
    assert row["jobs"] == images
    assert row["reference_jobs"] == 13
    assert row["times_the_reference"] == pytest.approx(216)
    assert row["core_hours_expected"] == pytest.approx(images * (startup + 216 * rest) / 3600)
    assert row["core_hours_low"] == pytest.approx(images * (startup + 216**0.85 * rest) / 3600)
    assert row["core_hours_high"] == pytest.approx(images * (startup + 216**1.15 * rest) / 3600)
    assert row["gpu_hours_high"] == 0
    assert row["memory_mb_expected"] == pytest.approx(90 + 216 * 30)


def test_the_law_of_the_reference_gives_the_cost_of_the_published_study(config, paper, tmp_path):
    results = write_reference(tmp_path, config)
    small = list_jobs(config, sizes_of_results(results, config))
    table = rows(estimate_cost(results, paper, SPEEDUP))
    large = list_jobs(paper, expected_sizes(paper, 2.0))
    for stage in {job.stage for job in small}:
        hours = sum(job.count * core_seconds(job, small) for job in large if job.stage == stage) / 3600
        assert table[stage]["core_hours_expected"] == pytest.approx(hours), stage
        sizes = [max(job.size for job in jobs if job.stage == stage) for jobs in (small, large)]
        least = min(job.size for job in small if job.stage == stage)
        memory = STAGES[stage.partition(" ")[0]].base_mb + MEMORY * sizes[1] / least
        assert table[stage]["memory_mb_expected"] == pytest.approx(memory), stage


def test_a_study_estimated_from_itself_costs_what_it_cost(config, tmp_path):
    results = write_reference(tmp_path, config)
    sizes = sizes_of_results(results, config)
    jobs = list_jobs(config, sizes)
    total = rows(estimate_cost(results, config, SPEEDUP, sizes))["total"]
    spent = sum(job.count * core_seconds(job, jobs) for job in jobs) / 3600
    assert total["core_hours_expected"] == pytest.approx(spent)
    assert total["core_hours_low"] <= spent <= total["core_hours_high"]
    assert total["disk_gb_expected"] == pytest.approx(7 * 1000e-9)


def test_the_range_holds_the_estimate_and_grows_with_the_distance(config, paper, tmp_path):
    results = write_reference(tmp_path, config, speed=lambda job, number: 1 + number % 3)
    near, far = (rows(estimate_cost(results, one, SPEEDUP)) for one in (config, paper))
    for table in (near, far):
        for row in table.values():
            for quantity in QUANTITIES:
                low, expected, high = (row[f"{quantity}_{end}"] for end in ("low", "expected", "high"))
                assert math.isnan(expected) or low <= expected <= high
    for stage in ("measure_quality", "train_generator (rhvae)", "train_cnn (baseline)"):
        spread = [row[stage]["core_hours_high"] / row[stage]["core_hours_low"] for row in (near, far)]
        assert spread[0] < spread[1]
    assert near["preprocess_image"]["core_hours_low"] < near["preprocess_image"]["core_hours_expected"]


def test_what_the_reference_has_not_run_is_named_and_not_in_the_total(config, paper, tmp_path):
    results = write_reference(tmp_path, config, left_out=("train_generator",))
    table = estimate_cost(results, paper, SPEEDUP)
    assert tuple(table.columns) == COLUMNS
    missing = rows(table)["train_generator (rhvae)"]
    assert missing["reference_jobs"] == 0
    assert math.isnan(missing["core_hours_expected"])
    others = table[~table["stage"].isin(["total", "train_generator (rhvae)", "check_deep_quality"])]
    assert rows(table)["total"]["core_hours_high"] == pytest.approx(others["core_hours_high"].sum())
    assert rows(table)["total"]["memory_mb_high"] == others["memory_mb_high"].max()
    text = describe_estimate(table)
    # the small study does without the deep quality check, too
    assert "not in the total: check_deep_quality, train_generator (rhvae)." in text


def test_the_threads_of_a_conversion_are_those_of_its_rule(config, paper):
    for study, threads in ((config, 1), (paper, 2)):
        jobs = list_jobs(study, expected_sizes(study, 1.0))
        assert {job.threads for job in jobs if job.rule == "convert_to_bids"} == {threads}


def test_every_replicate_of_a_generator_is_a_job(config):
    several = copy.deepcopy(config)
    several["rhvae"]["replicates"] = 3
    once, thrice = ([*list_jobs(each, expected_sizes(each, 1.0))] for each in (config, several))
    for rule in ("train_generator", "generate_synthetic", "measure_generation"):
        keys = [{job.key for job in jobs if job.rule == rule} for jobs in (once, thrice)]
        assert len(keys[0]) == 4
        assert len(keys[1]) == 12
        assert keys[0] < keys[1]
    trained = [{job for job in jobs if job.rule == "train_cnn"} for jobs in (once, thrice)]
    assert trained[0] == trained[1]
    stored = [disk_work(each, expected_sizes(each, 1.0)) for each in (config, several)]
    assert stored[1]["synthetic"] == 3 * stored[0]["synthetic"]


def test_a_network_that_the_reference_has_not_trained_is_taken_as_another_one(config, paper, tmp_path):
    one = copy.deepcopy(config)
    one["grid"]["architectures"] = ["baseline"]
    table = estimate_cost(write_reference(tmp_path, one), paper, SPEEDUP)
    known, taken = (rows(table)[f"train_cnn ({name})"] for name in ("baseline", "optimized"))
    assert (known["reference_jobs"], taken["reference_jobs"]) == (6, 0)
    # half of the epochs, in as many jobs
    assert known["core_hours_expected"] / taken["core_hours_expected"] == pytest.approx(2, rel=0.01)
    ranges = [row["core_hours_high"] / row["core_hours_low"] for row in (known, taken)]
    assert ranges[1] > 2.5 * ranges[0]
    assert taken["memory_mb_high"] == pytest.approx(2 * known["memory_mb_high"])
    assert rows(table)["total"]["core_hours_expected"] > taken["core_hours_expected"]
    text = describe_estimate(table)
    assert "estimated from another network: train_cnn (optimized), evaluate (optimized)." in text
    assert "not in the total: check_deep_quality." in text


def test_hours_of_a_gpu_follow_from_the_assumed_speedup_or_from_a_gpu(config, tmp_path):
    without = rows(estimate_cost(write_reference(tmp_path / "a", config), config, SPEEDUP))[
        "train_generator (rhvae)"
    ]
    assert without["gpu_hours_low"] == pytest.approx(without["core_hours_low"] / 200)
    assert without["gpu_hours_high"] == pytest.approx(without["core_hours_high"] / 10)
    assert without["gpu_hours_expected"] == pytest.approx(without["core_hours_expected"] / math.sqrt(2000))
    config = copy.deepcopy(config)
    config["rhvae"]["threads"] = 4
    results = write_reference(tmp_path / "b", config, gpus=["a GPU"])
    with_gpu = rows(estimate_cost(results, config, SPEEDUP))["train_generator (rhvae)"]
    # four threads wait for the GPU
    assert with_gpu["core_hours_expected"] == pytest.approx(4 * with_gpu["gpu_hours_expected"])


@pytest.mark.parametrize("content", ["", HEAD + "\n", f"{HEAD}\nNA\t-\tNA\n", "a\tb\n1\t2\n", "\x00\n\x00"])
def test_a_benchmark_that_cannot_be_read_is_passed_over(config, tmp_path, content):
    results = write_reference(tmp_path, config)
    whole = rows(estimate_cost(results, config, SPEEDUP))["preprocess_image"]
    file = next((results / "benchmarks/preprocess_image").rglob("*.tsv"))
    file.write_text(content)
    row = rows(estimate_cost(results, config, SPEEDUP))["preprocess_image"]
    assert row["reference_jobs"] == whole["reference_jobs"] - 1
    assert row["core_hours_expected"] == pytest.approx(whole["core_hours_expected"])


def test_a_folder_that_is_no_finished_study_is_a_clear_error(config, tmp_path):
    with pytest.raises(StudyError, match="no finished study") as caught:
        estimate_cost(tmp_path, config, SPEEDUP)
    assert "make demo" in caught.value.remedy
    results = write_reference(tmp_path, config, left_out=STAGES)
    with pytest.raises(StudyError, match="no benchmarks"):
        estimate_cost(results, config, SPEEDUP)


def test_disk_grows_with_what_is_stored(config, paper):
    sizes = expected_sizes(config, 2.0)
    images = disk_work(config, sizes)
    halved = copy.deepcopy(config)
    halved["synthetic"]["dtype"] = "float16"
    assert disk_work(halved, sizes)["synthetic"] == images["synthetic"] / 2
    double = StudySizes(
        {name: 2 * count for name, count in sizes.images.items()},
        {name: 2 * count for name, count in sizes.scans.items()},
        sizes.training,
        sizes.validation,
        sizes.tested,
    )
    for folder in ("bids", "derivatives", "audit", "tensors"):
        assert disk_work(config, double)[folder] == pytest.approx(2 * images[folder])
    assert EXPONENT < 0.5
    large = disk_work(paper, expected_sizes(paper, 2.0))
    assert all(large[folder] > images[folder] for folder in images)


def test_the_workflow_writes_and_prints_the_estimate(run_snakemake, config, tmp_path):
    write_reference(tmp_path / "small" / "results", config)
    large = copy.deepcopy(config)
    large["estimate"]["reference"] = "../small/results"
    large["cnn"]["seeds"] = 20
    result = run_snakemake(tmp_path / "large", large, "--", "estimate")
    assert result.returncode == 0, result.stdout
    assert "core-hours" in result.stdout
    assert (tmp_path / "large/results/estimate.tsv").read_text().startswith("stage\tjobs")
    assert yaml.safe_load((tmp_path / "large/study.yaml").read_text()) == large
