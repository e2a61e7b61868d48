"""A small simulated study that runs in a process of its own, for others to disturb.

The study is that of `tests/small_study.yaml`.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import psutil
from reporting import REPOSITORY
from safetensors import safe_open

#: What a run has to reproduce: every table and array. Other files hold times and versions.
COMPARED = (".tsv", ".safetensors", ".nii.gz", ".mat")
NOT_COMPARED = ("logs", "benchmarks", "provenance")
#: Clinica's notes of the conversion, in which the paths of the download are whole.
NOTES = "conversion_info"
#: A line of Snakemake's that says that a job has begun.
STARTED = re.compile(r"(?:local)?(?:rule|checkpoint) (\w+):$")


def runs_script(command: Sequence[str] | None, rule: str) -> bool:
    """Whether a command line is that of a job's script, and not of the shell that starts it."""
    return bool(command) and "python" in Path(command[0]).name and command[-1].endswith(f".{rule}.py")


class Run:
    """One run of the command, from its start to its end.

    Attributes
    ----------
    started : list of str
        The rules of the jobs that have begun, in order.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.started: list[str] = []
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            # where this runs in the background, the shell has it and its children ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process identifier of the main process, which leads a process group of its own."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the main process runs."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What the run has printed so far."""
        with self._news:
            return "".join(self._lines)

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line)
                if match := STARTED.match(line.strip()):
                    self.started.append(match[1])
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, rules: Collection[str]) -> str | None:
        """Wait until a job of one of some rules begins, from now on; None if the run ends before."""
        with self._news:
            seen = len(self.started)

            def find() -> str | None:
                return next((rule for rule in self.started[seen:] if rule in rules), None)

            self._news.wait_for(lambda: self._ended or find())
            return find()

    def wait(self) -> int:
        """Wait for the end of the main process, and give its exit status.

        Its jobs hold the pipe open where they outlive it, so the end of the output is not waited for.
        """
        return self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """List the main process and all that it has started and that run."""
        try:
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def find_job(self, rule: str, seconds: float = 60.0) -> psutil.Process | None:
        """Find the process of a job's script; None if there is none, or not within some seconds."""
        limit = time.monotonic() + seconds
        while self.is_running and time.monotonic() < limit:
            for process in self.processes():
                try:
                    if runs_script(process.cmdline(), rule):
                        return process
                except psutil.Error:
                    continue
            time.sleep(0.05)
        return None

    def kill_everything(self) -> None:
        """Kill the main process and all its jobs at once, as a power cut does."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.wait()


class Study:
    """A study in a folder of its own.

    Parameters
    ----------
    folder : pathlib.Path
        Snakemake's working directory.
    arguments : sequence of str
        How to run the jobs.
    target : str
        What to make.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str] = ("--cores", "2"), target: str = "tables"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.arguments = list(arguments)
        self.target = target

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.folder / "results"

    def start(self, *arguments: str) -> Run:
        """Start the one command that always is the same, but for further arguments."""
        command = [
            *(sys.executable, "-m", "snakemake", self.target),
            *("--snakefile", os.fspath(REPOSITORY / "workflow" / "Snakefile")),
            *("--directory", os.fspath(self.folder)),
            "--configfile",
            os.fspath(REPOSITORY / "config" / "config.yaml"),
            os.fspath(REPOSITORY / "tests" / "small_study.yaml"),
            *self.arguments,
            *arguments,
            "--verbose",  # otherwise it does not say which jobs begin
        ]
        return Run(command, os.environ | {"PYTHONPATH": ""})

    def digests(self) -> dict[str, str]:
        """Digest every file that a run has to reproduce, by its path in the results."""
        return {
            path.relative_to(self.results).as_posix(): _digest(path)
            for path in self._files()
            if path.name.endswith(COMPARED) and NOTES not in path.parts
        }

    def unfinished(self) -> list[str]:
        """List the temporary files that killed processes have left and nobody has removed."""
        names = (path.relative_to(self.results).as_posix() for path in self._files())
        return sorted(name for name in names if re.match(r"\.[0-9a-f]{8}\.", Path(name).name))

    def _files(self) -> Iterator[Path]:
        for path in sorted(self.results.rglob("*")):
            if path.is_file() and path.relative_to(self.results).parts[0] not in NOT_COMPARED:
                yield path


def _digest(path: Path) -> str:
    """Digest a file; of tensors only themselves, as the header of their file has no fixed order."""
    if path.name == "image_files.tsv":
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        timeless = [(row[0], *row[4:]) for row in rows]  # without size and times of the files
        return hashlib.sha256(str(timeless).encode()).hexdigest()
    if path.suffix != ".safetensors":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with safe_open(path, framework="numpy") as file:
        for key in sorted(file.keys()):
            array = file.get_tensor(key)
            digest.update(f"{key} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
