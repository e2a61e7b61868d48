"""The faults: each disturbs a run in which a job of a rule has just begun.

A fault gives what it saw, in words, or None where the job was over before it could be disturbed.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from fault_study import Run, Study

#: The rules whose jobs save their state when they are told that their time is up.
TRAININGS = ("train_generator", "train_cnn")


def kill_main(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Kill the main process; its jobs go on without it."""
    time.sleep(dice.uniform(0, 3))
    jobs = len(run.processes()) - 1
    if jobs < 1:
        return None
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    return f"{jobs} processes were left"


def kill_job(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Kill one job; the others go on."""
    job = run.find_job(rule)
    if job is None:
        return None
    time.sleep(dice.uniform(0, 2))
    try:
        job.kill()
    except psutil.NoSuchProcess:
        return None
    return f"status {run.wait()}"


def cut_power(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Kill everything at once."""
    time.sleep(dice.uniform(0, 3))
    if not run.is_running:
        return None
    run.kill_everything()
    return "all processes were killed"


def press_ctrl_c(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Interrupt every process, as the terminal does for Ctrl-C."""
    time.sleep(dice.uniform(0, 3))
    if not run.is_running:
        return None
    os.killpg(run.pid, signal.SIGINT)
    return f"status {run.wait()}"


def terminate_main(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Ask the main process to end, as a scheduler or `kill` does."""
    time.sleep(dice.uniform(0, 3))
    if not run.is_running:
        return None
    os.kill(run.pid, signal.SIGTERM)
    return f"status {run.wait()}"


def reach_time_limit(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Send SIGUSR1 to all jobs' processes, and kill them a while later, as Slurm does at a time limit."""
    job = run.find_job(rule)
    if job is None:
        return None
    time.sleep(dice.uniform(0, 3))
    for process in run.processes():
        try:
            # the main process of a local run is not part of the job
            if process.pid != run.pid:
                process.send_signal(signal.SIGUSR1)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs([job], timeout=dice.choice([0.2, 5.0]))
    run.kill_everything()
    return "signalled, then killed"


def fill_disk(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Fill the disk but for some kB."""
    time.sleep(dice.uniform(0, 1))
    left = dice.choice([0, 40_000, 400_000])
    filler = study.folder / "filler"
    with open(filler, "wb") as file:
        # the study writes too, and may take what was free a moment ago
        while (size := shutil.disk_usage(study.folder).free - left) > 0:
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)
                break
    status = run.wait()
    filler.unlink()
    return f"{left} bytes were left, status {status}"


def forbid_writing(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Make the file system of the results read-only, after everything that writes was killed."""
    run.kill_everything()
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(study.folder)], check=True)
    try:
        second = study.start()
        status = second.wait()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", os.fspath(study.folder)], check=True)
    return f"status {status} while nothing could be written"


def limit_memory(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Let one job have no more memory than it has; its next request for more fails."""
    job = run.find_job(rule)
    if job is None:
        return None
    time.sleep(dice.uniform(0, 1))
    try:
        held = job.memory_info().vms
        resource.prlimit(job.pid, resource.RLIMIT_AS, (held, held))
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    job.wait()
    return f"not more than {held / 2**20:.0f} MiB"


def set_times_ahead(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Cut the power, and give some outputs a time in the future, as after a step of the clock."""
    run.kill_everything()
    files = [path for path in study.results.rglob("*") if path.is_file() and "logs" not in path.parts]
    chosen = dice.sample(sorted(files), min(5, len(files)))
    for path in chosen:
        ahead = time.time() + dice.uniform(3600, 3 * 86400)
        os.utime(path, (ahead, ahead))
    return f"{len(chosen)} files are up to three days ahead"


def start_twice(study: Study, run: Run, rule: str, dice: random.Random) -> str | None:
    """Start the same command while it runs; then the first is killed."""
    second = study.start()
    status = second.wait()
    refused = "Another run of the study works on these results" in second.output
    first_runs = run.is_running
    run.kill_everything()
    if not first_runs:
        return None
    if status == 0 or not refused:
        raise AssertionError(f"The second run was not refused:\n{second.output}")
    return "the second run was refused"


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes
    ----------
    inject : callable
        The function that disturbs.
    rules : tuple of str
        The rules that it applies to; empty for any.
    needs_mount : bool
        Whether the study has to be on a file system of its own.
    """

    inject: Callable[[Study, Run, str, random.Random], str | None]
    rules: tuple[str, ...] = ()
    needs_mount: bool = False


KINDS: dict[str, Kind] = {
    "Ctrl-C": Kind(press_ctrl_c),
    "main process killed": Kind(kill_main),
    "job killed": Kind(kill_job),
    "power cut": Kind(cut_power),
    "main process terminated": Kind(terminate_main),
    "time limit": Kind(reach_time_limit, TRAININGS),
    "disk full": Kind(fill_disk, needs_mount=True),
    "read-only": Kind(forbid_writing, needs_mount=True),
    "out of memory": Kind(limit_memory),
    "times in the future": Kind(set_times_ahead),
    "started twice": Kind(start_twice),
}


def mount_small_disk(folder: Path, megabytes: int = 1000) -> bool:
    """Mount a file system of its own, in memory, on a folder; False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", os.fspath(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Take it away again, with all that is on it."""
    subprocess.run(["umount", "--lazy", os.fspath(folder)], check=True)
