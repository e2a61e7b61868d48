"""The convolution of the networks, whose gradient in the filters is a matrix product on a GPU.

In float32 cuDNN takes 95 ms for this gradient in the first layer of the study's networks (8 images, the GPU
of benchmarks/README.md), and with the second layer's nine tenths of a training step. As one matrix product
of the slopes and the windows of the input it takes 1.4 ms. Beside float64 it is off by 2e-7 of the largest
number, cuDNN's by 5e-6.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv3d_input

#: At most so many elements of windows are laid out at a time, 1 GB in float32; a plane at the least.
_LAID_OUT = 2**28


def convolve(maps: Tensor, filters: Tensor, padding: tuple[int, ...]) -> Tensor:
    """Convolve maps (n, channels, d, h, w) in training; on a GPU in float32 differentiable once."""
    if maps.is_cuda and maps.dtype == torch.float32 and not torch.is_autocast_enabled("cuda"):
        return _Convolution.apply(maps, filters, padding)
    return functional.conv3d(maps, filters, padding=padding)


def filter_gradient(maps: Tensor, slopes: Tensor, size: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
    """Compute the gradient of a convolution in its filters from the one in its output, of `slopes`."""
    channels, width, planes = maps.shape[1], slopes.shape[1], slopes.shape[2]
    per_plane = channels * math.prod(size) * math.prod(slopes.shape[3:])
    at_a_time = max(_LAID_OUT // per_plane, 1)
    images = max(at_a_time // planes, 1)
    gradient = slopes.new_zeros(width, channels * math.prod(size))
    for some_maps, some_slopes in zip(maps.split(images), slopes.split(images), strict=True):
        windows = functional.pad(some_maps, [end for p in reversed(padding) for end in (p, p)])
        for axis, length in enumerate(size, start=2):
            windows = windows.unfold(axis, length, 1)
        by_plane = windows.permute(0, 2, 1, 5, 6, 7, 3, 4), some_slopes.transpose(1, 2)
        for start in range(0, planes, at_a_time):
            columns, rows = (part[:, start : start + at_a_time] for part in by_plane)
            columns = columns.flatten(6).flatten(2, 5).flatten(0, 1)
            rows = rows.flatten(3).flatten(0, 1)
            # one product per plane: many short sums keep the GPU busy and lose less than one long sum
            gradient += (rows @ columns.mT).sum(0)
    return gradient.view(width, channels, *size)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, filters: Tensor, padding: tuple[int, ...]) -> Tensor:
        context.save_for_backward(maps, filters)
        context.padding = padding
        return functional.conv3d(maps, filters, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        maps, filters = context.saved_tensors
        needs_maps, needs_filters, _ = context.needs_input_grad
        maps_gradient = filters_gradient = None
        if needs_maps:
            maps_gradient = conv3d_input(maps.shape, filters, slopes, padding=context.padding)
        if needs_filters:
            filters_gradient = filter_gradient(maps, slopes, filters.shape[2:], context.padding)
        return maps_gradient, filters_gradient, None
