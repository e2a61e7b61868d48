"""What the jobs of the workflow find on the machine: this library, perhaps a GPU, signals of a scheduler."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path


def export_library() -> None:
    """Put this library on PYTHONPATH, so that every process started from here can import it.

    The library is not installed. Jobs inherit the path from the process that reads the Snakefile; on a
    cluster's node that is a process there.
    """
    library = str(Path(__file__).parents[1])
    paths = [library, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def count_gpus(device: str) -> int:
    """Say how many GPUs one training job takes.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        As in the configuration; ``auto`` takes a GPU where the machine has NVIDIA's tools.
    """
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
