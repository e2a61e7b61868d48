"""The likelihood of the images: log p(x | z) from the decoder's logits, for m positions z of each image.

Positions come place by place: those of all images at the first place, then those at the second.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def log_likelihood(logits: torch.Tensor, images: torch.Tensor, reconstruction: str) -> torch.Tensor:
    """Sum log p(x | z) over the voxels, without the constant of the normal density.

    Parameters
    ----------
    logits : torch.Tensor, shape (m n, n_voxels)
        The decoder's output at m positions for each image.
    images : torch.Tensor, shape (n, *image_shape)
        x.
    reconstruction : {"bce", "mse"}
        The likelihood of a voxel: Bernoulli, or normal with unit variance.

    Returns
    -------
    torch.Tensor, shape (m n,)
        One sum per position.
    """
    logits, target = side_by_side(logits, images)
    if reconstruction == "bce":
        voxels = functional.binary_cross_entropy_with_logits(
            logits, target.expand_as(logits), reduction="none"
        )
        return -voxels.sum(2).flatten()
    return (torch.sigmoid(logits) - target).square().sum(2).flatten() / -2


def first_derivative(logits: torch.Tensor, images: torch.Tensor, reconstruction: str) -> torch.Tensor:
    """Derivative of log p(x | z) in each logit, of the shape of the logits."""
    shape = logits.shape
    logits, target = side_by_side(logits, images)
    voxels = torch.sigmoid(logits)
    residual = target - voxels
    if reconstruction == "mse":
        residual = residual * voxels * (1 - voxels)
    return residual.view(shape)


def side_by_side(logits: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (m, n, n_voxels) and images (n, n_voxels)."""
    target = images.flatten(1)
    return logits.view(-1, *target.shape), target
