"""The training of the convolutional networks.

Adam and cross entropy; after each epoch the network is evaluated on the validation set, and the weights of
the epoch with the highest validation balanced accuracy are kept. Where several epochs reach it, the first
one is kept. Each run has random generators of its own, so it gives the same network alone or among others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rhvae_mri.cnn.architectures import (
    PRECISIONS,
    Architecture,
    ConvolutionalNetwork,
    build_network,
    place_network,
)
from rhvae_mri.cnn.augmentation import AugmentationSettings, ClassicAugmentation
from rhvae_mri.cnn.data import RESIDENT_BYTES, DeviceImages, ImageSet
from rhvae_mri.cnn.epochs import train_epoch, validate
from rhvae_mri.cnn.prediction import check_shape
from rhvae_mri.cnn.trained import TrainedNetwork
from rhvae_mri.errors import StudyError
from rhvae_mri.learning.checkpoints import TrainingState, run_digest
from rhvae_mri.learning.randomness import own_random_state
from rhvae_mri.learning.regular_checkpoints import RegularCheckpoints
from rhvae_mri.seeds import derive_seed

logger = logging.getLogger(__name__)


class TrainingDiverged(StudyError):
    """A loss or an output was not finite."""


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on besides its architecture, its images and its seed.

    Attributes
    ----------
    epochs : int
        How often every training image is seen.
    batch_size : int
        Images per step, 2 or more. The last batch of an epoch may be smaller; see `split_batches`.
    learning_rate : float
        Adam's learning rate.
    weight_decay : float
        Adam's L2 penalty.
    augmentation : AugmentationSettings, optional
        The ranges of the random transforms of the training images; without them none is transformed.
        Validation images never are.
    precision : str
        In which type to multiply, in training and validation; see `rhvae_mri.cnn.architectures.PRECISIONS`.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    augmentation: AugmentationSettings | None = None
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
    device: torch.device,
    checkpoints: Path | None = None,
    digest: str = "",
    checkpoint_seconds: float = 60.0,
    resident_bytes: int = RESIDENT_BYTES,
) -> dict[int, TrainedNetwork]:
    """Train one network for each seed.

    Parameters
    ----------
    architecture, train, validation, settings, device, digest, checkpoint_seconds, resident_bytes
        As for `train_network`.
    seeds : mapping of int to int
        The seed of each run, by the run's number.
    checkpoints : path, optional
        A folder for the checkpoints of the runs. Runs that were finished before an interruption are taken
        from there. The caller deletes it when the results are stored.

    Returns
    -------
    dict of int to TrainedNetwork
        The networks, by the run's number.
    """
    return {
        number: train_network(
            architecture,
            train,
            validation,
            settings,
            seed=seed,
            device=device,
            checkpoint=None if checkpoints is None else checkpoints / f"seed-{number}.safetensors",
            digest=digest,
            name=f"seed-{number}",
            checkpoint_seconds=checkpoint_seconds,
            resident_bytes=resident_bytes,
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
            augmentation_seed = derive_seed(seed, "augmentation")
            augment = ClassicAugmentation(settings.augmentation, train.shape, augmentation_seed, device)
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


def _trained_network(architecture: Architecture, train: ImageSet, result: TrainingState) -> TrainedNetwork:
    """The result of a finished run."""
    selected, history = result.progress["selected_epoch"], result.progress["history"]
    return TrainedNetwork(
        architecture=architecture,
        input_shape=train.shape,
        weights={key: weights.cpu().contiguous() for key, weights in result.tensors.items()},
        selected_epoch=selected,
        history=[row | {"best": int(row["epoch"] == selected)} for row in history],
        images_per_second=len(train) * len(history) / result.progress["seconds"],
    )
