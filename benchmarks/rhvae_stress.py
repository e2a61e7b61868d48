"""Train the RHVAE with step sizes from too small to far too large, and count how the trainings end.

Each run has a seed of its own, a learning rate from 1e-5 to 1e-2 and a leapfrog step from 1e-4 to 1e-1 (both
log-uniform), on simulated images of 28x34x30 voxels with small networks. It has to end in a model whose
weights, loss and final metric are finite, or in a `StudyError`.

    OMP_NUM_THREADS=1 python benchmarks/rhvae_stress.py --json
"""

from __future__ import annotations

import argparse
import logging
import math
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy
import torch
from reporting import Bar, StudyError, describe_machine, finish, run_benchmark
from scipy.ndimage import gaussian_filter

from rhvae_mri.generators.rhvae.settings import NETWORKS, RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.training import Trained, train_rhvae

SHAPE = (28, 34, 30)
N_IMAGES = 16

SETTINGS = RHVAESettings(encoder_layers=(200,), decoder_layers=(64,), metric_layers=(20,))
TRAINING = TrainingSettings(batch_size=8, max_epochs=8)


@dataclass(frozen=True)
class Ending:
    """How one training ended.

    Attributes
    ----------
    seed : int
        Of the run.
    learning_rate, leapfrog_step_size : float
        What it started with.
    kind : {"model", "not finite", "clear error", "other error"}
        The ending; ``not finite`` is a model with a number that is not finite.
    message : str
        The error's, if there was one.
    learning_halvings, leapfrog_halvings : int
        What training did to recover, if it ended in a model.
    learned : bool
        Whether the lowest training loss is below that of the first batches.
    """

    seed: int
    learning_rate: float
    leapfrog_step_size: float
    kind: str
    message: str = ""
    learning_halvings: int = 0
    leapfrog_halvings: int = 0
    learned: bool = False


def simulate_images(n: int, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
    """Smooth random blobs with noise, rescaled to [0, 1] one by one; float32, shape (n, *shape)."""
    random = numpy.random.default_rng(seed)
    blobs = numpy.stack([gaussian_filter(random.standard_normal(shape), 3) for _ in range(n)])
    images = blobs / blobs.std() + 0.2 * random.standard_normal(blobs.shape)
    axes = tuple(range(1, images.ndim))
    low, high = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    return ((images - low) / (high - low)).astype(numpy.float32)


def is_finite(trained: Trained) -> bool:
    """Whether weights, final metric, losses and a decoded image are finite."""
    model = trained.model
    values = [row["loss"] for row in trained.history] + [trained.final_loss]
    tensors = [*model.state_dict().values(), model.decode(model.centroids[:1])]
    return all(map(math.isfinite, values)) and all(bool(tensor.isfinite().all()) for tensor in tensors)


def train_once(
    images: numpy.ndarray, settings: RHVAESettings, training: TrainingSettings, seed: int
) -> Ending:
    """Train one model, whatever happens."""
    start = Ending(seed, training.learning_rate, settings.leapfrog_step_size, kind="model")
    try:
        trained = train_rhvae(images, settings, training, seed=seed)
    except StudyError as error:
        return replace(start, kind="clear error", message=f"{error.what} ({error.where})")
    except Exception as error:  # none is swallowed: each is counted, shown, and breaks a bar
        return replace(start, kind="other error", message="".join(traceback.format_exception(error)))
    last = trained.history[-1]
    losses = [row["loss"] for row in trained.history]
    return replace(
        start,
        kind="model" if is_finite(trained) else "not finite",
        learning_halvings=round(math.log2(training.learning_rate / last["learning_rate"])),
        leapfrog_halvings=round(math.log2(settings.leapfrog_step_size / last["leapfrog_step_size"])),
        learned=min(losses[1:]) < losses[0],
    )


def summarize(endings: list[Ending]) -> dict[str, Any]:
    """Count the endings and the recoveries."""
    kinds = Counter(ending.kind for ending in endings)
    models = [ending for ending in endings if ending.kind == "model"]
    halvings = [ending.learning_halvings + ending.leapfrog_halvings for ending in models]
    return {
        "runs": len(endings),
        **{kind: kinds[kind] for kind in ("model", "clear error", "not finite", "other error")},
        "models that learned": sum(ending.learned for ending in models),
        "models after recoveries": sum(count > 0 for count in halvings),
        "most recoveries of a model": max(halvings, default=0),
        "halvings of the learning rate": sum(ending.learning_halvings for ending in models),
        "halvings of the leapfrog step": sum(ending.leapfrog_halvings for ending in models),
        "errors": [asdict(ending) for ending in endings if ending.kind != "model"],
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--runs", type=int, default=200, help="number of trainings (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--networks", choices=NETWORKS, default="mlp", help="kind of networks (default: mlp)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        raise StudyError("There is nothing to run.", where="--runs", remedy="Give 1 or more.")
    logging.getLogger("rhvae_mri").setLevel(logging.ERROR)
    torch.set_num_threads(1)

    images = simulate_images(N_IMAGES, SHAPE, arguments.seed)
    random = numpy.random.default_rng(arguments.seed)
    start = time.perf_counter()
    endings = []
    for number in range(1, arguments.runs + 1):
        settings = replace(
            SETTINGS, networks=arguments.networks, leapfrog_step_size=float(10 ** random.uniform(-4, -1))
        )
        training = replace(TRAINING, learning_rate=float(10 ** random.uniform(-5, -2)))
        ending = train_once(images, settings, training, seed=int(random.integers(2**31)))
        endings.append(ending)
        print(
            f"{number:4d}  learning rate {ending.learning_rate:.1e}  leapfrog step "
            f"{ending.leapfrog_step_size:.1e}  halvings {ending.learning_halvings}+{ending.leapfrog_halvings}"
            f"  {ending.kind} {ending.message}",
            flush=True,
        )
    figures = {
        "machine": describe_machine("torch", "numpy"),
        "seconds": time.perf_counter() - start,
        "networks": arguments.networks,
        **summarize(endings),
    }
    for name in ("runs", "model", "clear error", "models that learned", "models after recoveries"):
        print(f"{name}: {figures[name]}")
    bars = [
        Bar("runs with weights, loss or metric that are not finite", figures["not finite"], 0, "<="),
        Bar("runs that ended in another error", figures["other error"], 0, "<="),
    ]
    return finish(figures, bars, arguments.json)


if __name__ == "__main__":
    run_benchmark(main)
