"""The training of the convolutional networks.

Adam and cross entropy; after each epoch the network is evaluated on the validation set, and the weights of
the epoch with the highest validation balanced accuracy are kept. Where several epochs reach it, the first
one is kept. Each run has random generators of its own, so it gives the same network alone or among others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rhvae_mri.cnn.architectures import (
    PRECISIONS,
    Architecture,
    ConvolutionalNetwork,
    build_network,
    place_network,
)
from rhvae_mri.cnn.augmentation import AugmentationSettings, ClassicAugmentation
from rhvae_mri.cnn.data import RESIDENT_BYTES, DeviceImages, ImageSet
from rhvae_mri.cnn.prediction import check_shape, compute_logits, positive_probability
from rhvae_mri.cnn.storage import TrainedNetwork
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.checkpoints import RegularCheckpoints, TrainingState, run_digest
from rhvae_mri.runtime.jobs import peak_memory
from rhvae_mri.runtime.randomness import own_random_state
from rhvae_mri.study.seeds import derive_seed

logger = logging.getLogger(__name__)


class TrainingDiverged(StudyError):
    """A loss or an output was not finite."""


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on besides its architecture, its images and its seed."""

    epochs: int  #: how often every training image is seen
    #: images per step, 2 or more. The last batch of an epoch may be smaller; see `split_batches`
    batch_size: int
    learning_rate: float = 1e-4  #: Adam's learning rate
    weight_decay: float = 0.0  #: Adam's L2 penalty
    #: the ranges of the random transforms of the training images; without them none is transformed.
    #: Validation images never are
    augmentation: AugmentationSettings | None = None
    #: in which type to multiply, in training and validation; see `rhvae_mri.cnn.architectures.PRECISIONS`
    precision: str = "float32"

    def __post_init__(self) -> None:
        valid = {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 2,
            "learning_rate": 0 < self.learning_rate < math.inf,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "precision": self.precision in PRECISIONS,
        }
        for name, is_valid in valid.items():
            if not is_valid:
                raise StudyError(f"{getattr(self, name)} is no valid value of {name}.", where=f"cnn: {name}")


def train_networks(
    architecture: Architecture,
    train: ImageSet,
    validation: ImageSet,
    settings: TrainingSettings,
    *,
    seeds: Mapping[int, int],
    checkpoints: Path | None = None,
    **options: Any,
) -> dict[int, TrainedNetwork]:
    """Train one network for each seed, by the run's number; ``checkpoints`` is a folder of them."""
    return {
        number: train_network(
            architecture,
            train,
            validation,
            settings,
            seed=seed,
            checkpoint=None if checkpoints is None else checkpoints / f"seed-{number}.safetensors",
            name=f"seed-{number}",
            **options,
        )
        for number, seed in seeds.items()
    }


def train_network(
    architecture: Architecture,
    train: ImageSet,
    validation: ImageSet,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    digest: str = "",
    name: str = "network",
    checkpoint_seconds: float = 60.0,
    resident_bytes: int = RESIDENT_BYTES,
) -> TrainedNetwork:
    """Train a network and keep the weights of the best epoch."""
    train.check_classes("training")
    validation.check_classes("validation")
    identity = {
        "images_and_code": digest,
        "architecture": architecture.to_dict(),
        "settings": asdict(settings),
        "seed": seed,
        "images": [*train.shape, len(train), len(validation)],
    }
    with (
        own_random_state(derive_seed(seed, "dropout"), device),
        RegularCheckpoints(checkpoint, run_digest(identity), checkpoint_seconds) as checkpoints,
    ):
        # The checkpoint of a finished run holds the result alone, without network and optimizer.
        state = TrainingState(modules={}, optimizers={})
        is_resumed = checkpoints.restore(state)
        if is_resumed and state.progress["epoch"] == settings.epochs:
            logger.info("%s: already trained.", name)
            return _trained_network(architecture, train, state)
        network = build_network(architecture, train.shape, derive_seed(seed, "weights"))
        check_shape(network, validation)
        generators = {"order": torch.Generator().manual_seed(derive_seed(seed, "order"))}
        augment = None
        if settings.augmentation is not None:
            own_seed = derive_seed(seed, "augmentation")
            augment = ClassicAugmentation(settings.augmentation, train.shape, own_seed, device)
            generators["augmentation"] = augment.generator
        network = place_network(network, device, settings.precision)
        # The fused form of Adam computes the same and is several times faster on small networks.
        optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        state = TrainingState(
            modules={"network": network},
            optimizers={"adam": optimizer},
            generators=generators,
            progress={"epoch": 0, "selected_epoch": 0, "seconds": 0.0, "history": []},
        )
        if is_resumed:
            checkpoints.restore(state)
            logger.info("%s: going on after epoch %d.", name, state.progress["epoch"])
        image_sets = train.on(device, resident_bytes), validation.on(device, resident_bytes)
        while state.progress["epoch"] < settings.epochs:
            _next_epoch(state, network, optimizer, *image_sets, settings, name, augment)
            is_last = state.progress["epoch"] == settings.epochs
            if is_last:
                state = TrainingState({}, {}, tensors=state.tensors, progress=state.progress)
            checkpoints.after_epoch(state, is_last=is_last)
    return _trained_network(architecture, train, state)


def _next_epoch(
    state: TrainingState,
    network: ConvolutionalNetwork,
    optimizer: torch.optim.Optimizer,
    train: DeviceImages,
    validation: DeviceImages,
    settings: TrainingSettings,
    name: str,
    augment: ClassicAugmentation | None,
) -> None:
    """Train for one epoch, validate, keep the weights if they are the best so far.

    Changes ``state``, of which ``network`` and ``optimizer`` are a part.
    """
    started = time.monotonic()
    progress = state.progress
    epoch = progress["epoch"] + 1
    order = torch.randperm(len(train), generator=state.generators["order"])
    trained = train_epoch(network, optimizer, train, order, settings.batch_size, augment)
    # Evaluation keeps no maps for a backward pass, so twice the batch takes no more memory than training.
    row = trained | validate(network, validation, 2 * settings.batch_size)
    if not all(math.isfinite(value) for value in row.values()):
        raise TrainingDiverged(
            f"The training diverged: its losses are {row['train_loss']} and {row['validation_loss']}.",
            where=f"{name}, epoch {epoch}",
            cause=f"The learning rate {settings.learning_rate} is too high for these images.",
            remedy="Lower `cnn: learning_rate`.",
        )
    accuracy = row["validation_balanced_accuracy"]
    selected = progress["selected_epoch"]
    if not selected or accuracy > progress["history"][selected - 1]["validation_balanced_accuracy"]:
        progress["selected_epoch"] = epoch
        state.tensors = {key: weights.clone() for key, weights in network.state_dict().items()}
    progress["epoch"] = epoch
    progress["history"].append({"epoch": epoch, **row})
    progress["seconds"] += time.monotonic() - started
    left = (settings.epochs - epoch) * progress["seconds"] / epoch
    logger.info(
        "%s: epoch %d of %d, %.0f s left, "
        "loss %.4f, validation loss %.4f, validation balanced accuracy %.1f %%%s",
        name,
        epoch,
        settings.epochs,
        left,
        row["train_loss"],
        row["validation_loss"],
        100 * accuracy,
        ", the best so far" if progress["selected_epoch"] == epoch else "",
    )


def split_batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut the order of an epoch into batches, of which the last one may be smaller.

    A single image that would be left over joins the batch before it, because batch normalisation has no
    variance over one value where the maps have shrunk to one voxel.
    """
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def train_epoch(
    network: ConvolutionalNetwork,
    optimizer: torch.optim.Optimizer,
    images: DeviceImages,
    order: Tensor,
    batch_size: int,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Take one optimization step for each batch of an epoch.

    Loss, the mean over the images, and balanced accuracy are of the outputs on which the steps were taken, so
    the weights change within the epoch. They are not finite where the training diverged.
    """
    network.train()
    labels = images.labels[order.to(images.labels.device)]
    outputs = []
    batches = zip(split_batches(order, batch_size), split_batches(labels, batch_size), strict=True)
    for indices, targets in batches:
        batch = images.batch(indices)
        logits = network(batch if augment is None else augment(batch))
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        outputs.append(logits.detach())
    return _measure(torch.cat(outputs), labels, "train")


def validate(network: ConvolutionalNetwork, images: DeviceImages, batch_size: int) -> dict[str, float]:
    """Evaluate a network on the validation set; not finite where the training diverged."""
    return _measure(compute_logits(network, images, batch_size), images.labels, "validation")


def _measure(logits: Tensor, labels: Tensor, name: str) -> dict[str, float]:
    """Mean cross entropy, in double precision, and balanced accuracy; NaN if an output is not finite."""
    loss = functional.cross_entropy(logits.double(), labels).item()
    accuracy = math.nan
    if math.isfinite(loss):
        truth, called = labels.cpu().numpy() == 1, positive_probability(logits) > 0.5
        accuracy = float(called[truth].mean() + (~called)[~truth].mean()) / 2
    return {f"{name}_loss": loss, f"{name}_balanced_accuracy": accuracy}


def _trained_network(architecture: Architecture, train: ImageSet, result: TrainingState) -> TrainedNetwork:
    selected, history = result.progress["selected_epoch"], result.progress["history"]
    return TrainedNetwork(
        architecture=architecture,
        input_shape=train.shape,
        weights={key: weights.cpu().contiguous() for key, weights in result.tensors.items()},
        selected_epoch=selected,
        history=[row | {"best": int(row["epoch"] == selected)} for row in history],
        images_per_second=len(train) * len(history) / result.progress["seconds"],
    )


def training_metrics(
    trained: Mapping[int, TrainedNetwork], n_train: int, precision: str, device: torch.device
) -> dict[str, Any]:
    """Collect as JSON values what the runs of a job cost.

    ``peak_memory_mb``, in MB of 1,000,000 bytes, is of a GPU what torch held there, otherwise the largest
    resident memory of this process. A run that was interrupted counts the time of all its parts; the memory
    is that of the last.
    """
    is_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if is_gpu else "CPU",
        "threads": torch.get_num_threads(),
        "precision": precision,
        "training_images": n_train,
        "peak_memory_mb": (torch.cuda.max_memory_allocated(device) if is_gpu else peak_memory()) / 1e6,
        "seeds": {
            str(number): {
                "images_per_second": run.images_per_second,
                "seconds_per_epoch": n_train / run.images_per_second,
                "epochs": len(run.history),
                "selected_epoch": run.selected_epoch,
            }
            for number, run in trained.items()
        },
    }
