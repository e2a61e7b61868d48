"""The choice of the RHVAE's networks: by the settings, or modules of your own.

`build_architecture` makes the networks that `RHVAESettings.networks` names: ``mlp``, the study's, or
``convolutional``, which is no part of the study. Any torch modules with the inputs and outputs of `Networks`
can take their place, as in this example, whose decoder is a sum of learned images:

>>> import numpy
>>> from torch import nn
>>> from rhvae_mri.generators.rhvae.networks import Networks
>>> from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
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

import torch
from torch import nn
from torch.func import functional_call

from rhvae_mri.errors import StudyError
from rhvae_mri.generators.rhvae.convolutions import ConvolutionalDecoder, convolutional_features
from rhvae_mri.generators.rhvae.networks import Encoder, MetricNetwork, Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings


def build_architecture(
    settings: RHVAESettings, image_shape: Sequence[int], generator: torch.Generator | None = None
) -> Networks:
    """Build the networks that the settings name.

    Parameters
    ----------
    settings : RHVAESettings
        Kind and size of the networks, latent dimension.
    image_shape : sequence of int
        Shape of an image; three axes for convolutions.
    generator : torch.Generator, optional
        Draws the initial weights (on the CPU).

    Returns
    -------
    Networks
        Float32 modules on the CPU.

    Raises
    ------
    StudyError
        If convolutions are asked for, and images have not three axes.

    Examples
    --------
    >>> small = RHVAESettings(networks="convolutional", channels=(4, 8))
    >>> count_parameters(build_architecture(small, (28, 34, 30)))
    {'encoder': 81644, 'decoder': 45329, 'metric': 222799}
    """
    if settings.networks == "mlp":
        return build_networks(settings, math.prod(image_shape), generator)
    if len(image_shape) != 3:
        raise StudyError(
            f"Images of the shape {tuple(image_shape)} have {len(image_shape)} axes, not 3.",
            where="rhvae: networks",
            remedy="Set `networks: mlp`, which takes images with any number of axes.",
        )
    d, channels = settings.latent_dimension, settings.channels
    return Networks(
        Encoder(*convolutional_features(image_shape, channels, generator), d, generator),
        ConvolutionalDecoder(d, channels, image_shape, generator),
        MetricNetwork(*convolutional_features(image_shape, channels, generator), d, generator),
    )


def count_parameters(networks: Networks) -> dict[str, int]:
    """Count the weights of each network."""
    return {
        name: sum(weight.numel() for weight in network.parameters())
        for name, network in networks._asdict().items()
    }


@torch.no_grad()
def check_networks(networks: Networks, settings: RHVAESettings, image_shape: Sequence[int]) -> None:
    """Check that modules of your own give what `Networks` says, on two images; they change nothing.

    Parameters
    ----------
    networks : Networks
        Your modules.
    settings : RHVAESettings
        Their latent dimension counts.
    image_shape : sequence of int
        Shape of an image.

    Raises
    ------
    StudyError
        If an output has another shape, the metric network's matrices are not lower triangular with a positive
        diagonal, or what the decoder gives for a position in training mode varies from call to call or with
        the other positions.
    """
    n, d = 2, settings.latent_dimension
    modes = [network.training for network in networks]
    for network in networks:
        network.eval()  # so that no running mean changes, and no random number is drawn
    weight = next((weight for network in networks for weight in network.parameters()), torch.empty(0))
    images = torch.linspace(0, 1, n * math.prod(image_shape), dtype=weight.dtype, device=weight.device)
    images = images.view(n, *image_shape)
    encoded = networks.encoder(images)
    logits = networks.decoder(images.new_zeros(n, d))
    factors = networks.metric(images)
    for network, mode in zip(networks, modes, strict=True):
        network.train(mode)

    is_pair = isinstance(encoded, Sequence) and len(encoded) == 2
    if not is_pair or any(output.shape != (n, d) for output in encoded):
        raise _misfit("encoder", f"a pair of tensors of the shape (n, {d})")
    if len(logits) != n or logits[0].numel() != math.prod(image_shape):
        raise _misfit("decoder", f"one logit for each voxel of {tuple(image_shape)}, not {_shape(logits)}")
    if factors.shape != (n, d, d):
        raise _misfit("metric", f"matrices of the shape (n, {d}, {d}), not {_shape(factors)}")
    if not _is_steady(networks.decoder, torch.linspace(-1, 1, 2 * n * d).to(images).view(2 * n, d)):
        raise _misfit(
            "decoder", "the same for a position whenever it is called, without dropout and BatchNorm"
        )
    if factors.triu(1).any() or not (factors.diagonal(dim1=1, dim2=2) > 0).all():
        raise _misfit("metric", "lower triangular matrices with a positive diagonal")


def _is_steady(decoder: nn.Module, positions: torch.Tensor) -> bool:
    """Whether a decoder in training mode gives the same again, alone or together with other positions."""
    mode = decoder.training
    decoder.train()
    # copies of the running means, so that these do not change
    buffers = [{name: value.clone() for name, value in decoder.named_buffers()} for _ in range(2)]
    with torch.random.fork_rng(devices=[positions.device] if positions.is_cuda else []):
        some, more = (
            functional_call(decoder, copies, part)
            for copies, part in zip(buffers, (positions[: len(positions) // 2], positions), strict=True)
        )
    decoder.train(mode)
    return torch.allclose(some, more[: len(some)], rtol=1e-3, atol=1e-4)


def _shape(output: torch.Tensor) -> str:
    return f"(n, {', '.join(map(str, output.shape[1:]))})"


def _misfit(name: str, rule: str) -> StudyError:
    return StudyError(f"The module {name} has to give {rule}.", where=f"networks.{name}")
