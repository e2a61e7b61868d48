"""The three networks of the RHVAE: encoder, decoder and metric network, as multi-layer perceptrons.

Any other modules with the same inputs and outputs can take their place; see `architectures`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.generators.rhvae.voxel_layers import VoxelLinear


class Networks(NamedTuple):
    """The modules of one RHVAE; images go in as (n, *image_shape).

    Attributes
    ----------
    encoder : torch.nn.Module
        Images to a pair of means and log-variances, each of shape (n, d).
    decoder : torch.nn.Module
        Latent positions (n, d) to logits of the voxels, which reshape to (n, *image_shape).
    metric : torch.nn.Module
        Images to lower triangular matrices (n, d, d) with a positive diagonal.
    """

    encoder: nn.Module
    decoder: nn.Module
    metric: nn.Module


def build_networks(
    settings: RHVAESettings, n_voxels: int, generator: torch.Generator | None = None
) -> Networks:
    """Build the study's networks.

    Parameters
    ----------
    settings : RHVAESettings
        Latent dimension and widths of the hidden layers.
    n_voxels : int
        Number of voxels of an image.
    generator : torch.Generator, optional
        Draws the initial weights (on the CPU).

    Returns
    -------
    Networks
        Float32 modules on the CPU.
    """
    d = settings.latent_dimension
    return Networks(
        Encoder(*_voxel_features(n_voxels, settings.encoder_layers, generator), d, generator),
        Decoder(d, settings.decoder_layers, n_voxels, generator),
        MetricNetwork(*_voxel_features(n_voxels, settings.metric_layers, generator), d, generator),
    )


class Encoder(nn.Module):
    """Images (n, ...) to means and log-variances of the latent position, each (n, d).

    ``body`` takes the flattened images and gives ``width`` features of each.
    """

    def __init__(
        self, body: nn.Module, width: int, dimension: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.mean = linear(width, dimension, generator)
        self.log_variance = linear(width, dimension, generator)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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
        self.logits = linear(width, n_voxels, generator, VoxelLinear)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Decode a batch."""
        return self.logits(self.body(positions))


class MetricNetwork(nn.Module):
    """Images (n, ...) to lower triangular matrices L (n, d, d); the diagonal is an exponential.

    ``body`` is as in `Encoder`.
    """

    def __init__(
        self, body: nn.Module, width: int, dimension: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.log_diagonal = linear(width, dimension, generator)
        self.lower = linear(width, dimension * (dimension - 1) // 2, generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the matrices of a batch."""
        hidden = self.body(images.flatten(1))
        matrices = torch.diag_embed(self.log_diagonal(hidden).exp())
        d = matrices.shape[-1]
        rows, columns = torch.tril_indices(d, d, offset=-1, device=matrices.device)
        matrices[:, rows, columns] = self.lower(hidden)
        return matrices


def _voxel_features(
    n_voxels: int, widths: Sequence[int], generator: torch.Generator | None
) -> tuple[nn.Sequential, int]:
    """Hidden layers of which the first one reads voxels."""
    return _hidden_layers(n_voxels, widths, generator, VoxelLinear)


def _hidden_layers(
    n_inputs: int,
    widths: Sequence[int],
    generator: torch.Generator | None,
    kind: type[nn.Linear] = nn.Linear,
) -> tuple[nn.Sequential, int]:
    """Linear layers with ReLU, of which the first one is of some kind, and the width of the last one."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [linear(n_inputs, width, generator, kind), nn.ReLU()]
        n_inputs, kind = width, nn.Linear
    return nn.Sequential(*layers), n_inputs


def linear(
    n_inputs: int, n_outputs: int, generator: torch.Generator | None, kind: type[nn.Linear] = nn.Linear
) -> nn.Linear:
    """A linear layer of some kind with torch's usual initial distribution, drawn from ``generator``."""
    # Made small, so that the large weights are drawn only once. `torch.nn.utils.skip_init` does the same, but
    # imports 40 MB.
    with torch.random.fork_rng(devices=[]):
        layer = kind(1, 1)
    layer.in_features, layer.out_features = n_inputs, n_outputs
    bound = 1 / math.sqrt(n_inputs)
    for name, shape in (("weight", (n_outputs, n_inputs)), ("bias", (n_outputs,))):
        drawn = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        setattr(layer, name, nn.Parameter(drawn))
    return layer
