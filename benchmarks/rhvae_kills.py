"""Kill trainings of the RHVAE with SIGKILL at random moments, resume them, and compare the models.

A process trains with a checkpoint of about 200 MB after each epoch, so that many moments fall into its
writing. It is killed by its process id after a random delay, and the next process goes on. A training that
comes to its end has to give the model of the uninterrupted one, bit for bit; then another begins, until all
kills are done.

    OMP_NUM_THREADS=1 python benchmarks/rhvae_kills.py --json
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from reporting import Bar, StudyError, describe_machine, finish, run_benchmark
from rhvae_stress import N_IMAGES, SETTINGS, SHAPE, simulate_images
from safetensors import safe_open

from rhvae_mri.rhvae.settings import TrainingSettings
from rhvae_mri.rhvae.storage import save_model
from rhvae_mri.rhvae.training import train_rhvae

#: Large steps, so that training also has to remember where it went back.
STEEP = replace(SETTINGS, leapfrog_step_size=0.1)
TRAINING = TrainingSettings(learning_rate=1e-3, batch_size=8, max_epochs=10, checkpoint_seconds=1e-9)

READY = "ready"


def train(folder: Path) -> None:
    """Train in this process; say when it begins, for the delays to count from there."""
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    images = simulate_images(N_IMAGES, SHAPE, seed=0)
    print(READY, flush=True)
    checkpoint = folder / "checkpoint.safetensors"
    trained = train_rhvae(images, STEEP, TRAINING, seed=1, checkpoint=checkpoint)
    save_model(
        folder / "model.safetensors",
        trained.model,
        {"history": str(trained.history), "recoveries": str(len(trained.recoveries))},
    )


def run(folder: Path, delay: float | None = None) -> tuple[int, float]:
    """Train in a process of its own, which is killed after ``delay`` seconds; exit status and seconds."""
    process = subprocess.Popen(
        [sys.executable, __file__, "train", os.fspath(folder)], stdout=subprocess.PIPE, text=True
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


def read_model(folder: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """The header of a model file, with settings and history, and its tensors."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def is_same(first: Path, second: Path) -> bool:
    """Whether two trainings gave the same weights, metric, settings and history."""
    (header, tensors), (other_header, others) = read_model(first), read_model(second)
    return (
        header == other_header
        and tensors.keys() == others.keys()
        and all(torch.equal(tensors[name], others[name]) for name in others)
    )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--kills", type=int, default=20, help="number of kills (default: 20)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the delays (default: a new one)")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    delays = random.Random(seed)
    kills = in_writing = trainings = different = failed = 0
    with tempfile.TemporaryDirectory(prefix="rhvae-kills-") as temporary:
        whole = Path(temporary) / "uninterrupted"
        whole.mkdir()
        status, seconds = run(whole)
        if status:
            raise StudyError("The uninterrupted training failed.", cause=f"Its status is {status}.")
        recoveries = int(read_model(whole)[0]["recoveries"])
        folder = None
        while folder is not None or kills < arguments.kills:
            if folder is None:
                folder = Path(temporary) / f"training-{trainings}"
                folder.mkdir()
            delay = delays.uniform(0, seconds / 2) if kills < arguments.kills else None
            before = set(folder.glob(".*"))
            status, _ = run(folder, delay)
            if status == -signal.SIGKILL:
                kills += 1
                unfinished = len(set(folder.glob(".*")) - before)
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
        "recoveries of a training": recoveries,
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(Path(sys.argv[2]))
    else:
        run_benchmark(main)
