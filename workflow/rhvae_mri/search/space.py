"""Random architectures: the ranges that are searched, the candidates drawn from them, and a table of these.

A candidate is built as ClinicaDL builds its random architectures: channels double from block to block up to a
limit, in a block all convolutions but the last keep the number that comes in, and the widths of the fully
connected layers fall geometrically, from the flattened maps to the two outputs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy
import pandas
import torch

from rhvae_mri.cnn.architectures import (
    N_CLASSES,
    Architecture,
    ConvolutionalNetwork,
    count_parameters,
    flattened_size,
    pooled_shape,
)
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.study.seeds import derive_seed

#: Draws of one candidate before the search gives up; a space of the study needs a handful.
MAX_DRAWS = 1000

#: Why a draw is rejected.
TOO_MANY_POOLINGS, TOO_MANY_PARAMETERS = "too_many_poolings", "too_many_parameters"

#: The hyper-parameters that are searched, in the order of the tables.
_LAYERS = ("n_blocks", "first_channels", "n_convolutions", "n_fully_connected")
HYPERPARAMETERS = (*_LAYERS, "dropout", "learning_rate", "weight_decay")


@dataclass(frozen=True)
class SearchSpace:
    """What a candidate is drawn from, the configuration's section ``search: space``.

    Pairs are the ends of a range, both included; rates are drawn evenly in their logarithm.
    """

    n_blocks: Sequence[int]
    first_channels: Sequence[int]  # one of these
    convolutions_per_block: Sequence[int]  # drawn for each block
    channel_limit: int  # where the doubling of the channels ends
    n_fully_connected: Sequence[int]  # the last layer included
    dropout: Sequence[float]
    learning_rate: Sequence[float]
    weight_decay: Sequence[float]
    weight_decay_probability: float  # the share of the candidates that have any
    max_parameters: int | None  # larger networks are rejected, like those that pool a map of one voxel


@dataclass(frozen=True)
class Candidate:
    """One architecture of the search and the settings of Adam to train it with."""

    number: int  # from 0
    architecture: Architecture
    learning_rate: float
    weight_decay: float
    n_parameters: int
    rejected: Mapping[str, int]  # how many draws before this one were rejected, by reason

    def to_dict(self) -> dict[str, Any]:
        """Return the candidate as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Candidate:
        """Make a candidate from `to_dict`."""
        values = {field.name: description[field.name] for field in fields(cls)}
        return cls(**values | {"architecture": Architecture.from_dict(description["architecture"])})


def draw_for_study(
    stack: str | os.PathLike[str],
    space: Mapping[str, Any],
    batch: str,
    *,
    resolution: str,
    study_seed: int,
) -> list[Candidate]:
    """Draw the candidates ``first-last`` of a study's search, for the size of the packed images.

    Each resolution has candidates of its own.
    """
    with ImageStack(stack) as images:
        shape = images.shape
    first, last = map(int, batch.split("-"))
    seed = derive_seed(study_seed, "sample_architectures", resolution)
    return draw_candidates(SearchSpace(**space), range(first, last + 1), shape, seed)


def draw_candidates(
    space: SearchSpace, numbers: Iterable[int], shape: tuple[int, ...], seed: int
) -> list[Candidate]:
    """Draw candidates; each has a seed of its own, so it is the same alone and among others."""
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
    """Build an architecture by the rules of the search; ``convolutions`` has their number in each block."""
    blocks, channels, width = [], 1, first_channels
    for n_convolutions in convolutions:
        blocks.append((channels,) * (n_convolutions - 1) + (width,))
        channels, width = width, max(width, min(2 * width, channel_limit))
    architecture = Architecture(tuple(blocks), "leaky_relu", dropout, ())
    features = flattened_size(architecture, shape)
    ratio = (features / N_CLASSES) ** (1 / n_fully_connected)
    hidden = tuple(round(features / ratio**layer) for layer in range(1, n_fully_connected))
    return replace(architecture, hidden_features=hidden)


def find_fault(architecture: Architecture, shape: tuple[int, ...], max_parameters: int | None) -> str | None:
    """Say why an architecture is no candidate for images of a size, or None if it is one.

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

    def whole_number(ends: Sequence[int]) -> int:
        return int(generator.integers(ends[0], ends[1], endpoint=True))

    def power(ends: Sequence[float]) -> float:
        return 10 ** float(generator.uniform(math.log10(ends[0]), math.log10(ends[1])))

    n_blocks = whole_number(space.n_blocks)
    first_channels = int(generator.choice(space.first_channels))
    convolutions = [whole_number(space.convolutions_per_block) for _ in range(n_blocks)]
    layers = first_channels, convolutions, whole_number(space.n_fully_connected)
    dropout = float(generator.uniform(space.dropout[0], space.dropout[1]))
    learning_rate = power(space.learning_rate)
    has_weight_decay = generator.random() < space.weight_decay_probability
    weight_decay = power(space.weight_decay) if has_weight_decay else 0.0
    architecture = make_architecture(*layers, dropout, shape=shape, channel_limit=space.channel_limit)
    return architecture, learning_rate, weight_decay


def tabulate_candidates(candidates: Sequence[Candidate]) -> pandas.DataFrame:
    """Describe candidates in a table, one row for each.

    The columns are candidate, `HYPERPARAMETERS` (``n_convolutions`` of all blocks together), ``convolutions``
    and ``channels`` of each block and ``hidden_features`` of each fully connected layer but the last as text,
    n_parameters, and rejected draws by reason.
    """
    rows = []
    for each in candidates:
        blocks, hidden = each.architecture.blocks, each.architecture.hidden_features
        numbers = (len(blocks), blocks[0][-1], sum(map(len, blocks)), len(hidden) + 1)
        searched = (*numbers, each.architecture.dropout, each.learning_rate, each.weight_decay)
        row: dict[str, Any] = {"candidate": each.number} | dict(zip(HYPERPARAMETERS, searched, strict=True))
        row["convolutions"] = ", ".join(str(len(block)) for block in blocks)
        row["channels"] = ", ".join(str(block[-1]) for block in blocks)
        row["hidden_features"] = ", ".join(map(str, hidden)) or None
        row["n_parameters"] = each.n_parameters
        rows.append(row | {f"rejected_{reason}": number for reason, number in each.rejected.items()})
    return pandas.DataFrame(rows)
