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

    Parameters
    ----------
    order : torch.Tensor of int64, shape (n,)
        The images, in the order of the epoch.
    batch_size : int
        The size of a batch, 2 or more.

    Returns
    -------
    list of torch.Tensor
        The batches. The last one may be smaller. A single image that would be left over joins the batch
        before it, because batch normalisation has no variance over one value where the maps have shrunk to
        one voxel.
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

    Parameters
    ----------
    network, optimizer
        What is trained; both change.
    images : DeviceImages
        The training set, with labels.
    order : torch.Tensor of int64, shape (n,)
        The order of the images, on the CPU.
    batch_size : int
        Images per step.
    augment : callable, optional
        Transforms the images of each batch, on their device, before the network sees them.

    Returns
    -------
    dict of str to float
        ``train_loss``, the mean over the images, and ``train_balanced_accuracy``, a fraction. Both are
        of the outputs on which the steps were taken, so the weights change within the epoch. They are
        not finite where the training diverged.
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
    """Evaluate a network on the validation set.

    Returns
    -------
    dict of str to float
        ``validation_loss``, the mean over the images, and ``validation_balanced_accuracy``, a fraction;
        not finite where the training diverged.
    """
    return _measure(compute_logits(network, images, batch_size), images.labels, "validation")


def _measure(logits: torch.Tensor, labels: torch.Tensor, name: str) -> dict[str, float]:
    """Mean cross entropy, in double precision, and balanced accuracy; NaN if an output is not finite."""
    loss = functional.cross_entropy(logits.double(), labels).item()
    accuracy = math.nan
    if math.isfinite(loss):
        accuracy = balanced_accuracy(confusion_counts(labels.cpu().numpy(), probability_of_ad(logits)))
    return {f"{name}_loss": loss, f"{name}_balanced_accuracy": accuracy}
