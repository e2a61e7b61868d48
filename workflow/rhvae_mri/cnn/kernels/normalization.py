"""Batch normalisation in training, together with the pooling that follows it.

The affine map of a batch normalisation with a positive slope is increasing, so the maximum of a window can be
taken before it: normalisation and activation then act on an eighth of the voxels, and the backward pass needs
neither the normalised map nor the map of the activation. The gradient of the convolution's output is

    c y + b + a (gradient of the window), the last term at the maximum of each window only,

with a, b, c of one number per channel: one pass over the map instead of the six of the layers one by one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rhvae_mri.cnn.kernels.convolution import convolve

#: Images with maps above this size are summed one by one: they stay in a CPU's cache from product to sum.
_CACHED_BYTES = 2**20


def convolve_and_normalize(
    maps: Tensor, convolution: nn.Conv3d, norm: nn.BatchNorm3d, *, pool: bool
) -> Tensor:
    """Apply a convolution, its batch normalisation with the statistics of the batch, and the pooling.

    The caller applies the activation, which has to be increasing and zero at zero.

    Where the slope of the normalisation is negative, the filter is turned round instead, so that the maximum
    is the right one. The bias before a batch normalisation has no effect; it counts in the running mean only,
    and its gradient is zero exactly, where the layers one by one give the rounding of a zero, which Adam
    blows up to whole steps.

    The statistics are sums of each plane in float32, added up in float64. torch's own sums over a map with
    the channels last are off by 0.3 % of the variance at 84 x 104 x 89 voxels (torch 2.13, CPU).
    """
    # every convolution of the study's networks has a bias, and its padding is given as numbers
    assert convolution.bias is not None and isinstance(convolution.padding, tuple)
    sign = torch.where(norm.weight < 0, -1.0, 1.0).detach()
    filters = convolution.weight * sign.to(convolution.weight.dtype)[:, None, None, None, None]
    output = convolve(maps, filters, convolution.padding)
    normalized, mean, variance = _Normalization.apply(
        output, norm.weight * sign, norm.bias, convolution.bias, norm.eps, pool
    )
    _update_running_statistics(norm, mean * sign + convolution.bias.detach(), variance, output)
    return raise_padded(normalized, output.shape[2:]) if pool else normalized


def raise_padded(pooled: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Raise to zero the pooled windows that hold the padding of maps of an odd size (d, h, w)."""
    odd = [size % 2 for size in shape]
    if not any(odd):
        return pooled
    lowest = pooled.new_full(pooled.shape[2:], -torch.inf)
    for axis, is_odd in enumerate(odd):
        if is_odd:
            lowest.select(axis, 0).zero_()
    # `<=` and not `<`: on a tie the padding, which comes first, takes the gradient. NaN stays NaN.
    return torch.where(pooled <= lowest, lowest, pooled)


def fold_normalization(convolution: nn.Conv3d, norm: nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that includes its normalisation, for evaluation."""
    mean, variance, bias = norm.running_mean, norm.running_var, convolution.bias
    assert mean is not None and variance is not None and bias is not None  # as in all of the study's networks
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    weight = convolution.weight * scale[:, None, None, None, None]
    return weight, norm.bias + (bias - mean) * scale


class _Normalization(torch.autograd.Function):
    """Normalise maps by their own statistics and pool them; differentiable once."""

    @staticmethod
    def forward(
        context: Any,
        maps: Tensor,
        slope: Tensor,
        offset: Tensor,
        bias: Tensor,
        epsilon: float,
        pool: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n = maps.numel() // maps.shape[1]
        mean = _channel_sums(maps) / n
        # The squares of the deviations lose nothing in float64, where the sums are of float32.
        variance = (_channel_sums(maps, maps) / n - mean.square()).clamp_min(0)
        deviation = torch.rsqrt(variance + epsilon)
        pooled, places = maps, None
        if pool:
            odd = [size % 2 for size in maps.shape[2:]]
            pooled, places = functional.max_pool3d(maps, 2, 2, padding=odd, return_indices=True)
        scale = slope.double() * deviation
        normalized = torch.addcmul(
            _per_channel(offset.double() - mean * scale, slope.dtype),
            pooled,
            _per_channel(scale, slope.dtype),
        )
        context.save_for_backward(maps, pooled if pool else None, places, slope, bias, mean, deviation)
        mean, variance = mean.to(slope.dtype), variance.to(slope.dtype)
        context.mark_non_differentiable(mean, variance)
        return normalized, mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        maps, pooled, places, slope, bias, mean, deviation = context.saved_tensors
        n = maps.numel() // maps.shape[1]
        values = maps if pooled is None else pooled
        offset_gradient = _channel_sums(gradient)
        slope_gradient = (_channel_sums(gradient, values) - mean * offset_gradient) * deviation
        factor = slope.double() * deviation
        linear = -factor * deviation * slope_gradient / n
        constant = -factor * offset_gradient / n - linear * mean
        result = _scale_and_shift(maps, linear, constant)
        if places is None:
            result.addcmul_(gradient.to(result.dtype), _per_channel(factor, result.dtype))
        else:
            at_maxima = torch.addcmul(
                _per_channel(constant, gradient.dtype), pooled, _per_channel(linear, gradient.dtype)
            ).addcmul_(gradient, _per_channel(factor, gradient.dtype))
            _write(result, places, at_maxima.to(result.dtype))
        return (
            result,
            slope_gradient.to(slope.dtype),
            offset_gradient.to(slope.dtype),
            torch.zeros_like(bias),
            None,
            None,
        )


def _per_channel(values: Tensor, dtype: torch.dtype) -> Tensor:
    """One number per channel, in the shape that fits maps."""
    return values.to(dtype)[None, :, None, None, None]


def _is_channels_last(maps: Tensor) -> bool:
    return maps.is_contiguous(memory_format=torch.channels_last_3d)


def _channel_sums(maps: Tensor, factor: Tensor | None = None) -> Tensor:
    """Sums of maps, or of their products with other maps, per channel: of planes first, then in float64."""
    if len(maps) > 1 and not maps.is_cuda and maps[0].nbytes > _CACHED_BYTES:
        parts = [slice(i, i + 1) for i in range(len(maps))]
        sums = [_channel_sums(maps[i], None if factor is None else factor[i]) for i in parts]
        return torch.stack(sums).sum(dim=0)
    values = maps.to(torch.promote_types(maps.dtype, torch.float32))
    if factor is not None:
        values = values * factor
    n, channels, depth = maps.shape[:3]
    if _is_channels_last(values):
        return (
            values.permute(0, 2, 3, 4, 1).reshape(n * depth, -1, channels).sum(1).sum(0, dtype=torch.float64)
        )
    return values.flatten(3).sum(3).sum((0, 2), dtype=torch.float64)


def _scale_and_shift(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Multiply and shift maps by one number per channel each, in their type and layout."""
    scale, shift = scale.to(maps.dtype), shift.to(maps.dtype)
    if not _is_channels_last(maps):
        return torch.addcmul(shift[:, None, None, None], maps, scale[:, None, None, None])
    # Rows of the image instead of single voxels: long enough for the vector units.
    result = torch.empty_like(maps)
    width = maps.shape[-1]
    torch.addcmul(shift.repeat(width), _rows(maps), scale.repeat(width), out=_rows(result))
    return result


def _rows(maps: Tensor) -> Tensor:
    """Maps with the channels last as a matrix of (n d h) rows of (w channels) numbers."""
    n, channels, d, h, w = maps.shape
    return maps.permute(0, 2, 3, 4, 1).view(n * d * h, w * channels)


def _write(maps: Tensor, places: Tensor, values: Tensor) -> None:
    """Write values into maps at the places that the pooling gave."""
    if _is_channels_last(maps):
        maps, places, values = (tensor.permute(0, 2, 3, 4, 1) for tensor in (maps, places, values))
        flat, axis = maps.view(len(maps), -1, maps.shape[-1]), 1
    else:
        flat, axis = maps.view(*maps.shape[:2], -1), 2
    # As integers of the same size: torch's scatter copies maps of bfloat16 to float32 and back.
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[maps.element_size()]
    places, values = places.flatten(axis, axis + 2), values.flatten(axis, axis + 2)
    flat.view(bits).scatter_(axis, places, values.view(bits))


def _update_running_statistics(norm: nn.BatchNorm3d, mean: Tensor, variance: Tensor, maps: Tensor) -> None:
    """Move the running statistics towards those of a batch, as torch's layer does."""
    n = maps.numel() // maps.shape[1]
    # as torch makes a layer by default
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (n / (n - 1)), norm.momentum)
        norm.num_batches_tracked += 1
