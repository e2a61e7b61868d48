"""The study's convolutional networks, described as data and built from the description.

A network is a chain of convolutional blocks and a classifier. A block is one or several convolutions
(3 x 3 x 3, stride 1, padding 1, with bias), each followed by batch normalisation and the activation, and
closed by `PaddedMaxPool3d`. The classifier flattens the last maps, applies dropout and one or several fully
connected layers with the activation between them. That is the order of layers of ClinicaDL's ``Conv5_FC3``
and of its random architectures; the published numbers of parameters confirm the bias and the batch
normalisation in both.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rhvae_mri.cnn import kernels
from rhvae_mri.cnn.kernels.normalization import convolve_and_normalize, fold_normalization
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.runtime.randomness import own_random_state

#: The index of an output is the label of its class.
N_CLASSES = 2

#: In which type the convolutions and linear layers multiply; weights, statistics and sums stay float32.
PRECISIONS = ("float32", "bfloat16")

#: The activations that an architecture can ask for; the slope of the leaky one is torch's default, 0.01.
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}


@dataclass(frozen=True)
class Architecture:
    """What a network is made of, except for the size of its input."""

    #: for each convolutional block, the numbers of output channels of its convolutions
    blocks: tuple[tuple[int, ...], ...]
    activation: str  #: the activation after each convolution and between the fully connected layers
    dropout: float  #: the probability with which an input of the classifier is set to zero in training
    #: the widths of the fully connected layers before the last one, which has two outputs
    hidden_features: tuple[int, ...]

    def __post_init__(self) -> None:
        widths = [width for block in self.blocks for width in block] + list(self.hidden_features)
        if not self.blocks or not all(self.blocks):
            raise StudyError("An architecture needs convolutional blocks of one convolution or more.")
        if not all(isinstance(width, int) and width > 0 for width in widths):
            raise StudyError(f"Numbers of channels and features are whole and positive, not {widths}.")
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise StudyError(f"There is no activation {self.activation!r}.", remedy=f"Choose from {known}.")
        if not 0 <= self.dropout < 1:
            raise StudyError(f"The dropout is a probability in [0, 1), not {self.dropout}.")

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Architecture:
        """Make an architecture from its description as JSON values; StudyError if it is not one."""
        known = {field.name for field in fields(cls)}
        if description.keys() != known:
            raise StudyError(
                f"The description of an architecture has the entries {sorted(description)}.",
                remedy=f"Give exactly {sorted(known)}.",
            )
        blocks = tuple(tuple(block) for block in description["blocks"])
        hidden, dropout = tuple(description["hidden_features"]), float(description["dropout"])
        return cls(blocks, description["activation"], dropout, hidden)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON values."""
        return asdict(self)


def read_architectures(path: str | os.PathLike[str]) -> dict[str, dict[str, Architecture]]:
    """Read JSON: name -> resolution -> description, with an entry ``source`` for human readers."""
    architectures: dict[str, dict[str, Architecture]] = {}
    for name, resolutions in read_json(path).items():
        for resolution, description in resolutions.items():
            values = {key: value for key, value in description.items() if key != "source"}
            try:
                architecture = Architecture.from_dict(values)
            except StudyError as error:
                place = f"{path}: {name}, {resolution}"
                raise StudyError(error.what, where=place, cause=error.cause, remedy=error.remedy) from error
            architectures.setdefault(name, {})[resolution] = architecture
    return architectures


class PaddedMaxPool3d(nn.Module):
    """Maximum over windows of two voxels a side, after one zero at the start of each odd dimension.

    No voxel is left out: a dimension of n voxels becomes one of ceil(n / 2). The padding is a real zero,
    not minus infinity, so a window at the border never gives a negative value where its dimension is odd.
    The layer is ClinicaDL's ``PadMaxPool3d`` with kernel and stride 2.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Pool feature maps (n, channels, d, h, w)."""
        padding = [end for size in reversed(maps.shape[2:]) for end in (size % 2, 0)]
        return functional.max_pool3d(functional.pad(maps, padding), 2)


def pooled_shape(shape: tuple[int, ...], times: int = 1) -> tuple[int, ...]:
    """Return the size of a map that has gone through the pooling a number of times."""
    for _ in range(times):
        shape = tuple((size + 1) // 2 for size in shape)
    return shape


class ConvolutionalNetwork(nn.Module):
    """A network of the study; use `build_network` to make one with repeatable weights.

    The images may be of any size: the pooling ends at one voxel. The ``precision`` is one of `PRECISIONS`,
    and set by `place_network`.

    With `kernels`, the pooling of a block comes before its last normalisation and activation, which saves
    seven of eight, and in evaluation the normalisation is folded into the convolution. Both are increasing,
    or made so, and the activations map zero to zero, so outputs and gradients differ from those of the layers
    one by one by rounding only, except where two voxels of a window are closer than that.
    """

    def __init__(self, architecture: Architecture, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(input_shape) != 3 or min(input_shape) < 1:
            raise StudyError(f"The networks take images of three dimensions, not of the shape {input_shape}.")
        self.architecture = architecture
        self.input_shape = tuple(int(size) for size in input_shape)
        self.precision = "float32"
        activation = ACTIVATIONS[architecture.activation]
        self.convolutions = nn.Sequential()
        channels = 1
        for block in architecture.blocks:
            for position, width in enumerate(block, start=1):
                self.convolutions.append(nn.Conv3d(channels, width, kernel_size=3, padding=1))
                self.convolutions.append(nn.BatchNorm3d(width))
                if position == len(block):
                    self.convolutions.append(PaddedMaxPool3d())
                self.convolutions.append(activation())
                channels = width
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(architecture.dropout))
        features = flattened_size(architecture, self.input_shape)
        for width in architecture.hidden_features:
            self.classifier.append(nn.Linear(features, width))
            self.classifier.append(activation())
            features = width
        self.classifier.append(nn.Linear(features, N_CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the two logits (n, 2) of images (n, 1, *input_shape) with intensities in [0, 1]."""
        dtype = next(self.convolutions.parameters()).dtype
        is_mixed = self.precision == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16) if is_mixed else nullcontext():
            convolve = self._convolve if kernels.enabled else self.convolutions
            return self.classifier(convolve(images.to(dtype))).to(dtype)

    def _convolve(self, maps: Tensor) -> Tensor:
        """Apply the convolutional blocks, each convolution with its normalisation in one go."""
        layers = list(self.convolutions)
        for position, layer in enumerate(layers):
            if isinstance(layer, nn.Conv3d):
                norm, following = layers[position + 1 : position + 3]
                assert isinstance(norm, nn.BatchNorm3d)
                has_pool = isinstance(following, PaddedMaxPool3d)
                if self.training:
                    maps = convolve_and_normalize(maps, layer, norm, pool=has_pool)
                else:
                    weight, bias = fold_normalization(layer, norm)
                    maps = functional.conv3d(maps, weight, bias, padding=layer.padding)
                    maps = following(maps) if has_pool else maps
            elif not isinstance(layer, nn.BatchNorm3d | PaddedMaxPool3d):
                maps = layer(maps)
        return maps


def build_network(
    architecture: Architecture, input_shape: tuple[int, ...], seed: int = 0
) -> ConvolutionalNetwork:
    """Build a network on the CPU, in training mode, with torch's default initial weights, drawn from a seed.

    The global random state is the same before and after.
    """
    with own_random_state(seed, torch.device("cpu")):
        return ConvolutionalNetwork(architecture, input_shape)


def place_network(
    network: ConvolutionalNetwork, device: torch.device, precision: str = "float32"
) -> ConvolutionalNetwork:
    """Move a network to a device, in the layout that is faster there, and set in which type it multiplies.

    On a CPU the layout with the channels last makes networks faster whose numbers of channels are all
    multiples of 8 and the others slower; on a GPU it is the one that tensor cores take in bfloat16. The
    results differ by rounding. Those of bfloat16 differ by 1 % (evaluation) to 3 % (training) in the outputs,
    and by more in the gradients of the first filters.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise StudyError(f"There is no precision {precision!r}.", remedy=f"Choose from {known}.")
    network.precision = precision
    in_eights = all(width % 8 == 0 for block in network.architecture.blocks for width in block)
    channels_last = in_eights and (device.type == "cpu" or precision == "bfloat16")
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    # torch's types leave out that `to` takes a layout
    return network.to(device=device, memory_format=layout)  # type: ignore[call-overload]


def flattened_size(architecture: Architecture, input_shape: tuple[int, ...]) -> int:
    """Return the number of features that the classifier gets for images of a size."""
    return architecture.blocks[-1][-1] * math.prod(pooled_shape(input_shape, len(architecture.blocks)))


def count_parameters(network: ConvolutionalNetwork) -> dict[str, int]:
    """Count the parameters of ``convolutions`` (with their normalisation) and ``fully_connected`` layers."""
    parts = {"convolutions": network.convolutions, "fully_connected": network.classifier}
    return {name: sum(weights.numel() for weights in part.parameters()) for name, part in parts.items()}
