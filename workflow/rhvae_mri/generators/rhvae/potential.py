"""The decoder's part of the Hamiltonian, -log p(x, z), and its gradient in z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from rhvae_mri.generators.rhvae.kernels.decoder import first_derivative, log_likelihood, voxel_likelihood
from rhvae_mri.generators.rhvae.kernels.voxel_layers import VoxelLinear
from rhvae_mri.generators.rhvae.networks import Decoder


@dataclass(frozen=True)
class Potential:
    """The decoder's part of the Hamiltonian at n latent positions."""

    log_likelihood: Tensor  #: log p(x | z), summed over the voxels, (n,)
    gradient: Tensor  #: of -log p(x, z) in z, (n, d)
    logits: Tensor  #: what the decoder gives, (n, n_voxels); constants, from a kernel
    pull: Tensor | None = None  #: from a kernel, the gradient of log p(x | z) in the last layer's input


def has_voxel_kernel(decoder: nn.Module) -> TypeGuard[Decoder]:
    """Whether the decoder is the study's, with the kernel; a subclass may compute something else."""
    return type(decoder) is Decoder and isinstance(decoder.logits, VoxelLinear)


def decoder_potential(
    decoder: nn.Module,
    images: Tensor,
    positions: Tensor,
    reconstruction: str,
    *,
    weights: bool = True,
    visited: Sequence[Potential] = (),
) -> Potential:
    """Compute log p(x | z) and the gradient of -log p(x, z) in z.

    ``positions`` (m n, d) are m for each image (n, *image_shape), those of all images at the first place
    first. With ``weights`` the result is to be differentiated in the weights of the last layer, too. What was
    computed at the m places before may be ``visited``; the kernel then computes derivatives only. The result
    can be differentiated once where torch records gradients, and is constant otherwise.
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
