"""The simulated study, run once for all tests of this folder."""

import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest


@dataclass
class FinishedStudy:
    """A study that has run, and what the run cost."""

    folder: Path
    config: dict
    returncode: int = 0
    output: str = ""
    seconds: float = 0.0
    peak_memory: int = 0
    _processes: list = field(default_factory=list)

    @property
    def results(self):
        return self.folder / "results"


def watch_memory(process, study):
    """Keep the largest memory that a process and all its children have held together, in bytes."""
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for one in [parent, *parent.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
        study.peak_memory = max(study.peak_memory, total)
        time.sleep(2)


@pytest.fixture(scope="session")
def demo(tmp_path_factory, load_config, snakemake_command):
    """What `make demo` runs: the default configuration on two cores."""
    study = FinishedStudy(tmp_path_factory.mktemp("demo"), load_config())
    started = time.monotonic()
    process = subprocess.Popen(
        snakemake_command(study.folder, study.config),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watcher = threading.Thread(target=watch_memory, args=(process, study))
    watcher.start()
    study.output, _ = process.communicate()
    watcher.join()
    study.returncode = process.returncode
    study.seconds = time.monotonic() - started
    print(f"\nThe demo took {study.seconds:.0f} s and at most {study.peak_memory / 2**30:.1f} GiB.")
    return study


@pytest.fixture(scope="session")
def list_outputs():
    """List what a study has written, one line for each kind of file, with participants left open."""

    def list_files(results):
        files = [path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()]
        kept = [name for name in files if not re.match(r"logs/|benchmarks/|downloads/.*/images/", name)]
        counts = {}
        for name in kept:
            kind = re.sub(r"sub-[A-Za-z0-9]+", "sub-*", name)
            kind = re.sub(r"ses-[A-Za-z0-9]+", "ses-*", kind)
            counts[kind] = counts.get(kind, 0) + 1
        return [f"{count:4d}  {kind}" for kind, count in sorted(counts.items())]

    return list_files
