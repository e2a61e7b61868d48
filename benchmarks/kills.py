"""Kill trainings with SIGKILL at random moments, resume them, and compare what comes out.

A process trains with a checkpoint after each epoch. It is killed by its process id after a random delay, and
the next process goes on. A training that comes to its end has to give the result of the uninterrupted one;
then another begins, until all kills are done.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reporting import Bar, StudyError, describe_machine, finish

READY = "ready"


def run(script: str, folder: Path, delay: float | None = None) -> tuple[int, float]:
    """Train in a process of its own, which is killed after ``delay`` seconds; exit status and seconds.

    The script is called with ``train FOLDER`` and prints `READY` when the training begins, for the delays to
    count from there.
    """
    process = subprocess.Popen(
        [sys.executable, script, "train", os.fspath(folder)], stdout=subprocess.PIPE, text=True
    )
    if process.stdout.readline().strip() != READY:
        raise StudyError("The training did not begin.", cause=f"It ended with status {process.wait()}.")
    start = time.perf_counter()
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, time.perf_counter() - start


def kill_trainings(
    script: str,
    description: str,
    is_same: Callable[[Path, Path], bool],
    describe: Callable[[Path], dict[str, Any]] | None = None,
) -> int:
    """Run a benchmark of kills from its command line.

    Parameters
    ----------
    script : str
        The benchmark's file; see `run`.
    description : str
        For the help.
    is_same : callable
        Whether the trainings in two folders gave the same.
    describe : callable, optional
        Further figures of the uninterrupted training, from its folder.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--kills", type=int, default=20, help="number of kills (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the delays (default: a new one)")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    delays = random.Random(seed)
    kills = in_writing = trainings = different = failed = 0
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        whole = Path(temporary) / "uninterrupted"
        whole.mkdir()
        status, seconds = run(script, whole)
        if status:
            raise StudyError("The uninterrupted training failed.", cause=f"Its status is {status}.")
        further = {} if describe is None else describe(whole)
        folder = None
        while folder is not None or kills < arguments.kills:
            if folder is None:
                folder = Path(temporary) / f"training-{trainings}"
                folder.mkdir()
            delay = delays.uniform(0, seconds / 2) if kills < arguments.kills else None
            before = set(folder.rglob(".*"))
            status, _ = run(script, folder, delay)
            if status == -signal.SIGKILL:
                kills += 1
                unfinished = len(set(folder.rglob(".*")) - before)
                in_writing += unfinished
                print(
                    f"kill {kills:3d} after {delay:.3f} s, {unfinished} checkpoint(s) unfinished", flush=True
                )
                continue
            trainings += 1
            failed += status != 0
            different += status == 0 and not is_same(folder, whole)
            print(f"training {trainings} ended with status {status}, {different} different", flush=True)
            folder = None
    figures = {
        "machine": describe_machine("torch"),
        "seed of the delays": seed,
        "uninterrupted training, s": seconds,
        **further,
        "kills": kills,
        "kills within the writing of a checkpoint": in_writing,
        "trainings that came to their end": trainings - failed,
    }
    bars = [
        Bar("kills", kills, arguments.kills, ">="),
        Bar("trainings that failed", failed, 0, "<="),
        Bar("trainings that differ from the uninterrupted one", different, 0, "<="),
    ]
    return finish(figures, bars, arguments.json)
