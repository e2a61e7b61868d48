import pytest
import torch
from torch.nn import functional

from rhvae_mri.cnn import convolution
from rhvae_mri.cnn.convolution import _Convolution, convolve, filter_gradient


@pytest.fixture
def layer():
    """Maps of odd and even sizes, filters, and the gradient in the output."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw(5, 3, 7, 6, 4).requires_grad_(), draw(4, 3, 3, 3, 3).requires_grad_(), draw(5, 4, 7, 6, 4)


@pytest.mark.parametrize("images_at_a_time", [1, 2, 5])
def test_the_gradient_in_the_filters_is_that_of_torch(layer, monkeypatch, images_at_a_time):
    maps, filters, slopes = layer
    (expected,) = torch.autograd.grad(functional.conv3d(maps, filters, padding=1), filters, slopes)
    monkeypatch.setattr(convolution, "_LAID_OUT", images_at_a_time * 3 * 27 * 7 * 6 * 4)
    gradient = filter_gradient(maps, slopes, (3, 3, 3), (1, 1, 1))
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "padding"), [((3, 1, 5), (1, 0, 2)), ((3, 3, 3), (0, 0, 0))])
def test_filters_of_other_sizes(layer, size, padding):
    maps, _, _ = layer
    filters = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    output = functional.conv3d(maps, filters, padding=padding)
    slopes = torch.randn_like(output)
    (expected,) = torch.autograd.grad(output, filters, slopes)
    torch.testing.assert_close(filter_gradient(maps, slopes, size, padding), expected)


def test_the_operation_of_a_gpu_has_outputs_and_gradients_of_torch(layer):
    maps, filters, slopes = layer
    values = []
    for convolve_them in (
        lambda: _Convolution.apply(maps, filters, (1, 1, 1)),
        lambda: convolve(*layer[:2], 1),
    ):
        output = convolve_them()
        values.append([output, *torch.autograd.grad(output, (maps, filters), slopes)])
    for ours, expected in zip(*values, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    frozen = _Convolution.apply(maps, filters.detach(), (1, 1, 1))
    (gradient,) = torch.autograd.grad(frozen, maps, slopes)
    torch.testing.assert_close(gradient, values[1][1], rtol=1e-12, atol=1e-12)
