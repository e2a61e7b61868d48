"""The one layer of the study's networks that torch does not have."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class PaddedMaxPool3d(nn.Module):
    """Maximum over windows of two voxels a side, after one zero at the start of each odd dimension.

    No voxel is left out: a dimension of n voxels becomes one of ceil(n / 2). The padding is a real zero,
    not minus infinity, so a window at the border never gives a negative value where its dimension is odd.

    Notes
    -----
    The layer is that of ClinicaDL (its ``PadMaxPool3d`` with kernel and stride 2). Here the map is not
    copied into a larger one first: torch pools with minus infinity at both ends, of which the windows reach
    the start only, and the windows that hold padding are then raised to zero. Outputs and gradients are the
    same, bit for bit.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool feature maps.

        Parameters
        ----------
        maps : torch.Tensor of shape (n, channels, d, h, w)
            The feature maps.

        Returns
        -------
        torch.Tensor of shape (n, channels, ceil(d / 2), ceil(h / 2), ceil(w / 2))
            The pooled maps.
        """
        odd = [size % 2 for size in maps.shape[2:]]
        pooled = functional.max_pool3d(maps, kernel_size=2, stride=2, padding=odd)
        return raise_padded(pooled, maps.shape[2:])


def raise_padded(pooled: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Raise to zero the windows that hold padding.

    `pooled` (n, channels, ceil(d / 2), ceil(h / 2), ceil(w / 2)).
    """
    odd = [size % 2 for size in shape]
    if not any(odd):
        return pooled
    lowest = pooled.new_full(pooled.shape[2:], -torch.inf)
    for axis, is_odd in enumerate(odd):
        if is_odd:
            lowest.select(axis, 0).zero_()
    # `<=` and not `<`: on a tie the padding, which comes first, takes the gradient. NaN stays NaN.
    return torch.where(pooled <= lowest, lowest, pooled)


def pooled_shape(shape: tuple[int, ...], times: int = 1) -> tuple[int, ...]:
    """Return the size of a map that has gone through the pooling a number of times.

    Examples
    --------
    >>> pooled_shape((84, 104, 89), times=5)
    (3, 4, 3)
    """
    for _ in range(times):
        shape = tuple((size + 1) // 2 for size in shape)
    return shape
