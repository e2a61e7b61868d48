"""The RHVAE beside pythae's: a training step, an epoch through each one's own loop, generation, peak memory.

Both sides run in processes of their own, with the same networks, images and number of threads, and take
turns: one step of ours, one of pythae's, and so on, so that other load on the machine meets both. pythae is
in the environment .venv-peers (make peers).

pythae takes hours for 10,000 samples. Every Monte Carlo step of every batch of 500 (its default) costs the
same, so a few steps of one batch are timed and multiplied, and its decoding is timed in full for that batch.
Ours are timed from the first chain to the last image.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from turns import Clock, Turns, medians, take_turns

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
sys.path.insert(0, str(REPOSITORY / "workflow"))

SIZES = {"small": (28, 34, 30), "medium": (42, 52, 44), "large": (84, 104, 89)}
BATCH = 25
IMAGES = 100  # of an epoch
CENTROIDS = 243  # of the final metric: the study's larger training set
SAMPLES = (1000, 10_000)
PYTHAE_BATCH = 500
PYTHAE_STEPS = 2  # of the sampler, that are timed
#: pythae stays finite with it: with 1e-4 it diverges at 42x52x44, with 1e-5 at 84x104x89, in a few steps.
LEARNING_RATE = 1e-7
SEED = 1

#: By device: how many times as fast each task has to be; and the bound of the peak memory beside pythae's.
FASTER = {"cpu": {"step": 2.0, "epoch": 3.0, "generation": 30.0}, "cuda": {"step": 4.0}}
MEMORY = 0.6


def main() -> int:
    """Take all measurements and print them."""
    from reporting import Bar, describe_machine, finish

    from rhvae_mri.io.errors import StudyError

    options = _parse(sys.argv[1:])
    if not PEERS.is_file():
        raise StudyError("pythae is not installed.", where=PEERS, remedy="Run: make peers")
    [rates] = _measure(["ours"], "rates", options.sizes[0], 1, options)[0]["ours"]
    figures: dict[str, Any] = {
        "machine": describe_machine("torch", "numpy") | rates,
        "pythae": _version_of_pythae(),
        **{"device": options.device, "threads": options.threads, "repetitions": options.repetitions},
        **{"batch": BATCH, "images": IMAGES, "centroids": CENTROIDS},
    }
    bars = []
    for size in options.sizes:
        for task in options.tasks:
            turns, memory = _measure(("ours", "pythae"), task, size, options.repetitions, options)
            compare = _compare_generation if task == "generation" else _compare_times
            result = compare(turns["ours"], turns["pythae"])
            result |= {"memory_mb": memory, "memory_ratio": memory["ours"] / memory["pythae"]}
            if task != "generation":
                name = f"{size} {task}: peak memory beside pythae's"
                bars.append(Bar(name, result["memory_ratio"], MEMORY, "<="))
            if task == "step":
                result["bound"] = _bound(size, result["ours_s"]["wall"], rates)
            if task in FASTER[options.device]:
                bound = FASTER[options.device][task]
                bars.append(Bar(f"{size} {task}: times as fast", result["times_as_fast"], bound, ">="))
            figures[f"{size} {task}"] = result
            print(f"{size} {task}: {json.dumps(result)}", flush=True)
    return finish(figures, bars, options.json)


def _measure(
    sides: Sequence[str], task: str, size: str, repetitions: int, options: argparse.Namespace
) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """Let the sides do a task in turn; what each answered, and its peak memory in MB."""
    pythons = {"ours": sys.executable, "pythae": str(PEERS)}
    commands = {
        side: [
            *(pythons[side], "-W", "ignore", __file__, "work"),
            *(side, task, size, options.device, str(options.threads)),
        ]
        for side in sides
    }
    # Our package asks torch for large memory pages; pythae's process, which imports our networks, must not.
    settings = {"pythae": {"THP_MEM_ALLOC_ENABLE": "0"}}
    return take_turns(
        commands, repetitions, threads=options.threads, settings=settings, verbose=options.verbose
    )


def _compare_times(ours: list[dict[str, float]], pythae: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over the turns, and how many times as fast ours is, turn by turn.

    The time of the processor is less sensitive to other load; the bars are about the time on the wall.
    """
    result: dict[str, Any] = {}
    for name, turns in (("ours_s", ours), ("pythae_s", pythae)):
        result[name] = dict(medians(turns))
        result[name]["range"] = [min(turn["wall"] for turn in turns), max(turn["wall"] for turn in turns)]
    for name, kind in (("times_as_fast", "wall"), ("times_as_fast_by_processor", "processor")):
        result[name] = median(b[kind] / a[kind] for a, b in zip(ours, pythae, strict=True))
    return result


def _compare_generation(ours: list[list[float]], pythae: list[list[float]]) -> dict[str, Any]:
    """Times of both sides by the number of samples; pythae's from those of one batch."""
    from rhvae_mri.generators.rhvae.settings import SamplerSettings

    decoding, sampling = (median(row[part] for row in pythae) for part in (0, 1))
    per_batch = decoding + (sampling - decoding) * SamplerSettings().steps / PYTHAE_STEPS
    source = f"{PYTHAE_STEPS} of {SamplerSettings().steps} steps of {PYTHAE_BATCH} chains"
    result: dict[str, Any] = {"pythae_extrapolated_from": source}
    for index, n in enumerate(SAMPLES):
        seconds = [row[index] for row in ours]
        theirs = per_batch * n / PYTHAE_BATCH
        result[str(n)] = {
            "ours_s": seconds,
            "pythae_s": theirs,
            "times_as_fast": theirs / median(seconds),
        }
    return result | {"times_as_fast": result[str(SAMPLES[-1])]["times_as_fast"]}


def _bound(size: str, seconds: float, rates: dict[str, float]) -> dict[str, float]:
    """The least time that a step of ours can take, by arithmetic and by memory traffic of the large layers.

    Counted are the layers with one row or column per voxel. With K leapfrog steps the decoder's last layer is
    multiplied with the activations of one batch K + 1 times forward, as often backward for the gradients in
    z, 6 (K - 1) times for the derivative of the momentum, and at last 4 K times for the gradient of the loss
    at the K positions together. Encoder and metric network are multiplied once forward and once for their
    weights. Weights count as read once per product, gradients as used where they are formed by Adam, which
    reads and writes the weights and two moments.
    """
    from rhvae_mri.generators.rhvae.settings import RHVAESettings

    settings = RHVAESettings()
    n_voxels, steps = math.prod(SIZES[size]), settings.leapfrog_steps
    encoder, metric = settings.encoder_layers[0], settings.metric_layers[0]
    decoder = settings.decoder_layers[-1]
    again = 6 * (steps - 1) if settings.integrator == "published" else 0
    products = decoder * (2 * (steps + 1) + again + 4 * steps) + 2 * (encoder + metric)
    passes = decoder * (2 * (steps + 1) + again + 2) + (encoder + metric)
    optimizer = 6 * (decoder + encoder + metric)
    arithmetic = 2 * BATCH * n_voxels * products / rates["matmul_flops"]
    memory = 4 * n_voxels * (passes + optimizer) / rates["copy_bytes_per_s"]
    return {
        "arithmetic_s": arithmetic,
        "memory_s": memory,
        "fraction_reached": max(arithmetic, memory) / seconds,
    }


def _version_of_pythae() -> str:
    command = "import importlib.metadata as m; print(m.version('pythae'))"
    return subprocess.run([PEERS, "-c", command], capture_output=True, text=True, check=True).stdout.strip()


# The side of the workers


def _timed(clock: Clock, action: Callable[[], None]) -> Callable[[], dict[str, float]]:
    """An action that answers what it took, on the wall and of the processor."""

    def act() -> dict[str, float]:
        clock.lap()
        action()
        return clock.times()

    return act


def _count_epochs(encoder: Any, turns: Turns, clock: Clock) -> None:
    """From now on a turn is an epoch; it begins with the encoder's first batch."""
    calls = 0

    def begin(*_: Any) -> None:
        nonlocal calls
        if calls % (IMAGES // BATCH) == 0:
            if calls:
                turns.answer(clock.times())
            turns.wait()
            clock.lap()
        calls += 1

    encoder.register_forward_pre_hook(begin)


def work(side: str, task: str, size: str, device: str, threads: str) -> NoReturn:
    """Be one side of a task."""
    import torch

    torch.set_num_threads(int(threads))
    torch.manual_seed(SEED)
    tasks = {
        "ours": {"rates": _rates, "step": _our_step, "epoch": _our_epoch, "generation": _our_generation},
        "pythae": {"step": _pythae_step, "epoch": _pythae_epoch, "generation": _pythae_generation},
    }
    tasks[side][task](SIZES[size], device, Turns(device))
    raise AssertionError("The training ended.")


def _rates(_: tuple[int, ...], device: str, turns: Turns) -> None:
    """Measure the copy bandwidth and the rate of a large matrix product in float32."""
    import torch

    from rhvae_mri.generators.rhvae.kernels.voxel_layers import product

    def best(action: Callable[[], Any]) -> float:
        times, clock = [], Clock(device)
        for _ in range(7):
            clock.lap()
            action()
            times.append(clock.lap()[0])
        return min(times)

    def measure() -> dict[str, float]:
        source = torch.rand(2**26, device=device)
        target = torch.empty_like(source)
        length = 8192 if device == "cuda" else 2048
        square = torch.rand(length, length, device=device)
        copy_s = best(lambda: target.copy_(source))
        matmul_s = min(best(lambda: square @ square), best(lambda: product(square, square)))
        return {"copy_bytes_per_s": 8 * 2**26 / copy_s, "matmul_flops": 2 * length**3 / matmul_s}

    turns.repeat(measure)


def _our_step(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    import torch

    from rhvae_mri.generators.rhvae.kernels.adam import Adam
    from rhvae_mri.generators.rhvae.kernels.voxel_layers import collected_factors
    from rhvae_mri.generators.rhvae.model import RHVAE
    from rhvae_mri.generators.rhvae.settings import RHVAESettings

    settings = RHVAESettings()
    model = RHVAE(settings, shape, _networks(shape)).to(device)
    layers = model.voxel_layers()
    optimizer = Adam(model.parameters(), LEARNING_RATE, layers)
    images = _images(BATCH, shape).to(device)

    def step() -> None:
        noise = torch.randn(2, BATCH, settings.latent_dimension).to(device)
        with collected_factors(layers):  # as in `rhvae_mri.generators.rhvae.training`
            model(images, *noise).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    turns.repeat(_timed(Clock(device), step))


def _pythae_step(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    import torch

    model = _pythae_model(shape).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)  # as its trainer makes it
    images = {"data": _images(BATCH, shape).to(device)}

    def step() -> None:
        loss = model(images).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    turns.repeat(_timed(Clock(device), step))


def _our_epoch(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
    from rhvae_mri.generators.rhvae.training import train_rhvae

    networks = _networks(shape)
    _count_epochs(networks.encoder, turns, Clock(device))
    training = TrainingSettings(batch_size=BATCH, max_epochs=1000, patience=1000, learning_rate=LEARNING_RATE)
    images = _images(IMAGES, shape).numpy()
    train_rhvae(images, RHVAESettings(), training, seed=SEED, device=device, networks=networks)


def _pythae_epoch(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    model = _pythae_model(shape)
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-benchmark-") as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1000,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            no_cuda=device == "cpu",
        )
        dataset = BaseDataset(_images(IMAGES, shape), torch.ones(IMAGES))
        trainer = BaseTrainer(model, dataset, training_config=config)
        _count_epochs(model.encoder, turns, Clock(device))
        trainer.train()


def _our_generation(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    from rhvae_mri.generators.contract import decode_each
    from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
    from rhvae_mri.generators.rhvae.model import RHVAE
    from rhvae_mri.generators.rhvae.settings import RHVAESettings

    model = RHVAE(RHVAESettings(), shape, _networks(shape)).to(device)
    model.fit_metric(_images(CENTROIDS, shape).to(device))
    model.eval()

    generator, clock = RHVAEGenerator(model), Clock(device)

    def generate(n: int) -> float:
        clock.lap()
        for _ in decode_each("rhvae", generator, generator.draw(n, seed=SEED), shape):
            pass
        return clock.lap()[0]

    turns.repeat(lambda: [generate(n) for n in SAMPLES])


def _pythae_generation(shape: tuple[int, ...], device: str, turns: Turns) -> None:
    import torch
    from pythae.samplers import RHVAESampler, RHVAESamplerConfig

    model = _pythae_model(shape).to(device)
    model.device = device
    with torch.no_grad():
        images = _images(CENTROIDS, shape).to(device)
        factors = model.metric(images)["L"]
        model.M.append(factors @ factors.mT)
        model.centroids.append(model.encoder(images)["embedding"])
    model.update()
    model.eval()
    samplers = [RHVAESampler(model, RHVAESamplerConfig(mcmc_steps_nbr=steps)) for steps in (0, PYTHAE_STEPS)]

    clock = Clock(device)

    def generate(sampler: RHVAESampler) -> float:
        clock.lap()
        sampler.sample(num_samples=PYTHAE_BATCH, batch_size=PYTHAE_BATCH)
        return clock.lap()[0]

    turns.repeat(lambda: [generate(sampler) for sampler in samplers])


def _images(n: int, shape: tuple[int, ...]) -> Any:
    import torch

    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(SEED))


def _networks(shape: tuple[int, ...]) -> Any:
    """The study's networks, the same for both sides."""
    import torch

    from rhvae_mri.generators.rhvae.networks import build_networks
    from rhvae_mri.generators.rhvae.settings import RHVAESettings

    return build_networks(RHVAESettings(), shape, torch.Generator().manual_seed(SEED))


def _pythae_model(shape: tuple[int, ...]) -> Any:
    """The RHVAE of pythae with the study's settings around the same networks."""
    import torch
    from pythae.models import RHVAE, RHVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder, BaseMetric

    from rhvae_mri.generators.rhvae.settings import RHVAESettings

    settings, networks = RHVAESettings(), _networks(shape)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = networks.encoder

        def forward(self, x):
            mean, log_variance = self.network(x)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = networks.decoder

        def forward(self, z):
            voxels = torch.sigmoid(self.network(z))
            return ModelOutput(reconstruction=voxels.reshape(-1, *shape))

    class Metric(BaseMetric):
        def __init__(self):
            super().__init__()
            self.network = networks.metric

        def forward(self, x):
            return ModelOutput(L=self.network(x))

    config = RHVAEConfig(
        input_dim=shape,
        latent_dim=settings.latent_dimension,
        n_lf=settings.leapfrog_steps,
        eps_lf=settings.leapfrog_step_size,
        beta_zero=settings.sqrt_beta_zero,
        temperature=settings.temperature,
        regularization=settings.regularization,
        reconstruction_loss=settings.reconstruction,
    )
    return RHVAE(config, Encoder(), Decoder(), Metric())


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print all figures as JSON on the last line")
    parser.add_argument("--size", dest="sizes", nargs="+", choices=SIZES, help="default: small and medium")
    tasks = ("step", "epoch", "generation")
    parser.add_argument("--tasks", nargs="+", choices=tasks, help="default: all")
    parser.add_argument("--device", choices=FASTER, default="cpu", help="on cuda the size is large")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on both sides (default: 1)")
    parser.add_argument("--repetitions", type=int, default=5, help="turns that count (default: 5)")
    parser.add_argument("--quick", action="store_true", help="the small size, one turn: no measurement")
    parser.add_argument("--verbose", action="store_true", help="show the messages of the workers")
    options = parser.parse_args(arguments)
    cuda = options.device == "cuda"
    options.sizes = options.sizes or (
        ["large"] if cuda else ["small"] if options.quick else ["small", "medium"]
    )
    options.tasks = options.tasks or list(tasks)
    if options.quick:
        options.repetitions = 1
    return options


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    from reporting import run_benchmark

    run_benchmark(main)
