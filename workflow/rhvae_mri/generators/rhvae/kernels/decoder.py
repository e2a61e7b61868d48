"""The likelihood of an image, and one operation of it and the decoder's last layer, with its derivatives.

The layer has as many rows as an image has voxels and takes nearly all of the time. Written out, its
derivatives at several positions are computed at once, the weights are read twice, and the gradient of the
weights is gathered from all positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rhvae_mri.generators.rhvae.kernels.voxel_layers import GradientFactors, product

if TYPE_CHECKING:
    from rhvae_mri.generators.rhvae.potential import Potential


def log_likelihood(logits: Tensor, images: Tensor, reconstruction: str) -> Tensor:
    """Sum log p(x | z) over the voxels, without the constant of the normal density; (m n,).

    For logits (m n, n_voxels) of m positions z of each image (n, *image_shape): those of all images at the
    first place, then those at the second. A voxel is Bernoulli (``bce``) or normal with unit variance
    (``mse``).
    """
    logits, target = _side_by_side(logits, images)
    if reconstruction == "bce":
        voxels = functional.binary_cross_entropy_with_logits(
            logits, target.expand_as(logits), reduction="none"
        )
        return -voxels.sum(2).flatten()
    return (torch.sigmoid(logits) - target).square().sum(2).flatten() / -2


def first_derivative(logits: Tensor, images: Tensor, reconstruction: str) -> Tensor:
    """Derivative of log p(x | z) in each logit, of the shape of the logits."""
    shape = logits.shape
    logits, target = _side_by_side(logits, images)
    voxels = torch.sigmoid(logits)
    residual = target - voxels
    if reconstruction == "mse":
        residual = residual * voxels * (1 - voxels)
    return residual.view(shape)


def _side_by_side(logits: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (m, n, n_voxels) and images (n, n_voxels)."""
    target = images.flatten(1)
    return logits.view(-1, *target.shape), target


class _VoxelLikelihood(torch.autograd.Function):
    """From hidden activations h (m n, width) to log p(x | h), its gradient in h, and the logits as constants.

    Both results can be differentiated once, in h and in the layer's weights; the gradient of the large weight
    goes to ``factors``, if given. What was computed at ``visited`` places is not computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        images: Tensor,
        reconstruction: str,
        visited: Sequence[Potential],
        factors: GradientFactors | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if visited:
            logits = torch.cat([place.logits for place in visited])
            pull = torch.cat([place.pull for place in visited if place.pull is not None])
            value = torch.cat([place.log_likelihood for place in visited])
        else:
            logits = product(hidden, weight, bias)
            pull = product(first_derivative(logits, images, reconstruction), weight.T)
            value = log_likelihood(logits, images, reconstruction)
        ctx.save_for_backward(hidden, weight, images, logits)
        ctx.reconstruction, ctx.factors = reconstruction, factors
        ctx.mark_non_differentiable(logits)
        ctx.set_materialize_grads(False)
        return value, pull, logits

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, value_slope: Tensor | None, pull_slope: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
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


#: (hidden, weight, bias, images, reconstruction, visited, factors) to (log p(x | h), its gradient, logits)
voxel_likelihood = _VoxelLikelihood.apply


def _derivatives(logits: Tensor, images: Tensor, reconstruction: str) -> tuple[Tensor, Tensor]:
    """First and second derivative of log p(x | z) in each logit, both of the shape of the logits."""
    shape = logits.shape
    logits, target = _side_by_side(logits, images)
    voxels = torch.sigmoid(logits)
    residual = target - voxels
    if reconstruction == "bce":
        return residual.view(shape), (voxels - 1).mul_(voxels).view(shape)
    spread = voxels * (1 - voxels)  # the derivative of the sigmoid
    return (residual * spread).view(shape), (spread * (residual * (1 - 2 * voxels) - spread)).view(shape)
