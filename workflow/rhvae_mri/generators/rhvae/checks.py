"""Checks of what a training is given: images, and perhaps modules of one's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy
import torch
from torch import Tensor, nn
from torch.func import functional_call

from rhvae_mri.generators.rhvae.networks import Networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.errors import StudyError


def check_images(images: numpy.ndarray) -> None:
    """Check that images are two or more of one shape, float32 or float64, within [0, 1] and not constant."""
    is_array = isinstance(images, numpy.ndarray)
    if not is_array or images.dtype == object:
        shapes = [numpy.shape(image) for image in images]
        for index, shape in enumerate(shapes):
            if shape != shapes[0]:
                raise StudyError(
                    f"The training images differ in shape: number {index} has {shape}, number 0 {shapes[0]}.",
                    cause="The images are on different grids.",
                    remedy="Register and crop them to one template, then pack the tensors again.",
                )
    kind = images.dtype if is_array else type(images).__name__
    if kind not in (numpy.float32, numpy.float64):
        raise StudyError(
            f"The training images are of type {kind}.",
            cause="The images were not rescaled to [0, 1].",
            remedy="Give one numpy array of float32 or float64 values.",
        )
    if images.ndim < 2 or len(images) < 2 or images[0].size == 0:
        raise StudyError(
            f"The training set has the shape {images.shape}.",
            cause="Too few images of this diagnosis were kept.",
            remedy="An RHVAE needs at least two images; see the quality and split tables.",
        )
    flat = images.reshape(len(images), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    faults = {
        "voxels that are NaN or infinite": ~numpy.isfinite(low + high),
        "values outside [0, 1]": (low < 0) | (high > 1),
        "one value in all voxels": low == high,
    }
    for fault, concerned in faults.items():
        if concerned.any():
            share = f"{concerned.sum()} of {len(images)} training images"
            raise StudyError(
                f"{share} have {fault}: the first is number {concerned.argmax()}.",
                cause="The images were not rescaled to [0, 1], or an image is empty.",
                remedy="Pack the tensors again, or leave these images out.",
            )


@torch.no_grad()
def check_networks(networks: Networks, settings: RHVAESettings, image_shape: Sequence[int]) -> None:
    """Check on two images that one's own modules give what `Networks` says, and a decoder the same each time.

    The modules are the same before and after.
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

    def shape(output: Tensor) -> str:
        return f"(n, {', '.join(map(str, output.shape[1:]))})"

    is_pair = isinstance(encoded, Sequence) and len(encoded) == 2
    if not is_pair or any(output.shape != (n, d) for output in encoded):
        raise _misfit("encoder", f"a pair of tensors of the shape (n, {d})")
    if len(logits) != n or logits[0].numel() != math.prod(image_shape):
        raise _misfit("decoder", f"one logit for each voxel of {tuple(image_shape)}, not {shape(logits)}")
    if factors.shape != (n, d, d):
        raise _misfit("metric", f"matrices of the shape (n, {d}, {d}), not {shape(factors)}")
    if not _is_steady(networks.decoder, torch.linspace(-1, 1, 2 * n * d).to(images).view(2 * n, d)):
        rule = "the same for a position whenever it is called, without dropout and BatchNorm"
        raise _misfit("decoder", rule)
    if factors.triu(1).any() or not (factors.diagonal(dim1=1, dim2=2) > 0).all():
        raise _misfit("metric", "lower triangular matrices with a positive diagonal")


def _is_steady(decoder: nn.Module, positions: Tensor) -> bool:
    """Whether a decoder in training mode gives the same again, alone or together with other positions."""
    mode = decoder.training
    decoder.train()
    outputs = []
    with torch.random.fork_rng(devices=[positions.device] if positions.is_cuda else []):
        for part in (positions[: len(positions) // 2], positions):
            # copies of the running means, so that these do not change
            buffers = {name: value.clone() for name, value in decoder.named_buffers()}
            outputs.append(functional_call(decoder, buffers, part))
    decoder.train(mode)
    some, more = outputs
    return torch.allclose(some, more[: len(some)], rtol=1e-3, atol=1e-4)


def _misfit(name: str, rule: str) -> StudyError:
    return StudyError(f"The module {name} has to give {rule}.", where=f"networks.{name}")
