"""What the benchmarks share: bars, the report, and the cost of a step that runs in a process of its own.

Every benchmark prints a table; with ``--json`` its last line is one JSON object with `figures` and `bars`. It
ends with status 1 where a bar does not hold, and with 2 where it cannot run.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from rhvae_mri.io.errors import StudyError  # noqa: E402
from rhvae_mri.preprocess.sidecars import software_versions  # noqa: E402
from rhvae_mri.runtime.jobs import peak_memory  # noqa: E402


@dataclass(frozen=True)
class Bar:
    """A bound that a figure has to keep.

    Attributes
    ----------
    name : str
        What is measured.
    value, bound : float
        The figure and its bound.
    sense : {">=", "<="}
        On which side of the bound the figure has to be; on the bound it holds.
    """

    name: str
    value: float
    bound: float
    sense: Literal[">=", "<="]

    @property
    def holds(self) -> bool:
        """Whether the figure keeps the bound; NaN does not."""
        return self.value >= self.bound if self.sense == ">=" else self.value <= self.bound


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes
    ----------
    wall_s : float
        Time from its start to its end.
    call_s : float
        Time of the measured call alone, without the start of Python and the loading of libraries.
    cpu_s : float
        Processor time of the process and its children, user and system.
    memory_mb : float
        Largest resident memory of the process or one of its children, in MB of 1,000,000 bytes.
    """

    wall_s: float
    call_s: float
    cpu_s: float
    memory_mb: float


def measure(script: str | os.PathLike[str], arguments: Sequence[str], threads: int) -> Cost:
    """Run one step of a benchmark in a process of its own and measure it.

    Parameters
    ----------
    script : path
        The benchmark's file; it calls `run_step` when its first argument is ``step``.
    arguments : sequence of str
        What follows ``step`` on the command line.
    threads : int
        The number of threads of ITK and of the numerical libraries.

    Raises
    ------
    StudyError
        If the step fails; its last lines of output are the cause.
    """
    counts = dict.fromkeys(
        ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, os.fspath(script), "step", *arguments],
        env=os.environ | counts,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = process.stdout.read().rstrip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StudyError(
            f"The step {' '.join(arguments)} failed with status {process.returncode}.",
            cause="\n".join(lines[-5:]),
        )
    call, memory = map(float, lines[-1].split())
    return Cost(wall, call, usage.ru_utime + usage.ru_stime, memory)


def run_step(step: Callable[[], Any]) -> int:
    """Run a step inside the process that `measure` started; print its time and the peak memory last."""
    start = time.perf_counter()
    step()
    print(f"\n{time.perf_counter() - start} {_peak_memory()}", flush=True)
    return 0


def _peak_memory() -> float:
    """Largest resident memory in MB of this process or of one of its children."""
    return max(peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024) / 1e6


def median_cost(costs: Iterable[Cost]) -> dict[str, float]:
    """Give the median of each figure over repetitions; of the memory the largest value."""
    rows = [asdict(cost) for cost in costs]
    figures = {key: median(row[key] for row in rows) for key in ("wall_s", "call_s", "cpu_s")}
    return {**figures, "memory_mb": max(row["memory_mb"] for row in rows)}


def describe_machine(*packages: str) -> dict[str, Any]:
    """Name the machine and the versions that the figures belong to."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "system": platform.platform(),
        "versions": software_versions(*packages),
    }


def finish(figures: dict[str, Any], bars: Sequence[Bar], as_json: bool) -> int:
    """Print the bars, and with ``as_json`` the last line; give the exit status."""
    for bar in bars:
        verdict = "holds" if bar.holds else "DOES NOT HOLD"
        print(f"{bar.name}: {bar.value:.6g} {bar.sense} {bar.bound:.6g} {verdict}")
    if as_json:
        content = {"figures": figures, "bars": [{**asdict(bar), "holds": bar.holds} for bar in bars]}
        print(json.dumps(content))
    return 0 if all(bar.holds for bar in bars) else 1


def run_benchmark(main: Callable[[], int]) -> None:
    """Run the main function of a benchmark and end the process with its status."""
    try:
        status = main()
    except StudyError as error:
        print(error, file=sys.stderr)
        status = 2
    sys.exit(status)
