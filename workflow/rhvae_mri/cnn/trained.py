"""The result of one training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rhvae_mri.cnn.architectures import Architecture, ConvolutionalNetwork, build_network
from rhvae_mri.errors import StudyError


@dataclass
class TrainedNetwork:
    """The weights that validation chose, and how the training went.

    Attributes
    ----------
    architecture : Architecture
        What the network is made of.
    input_shape : tuple of int
        The size of the images, in voxels.
    weights : dict of str to torch.Tensor
        Parameters and batch statistics at the end of the selected epoch, on the CPU.
    selected_epoch : int
        The first epoch of the highest validation balanced accuracy, counted from 1.
    history : list of dict
        One row for each epoch: ``epoch``; ``train_loss`` and ``train_balanced_accuracy``, of the outputs on
        which the steps were taken (dropout included); ``validation_loss`` and
        ``validation_balanced_accuracy``; ``best``, which is 1 in the selected epoch and 0 in the others.
        Balanced accuracies are fractions.
    images_per_second : float
        Training images per second of work, validation included.
    """

    architecture: Architecture
    input_shape: tuple[int, ...]
    weights: dict[str, torch.Tensor]
    selected_epoch: int
    history: list[dict[str, Any]]
    images_per_second: float

    def network(self) -> ConvolutionalNetwork:
        """Build the network with the selected weights, on the CPU and in evaluation mode."""
        network = build_network(self.architecture, self.input_shape)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise StudyError(
                "The weights do not fit the architecture of their network.",
                cause=str(error).splitlines()[-1].strip(),
            ) from error
        return network.eval()
