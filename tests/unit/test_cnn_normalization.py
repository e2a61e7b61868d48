import pytest
import torch
from torch import nn

from rhvae_mri.cnn.kernels.normalization import convolve_and_normalize

LAYOUTS = {"channels-first": torch.contiguous_format, "channels-last": torch.channels_last_3d}


def layers(width=8, inputs=2, seed=0):
    torch.manual_seed(seed)
    convolution, norm = nn.Conv3d(inputs, width, 3, padding=1), nn.BatchNorm3d(width)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return convolution, norm


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_statistics_of_a_large_map_are_right_to_seven_digits(layout):
    convolution, norm = layers(inputs=1)
    convolution.to(memory_format=layout)
    norm.momentum = 1.0
    images = torch.rand(2, 1, 64, 70, 66, generator=torch.Generator().manual_seed(0)) + 1
    convolve_and_normalize(images, convolution, norm, pool=True)
    exact = convolution.double()(images.double())
    torch.testing.assert_close(norm.running_mean.double(), exact.mean((0, 2, 3, 4)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), exact.var((0, 2, 3, 4)), rtol=2e-5, atol=0)


def test_the_pass_image_by_image_gives_the_sums_of_the_whole(monkeypatch):
    images = torch.rand(3, 2, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    results = []
    for limit in (0, 2**20):
        monkeypatch.setattr("rhvae_mri.cnn.kernels.normalization._CACHED_BYTES", limit)
        convolution, norm = layers()
        output = convolve_and_normalize(images, convolution, norm, pool=False)
        output.square().sum().backward()
        results.append((output.detach(), convolution.weight.grad, norm.weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)
