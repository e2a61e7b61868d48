"""Trained networks, and the file of those of one condition.

The tensors are named ``seed-3/convolutions.0.weight``; everything else is JSON in the file's header.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas
import torch
from safetensors.torch import save_file

from rhvae_mri.cnn.architectures import Architecture, ConvolutionalNetwork, build_network
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path
from rhvae_mri.runtime.checkpoints import read_stored

#: Marks the files of this module and the version of their layout.
FORMAT = "rhvae-mri networks 1"

#: What the header has of each network.
_OF_A_RUN = ("selected_epoch", "history", "images_per_second")


@dataclass
class TrainedNetwork:
    """The weights that validation chose, and how the training went."""

    architecture: Architecture  #: what the network is made of
    input_shape: tuple[int, ...]  #: the size of the images, in voxels
    #: parameters and batch statistics at the end of the selected epoch, on the CPU
    weights: dict[str, torch.Tensor]
    selected_epoch: int  #: the first epoch of the highest validation balanced accuracy, counted from 1
    #: one row for each epoch: ``epoch``; ``train_loss`` and ``train_balanced_accuracy``, of the outputs on
    #: which the steps were taken (dropout included); ``validation_loss`` and
    #: ``validation_balanced_accuracy``; ``best``, which is 1 in the selected epoch and 0 in the others.
    #: Balanced accuracies are fractions
    history: list[dict[str, Any]]
    images_per_second: float  #: training images per second of work, validation included

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


def save_networks(path: str | os.PathLike[str], networks: Mapping[int, TrainedNetwork]) -> None:
    """Write networks of one architecture, by the number of their seed, to one file, atomically."""
    if not networks:
        raise StudyError("There is no network to store.", where=path)
    first = next(iter(networks.values()))
    tensors: dict[str, torch.Tensor] = {}
    runs: dict[str, dict[str, Any]] = {}
    for seed, trained in networks.items():
        if (trained.architecture, trained.input_shape) != (first.architecture, first.input_shape):
            raise StudyError("The networks of one file are of one architecture and input shape.", where=path)
        tensors |= {f"seed-{seed}/{key}": weights for key, weights in trained.weights.items()}
        runs[str(seed)] = {name: getattr(trained, name) for name in _OF_A_RUN}
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(first.architecture.to_dict()),
        "input_shape": json.dumps(first.input_shape),
        "runs": json.dumps(runs),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def join_histories(networks: Mapping[int, TrainedNetwork]) -> pandas.DataFrame:
    """Put the histories of networks into one table, with the number of the seed."""
    return pandas.concat(pandas.DataFrame(one.history).assign(seed=seed) for seed, one in networks.items())


def load_networks(path: str | os.PathLike[str]) -> dict[int, TrainedNetwork]:
    """Read the networks of `save_networks` by the number of their seed, in the order of the file."""
    remedy = "Delete it and train the networks again."
    header, tensors = read_stored(path, "file of trained networks", FORMAT, remedy)
    architecture = Architecture.from_dict(json.loads(header["architecture"]))
    input_shape = tuple(json.loads(header["input_shape"]))
    networks: dict[int, TrainedNetwork] = {}
    for seed, run in json.loads(header["runs"]).items():
        prefix = f"seed-{seed}/"
        weights = {k.removeprefix(prefix): value for k, value in tensors.items() if k.startswith(prefix)}
        networks[int(seed)] = TrainedNetwork(architecture, input_shape, weights, **run)
    return networks
