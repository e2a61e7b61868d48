"""The baseline CNN beside ClinicaDL's: an epoch of training and validation on the same images.

ClinicaDL's side is built of its own parts (1.6.1, in .venv-peers: make peers): the convolutions of
`Conv5_FC3`, its wrapper for distributed training, its transforms, one .pt file per image behind a DataLoader
with its default of two processes, torch's Adam, and its evaluation of the training set and of the validation
set after each epoch. Ours does not evaluate the training set again, so the comparison is also given without
that. The memory is that of the main process, without the two that load.

Both sides run in processes of their own and take turns. Times are of the wall, the processor's beside them.

    OMP_NUM_THREADS=1 python benchmarks/cnn_vs_clinicadl.py --json
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from turns import Clock, Turns, medians, take_turns

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
sys.path.insert(0, str(REPOSITORY / "workflow"))

#: The study's size and that of the simulated study of medium size.
SIZES = {"large": (84, 104, 89), "small": (21, 26, 22)}
#: Images of training and validation, by device.
IMAGES = {
    "cpu": {"large": (24, 8), "small": (96, 32)},
    "cuda": {"large": (192, 64), "small": (192, 64)},
}
SEED = 1

#: How many times as many images per second an epoch has to go through, by device; on a GPU by the seeds.
FASTER = {"cpu": {1: 2.0}, "cuda": {1: 5.0, 20: 10.0}}


def main() -> int:
    """Take all measurements and print them."""
    from reporting import Bar, describe_machine, finish

    from rhvae_mri.io.errors import StudyError

    options = _parse()
    if not PEERS.is_file():
        raise StudyError("ClinicaDL is not installed.", where=PEERS, remedy="Run: make peers")
    figures: dict[str, Any] = {"machine": describe_machine("torch", "numpy"), **vars(options)}
    bars = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="cnn-images-") as folder:
            _write_images(Path(folder), size, options.device)
            sides = {"ours": sys.executable, "clinicadl": str(PEERS)}
            arguments = [size, folder, options.device, options.precision]
            numbers = [options.batch_size, options.threads, options.seeds]
            commands = {
                side: [python, "-W", "ignore", __file__, "work", side, *arguments, *map(str, numbers)]
                for side, python in sides.items()
            }
            turns, memory = take_turns(
                commands, options.repetitions, threads=options.threads, verbose=options.verbose
            )
        result = _compare(IMAGES[options.device][size][0], turns, memory)
        figures[size] = result
        print(f"{size}: {json.dumps(result)}", flush=True)
        bound = FASTER[options.device].get(options.seeds)
        if size == "large" and bound:
            name = f"{size}: times as many images/s, training and validation"
            bars.append(Bar(name, result["times_as_fast"], bound, ">="))
    return finish(figures, bars, options.json)


def _compare(
    n_train: int, turns: dict[str, list[dict[str, float]]], memory: dict[str, float]
) -> dict[str, Any]:
    """Medians over the turns, and how many times as fast ours is, from pairs of neighbouring turns."""
    ours, theirs = turns["ours"], turns["clinicadl"]
    ratios = medians(
        [
            {
                "times_as_fast": b["epoch_s"] / a["epoch_s"],
                "times_as_fast_without_their_training_evaluation": (b["epoch_s"] - b["again_s"])
                / a["epoch_s"],
                "times_as_fast_by_processor": b["epoch_cpu_s"] / a["epoch_cpu_s"],
            }
            for a, b in zip(ours, theirs, strict=True)
        ]
    )
    result: dict[str, Any] = {"ours": medians(ours), "clinicadl": medians(theirs), **ratios}
    for side in ("ours", "clinicadl"):
        # one and the same number of training images over the time of the whole epoch
        result[side]["images_per_second"] = n_train / result[side]["epoch_s"]
    result["fraction_of_bound"] = median(turn["fraction_of_bound"] for turn in ours)
    return result | {"memory_mb": memory}


def _write_images(folder: Path, size: str, device: str) -> None:
    """Write the images of a size as ClinicaDL stores them, and as one array."""
    import numpy
    import torch

    images = numpy.random.default_rng(SEED).random(
        (sum(IMAGES[device][size]), *SIZES[size]), dtype=numpy.float32
    )
    numpy.save(folder / "images.npy", images, allow_pickle=False)
    for index, image in enumerate(images):
        torch.save(torch.from_numpy(image[None].copy()), folder / f"{index}.pt")


# The side of the workers


def work(side: str, size: str, folder: str, device: str, precision: str, *numbers: str) -> NoReturn:
    """Be one side."""
    import torch

    batch_size, threads, n_seeds = map(int, numbers)
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    work_on = _ours if side == "ours" else _clinicadl
    work_on(size, Path(folder), torch.device(device), precision, batch_size, n_seeds, Turns(device))
    raise AssertionError("The turns did not end.")


def _ours(
    size: str, folder: Path, device: Any, precision: str, batch_size: int, n_seeds: int, turns: Turns
) -> None:
    import numpy
    import torch

    from rhvae_mri.cnn.architectures import build_network, place_network, read_architectures
    from rhvae_mri.cnn.data import ImagePart, ImageSet
    from rhvae_mri.cnn.training import train_epoch, validate
    from rhvae_mri.runtime.devices import choose_device

    choose_device(device.type, torch.get_num_threads())  # as a job does, which sets how a GPU computes
    architecture = read_architectures(REPOSITORY / "resources" / "architectures.json")["baseline"][
        "downsampled"
    ]
    stack, (n_train, n) = numpy.load(folder / "images.npy", mmap_mode="r"), IMAGES[device.type][size]
    rows = {"train": range(n_train), "validation": range(n_train, n_train + n)}
    train, validation = (
        ImageSet([ImagePart(stack, part)], numpy.array(part) % 2).on(device) for part in rows.values()
    )
    networks = [
        place_network(build_network(architecture, SIZES[size], seed), device, precision)
        for seed in range(n_seeds)
    ]
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-4, fused=True) for network in networks]
    bound = _bound(architecture, size, device)

    def epoch() -> dict[str, float]:
        clock = Clock(device.type)
        for network, optimizer in zip(networks, optimizers, strict=True):
            train_epoch(network, optimizer, train, torch.randperm(n_train), batch_size)
        training, training_cpu = clock.lap()
        for network in networks:
            validate(network, validation, 2 * batch_size)
        checking, checking_cpu = clock.lap()
        # other load lengthens the time on the wall, but not that of the processor
        busy = training + checking if device.type == "cuda" else training_cpu + checking_cpu
        return {
            "training_s": training / n_seeds,
            "validation_s": checking / n_seeds,
            "epoch_s": (training + checking) / n_seeds,
            "epoch_cpu_s": (training_cpu + checking_cpu) / n_seeds,
            "bound_s": bound,
            "fraction_of_bound": n_seeds * bound / busy,
        }

    turns.repeat(epoch)


def _clinicadl(
    size: str, folder: Path, device: Any, precision: str, batch_size: int, n_seeds: int, turns: Turns
) -> None:
    # Precision and number of seeds are settings of ours alone.
    import torch
    import torch.distributed
    from clinicadl.utils.caps_dataset.data import MinMaxNormalization, NanRemoval
    from clinicadl.utils.maps_manager.ddp import DDP
    from clinicadl.utils.network.cnn.models import Conv5_FC3
    from clinicadl.utils.network.sub_network import CNN
    from clinicadl.utils.task_manager.classification import ClassificationManager
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torch.utils.data.distributed import DistributedSampler
    from torchvision.transforms import Compose

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    transforms, (n_train, n) = Compose([NanRemoval(), MinMaxNormalization()]), IMAGES[device.type][size]

    class Files(Dataset):
        """One .pt file per image, as in ClinicaDL's dataset, without its search for the file."""

        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            row = self.rows[index]
            image = transforms(torch.load(folder / f"{row}.pt", weights_only=True))
            names = {"participant_id": f"sub-{row}", "session_id": "ses-M000", "image_id": 0}
            return {"image": image, "label": row % 2, **names}

        def eval(self):
            """ClinicaDL's evaluation asks for it."""

    def loader(rows, *, shuffle):
        data = Files(rows)
        sampler = DistributedSampler(data, num_replicas=1, rank=0, shuffle=shuffle)
        return DataLoader(data, batch_size=batch_size, sampler=sampler, num_workers=2)

    train = loader(range(n_train), shuffle=True)
    validation = loader(range(n_train, n_train + n), shuffle=False)
    reference = Conv5_FC3((1, *SIZES[size]), gpu=device.type == "cuda", output_size=2, dropout=0.5)
    features = reference.fc[2].in_features
    classifier = [
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(features, 350),
        nn.ReLU(),
        nn.Linear(350, 25),
        nn.ReLU(),
    ]
    classifier = nn.Sequential(*classifier, nn.Linear(25, 2))
    model = DDP(CNN(reference.convolutions, classifier, n_classes=2, gpu=device.type == "cuda"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=0)
    manager, criterion = ClassificationManager("image", n_classes=2), nn.CrossEntropyLoss()

    def epoch() -> dict[str, float]:
        clock = Clock(device.type)
        model.train()
        for data in train:
            _, losses = model(data, criterion)
            losses["loss"].backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        laps = {"training": clock.lap()}
        manager.test(model, train, criterion)
        laps["again"] = clock.lap()
        manager.test(model, validation, criterion)
        laps["validation"] = clock.lap()
        times = {f"{name}_s": seconds for name, (seconds, _) in laps.items()}
        whole, processor = (sum(lap[kind] for lap in laps.values()) for kind in (0, 1))
        return times | {"epoch_s": whole, "epoch_cpu_s": processor}

    turns.repeat(epoch)


def _bound(architecture: Any, size: str, device: Any) -> float:
    """The least time of an epoch by arithmetic at the rate of a large matrix product, or by memory traffic.

    A training image takes each convolution three times (forward, and for the gradients of weights and input,
    which the first needs not) and passes over its map six times, in float32: written, read for the statistics
    and for the pooling, read and written for its gradient, which is read for the weights. A validation image
    takes each convolution once and passes over its map twice.
    """
    import torch

    from rhvae_mri.cnn.architectures import pooled_shape

    def best(action: Any) -> float:
        times = []
        for _ in range(7):
            clock = Clock(device.type)
            action()
            times.append(clock.lap()[0 if device.type == "cuda" else 1])
        return min(times)

    source = torch.rand(2**26, device=device)
    target = torch.empty_like(source)
    length = 8192 if device.type == "cuda" else 2048
    square = torch.rand(length, length, device=device)
    bytes_per_s = 8 * 2**26 / best(lambda: target.copy_(source))
    operations_per_s = 2 * length**3 / best(lambda: square @ square)
    n_train, n = IMAGES[device.type][size]
    shape, inputs, operations, traffic = SIZES[size], 1, 0.0, 0.0
    for block in architecture.blocks:
        for width in block:
            voxels = math.prod(shape)
            times = n_train * (3 if inputs > 1 else 2) + n
            operations += 2 * 27 * inputs * width * voxels * times
            traffic += 4 * width * voxels * (6 * n_train + 2 * n)
            inputs = width
        shape = pooled_shape(shape)
    return max(operations / operations_per_s, traffic / bytes_per_s)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures and bars as the last line")
    parser.add_argument("--size", dest="sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--device", choices=FASTER, default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of ours")
    parser.add_argument("--batch-size", type=int, default=8, help="default: 8, as ClinicaDL's")
    parser.add_argument("--seeds", type=int, default=1, help="networks that ours trains, one after another")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on both sides (default: 1)")
    parser.add_argument("--repetitions", type=int, default=5, help="turns that count (default: 5)")
    parser.add_argument("--verbose", action="store_true", help="show the messages of the workers")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    from reporting import run_benchmark

    run_benchmark(main)
