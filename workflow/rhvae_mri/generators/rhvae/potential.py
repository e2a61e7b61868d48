"""The decoder's part of the Hamiltonian, -log p(x, z), and its gradient in z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import nn

from rhvae_mri.generators.rhvae.kernels.decoder import voxel_likelihood
from rhvae_mri.generators.rhvae.kernels.voxel_layers import VoxelLinear
from rhvae_mri.generators.rhvae.likelihood import first_derivative, log_likelihood
from rhvae_mri.generators.rhvae.networks import Decoder


@dataclass(frozen=True)
class Potential:
    """The decoder's part of the Hamiltonian at n latent positions."""

    log_likelihood: torch.Tensor  #: log p(x | z), summed over the voxels, (n,)
    gradient: torch.Tensor  #: of -log p(x, z) in z, (n, d)
    logits: torch.Tensor  #: what the decoder gives, (n, n_voxels); constants, from a kernel
    pull: torch.Tensor | None = None  #: from a kernel, the gradient of log p(x | z) in the last layer's input


def has_voxel_kernel(decoder: nn.Module) -> TypeGuard[Decoder]:
    """Whether the decoder is the study's, with the kernel; a subclass may compute something else."""
    return type(decoder) is Decoder and isinstance(decoder.logits, VoxelLinear)


def decoder_potential(
    decoder: nn.Module,
    images: torch.Tensor,
    positions: torch.Tensor,
    reconstruction: str,
    *,
    weights: bool = True,
    visited: Sequence[Potential] = (),
) -> Potential:
    """Compute log p(x | z) and the gradient of -log p(x, z) in z.

    Parameters
    ----------
    decoder : torch.nn.Module
        Latent positions to logits.
    images : torch.Tensor, shape (n, *image_shape)
        x.
    positions : torch.Tensor, shape (m n, d)
        z: m positions for each image, those of all images at the first place first.
    reconstruction : {"bce", "mse"}
        The likelihood of a voxel.
    weights : bool
        Whether the result is to be differentiated in the weights of the last layer, too.
    visited : sequence of Potential
        What was computed at the m places before; the kernel then computes derivatives only.

    Returns
    -------
    Potential
        Differentiable once where torch records gradients, constant otherwise.
    """
    recording = torch.is_grad_enabled()
    with torch.enable_grad():
        if not (recording and positions.requires_grad):
            positions = positions.detach().requires_grad_()
        if has_voxel_kernel(decoder):
            hidden, layer = decoder.body(positions), decoder.logits
            weight, bias = (part if weights else part.detach() for part in layer.parameters())
            value, pull, logits = voxel_likelihood(
                hidden, weight, bias, images, reconstruction, visited, layer.gradient_factors
            )
            (slope,) = torch.autograd.grad(hidden, positions, pull, create_graph=True)
        else:
            logits, pull = decoder(positions).flatten(1), None
            value = log_likelihood(logits, images, reconstruction)
            slopes = first_derivative(logits, images, reconstruction)
            (slope,) = torch.autograd.grad(logits, positions, slopes, create_graph=True)
        gradient = positions - slope
    if not recording:
        value, gradient, logits = value.detach(), gradient.detach(), logits.detach()
        pull = None if pull is None else pull.detach()
    return Potential(value, gradient, logits, pull)
