import math

import pytest
import torch
from torch.nn import functional

from rhvae_mri.cnn.kernels import convolution
from rhvae_mri.cnn.kernels.convolution import _Convolution, filter_gradient


@pytest.fixture
def layer():
    """Maps of odd and even sizes, filters, and the gradient in the output."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw(5, 3, 7, 6, 4).requires_grad_(), draw(4, 3, 3, 3, 3).requires_grad_(), draw(5, 4, 7, 6, 4)


@pytest.mark.parametrize("planes_at_a_time", [1, 3, 7, 14, 100])
def test_the_gradient_in_the_filters_is_that_of_torch(layer, monkeypatch, planes_at_a_time):
    maps, filters, slopes = layer
    (expected,) = torch.autograd.grad(functional.conv3d(maps, filters, padding=1), filters, slopes)
    monkeypatch.setattr(convolution, "_LAID_OUT", planes_at_a_time * 3 * 27 * 6 * 4)
    gradient = filter_gradient(maps, slopes, (3, 3, 3), (1, 1, 1))
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "padding"), [((3, 1, 5), (1, 0, 2)), ((3, 3, 3), (0, 0, 0))])
def test_filters_of_other_sizes_have_their_gradient(layer, size, padding):
    maps, _, _ = layer
    filters = torch.linspace(-1, 1, 6 * math.prod(size), dtype=torch.float64).view(2, 3, *size)
    output = functional.conv3d(maps, filters.requires_grad_(), padding=padding)
    slopes = output.detach().cos()
    (expected,) = torch.autograd.grad(output, filters, slopes)
    torch.testing.assert_close(filter_gradient(maps, slopes, size, padding), expected)


def test_the_operation_of_a_gpu_has_outputs_and_gradients_of_torch(layer):
    maps, filters, slopes = layer
    output, expected = (
        _Convolution.apply(maps, filters, (1, 1, 1)),
        functional.conv3d(maps, filters, padding=1),
    )
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad(one, (maps, filters), slopes) for one in (output, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("needed", ["maps", "filters"])
def test_a_gradient_that_is_not_needed_is_not_computed(layer, monkeypatch, needed):
    """Images need none, nor do the filters of a network that is explained."""
    maps, filters, slopes = layer
    inputs = {"maps": maps.detach(), "filters": filters.detach()}
    inputs[needed].requires_grad_()
    for name, other in (("conv3d_input", "filters"), ("filter_gradient", "maps")):
        if needed == other:
            monkeypatch.setattr(convolution, name, None)
    output = _Convolution.apply(inputs["maps"], inputs["filters"], (1, 1, 1))
    (gradient,) = torch.autograd.grad(output, inputs[needed], slopes)
    (expected,) = torch.autograd.grad(
        functional.conv3d(maps, filters, padding=1), layer[needed == "filters"], slopes
    )
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
