"""The three networks of the RHVAE: encoder, decoder and metric network.

`build_networks` makes those that `RHVAESettings.networks` names: ``mlp``, the study's multi-layer
perceptrons, or ``convolutional``, which are no part of the study and have far fewer parameters. Any torch
modules with the inputs and outputs of `Networks` can take their place, as in this example, whose decoder is a
sum of learned images:

>>> import numpy
>>> from rhvae_mri.generators.rhvae.settings import TrainingSettings
>>> from rhvae_mri.generators.rhvae.training import train_rhvae
>>> class Moments(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.mean, self.log_variance = nn.Linear(64, 2), nn.Linear(64, 2)
...
...     def forward(self, images):
...         return self.mean(images.flatten(1)), self.log_variance(images.flatten(1))
>>> class ScaledIdentity(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.log_scale = nn.Parameter(torch.zeros(()))
...
...     def forward(self, images):
...         return self.log_scale.exp() * torch.eye(2).repeat(len(images), 1, 1)
>>> networks = Networks(Moments(), nn.Linear(2, 64), ScaledIdentity())
>>> images = numpy.random.default_rng(0).random((5, 8, 8), dtype=numpy.float32)
>>> settings = RHVAESettings(latent_dimension=2)
>>> trained = train_rhvae(images, settings, TrainingSettings(max_epochs=3), seed=1, networks=networks)
>>> trained.model.decode(torch.zeros(4, 2)).shape
torch.Size([4, 8, 8])

`rhvae_mri.generators.rhvae.storage.load_model` takes such modules too, and puts the stored weights into them.

A decoder of your own runs at every position of the flow, and with the published integrator once more for all
of them together. So it has to give the same for the same input. Dropout, or statistics of the batch, would
let the flow and the gradient of the loss see two different decoders, and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from rhvae_mri.generators.rhvae import kernels
from rhvae_mri.generators.rhvae.kernels.voxel_layers import VoxelLinear
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.errors import StudyError


class Networks(NamedTuple):
    """The modules of one RHVAE; images go in as (n, *image_shape)."""

    encoder: nn.Module  #: images to a pair of means and log-variances, each of shape (n, d)
    decoder: nn.Module  #: latent positions (n, d) to logits of the voxels, which reshape to (n, *image_shape)
    metric: nn.Module  #: images to lower triangular matrices (n, d, d) with a positive diagonal


def build_networks(
    settings: RHVAESettings, image_shape: Sequence[int], generator: torch.Generator | None = None
) -> Networks:
    """Build the networks that the settings name, as float32 modules on the CPU, where the weights are drawn.

    Convolutions need images with three axes; other shapes are a StudyError.

    Examples
    --------
    >>> small = RHVAESettings(networks="convolutional", channels=(4, 8))
    >>> count_parameters(build_networks(small, (28, 34, 30)))
    {'encoder': 81644, 'decoder': 45329, 'metric': 222799}
    """
    encoder, decoder = build_autoencoder(settings, image_shape, generator)
    if settings.networks == "mlp":
        hidden = _hidden_layers(math.prod(image_shape), settings.metric_layers, generator, True)
    else:
        hidden = _convolutional_features(image_shape, settings.channels, generator)
    return Networks(encoder, decoder, MetricNetwork(*hidden, settings.latent_dimension, generator))


def build_autoencoder(
    settings: RHVAESettings, image_shape: Sequence[int], generator: torch.Generator | None = None
) -> tuple[nn.Module, nn.Module]:
    """Build encoder and decoder alone; as in `build_networks`."""
    d, channels, n_voxels = settings.latent_dimension, settings.channels, math.prod(image_shape)
    if settings.networks == "mlp":
        last = settings.encoder_last_activation
        hidden = _hidden_layers(n_voxels, settings.encoder_layers, generator, True, last)
        encoder = Encoder(*hidden, d, generator)
        return encoder, Decoder(d, settings.decoder_layers, n_voxels, generator)
    if len(image_shape) != 3:
        raise StudyError(
            f"Images of the shape {tuple(image_shape)} have {len(image_shape)} axes, not 3.",
            where="rhvae: networks",
            remedy="Set `networks: mlp`, which takes images with any number of axes.",
        )
    encoder = Encoder(*_convolutional_features(image_shape, channels, generator), d, generator)
    return encoder, ConvolutionalDecoder(d, channels, image_shape, generator)


def count_parameters(networks: Networks) -> dict[str, int]:
    """Count the weights of each network."""
    return {
        name: sum(weight.numel() for weight in network.parameters())
        for name, network in networks._asdict().items()
    }


class Encoder(nn.Module):
    """Images (n, ...) to means and log-variances of the latent position, each (n, d).

    ``body`` takes the flattened images and gives ``width`` features of each.
    """

    def __init__(self, body: nn.Module, width: int, d: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.body = body
        self.mean = _linear(width, d, generator)
        self.log_variance = _linear(width, d, generator)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch."""
        hidden = self.body(images.flatten(1))
        return self.mean(hidden), self.log_variance(hidden)


class Decoder(nn.Module):
    """Latent positions (n, d) to logits of the voxels (n, n_voxels); the sigmoid is left to the caller."""

    def __init__(
        self, dimension: int, widths: Sequence[int], n_voxels: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.body, width = _hidden_layers(dimension, widths, generator)
        self.logits = _linear(width, n_voxels, generator, True)

    def forward(self, positions: Tensor) -> Tensor:
        """Decode a batch."""
        return self.logits(self.body(positions))


class MetricNetwork(nn.Module):
    """Images (n, ...) to lower triangular matrices L (n, d, d), whose diagonal is an exponential.

    ``body`` is as in `Encoder`.
    """

    def __init__(self, body: nn.Module, width: int, d: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.body = body
        self.log_diagonal = _linear(width, d, generator)
        self.lower = _linear(width, d * (d - 1) // 2, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the matrices of a batch."""
        hidden = self.body(images.flatten(1))
        matrices = torch.diag_embed(self.log_diagonal(hidden).exp())
        d = matrices.shape[-1]
        rows, columns = torch.tril_indices(d, d, offset=-1, device=matrices.device)
        matrices[:, rows, columns] = self.lower(hidden)
        return matrices


class ConvolutionalDecoder(nn.Module):
    """Latent positions (n, d) to logits of the voxels (n, X, Y, Z), through the sizes of `halved_shapes`.

    Each layer repeats the voxels to the next larger size and convolves: unlike transposed convolutions this
    leaves no checkerboard, and odd sizes are given back.
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
            _linear(dimension, channels[-1] * math.prod(smallest), generator),
            nn.ReLU(),
            nn.Unflatten(1, (channels[-1], *smallest)),
        )
        self.convolutions = nn.ModuleList(
            _convolution(n_inputs, n_outputs, generator) for n_outputs, n_inputs in pairwise((1, *channels))
        )

    def forward(self, positions: Tensor) -> Tensor:
        """Decode a batch."""
        maps = self.body(positions)
        for layer, shape in reversed(list(enumerate(self.shapes))):
            maps = self.convolutions[layer](functional.interpolate(maps, shape, mode="nearest"))
            if layer:  # the last one gives the logits
                maps = functional.relu(maps)
        return maps.squeeze(1)


def halved_shapes(image_shape: Sequence[int], n_layers: int) -> list[tuple[int, ...]]:
    """List the shapes of the maps of convolutions that halve an image and round up, from the image's on.

    >>> halved_shapes((28, 34, 30), 3)
    [(28, 34, 30), (14, 17, 15), (7, 9, 8), (4, 5, 4)]
    """
    shapes = [tuple(image_shape)]
    for _ in range(n_layers):
        shapes.append(tuple(-(-length // 2) for length in shapes[-1]))
    return shapes


def _hidden_layers(
    n_inputs: int,
    widths: Sequence[int],
    generator: torch.Generator | None,
    voxels: bool = False,
    last_activation: str = "relu",
) -> tuple[nn.Sequential, int]:
    """Linear layers with ReLU, of which the first one may read voxels, and the width of the last one."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [_linear(n_inputs, width, generator, voxels), nn.ReLU()]
        n_inputs, voxels = width, False
    if last_activation == "none":
        layers = layers[:-1]
    return nn.Sequential(*layers), n_inputs


def _convolutional_features(
    image_shape: Sequence[int], channels: Sequence[int], generator: torch.Generator | None
) -> tuple[nn.Sequential, int]:
    """Convolutions that each halve the image, from flattened images to flattened maps of a size."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, *image_shape))]
    for n_inputs, n_outputs in pairwise((1, *channels)):
        layers += [_convolution(n_inputs, n_outputs, generator, stride=2), nn.ReLU()]
    width = channels[-1] * math.prod(halved_shapes(image_shape, len(channels))[-1])
    return nn.Sequential(*layers, nn.Flatten()), width


def _linear(
    n_inputs: int, n_outputs: int, generator: torch.Generator | None, voxels: bool = False
) -> nn.Linear:
    """A linear layer, perhaps of voxels, with torch's usual initial weights, drawn from ``generator``."""
    # Made small, so that the large weights are drawn only once. `torch.nn.utils.skip_init` does the same, but
    # imports 40 MB.
    with torch.random.fork_rng(devices=[]):
        layer = VoxelLinear(1, 1) if voxels and kernels.enabled else nn.Linear(1, 1)
    layer.in_features, layer.out_features = n_inputs, n_outputs
    bound = 1 / math.sqrt(n_inputs)
    for name, shape in (("weight", (n_outputs, n_inputs)), ("bias", (n_outputs,))):
        drawn = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        setattr(layer, name, nn.Parameter(drawn))
    return layer


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
