"""Networks of 3-D convolutions for the RHVAE: an alternative with far fewer parameters than the study's.

They are no part of the study. Each layer of the encoder halves the image along each axis, rounding up; the
decoder goes back through the same sizes, so images of any size are given back, odd ones too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init

from rhvae_mri.generators.rhvae.networks import linear


def halved_shapes(image_shape: Sequence[int], n_layers: int) -> list[tuple[int, ...]]:
    """List the shapes of the maps, from the image's to the smallest.

    Examples
    --------
    >>> halved_shapes((28, 34, 30), 3)
    [(28, 34, 30), (14, 17, 15), (7, 9, 8), (4, 5, 4)]
    """
    shapes = [tuple(image_shape)]
    for _ in range(n_layers):
        shapes.append(tuple(-(-length // 2) for length in shapes[-1]))
    return shapes


def convolutional_features(
    image_shape: Sequence[int], channels: Sequence[int], generator: torch.Generator | None = None
) -> tuple[nn.Sequential, int]:
    """Build the body of an encoder or a metric network.

    Parameters
    ----------
    image_shape : sequence of 3 int
        Voxels along each axis.
    channels : sequence of int
        Channels of the layers.
    generator : torch.Generator, optional
        Draws the initial weights.

    Returns
    -------
    body : torch.nn.Sequential
        Flattened images (n, n_voxels) to the flattened maps of the last layer, (n, width).
    width : int
        The number of features.
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (1, *image_shape))]
    for n_inputs, n_outputs in pairwise((1, *channels)):
        layers += [_convolution(n_inputs, n_outputs, generator, stride=2), nn.ReLU()]
    width = channels[-1] * math.prod(halved_shapes(image_shape, len(channels))[-1])
    return nn.Sequential(*layers, nn.Flatten()), width


class ConvolutionalDecoder(nn.Module):
    """Latent positions (n, d) to logits of the voxels (n, X, Y, Z).

    Each layer repeats the voxels to the next larger size and convolves: unlike transposed convolutions this
    leaves no checkerboard.
    """

    def __init__(
        self,
        dimension: int,
        channels: Sequence[int],
        image_shape: Sequence[int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        *self.shapes, smallest = halved_shapes(image_shape, len(channels))
        self.body = nn.Sequential(
            linear(dimension, channels[-1] * math.prod(smallest), generator),
            nn.ReLU(),
            nn.Unflatten(1, (channels[-1], *smallest)),
        )
        self.convolutions = nn.ModuleList(
            _convolution(n_inputs, n_outputs, generator) for n_outputs, n_inputs in pairwise((1, *channels))
        )

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Decode a batch."""
        maps = self.body(positions)
        for layer, shape in reversed(list(enumerate(self.shapes))):
            maps = self.convolutions[layer](functional.interpolate(maps, shape, mode="nearest"))
            if layer:  # the last one gives the logits
                maps = functional.relu(maps)
        return maps.squeeze(1)


def _convolution(
    n_inputs: int, n_outputs: int, generator: torch.Generator | None, stride: int = 1
) -> nn.Conv3d:
    """A convolution over 3x3x3 voxels; its weights keep the variance from ReLU to ReLU (He et al. 2015)."""
    layer = skip_init(nn.Conv3d, n_inputs, n_outputs, kernel_size=3, stride=stride, padding=1)
    scale = 1 / math.sqrt(27 * n_inputs)
    with torch.no_grad():
        layer.weight.uniform_(-math.sqrt(6) * scale, math.sqrt(6) * scale, generator=generator)
        layer.bias.uniform_(-scale, scale, generator=generator)
    return layer
