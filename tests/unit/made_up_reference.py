"""A finished study of which only the tables and the benchmarks exist; what they say follows a known law."""

import json

import pandas
import yaml

from rhvae_mri.cost.estimate import STAGES
from rhvae_mri.cost.workload import list_jobs, sizes_of_results
from rhvae_mri.io.files import write_text, write_tsv

#: Core-seconds and MB, beyond those of the startup, of the smallest job of a stage.
SECONDS, MEMORY = 20.0, 30.0

#: What Snakemake writes.
HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"


def benchmark(path, seconds, memory_mb):
    write_text(path, f"{HEAD}\n{seconds}\t0:00:01\t{memory_mb}\t1\t1\t1\t0\t0\t99\t{seconds}\n")


def core_seconds(job, reference):
    """What a job takes by the law: the assumed startup, and a time in proportion to its work."""
    smallest = min(each.work for each in reference if each.stage == job.stage)
    return STAGES[job.rule].startup_s * job.threads + SECONDS * job.work / smallest


def write_reference(results, config, *, left_out=(), gpus=(), speed=lambda job, number: 1.0):
    """Write a study of 4 + 6 images of ADNI and 3 of AIBL.

    ``speed`` may make single jobs of a stage slower than the law.
    """
    for cohort, count in {"ADNI": 10, "AIBL": 3}.items():
        rows = [{"image_id": f"sub-{number}", "status": "kept"} for number in range(count)]
        rows.append({"image_id": "sub-x", "status": "excluded"})
        write_tsv(results / f"cohorts/cohort-{cohort}/images.tsv", pandas.DataFrame(rows))
        report = pandas.DataFrame({"status": ["converted"] * (2 * count) + ["missing"]})
        write_tsv(results / f"conversion/cohort-{cohort}/conversion.tsv", report)
    sets = ["test"] * 2 + ["validation"] * 2 + ["train"] * 6
    split = pandas.DataFrame({"set": sets, "diagnosis": ["AD", "CN"] * 5})
    split["train-full"] = (split["set"] == "train").astype(int)
    split["train-20"] = split["train-full"] * [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    write_tsv(results / "split/split.tsv", split)
    write_text(results / "provenance/configuration.yaml", yaml.safe_dump(config))
    write_text(results / "provenance/machine.json", json.dumps({"gpus": list(gpus)}))
    jobs = list_jobs(config, sizes_of_results(results, config))
    for job in jobs:
        if job.rule in left_out:
            continue
        about = STAGES[job.rule]
        for number in range(job.count):
            name = f"{job.key}sub-{number}/sub-{number}" if job.key.endswith("/") else job.key
            seconds = core_seconds(job, jobs) / job.threads * speed(job, number)
            smallest = min(each.size for each in jobs if each.stage == job.stage)
            memory = about.base_mb + MEMORY * job.size / smallest
            benchmark(results / f"benchmarks/{job.rule}/{name}.tsv", seconds, memory)
    for folder in ("bids", "derivatives", "tensors", "rhvae", "synthetic", "cnn", "audit"):
        write_text(results / folder / "content", "x" * 1000)
    return results
