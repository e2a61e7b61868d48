"""Kill trainings of the RHVAE with SIGKILL at random moments, resume them, and compare the models.

A process trains with a checkpoint of about 200 MB after each epoch, so that many moments fall into its
writing. It is killed by its process id after a random delay, and the next process goes on. A training that
comes to its end has to give the model of the uninterrupted one, bit for bit; then another begins, until all
kills are done.

    OMP_NUM_THREADS=1 python benchmarks/rhvae_kills.py --json
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch
from kills import READY, kill_trainings
from reporting import run_benchmark
from rhvae_stress import N_IMAGES, SETTINGS, SHAPE, simulate_images
from safetensors import safe_open

from rhvae_mri.generators.rhvae.settings import TrainingSettings
from rhvae_mri.generators.rhvae.storage import save_model
from rhvae_mri.generators.rhvae.training import train_rhvae

#: Large steps, so that training also has to remember where it went back.
STEEP = replace(SETTINGS, leapfrog_step_size=0.1)
TRAINING = TrainingSettings(learning_rate=1e-3, batch_size=8, max_epochs=10, checkpoint_seconds=1e-9)


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
    return kill_trainings(
        __file__,
        __doc__.splitlines()[0],
        is_same,
        lambda folder: {"recoveries of a training": int(read_model(folder)[0]["recoveries"])},
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(Path(sys.argv[2]))
    else:
        run_benchmark(main)
