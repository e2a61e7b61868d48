"""What a study will cost in time, memory and disk, from the benchmarks of a smaller one.

Each job of the reference gives a rate: its core-seconds, less an assumed startup, over its work (see
`rhvae_mri.cost.workload`). A job of the other study takes the startup and its work times the rate. The
range holds three uncertainties: the rates of a stage differ from job to job (it takes the lowest and the
highest, the estimate the median); work that is x times as much may take x^0.85 to x^1.15 times as long;
and where the reference was computed on a CPU, hours of a GPU follow from an assumed range of speed-ups. A
network that the reference has not trained is assumed to take what another one takes, within a factor of
two. Nothing is said of other levels of the registration, of other processors, of threads that share less
well than the reference's, or of waiting. Training counts all epochs; what stops earlier costs less.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from rhvae_mri.cost.workload import Job, StudySizes, disk_work, expected_sizes, list_jobs, sizes_of_results
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, read_yaml
from rhvae_mri.study.checks import complete
from rhvae_mri.study.grid import list_cohorts

if TYPE_CHECKING:
    import pandas

#: Uncertainty of the exponent of every scaling rule.
EXPONENT = 0.15

#: Uncertainty of time and memory of a network that stands for another one, a factor.
OTHER_NETWORK = 2.0
_AS_ANOTHER = ", as another network"


class Stage(NamedTuple):
    """What is assumed of a stage: what its time grows with, and what of a job does not grow."""

    scaling: str
    startup_s: float  # Python and its libraries; at most half of a reference job counts
    base_mb: float  # at most 95 percent of the reference's count
    folder: str | None = None  # of the results, that it fills


STAGES = {
    "convert_to_bids": Stage("scans x voxels of a scan", 4, 200, "bids"),
    "preprocess_image": Stage("images x voxels of a scan and of the template", 2, 90, "derivatives"),
    "measure_quality": Stage("images x voxels of the template", 2, 120),
    "check_deep_quality": Stage("images", 3, 300),
    "draw_audit": Stage("images x voxels of the template", 2, 120, "audit"),
    "pack_tensors": Stage("images x voxels of the crop", 3, 255, "tensors"),
    "train_generator": Stage(
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

#: Those whose jobs would use a GPU.
ON_GPU = (
    *("check_deep_quality", "train_generator", "generate_synthetic", "measure_generation"),
    *("train_cnn", "evaluate", "measure_saliency", "train_candidates"),
)

_RANGE = ("low", "expected", "high")
QUANTITIES = ("core_hours", "gpu_hours", "memory_mb", "disk_gb")
COLUMNS = (
    *("stage", "jobs", "reference_jobs", "times_the_reference"),
    *(f"{quantity}_{end}" for quantity in QUANTITIES for end in _RANGE),
    "scaling",
)


#: What a job of the reference took, in seconds and MB.
_Measured = tuple[float, float, Job]


def estimate_cost(
    reference: Path, config: Mapping[str, Any], gpu_speedup: Sequence[float], sizes: StudySizes | None = None
) -> pandas.DataFrame:
    """Estimate what a study costs, from the results of a finished one with its benchmarks and provenance.

    ``gpu_speedup`` is the lowest and the highest number of CPU cores that a GPU is assumed to be worth, used
    where the reference was computed without one. The table, with `COLUMNS`, has a row for each stage and one
    for the total. Core-hours of networks are those without a GPU, GPU-hours those with one; memory is that of
    the largest job, in MB. A stage that the reference has not run has no numbers, and is not in the total.
    """
    import pandas

    small, on_gpu = _read_configuration(reference)
    small_sizes = sizes_of_results(reference, small)
    sizes = sizes or expected_sizes(config, small_sizes.scans_per_image)
    measured = _read_benchmarks(reference / "benchmarks", list_jobs(small, small_sizes))
    disk = _estimate_disk(reference, disk_work(small, small_sizes), disk_work(config, sizes))
    wanted: dict[str, list[Job]] = {}
    for job in list_jobs(config, sizes):
        wanted.setdefault(job.stage, []).append(job)
    rows = []
    for stage, jobs in wanted.items():
        about, of_stage = STAGES[jobs[0].rule], measured.get(stage, [])
        row = {"stage": stage, "jobs": sum(job.count for job in jobs), "reference_jobs": len(of_stage)}
        scaling, factor = about.scaling, 1.0
        if not of_stage:
            of_stage = [one for found in measured.values() for one in found if one[2].rule == jobs[0].rule]
            scaling += _AS_ANOTHER if of_stage else ""
            factor = OTHER_NETWORK
        row["scaling"] = scaling
        if of_stage:
            row |= _estimate_stage(about, jobs, of_stage, on_gpu, gpu_speedup, factor)
        # both architectures fill one folder
        rows.append(row | _range("disk_gb", disk.pop(about.folder, ())))
    table = pandas.DataFrame(rows, columns=list(COLUMNS))
    # ranges are added as if all errors went one way
    total = {"stage": "total", "scaling": "sum of the stages; of the memory the largest job"}
    total |= table[["jobs", "reference_jobs"]].sum().to_dict()
    for column in (f"{quantity}_{end}" for quantity in QUANTITIES for end in _RANGE):
        total[column] = table[column].max() if column.startswith("memory") else table[column].sum()
    return pandas.concat([table, pandas.DataFrame([total])], ignore_index=True)


def describe_estimate(table: pandas.DataFrame) -> str:
    """Write an estimate as text: the expected values, with the range in brackets."""
    lines = [["stage", "jobs", "core-hours", "GPU-hours", "memory in GB", "disk in GB"]]
    rows = table.to_dict("records")
    for row in rows:
        cells = [row["stage"], f"{row['jobs']:.0f}"]
        for quantity in QUANTITIES:
            scale = 1e-3 if quantity == "memory_mb" else 1
            low, expected, high = (_short(scale * row[f"{quantity}_{end}"]) for end in _RANGE)
            known = not math.isnan(row[f"{quantity}_expected"])
            cells.append(f"{expected} ({low} to {high})" if known else "-")
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines
    )
    text += (
        "\nNetworks are counted twice, as core-hours without a GPU and as GPU-hours with one. In brackets: "
        "the range.\nDownloads are not counted, nor are jobs of seconds (crops, tables, figures)."
    )
    borrowed = [row["stage"] for row in rows if row["scaling"].endswith(_AS_ANOTHER)]
    if borrowed:
        text += f"\nNot in the reference, estimated from another network: {', '.join(borrowed)}."
    missing = [row["stage"] for row in rows if not row["reference_jobs"] and row["stage"] not in borrowed]
    if missing:
        text += f"\nNot in the reference, and so not in the total: {', '.join(missing)}."
    return text


def _read_configuration(reference: Path) -> tuple[dict[str, Any], bool]:
    """Read the configuration that a study was run with, and whether its networks were computed on a GPU."""
    file = reference / "provenance" / "configuration.yaml"
    needed = [file, reference / "split/split.tsv"]
    _check_finished(needed)
    config = complete(read_yaml(file))  # another version of the workflow may have had fewer keys
    tables = [reference / f"cohorts/cohort-{name}/images.tsv" for name in list_cohorts(config)]
    _check_finished(tables)
    machine = reference / "provenance" / "machine.json"
    gpus = read_json(machine).get("gpus") if machine.is_file() else None
    return config, bool(gpus) and config["study"]["device"] != "cpu"


def _check_finished(needed: Iterable[Path]) -> None:
    """Refuse a reference that lacks one of the files."""
    missing = [str(each) for each in needed if not each.is_file()]
    if missing:
        raise StudyError(
            "There is no finished study to estimate from.",
            where=", ".join(missing),
            cause="`estimate.reference` is not the results folder of a study, or the study is not finished.",
            remedy="Run a small study first, e.g. `make demo`, and set `estimate.reference` to its results.",
        )


def _read_benchmarks(folder: Path, jobs: Sequence[Job]) -> dict[str, list[_Measured]]:
    """Read what the reference's jobs took, by stage."""
    measured: dict[str, list[_Measured]] = {}
    for job in jobs:
        place = folder / job.rule
        whole = job.key.endswith("/")
        files = sorted((place / job.key).rglob("*.tsv")) if whole else [place / f"{job.key}.tsv"]
        for file in filter(Path.is_file, files):
            try:
                with open(file, encoding="utf-8", newline="") as lines:
                    row = next(csv.DictReader(lines, delimiter="\t"))
                seconds, memory = float(row["s"]), float(row["max_rss"])
            except (StopIteration, KeyError, ValueError, UnicodeDecodeError):
                continue  # of a job that was too short to be measured, or that was interrupted
            if seconds > 0 and math.isfinite(memory):
                measured.setdefault(job.stage, []).append((seconds, memory, job))
    if not measured:
        raise StudyError(
            "The study has no benchmarks that can be read.",
            where=folder,
            remedy="Set `estimate.reference` to the results of a finished study.",
        )
    return measured


def _estimate_stage(
    about: Stage,
    jobs: Sequence[Job],
    measured: Sequence[_Measured],
    on_gpu: bool,
    speedup: Sequence[float],
    factor: float,
) -> dict[str, float]:
    """Estimate time and memory of the jobs of a stage, uncertain by a further factor."""
    core = _hours(about, jobs, measured, factor, by_thread=True)
    gpu = numpy.zeros(3)
    if jobs[0].rule in ON_GPU:
        slow, fast = speedup
        gpu = core / (fast, math.sqrt(slow * fast), slow)
        if on_gpu:
            gpu = _hours(about, jobs, measured, factor, by_thread=False)
    _, used, known = max(measured, key=lambda one: one[1])
    base = min(about.base_mb, 0.95 * used)
    memory = base + (used - base) * _grown(max(job.size for job in jobs) / known.size)
    memory *= (1 / factor, 1, factor)
    times = max(job.work for job in jobs) / median(job.work for *_, job in measured)
    ranges = _range("core_hours", core) | _range("gpu_hours", gpu) | _range("memory_mb", memory)
    return {"times_the_reference": times} | ranges


def _hours(
    about: Stage, jobs: Sequence[Job], measured: Sequence[_Measured], factor: float, by_thread: bool
) -> numpy.ndarray:
    """Give the lowest, expected and highest number of hours of some jobs: of cores, or on the clock."""

    def cores(job: Job) -> int:
        return job.threads if by_thread else 1

    # a job that ends sooner than the assumed startup shows that this is too long
    startup = min(about.startup_s, *(seconds / 2 for seconds, *_ in measured))
    rates = [(seconds - startup) * cores(job) / job.work for seconds, _, job in measured]
    usual = median(job.work for *_, job in measured)
    seconds = usual * numpy.array([min(rates) / factor, median(rates), max(rates) * factor])
    hours = numpy.zeros(3)
    for job in jobs:
        hours += job.count * (startup * cores(job) + seconds * _grown(job.work / usual)) / 3600
    return hours


def _grown(ratio: float) -> numpy.ndarray:
    """Give by how much something grows at least, as expected, and at most, if its cause grows by a factor."""
    return numpy.sort([ratio ** (1 - EXPONENT), ratio, ratio ** (1 + EXPONENT)])


def _estimate_disk(
    reference: Path, small: Mapping[str, float], large: Mapping[str, float]
) -> dict[str | None, numpy.ndarray]:
    """Estimate the size of each folder of the results, in GB of 10^9 bytes."""
    disk: dict[str | None, numpy.ndarray] = {}
    for folder, work in small.items():
        used = sum(file.stat().st_size for file in (reference / folder).rglob("*") if file.is_file())
        if used and work:
            disk[folder] = 1e-9 * used * _grown(large[folder] / work)
    return disk


def _range(quantity: str, values: Iterable[float]) -> dict[str, float]:
    """Give the columns of a quantity's range; none without values."""
    return {f"{quantity}_{end}": value for end, value in zip(_RANGE, values, strict=False)}


def _short(value: float) -> str:
    """Write a number with two significant digits, or as a whole number."""
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.2g}"
