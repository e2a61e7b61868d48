"""What jobs find on the machine: this library, perhaps a GPU, memory, signals of a scheduler."""

from __future__ import annotations

import getpass
import os
import re
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rhvae_mri.io.errors import StudyError


def export_library() -> None:
    """Put this library, which is not installed, on the PYTHONPATH of every process started from here.

    Jobs inherit it from the process that reads the Snakefile; on a cluster's node that is a process there.
    """
    library = str(Path(__file__).parents[2])
    paths = [library, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def name_user() -> None:
    """Give a user without a name one, as in a container or of a service: Snakemake asks for it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = "nobody"


def check_interpreter() -> None:
    """Refuse a Python that Snakemake cannot start, because it does not quote the path in its commands."""
    if re.search(r"[^\w.,:@%+=/-]", sys.executable):
        raise StudyError(
            "Snakemake cannot start jobs with this Python: its path has a space, a bracket or the like.",
            where=sys.executable,
            remedy="Move the environment, or the clone around it, and install it anew (first `make clean`).",
        )


def count_gpus(device: str) -> int:
    """Say how many GPUs a training job takes; for ``auto`` one where the machine has NVIDIA's tools."""
    if device == "auto":
        return int(shutil.which("nvidia-smi") is not None)
    return int(device == "cuda")


def ignore_time_warnings() -> None:
    """Ignore SIGUSR1, here and in every process started from here, unless it asks for the signal itself.

    Slurm can send SIGUSR1 some time before a job's time limit. It goes to all processes of the job at once,
    and ends those that take no notice of it. The training loops catch it, save their state and stop;
    Snakemake, which has started them and cleans up after them, has to outlive it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def end_jobs_on_interrupt(announce: Callable[[], None]) -> None:
    """Let Ctrl-C end the jobs of this run, which do not hear it themselves; trainings save their state."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    import psutil  # comes with Snakemake, which only this process needs

    def interrupt(number: int, frame: FrameType | None) -> None:
        announce()
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts the parent's memory at the fork into `ru_maxrss`, but not into `VmHWM`
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
