"""Linear layers with a row or a column for each voxel, which hold nearly all weights of the study's networks.

Two things make them cheaper than `torch.nn.Linear` is. Their float32 products on a CPU go through oneDNN,
which on the processors of benchmarks/README.md is two to three times as fast as the library that torch uses
by default; it computes in float32, too. And while `collected_factors` says so, the gradient of a weight is
not formed: it is a product of two matrices with a row for each image and position, which take a hundredth of
its memory, and `Adam` forms it block by block where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Pairs of matrices (n, rows) and (n, columns); the gradient is the sum of left.T @ right.
GradientFactors = list[tuple[Tensor, Tensor]]

#: Whether this build of torch has the product of oneDNN.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")

#: Products of fewer multiplications are left to torch, whose way of calling is shorter.
LEAST_MULTIPLICATIONS = 2**20


class VoxelLinear(nn.Linear):
    """A linear layer of voxels; its weights, names and results are those of `torch.nn.Linear`."""

    #: Where the gradient of the weight goes, as factors; None, except within `collected_factors`.
    gradient_factors: GradientFactors | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiply ``inputs`` (n, n_inputs) with the weight, and add the bias."""
        return _VoxelProduct.apply(inputs, self.weight, self.bias, self.gradient_factors)


@contextmanager
def collected_factors(layers: Sequence[VoxelLinear]) -> Iterator[None]:
    """Collect the gradients of the layers' weights in `gradient_factors`, not in ``weight.grad``."""
    for layer in layers:
        layer.gradient_factors = []
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_factors = None


@torch.no_grad()
def factor_norms(layers: Sequence[VoxelLinear]) -> list[Tensor]:
    """Bound the norms of the collected gradients: that of a product is at most the product of the norms."""
    return [
        torch.linalg.vector_norm(left) * torch.linalg.vector_norm(right)
        for layer in layers
        for left, right in layer.gradient_factors or ()
    ]


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute inputs @ weight.T + bias, by oneDNN if they are large, float32 and on a CPU; no gradients."""
    is_plain = inputs.device.type == "cpu" and inputs.dtype == weight.dtype == torch.float32
    if HAS_ONEDNN and is_plain and len(inputs) * weight.numel() >= LEAST_MULTIPLICATIONS:
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return functional.linear(inputs, weight, bias)


class _VoxelProduct(torch.autograd.Function):
    """The layer; where gradients are not to be differentiated again, that of its weight may go to factors."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, factors: GradientFactors | None
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.factors = factors
        return product(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        bias_slope = slope.sum(0)
        if torch.is_grad_enabled():
            return slope @ weight, slope.T @ inputs, bias_slope, None
        inputs_slope = product(slope, weight.T) if ctx.needs_input_grad[0] else None
        if ctx.factors is None:
            return inputs_slope, product(slope.T, inputs.T), bias_slope, None
        ctx.factors.append((slope, inputs))
        return inputs_slope, None, bias_slope, None
