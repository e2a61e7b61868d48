"""One epoch of training, one evaluation: the inner part of the training of a network."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from rhvae_mri.cnn.architectures import ConvolutionalNetwork
from rhvae_mri.cnn.data import DeviceImages
from rhvae_mri.cnn.prediction import compute_logits, probability_of_ad
from rhvae_mri.evaluation.metrics import balanced_accuracy, confusion_counts


def split_batches(order: torch.Tensor, batch_size: int) -> list[torch.Tensor]:
    """Cut the order of an epoch into batches.

    `order` (n,).
    """
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def train_epoch(
    network: ConvolutionalNetwork,
    optimizer: torch.optim.Optimizer,
    images: DeviceImages,
    order: torch.Tensor,
    batch_size: int,
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> dict[str, float]:
    """Take one optimization step for each batch of an epoch.

    `order` (n,).
    """
    network.train()
    labels = images.labels[order.to(images.labels.device)]
    outputs = []
    for indices, targets in zip(
        split_batches(order, batch_size), split_batches(labels, batch_size), strict=True
    ):
        batch = images.batch(indices)
        logits = network(batch if augment is None else augment(batch))
        loss = functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        outputs.append(logits.detach())
    return _measure(torch.cat(outputs), labels, "train")


def validate(network: ConvolutionalNetwork, images: DeviceImages, batch_size: int) -> dict[str, float]:
    """Evaluate a network on the validation set."""
    return _measure(compute_logits(network, images, batch_size), images.labels, "validation")


def _measure(logits: torch.Tensor, labels: torch.Tensor, name: str) -> dict[str, float]:
    """Mean cross entropy, in double precision, and balanced accuracy; NaN if an output is not finite."""
    loss = functional.cross_entropy(logits.double(), labels).item()
    accuracy = math.nan
    if math.isfinite(loss):
        accuracy = balanced_accuracy(confusion_counts(labels.cpu().numpy(), probability_of_ad(logits)))
    return {f"{name}_loss": loss, f"{name}_balanced_accuracy": accuracy}
