"""The tables and statistics of a study of the published size, from finished predictions: how long they take.

The predictions are made up: 56 conditions of 20 runs on 112 validation and 200 test participants of ADNI and
on 505 of AIBL. What is timed is the command that a user gives, with all that Snakemake adds.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas
import yaml
from reporting import REPOSITORY, Bar, describe_machine, finish, run_benchmark

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import write_tsv
from rhvae_mri.study.checks import complete

sys.path.insert(0, str(REPOSITORY / "tests" / "unit"))

from made_up_runs import make_predictions

LONGEST_S = 60.0
SETS = {("ADNI", "validation"): (52, 60), ("ADNI", "test"): (100, 100), ("AIBL", "test"): (76, 429)}
RULES = ("compute_statistics", "tabulate_results", "record_provenance")
TARGETS = (
    *(f"tables/{name}.html" for name in ("classification", "comparisons", "published")),
    *(f"statistics/{name}.tsv" for name in ("estimates", "roc", "confusion", "calibration", "reliability")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON in the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as scratch:
        folder = Path(scratch)
        n_predictions = make_study(folder)
        times, processor = zip(
            *(time_tables(folder, options.cores) for _ in range(options.repetitions)), strict=True
        )
    figures = {
        "wall_s": median(times),
        "cpu_s": median(processor),  # what the wall time would be on one idle core
        "all_wall_s": times,
        "predictions": n_predictions,
        "cores": options.cores,
        "machine": describe_machine("numpy", "scipy", "pandas", "snakemake"),
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    bar = Bar("tables and statistics of the published study in s", figures["wall_s"], LONGEST_S, "<=")
    return finish(figures, [bar], options.json)


def make_study(folder: Path) -> int:
    """Write the configuration and the predictions of a finished study; return the number of predictions."""
    config = complete(yaml.safe_load((REPOSITORY / "config" / "paper.yaml").read_text(encoding="utf-8")))
    config["pathvars"]["results"] = "results"
    for name, cohort in config["cohorts"].items():
        (folder / "results" / "bids" / f"cohort-{name}").mkdir(parents=True)
        cohort |= {"source": "bids", "bids": f"results/bids/cohort-{name}"}
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    number = 0
    runs = make_predictions(config["grid"], config["synthetic"]["sizes"], config["cnn"]["seeds"], SETS)
    for condition, table in runs:
        place = "/".join(f"{name}-{value}" for name, value in condition.items())
        write_tsv(folder / "results" / "cnn" / place / "predictions.tsv", table)
        history = {"seed": [0], "epoch": [1], "best": [1]}
        batch = f"seeds-0-{config['cnn']['seeds'] - 1}"
        write_tsv(folder / "results" / "cnn" / place / batch / "history.tsv", pandas.DataFrame(history))
        number += len(table)
    return number


def time_tables(folder: Path, cores: int) -> tuple[float, float]:
    """Make the tables anew and return the seconds that they took, on the clock and of the processor."""
    for name in ("statistics", "tables"):
        shutil.rmtree(folder / "results" / name, ignore_errors=True)
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile")),
        *("--directory", str(folder), "--configfile", str(folder / "study.yaml"), "--cores", str(cores)),
        *("--rerun-triggers", "mtime", "--allowed-rules", *RULES, "--"),
        *(f"results/{target}" for target in TARGETS),
    ]
    start, before = time.perf_counter(), children_cpu()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise StudyError("Snakemake did not make the tables.", cause=done.stdout[-2000:])
    return seconds, children_cpu() - before


def children_cpu() -> float:
    """Processor seconds of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    run_benchmark(main)
