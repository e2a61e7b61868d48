"""Kill trainings of the CNNs with SIGKILL at random moments, resume them, and compare networks and metrics.

Two seeds of the optimized network are trained one after the other on small images with noise, as in a job of
the workflow, with a checkpoint after each epoch. Histories and weights have to be
those of the uninterrupted training, bit for bit. See `kills`.

    OMP_NUM_THREADS=1 python benchmarks/cnn_kills.py --json
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy
import torch
from kills import READY, kill_trainings
from reporting import REPOSITORY, run_benchmark

from rhvae_mri.cnn.architectures import read_architectures
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.storage import load_networks, save_networks
from rhvae_mri.cnn.training import TrainingSettings, train_networks

SHAPE = (21, 26, 22)
SETTINGS = TrainingSettings(epochs=12, batch_size=4, learning_rate=1e-3)


def make_set(n: int, seed: int) -> ImageSet:
    """Noise with a brighter corner in every second image, which is of class 1."""
    images = numpy.random.default_rng(seed).random((n, *SHAPE), dtype=numpy.float32) * 0.8
    images[1::2, :8, :8, :8] += 0.2
    return ImageSet([ImagePart(images, range(n))], numpy.arange(n) % 2)


def train(folder: Path) -> None:
    """Train in this process."""
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    architectures = read_architectures(REPOSITORY / "resources" / "architectures.json")
    sets = make_set(24, seed=0), make_set(12, seed=1)
    print(READY, flush=True)
    trained = train_networks(
        architectures["optimized"]["downsampled"],
        *sets,
        SETTINGS,
        seeds={0: 11, 1: 12},
        device=torch.device("cpu"),
        checkpoints=folder / "checkpoints",
        checkpoint_seconds=1e-9,
    )
    save_networks(folder / "networks.safetensors", trained)


def is_same(first: Path, second: Path) -> bool:
    """Whether two trainings gave the same weights, histories and choice of the epoch."""
    networks, others = (load_networks(folder / "networks.safetensors") for folder in (first, second))
    return networks.keys() == others.keys() and all(
        (networks[seed].history, networks[seed].selected_epoch)
        == (others[seed].history, others[seed].selected_epoch)
        and all(
            torch.equal(value, others[seed].weights[key]) for key, value in networks[seed].weights.items()
        )
        for seed in networks
    )


def main() -> int:
    """Run the benchmark."""
    return kill_trainings(__file__, __doc__.splitlines()[0], is_same)


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(Path(sys.argv[2]))
    else:
        run_benchmark(main)
