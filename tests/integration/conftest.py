"""The simulated study, run once for all tests of this folder, in a fresh clone as a newcomer runs it."""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml
from documented_commands import ROOT, read_commands

#: Where a bare system has its programs.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class FinishedCommand:
    """A command that has run in the clone."""

    returncode: int
    output: str
    #: The files that it has added to the results, relative to them.
    written: list


@dataclass
class FinishedStudy:
    """A study that has run in a clone of the repository, and what the run cost."""

    folder: Path
    environment: dict
    returncode: int = 0
    output: str = ""
    seconds: float = 0.0
    peak_memory: int = 0
    #: The files of the results when the study had ended, relative to them.
    written: list = field(default_factory=list)
    _commands: dict = field(default_factory=dict)

    @property
    def results(self):
        return self.folder / "results"

    @property
    def snakefile(self):
        """The clone's own one: jobs depend on the paths of the workflow's files."""
        return self.folder / "workflow" / "Snakefile"

    @property
    def config(self):
        return yaml.safe_load((self.folder / "config" / "config.yaml").read_text())

    def list_files(self):
        """The files that the results have now, relative to them."""
        return sorted(
            path.relative_to(self.results).as_posix() for path in self.results.rglob("*") if path.is_file()
        )

    def start(self, command):
        """Start a command as a script in the bare environment does, on two cores."""
        cores = sorted(os.sched_getaffinity(0))[:2]
        return subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )

    def run(self, command):
        """Run a command to its end, once: who asks for it again gets the same answer."""
        if command not in self._commands:
            before = set(self.list_files())
            process = self.start(command)
            output, _ = process.communicate()
            written = [name for name in self.list_files() if name not in before]
            self._commands[command] = FinishedCommand(process.returncode, output, written)
        return self._commands[command]

    def copy_to(self, folder):
        """Copy the clone with its results, what Snakemake remembers of them, and the times of all files.

        Returns the copy, a study in which nothing is left to do.
        """
        shutil.copytree(self.folder, folder, symlinks=True)
        return FinishedStudy(folder, self.environment)


def clone_checkout(folder):
    """Clone the repository as it stands: the last commit, and the changes of tracked files since.

    The environment is the one that runs the tests, as if `make` had made it here.
    """
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    listing = ["git", "-C", ROOT, "diff", "--name-only", "--no-renames", "-z", "HEAD"]
    changed = subprocess.run(listing, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in filter(None, changed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        else:
            (folder / name).unlink()
    (folder / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".complete":
            (folder / ".venv" / part.name).symlink_to(part)
    # the checkout's is older than the files of the clone, and `make` would install again
    (folder / ".venv" / ".complete").touch()


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
def demo(tmp_path_factory):
    """What the first command of README.md makes in a fresh clone, in a bare environment, on two cores."""
    folder = tmp_path_factory.mktemp("demo")
    home = folder / "home"
    home.mkdir()
    study = FinishedStudy(folder / "rhvae-mri", {"PATH": SYSTEM_PATH, "HOME": str(home), "LANG": "C.UTF-8"})
    clone_checkout(study.folder)
    command = read_commands("README.md")[0]
    assert command == "make demo"
    started = time.monotonic()
    process = study.start(command)
    watcher = threading.Thread(target=watch_memory, args=(process, study))
    watcher.start()
    study.output, _ = process.communicate()
    watcher.join()
    study.returncode = process.returncode
    study.seconds = time.monotonic() - started
    study.written = study.list_files()
    print(f"\nThe demo took {study.seconds:.0f} s and at most {study.peak_memory / 2**30:.1f} GiB.")
    return study
