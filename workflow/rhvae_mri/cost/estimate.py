"""What a study will cost in time, memory and disk, from the benchmarks of a smaller one.

Each job of the reference gives a rate: its core-seconds, less an assumed startup, over its work (see
`rhvae_mri.cost.workload`). A job of the other study takes the startup and its work times the rate. Three
things are uncertain, and all three are in the range that is given:

- the rates of a stage differ from job to job: the range takes the lowest and the highest, the estimate the
  median;
- no scaling rule is exact: work that is x times as much may take x^0.85 to x^1.15 times as long, so the range
  grows with the distance from the reference (a factor of 1.9 either way for a grid of 64 times the voxels);
- where the reference was computed on a CPU, hours of a GPU follow from an assumed range of speed-ups.

Nothing is said of other processors, of several threads that share less well than the reference's did, or of
waiting times. Training counts all epochs; what stops earlier costs less.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rhvae_mri.cost.workload import Job, StudySizes, disk_work, expected_sizes, list_jobs, sizes_of_results
from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json

if TYPE_CHECKING:
    import pandas

#: Uncertainty of the exponent of every scaling rule.
EXPONENT = 0.15


@dataclass(frozen=True)
class Stage:
    """What is assumed of a stage.

    Attributes
    ----------
    scaling : str
        What its time grows with.
    startup_s : float
        Seconds of a job that do not grow: Python and its libraries. At most half of a reference job counts.
    base_mb : float
        Memory of a job that does not grow. At most 95 percent of the reference's count.
    folder : str or None
        The folder of the results that it fills.
    """

    scaling: str
    startup_s: float
    base_mb: float
    folder: str | None = None


STAGES = {
    "convert_to_bids": Stage("scans x voxels of a scan", 4, 200, "bids"),
    "correct_bias": Stage("images x voxels of a scan", 1.5, 90),
    "register_to_mni": Stage("images x voxels of the template", 1.5, 90, "derivatives"),
    "measure_quality": Stage("images x voxels of the template", 2, 120),
    "check_deep_quality": Stage("images", 3, 300),
    "draw_audit": Stage("images x voxels of the template", 2, 120, "audit"),
    "pack_tensors": Stage("images x voxels of the crop", 3, 255, "tensors"),
    "train_rhvae": Stage(
        "epochs (all of max_epochs) x images x weights of the outer layers", 3, 430, "rhvae"
    ),
    "generate_synthetic": Stage(
        "images x (steps x centroids x latent dimension squared + weights)", 3, 430, "synthetic"
    ),
    "measure_generation": Stage("images x weights of the outer layers", 3, 430),
    "train_cnn": Stage("seeds x epochs x (images + a third of the validation's) x voxels", 3, 430, "cnn"),
    "evaluate": Stage("seeds x images of validation and tests x voxels", 3, 430),
    "measure_saliency": Stage("test images x steps x voxels", 3, 430),
    "train_candidates": Stage("candidates x folds x epochs x images x voxels", 3, 430),
}

_RANGE = ("low", "expected", "high")
QUANTITIES = ("core_hours", "gpu_hours", "memory_mb", "disk_gb")
COLUMNS = (
    *("stage", "jobs", "reference_jobs", "times_the_reference"),
    *(f"{quantity}_{end}" for quantity in QUANTITIES for end in _RANGE),
    "scaling",
)


@dataclass(frozen=True)
class _Measured:
    """One job of the reference."""

    core_seconds: float
    seconds: float
    memory_mb: float
    job: Job


def estimate_cost(
    reference: Path, config: Mapping[str, Any], gpu_speedup: Sequence[float], sizes: StudySizes | None = None
) -> pandas.DataFrame:
    """Estimate what a study costs.

    Parameters
    ----------
    reference : pathlib.Path
        The results of a finished study, with its ``benchmarks/`` and ``provenance/``.
    config : mapping
        The configuration of the study to come.
    gpu_speedup : sequence of float
        Lowest and highest number of CPU cores that a GPU is assumed to be worth; used where the reference was
        computed without one.
    sizes : StudySizes, optional
        How many images the study to come has; by default `expected_sizes`.

    Returns
    -------
    pandas.DataFrame
        With `COLUMNS`: one row for each stage and one for the total. Of `QUANTITIES` there are a lowest, an
        expected and a highest value. Core-hours of networks are those without a GPU, GPU-hours those with
        one. Memory is that of the largest job, in MB. A stage that the reference has not run is in the table
        without numbers, and is not in the total.

    Raises
    ------
    StudyError
        If the folder is no finished study of this workflow, or its benchmarks cannot be read.
    """
    import pandas

    small = _read_configuration(reference)
    small_sizes = sizes_of_results(reference, small)
    sizes = sizes or expected_sizes(config, small_sizes.scans_per_image)
    measured = _read_benchmarks(reference / "benchmarks", list_jobs(small, small_sizes))
    on_gpu = _computed_on_gpu(reference, small)
    disk = _estimate_disk(reference, disk_work(small, small_sizes), disk_work(config, sizes))
    wanted: dict[str, list[Job]] = {}
    for job in list_jobs(config, sizes):
        wanted.setdefault(job.stage, []).append(job)
    rows = []
    for stage, jobs in wanted.items():
        row = _estimate_stage(stage, jobs, measured.get(stage, []), on_gpu, gpu_speedup)
        folder = STAGES[jobs[0].rule].folder
        if folder in disk:
            # both architectures fill one folder
            row |= disk.pop(folder)
        rows.append(row)
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    return pandas.concat([table, pandas.DataFrame([_total(table)])], ignore_index=True)


def describe_estimate(table: pandas.DataFrame) -> str:
    """Write an estimate as text: the expected values, with the range in brackets."""
    heads = ["stage", "jobs", "core-hours", "GPU-hours", "memory in GB", "disk in GB"]
    lines = [heads]
    for row in table.to_dict("records"):
        cells = [row["stage"], f"{row['jobs']:.0f}"]
        for quantity in QUANTITIES:
            low, expected, high = (row[f"{quantity}_{end}"] for end in _RANGE)
            scale = 1e-3 if quantity == "memory_mb" else 1
            known = not math.isnan(expected)
            cells.append(
                f"{_short(scale * expected)} ({_short(scale * low)} to {_short(scale * high)})"
                if known
                else "-"
            )
        lines.append(cells)
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    text = "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    missing = [row["stage"] for row in table.to_dict("records") if not row["reference_jobs"]]
    note = (
        "\nNetworks are counted twice, as core-hours without a GPU and as GPU-hours with one. In brackets: "
        "the range.\nDownloads are not counted, nor are jobs of seconds (crops, tables, figures)."
    )
    if missing:
        note += f"\nNot in the reference, and so not in the total: {', '.join(missing)}."
    return text + note


def _read_configuration(reference: Path) -> dict[str, Any]:
    """Read the configuration that a study was run with."""
    import yaml

    file = reference / "provenance" / "configuration.yaml"
    needed = [file, reference / "cohorts/cohort-ADNI/images.tsv", reference / "split/split.tsv"]
    missing = [str(each) for each in needed if not each.is_file()]
    if missing:
        raise StudyError(
            "There is no finished study to estimate from.",
            where=", ".join(missing),
            cause="`estimate.reference` is not the results folder of a study, or the study is not finished.",
            remedy="Run a small study first, e.g. `make demo`, and set `estimate.reference` to its results.",
        )
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _computed_on_gpu(reference: Path, config: Mapping[str, Any]) -> bool:
    """Say whether the networks of the reference were computed on a GPU."""
    machine = reference / "provenance" / "machine.json"
    gpus = read_json(machine).get("gpus") if machine.is_file() else None
    return bool(gpus) and config["study"]["device"] != "cpu"


def _read_benchmarks(folder: Path, jobs: Sequence[Job]) -> dict[str, list[_Measured]]:
    """Read what the reference's jobs took, by stage."""
    measured: dict[str, list[_Measured]] = {}
    for job in jobs:
        place = folder / job.rule
        files = (
            sorted((place / job.key).rglob("*.tsv")) if job.key.endswith("/") else [place / f"{job.key}.tsv"]
        )
        for file in filter(Path.is_file, files):
            try:
                with open(file, encoding="utf-8", newline="") as lines:
                    row = next(csv.DictReader(lines, delimiter="\t"))
                seconds, memory = float(row["s"]), float(row["max_rss"])
            except (StopIteration, KeyError, ValueError, UnicodeDecodeError):
                continue  # of a job that was too short to be measured, or that was interrupted
            if seconds > 0 and math.isfinite(memory):
                one = _Measured(seconds * job.threads, seconds, memory, job)
                measured.setdefault(job.stage, []).append(one)
    if not measured:
        raise StudyError(
            "The study has no benchmarks that can be read.",
            where=folder,
            remedy="Set `estimate.reference` to the results of a finished study.",
        )
    return measured


def _estimate_stage(
    stage: str,
    jobs: Sequence[Job],
    measured: Sequence[_Measured],
    on_gpu: bool,
    gpu_speedup: Sequence[float],
) -> dict[str, Any]:
    """Estimate time and memory of the jobs of a stage."""
    about = STAGES[jobs[0].rule]
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    row |= {"stage": stage, "jobs": sum(job.count for job in jobs), "reference_jobs": len(measured)}
    row["scaling"] = about.scaling
    if not measured:
        return row
    of_gpu = jobs[0].on_gpu
    core = _hours(about, jobs, [(one.core_seconds, one.job) for one in measured], by_thread=True)
    row |= {f"core_hours_{end}": hours for end, hours in zip(_RANGE, core, strict=True)}
    if of_gpu and on_gpu:
        gpu = _hours(about, jobs, [(one.seconds, one.job) for one in measured], by_thread=False)
    elif of_gpu:
        slow, fast = gpu_speedup
        gpu = core[0] / fast, core[1] / math.sqrt(slow * fast), core[2] / slow
    else:
        gpu = (0.0, 0.0, 0.0)
    row |= {f"gpu_hours_{end}": hours for end, hours in zip(_RANGE, gpu, strict=True)}
    largest = max(jobs, key=lambda job: job.size)
    known = max(measured, key=lambda one: one.memory_mb)
    base = min(about.base_mb, 0.95 * known.memory_mb)
    memory = [base + (known.memory_mb - base) * factor for factor in _grown(largest.size / known.job.size)]
    row |= {f"memory_mb_{end}": value for end, value in zip(_RANGE, memory, strict=True)}
    row["times_the_reference"] = max(job.work for job in jobs) / median(one.job.work for one in measured)
    return row


def _hours(
    about: Stage, jobs: Sequence[Job], measured: Sequence[tuple[float, Job]], by_thread: bool
) -> tuple[float, float, float]:
    """Give the lowest, the expected and the highest number of hours of some jobs."""

    def cores(job: Job) -> int:
        return job.threads if by_thread else 1

    # a job that ends sooner than the assumed startup shows that this is too long
    startup = min(about.startup_s, *(seconds / cores(job) / 2 for seconds, job in measured))
    rates = [(seconds - startup * cores(job)) / job.work for seconds, job in measured]
    usual = median(job.work for _, job in measured)
    hours = [0.0, 0.0, 0.0]
    for job in jobs:
        for place, (rate, factor) in enumerate(
            zip((min(rates), median(rates), max(rates)), _grown(job.work / usual), strict=True)
        ):
            hours[place] += job.count * (startup * cores(job) + rate * usual * factor) / 3600
    return hours[0], hours[1], hours[2]


def _grown(ratio: float) -> tuple[float, float, float]:
    """Give by how much something grows at least, as expected, and at most, if its cause grows by a factor."""
    ends = sorted((ratio ** (1 - EXPONENT), ratio ** (1 + EXPONENT)))
    return ends[0], ratio, ends[1]


def _estimate_disk(
    reference: Path, small: Mapping[str, float], large: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Estimate the size of each folder of the results, in GB of 10^9 bytes."""
    disk = {}
    for folder, work in small.items():
        path = reference / folder
        used = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if used and work:
            sizes = [1e-9 * used * factor for factor in _grown(large[folder] / work)]
            disk[folder] = {f"disk_gb_{end}": size for end, size in zip(_RANGE, sizes, strict=True)}
    return disk


def _total(table: pandas.DataFrame) -> dict[str, Any]:
    """Add up all stages; of the memory, take the largest. Ranges are added as if all errors went one way."""
    row: dict[str, Any] = {"stage": "total", "jobs": table["jobs"].sum()}
    row["reference_jobs"] = table["reference_jobs"].sum()
    for quantity in QUANTITIES:
        for end in _RANGE:
            values = table[f"{quantity}_{end}"]
            row[f"{quantity}_{end}"] = values.max() if quantity == "memory_mb" else values.sum()
    row["scaling"] = "sum of the stages; of the memory the largest job"
    return row


def _short(value: float) -> str:
    """Write a number with two significant digits, or as a whole number."""
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
