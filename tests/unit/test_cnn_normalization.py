import pytest
import torch
from torch import nn

from rhvae_mri.cnn.kernels.normalization import convolve_and_normalize, fold_normalization

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


def test_gradients_are_those_of_finite_differences():
    convolution, norm = layers(width=3)
    convolution.double()
    norm.double()
    images = torch.rand(2, 2, 4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(2, 3, 2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    leaf = images.clone().requires_grad_()
    (convolve_and_normalize(leaf, convolution, norm, pool=True) * weights).sum().backward()
    step = 1e-6
    for tensor, gradient in (
        (images, leaf.grad),
        (convolution.weight.data, convolution.weight.grad),
        (norm.weight.data, norm.weight.grad),
        (norm.bias.data, norm.bias.grad),
    ):
        flat = tensor.view(-1)
        for index in range(0, flat.numel(), max(1, flat.numel() // 5)):
            values = []
            for sign in (1, -1):
                flat[index] += sign * step
                values.append((convolve_and_normalize(images, convolution, norm, pool=True) * weights).sum())
                flat[index] -= sign * step
            slope = ((values[0] - values[1]) / (2 * step)).item()
            assert gradient.view(-1)[index].item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_a_folded_convolution_is_convolution_and_normalisation():
    convolution, norm = layers()
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.rand(2, 2, 6, 5, 7)
    weight, bias = fold_normalization(convolution, norm)
    folded = nn.functional.conv3d(images, weight, bias, padding=1)
    torch.testing.assert_close(folded, norm.eval()(convolution(images)), rtol=1e-5, atol=1e-5)


def test_running_statistics_move_as_torchs_do():
    images = torch.rand(3, 2, 6, 5, 7)
    (convolution, norm), (_, theirs) = layers(), layers()
    for _ in range(3):
        convolve_and_normalize(images, convolution, norm, pool=True)
        theirs(convolution(images))
        images = images + 0.3
    torch.testing.assert_close(norm.running_mean, theirs.running_mean)
    torch.testing.assert_close(norm.running_var, theirs.running_var)
    assert norm.num_batches_tracked == theirs.num_batches_tracked == 3
