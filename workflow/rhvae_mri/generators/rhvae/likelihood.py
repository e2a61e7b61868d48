"""The likelihood of the images and the decoder's part of the Hamiltonian.

The last layer of a decoder has as many rows as an image has voxels and takes nearly all of the time. For the
study's decoder it is therefore one operation with the likelihood, whose derivatives are written out:
`decoder_potential` differentiates several positions at once, reads the weights twice, and gathers the
gradient of the weights from all of them. Any other decoder is differentiated by torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rhvae_mri.generators.rhvae.networks import Decoder
from rhvae_mri.generators.rhvae.voxel_layers import GradientFactors, product


@dataclass(frozen=True)
class Potential:
    """The decoder's part of the Hamiltonian at n latent positions.

    Attributes
    ----------
    log_likelihood : torch.Tensor, shape (n,)
        log p(x | z), summed over the voxels.
    gradient : torch.Tensor, shape (n, d)
        Gradient of -log p(x, z) in z.
    logits : torch.Tensor, shape (n, n_voxels)
        What the decoder gives; with the study's decoder they are constants.
    pull : torch.Tensor, shape (n, width), optional
        Gradient of log p(x | z) in the input of the last layer; only with the study's decoder.
    """

    log_likelihood: torch.Tensor
    gradient: torch.Tensor
    logits: torch.Tensor
    pull: torch.Tensor | None = None


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
        What was computed at the m places before; the study's decoder then computes derivatives only.

    Returns
    -------
    Potential
        Differentiable once where torch records gradients, constant otherwise.
    """
    recording = torch.is_grad_enabled()
    with torch.enable_grad():
        if not (recording and positions.requires_grad):
            positions = positions.detach().requires_grad_()
        if type(decoder) is Decoder:  # a subclass may compute something else
            hidden = decoder.body(positions)
            layer = [weight if weights else weight.detach() for weight in decoder.logits.parameters()]
            value, pull, logits = _VoxelLayer.apply(
                hidden, *layer, images, reconstruction, visited, decoder.logits.gradient_factors
            )
            (slope,) = torch.autograd.grad(hidden, positions, pull, create_graph=True)
        else:
            logits, pull = decoder(positions).flatten(1), None
            value = log_likelihood(logits, images, reconstruction)
            slopes = _first_derivative(logits, images, reconstruction)
            (slope,) = torch.autograd.grad(logits, positions, slopes, create_graph=True)
        gradient = positions - slope
    if not recording:
        value, gradient, logits = value.detach(), gradient.detach(), logits.detach()
        pull = None if pull is None else pull.detach()
    return Potential(value, gradient, logits, pull)


def log_likelihood(logits: torch.Tensor, images: torch.Tensor, reconstruction: str) -> torch.Tensor:
    """Sum log p(x | z) over the voxels, without the constant of the normal density.

    Parameters
    ----------
    logits : torch.Tensor, shape (m n, n_voxels)
        The decoder's output at m positions for each image.
    images : torch.Tensor, shape (n, *image_shape)
        x.
    reconstruction : {"bce", "mse"}
        The likelihood of a voxel.

    Returns
    -------
    torch.Tensor, shape (m n,)
        One sum per position.
    """
    logits, target = _side_by_side(logits, images)
    if reconstruction == "bce":
        voxels = functional.binary_cross_entropy_with_logits(
            logits, target.expand_as(logits), reduction="none"
        )
        return -voxels.sum(2).flatten()
    return (torch.sigmoid(logits) - target).square().sum(2).flatten() / -2


def _first_derivative(logits: torch.Tensor, images: torch.Tensor, reconstruction: str) -> torch.Tensor:
    """Derivative of log p(x | z) in each logit, of the shape of the logits."""
    shape = logits.shape
    logits, target = _side_by_side(logits, images)
    voxels = torch.sigmoid(logits)
    residual = target - voxels
    if reconstruction == "mse":
        residual = residual * voxels * (1 - voxels)
    return residual.view(shape)


def _derivatives(
    logits: torch.Tensor, images: torch.Tensor, reconstruction: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second derivative of log p(x | z) in each logit, both of the shape of the logits."""
    shape = logits.shape
    logits, target = _side_by_side(logits, images)
    voxels = torch.sigmoid(logits)
    residual = target - voxels
    if reconstruction == "bce":
        return residual.view(shape), (voxels - 1).mul_(voxels).view(shape)
    spread = voxels * (1 - voxels)  # the derivative of the sigmoid
    return (residual * spread).view(shape), (spread * (residual * (1 - 2 * voxels) - spread)).view(shape)


def _side_by_side(logits: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (m, n, n_voxels) and images (n, n_voxels)."""
    target = images.flatten(1)
    return logits.view(-1, *target.shape), target


class _VoxelLayer(torch.autograd.Function):
    """The decoder's last layer and the likelihood, from hidden activations h (m n, width).

    Gives log p(x | h), its gradient in h, and the logits as constants. Both results can be differentiated
    once, in h and in the layer's weights; the gradient of the large weight goes to ``factors``, if given.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        images: torch.Tensor,
        reconstruction: str,
        visited: Sequence[Potential],
        factors: GradientFactors | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if visited:
            logits = torch.cat([place.logits for place in visited])
            pull = torch.cat([place.pull for place in visited if place.pull is not None])
            value = torch.cat([place.log_likelihood for place in visited])
        else:
            logits = product(hidden, weight, bias)
            pull = product(_first_derivative(logits, images, reconstruction), weight.T)
            value = log_likelihood(logits, images, reconstruction)
        ctx.save_for_backward(hidden, weight, images, logits)
        ctx.reconstruction, ctx.factors = reconstruction, factors
        ctx.mark_non_differentiable(logits)
        ctx.set_materialize_grads(False)
        return value, pull, logits

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, value_slope: torch.Tensor | None, pull_slope: torch.Tensor | None, _: None
    ) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, images, logits = ctx.saved_tensors
        first, second = _derivatives(logits, images, ctx.reconstruction)
        if pull_slope is None:
            pull_slope = torch.zeros_like(hidden)
        logits_slope = second.mul_(product(pull_slope, weight))
        if value_slope is not None:
            logits_slope.addcmul_(first, value_slope.unsqueeze(1))
        hidden_slope = product(logits_slope, weight.T)
        nothing = (None,) * 4
        if not ctx.needs_input_grad[1]:
            return hidden_slope, None, None, *nothing
        # The weights act through the logits and through the pull; both are sums over positions.
        bias_slope = logits_slope.sum(0)
        factors = [(logits_slope, hidden), (first, pull_slope)]
        if ctx.factors is not None:
            ctx.factors.extend(factors)
            return hidden_slope, None, bias_slope, *nothing
        rows, columns = (torch.cat(matrices) for matrices in zip(*factors, strict=True))
        del first, second, logits_slope, factors
        return hidden_slope, product(rows.T, columns.T), bias_slope, *nothing
