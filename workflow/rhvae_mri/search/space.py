"""Random architectures: the ranges that are searched, and the candidates drawn from them.

A candidate is built as ClinicaDL builds its random architectures. The number of channels doubles from block
to block up to a limit; in a block of several convolutions all but the last keep the number that comes in.
The widths of the fully connected layers fall geometrically, from the flattened maps to the two outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy
import torch

from rhvae_mri.cnn.architectures import (
    N_CLASSES,
    Architecture,
    ConvolutionalNetwork,
    count_parameters,
    flattened_size,
    pooled_shape,
)
from rhvae_mri.errors import StudyError
from rhvae_mri.seeds import derive_seed

#: Draws of one candidate before the search gives up; a space of the study needs a handful.
MAX_DRAWS = 1000

#: Why a draw is rejected.
TOO_MANY_POOLINGS, TOO_MANY_PARAMETERS = "too_many_poolings", "too_many_parameters"


@dataclass(frozen=True)
class SearchSpace:
    """What a candidate is drawn from; pairs are the ends of a range, both included.

    Attributes
    ----------
    n_blocks : pair of int
        Convolutional blocks.
    first_channels : sequence of int
        Output channels of the first block, one of these.
    convolutions_per_block : pair of int
        Convolutions in a block, drawn for each.
    channel_limit : int
        Where the doubling of the channels ends.
    n_fully_connected : pair of int
        Fully connected layers, the last one included.
    dropout : pair of float
        Drawn evenly.
    learning_rate : pair of float
        Drawn evenly in its logarithm.
    weight_decay : pair of float
        Drawn evenly in its logarithm, where there is any.
    weight_decay_probability : float
        The share of the candidates with weight decay.
    max_parameters : int or None
        The largest network; larger ones are rejected, like those that pool a map of one voxel.
    """

    n_blocks: Sequence[int]
    first_channels: Sequence[int]
    convolutions_per_block: Sequence[int]
    channel_limit: int
    n_fully_connected: Sequence[int]
    dropout: Sequence[float]
    learning_rate: Sequence[float]
    weight_decay: Sequence[float]
    weight_decay_probability: float
    max_parameters: int | None


@dataclass(frozen=True)
class Candidate:
    """One architecture of the search and the settings to train it with.

    Attributes
    ----------
    number : int
        Its number, from 0.
    architecture : Architecture
        What the network is made of.
    learning_rate, weight_decay : float
        Of Adam.
    n_parameters : int
        Trained parameters.
    rejected : mapping of str to int
        How many draws before this one were rejected, by reason.
    """

    number: int
    architecture: Architecture
    learning_rate: float
    weight_decay: float
    n_parameters: int
    rejected: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the candidate as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Candidate:
        """Make a candidate from `to_dict`."""
        values = {field.name: description[field.name] for field in fields(cls)}
        return cls(**values | {"architecture": Architecture.from_dict(description["architecture"])})


def draw_candidates(
    space: SearchSpace, numbers: Iterable[int], shape: tuple[int, ...], seed: int
) -> list[Candidate]:
    """Draw candidates; each has a seed of its own, so it is the same alone and among others.

    Parameters
    ----------
    space : SearchSpace
        What to draw from.
    numbers : iterable of int
        The numbers of the candidates, from 0 on.
    shape : tuple of int
        The size of the images in voxels.
    seed : int
        The seed of the search.

    Raises
    ------
    StudyError
        If hardly any architecture of the space is valid for images of this size.
    """
    return [_draw_candidate(space, number, shape, derive_seed(seed, number)) for number in numbers]


def make_architecture(
    first_channels: int,
    convolutions: Sequence[int],
    n_fully_connected: int,
    dropout: float,
    *,
    shape: tuple[int, ...],
    channel_limit: int = 256,
) -> Architecture:
    """Build an architecture by the rules of the search.

    Parameters
    ----------
    first_channels : int
        Output channels of the first block.
    convolutions : sequence of int
        For each block, its number of convolutions.
    n_fully_connected : int
        Fully connected layers, the last one included.
    dropout : float
        Dropout before the classifier.
    shape : tuple of int
        The size of the images in voxels, on which the fully connected layers depend.
    channel_limit : int
        Where the doubling of the channels ends.

    Examples
    --------
    >>> small = make_architecture(4, [2, 1, 3], 2, 0.1, shape=(21, 26, 22))
    >>> small.blocks, small.hidden_features
    (((1, 4), (8,), (8, 8, 16)), (34,))
    """
    blocks, channels, width = [], 1, first_channels
    for n_convolutions in convolutions:
        blocks.append((channels,) * (n_convolutions - 1) + (width,))
        channels, width = width, max(width, min(2 * width, channel_limit))
    architecture = Architecture(tuple(blocks), "leaky_relu", dropout, ())
    features = flattened_size(architecture, shape)
    ratio = (features / N_CLASSES) ** (1 / n_fully_connected)
    hidden = tuple(round(features / ratio**layer) for layer in range(1, n_fully_connected))
    return Architecture(architecture.blocks, architecture.activation, dropout, hidden)


def find_fault(architecture: Architecture, shape: tuple[int, ...], max_parameters: int | None) -> str | None:
    """Say why an architecture is no candidate for images of a size, or None if it is one.

    Parameters
    ----------
    architecture : Architecture
        The architecture.
    shape : tuple of int
        The size of the images in voxels.
    max_parameters : int or None
        The largest number of trained parameters; None: any.

    Returns
    -------
    {"too_many_poolings", "too_many_parameters"} or None
        A pooling is too many where a dimension of the map before it has one voxel.
    """
    if min(pooled_shape(shape, len(architecture.blocks) - 1)) < 2:
        return TOO_MANY_POOLINGS
    if max_parameters is not None and size_of_network(architecture, shape) > max_parameters:
        return TOO_MANY_PARAMETERS
    return None


def size_of_network(architecture: Architecture, shape: tuple[int, ...]) -> int:
    """Count the trained parameters of a network without the memory for them."""
    with torch.device("meta"):
        return sum(count_parameters(ConvolutionalNetwork(architecture, shape)).values())


def _draw_candidate(space: SearchSpace, number: int, shape: tuple[int, ...], seed: int) -> Candidate:
    """Draw until a candidate is valid."""
    generator = numpy.random.default_rng(seed)
    rejected = {TOO_MANY_POOLINGS: 0, TOO_MANY_PARAMETERS: 0}
    for _ in range(MAX_DRAWS):
        architecture, learning_rate, weight_decay = _draw(space, shape, generator)
        fault = find_fault(architecture, shape, space.max_parameters)
        if fault is None:
            n_parameters = size_of_network(architecture, shape)
            return Candidate(number, architecture, learning_rate, weight_decay, n_parameters, rejected)
        rejected[fault] += 1
    raise StudyError(
        f"None of {MAX_DRAWS} architectures drawn for images of {shape} voxels is valid.",
        where="search: space",
        cause=f"Rejected were {rejected[TOO_MANY_POOLINGS]} with a pooling of a single voxel and "
        f"{rejected[TOO_MANY_PARAMETERS]} with too many parameters.",
        remedy="Allow fewer blocks, or more parameters.",
    )


def _draw(
    space: SearchSpace, shape: tuple[int, ...], generator: numpy.random.Generator
) -> tuple[Architecture, float, float]:
    """Draw an architecture, valid or not, with its learning rate and weight decay."""
    n_blocks = _whole_number(space.n_blocks, generator)
    first_channels = int(generator.choice(space.first_channels))
    convolutions = [_whole_number(space.convolutions_per_block, generator) for _ in range(n_blocks)]
    n_fully_connected = _whole_number(space.n_fully_connected, generator)
    dropout = float(generator.uniform(space.dropout[0], space.dropout[1]))
    learning_rate = _power(space.learning_rate, generator)
    has_weight_decay = generator.random() < space.weight_decay_probability
    weight_decay = _power(space.weight_decay, generator) if has_weight_decay else 0.0
    architecture = make_architecture(
        first_channels,
        convolutions,
        n_fully_connected,
        dropout,
        shape=shape,
        channel_limit=space.channel_limit,
    )
    return architecture, learning_rate, weight_decay


def _whole_number(ends: Sequence[int], generator: numpy.random.Generator) -> int:
    """Draw a whole number between two ends, both included."""
    return int(generator.integers(ends[0], ends[1], endpoint=True))


def _power(ends: Sequence[float], generator: numpy.random.Generator) -> float:
    """Draw a number whose logarithm is even between those of two ends."""
    return 10 ** float(generator.uniform(math.log10(ends[0]), math.log10(ends[1])))
