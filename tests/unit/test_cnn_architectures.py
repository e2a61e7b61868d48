import json

import numpy
import pytest
import torch
from plain_cnn import pad_and_pool, plain_network
from torch import nn
from torch.nn import functional

from rhvae_mri.cnn.architectures import (
    Architecture,
    ConvolutionalNetwork,
    PaddedMaxPool3d,
    build_network,
    count_parameters,
    place_network,
    pooled_shape,
    read_architectures,
)
from rhvae_mri.io.errors import StudyError

FULL, DOWNSAMPLED, DEMO = (169, 208, 179), (84, 104, 89), (14, 17, 15)


@pytest.fixture(scope="module")
def architectures(root):
    return read_architectures(root / "resources" / "architectures.json")


def pool_by_hand(maps):
    """The maximum of each window, voxel by voxel, after a zero at the start of each odd dimension."""
    n, channels, *sizes = maps.shape
    padded = numpy.zeros((n, channels, *(size + size % 2 for size in sizes)), maps.dtype)
    padded[(..., *(slice(size % 2, None) for size in sizes))] = maps
    pooled = numpy.empty((n, channels, *(size // 2 for size in padded.shape[2:])), maps.dtype)
    for i, j, k in numpy.ndindex(pooled.shape[2:]):
        window = padded[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2]
        pooled[:, :, i, j, k] = window.max(axis=(2, 3, 4))
    return pooled


@pytest.mark.parametrize("shape", [(4, 6, 2), (5, 6, 2), (4, 7, 3), (5, 7, 3), (1, 1, 1), (1, 4, 9)])
def test_pooling_equals_brute_force(shape):
    maps = numpy.random.default_rng(0).normal(size=(2, 3, *shape)).astype(numpy.float32)
    maps -= 0.5
    pooled = PaddedMaxPool3d()(torch.from_numpy(maps)).numpy()
    numpy.testing.assert_array_equal(pooled, pool_by_hand(maps))
    assert pooled.shape[2:] == pooled_shape(shape)


@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 3), (3, 4, 5)])
def test_pooling_has_the_gradients_of_a_padded_copy_also_on_ties(shape):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(-2, 3, (2, 3, *shape), generator=generator).float()
    results = []
    for pool in (PaddedMaxPool3d(), pad_and_pool):
        leaf = maps.clone().requires_grad_()
        pooled = pool(leaf)
        pooled.backward(torch.arange(pooled.numel(), dtype=torch.float32).reshape(pooled.shape))
        results.append((pooled.detach(), leaf.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_pooling_shows_nan():
    maps = torch.zeros(1, 1, 3, 3, 3)
    maps[0, 0, 0, 0, 0] = torch.nan
    assert PaddedMaxPool3d()(maps).isnan().sum() == 1


@pytest.mark.parametrize(
    ("name", "resolution", "shape", "convolutions", "fully_connected"),
    [
        ("baseline", "downsampled", DOWNSAMPLED, 294_720, 1_621_977),
        ("optimized", "downsampled", DOWNSAMPLED, 466_890, 2_562),
        # 32256-1300-50-2, weights and biases
        ("baseline", "full", FULL, 294_720, 32256 * 1300 + 1300 + 1300 * 50 + 50 + 50 * 2 + 2),
    ],
)
def test_parameter_counts_are_the_published_ones(
    architectures, name, resolution, shape, convolutions, fully_connected
):
    with torch.device("meta"):
        network = ConvolutionalNetwork(architectures[name][resolution], shape)
    assert count_parameters(network) == {"convolutions": convolutions, "fully_connected": fully_connected}


def turned(network, seed=0):
    """Normalisations with slopes of both signs and used running statistics, as after a training."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 2, generator=generator)
    return network


def is_bias_before_normalization(network, key):
    part, position, kind = key.split(".")
    return kind == "bias" and isinstance(getattr(network, part)[int(position)], nn.Conv3d)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize("name", ["baseline", "optimized"])
@pytest.mark.parametrize("shape", [DEMO, (9, 7, 12)])
def test_outputs_and_gradients_equal_the_published_order_of_layers(
    architectures, name, shape, mode, dtype, tolerance
):
    architecture = architectures[name]["downsampled"]
    network = place_network(turned(build_network(architecture, shape, seed=3)), torch.device("cpu"))
    plain = plain_network(architecture, shape)
    plain.load_state_dict(
        dict(zip(plain.state_dict(), (value.clone() for value in network.state_dict().values()), strict=True))
    )
    images = torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    results = []
    for model in (network, plain):
        model.to(dtype).train(mode == "training")
        torch.manual_seed(5)  # the same dropout in both
        leaf = images.clone().requires_grad_()
        output = model(leaf)
        functional.cross_entropy(output, torch.tensor([0, 1, 1])).backward()
        results.append((output.detach(), leaf.grad))
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() <= tolerance * theirs.norm()
    for (key, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        if mode == "training" and is_bias_before_normalization(network, key):
            assert not ours.grad.any()
            assert theirs.grad.abs().max() < tolerance  # a zero, but for rounding
            continue
        assert (ours.grad - theirs.grad).norm() <= tolerance * (theirs.grad.norm() + 0.01), key
    for (key, ours), theirs in zip(network.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, msg=key)


@pytest.mark.parametrize(("name", "rate"), [("baseline", 0.5), ("optimized", 0.001)])
def test_the_classifier_has_the_published_dropout(architectures, name, rate):
    assert build_network(architectures[name]["downsampled"], (4, 4, 4)).classifier[1].p == rate


def test_initial_weights_follow_from_the_seed_and_leave_the_global_state_alone(architectures):
    architecture = architectures["optimized"]["downsampled"]
    before = torch.get_rng_state()
    first, again, other = (build_network(architecture, (4, 5, 6), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.convolutions[0].weight, again.convolutions[0].weight)
    assert not torch.equal(first.convolutions[0].weight, other.convolutions[0].weight)
    torch.manual_seed(1)  # torch's own default initialisation
    assert torch.equal(first.convolutions[0].weight, nn.Conv3d(1, 5, 3).weight)


def test_the_memory_layout_changes_results_by_rounding_only(architectures):
    architecture = architectures["baseline"]["downsampled"]
    network = build_network(architecture, DEMO, seed=0).eval()
    images = torch.rand(2, 1, *DEMO, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
        placed = place_network(network, torch.device("cpu"))
        maps = placed.convolutions[0](images)
        torch.testing.assert_close(placed(images), expected, rtol=1e-4, atol=1e-6)
    assert maps.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("name", ["baseline", "optimized"])
def test_bfloat16_changes_outputs_by_a_few_percent(architectures, name):
    """By 3 % in training and 1 % in evaluation; the weights keep float32."""
    shape = (48, 50, 46)
    images = torch.rand(4, 1, *shape, generator=torch.Generator().manual_seed(0))
    for is_training, bound in ((True, 0.03), (False, 0.01)):
        results = []
        for precision in ("float32", "bfloat16"):
            network = build_network(architectures[name]["downsampled"], shape, seed=0).train(is_training)
            place_network(network, torch.device("cpu"), precision)
            torch.manual_seed(0)
            results.append(network(images))
            results[-1].sum().backward()
            assert {weights.grad.dtype for weights in network.parameters()} == {torch.float32}
        exact, rounded = results
        assert exact.dtype == rounded.dtype == torch.float32
        assert 0 < (exact - rounded).norm() < bound * exact.norm()


def test_an_unknown_precision_is_an_error(architectures):
    network = build_network(architectures["baseline"]["downsampled"], (4, 4, 4))
    with pytest.raises(StudyError, match="no precision 'float16'"):
        place_network(network, torch.device("cpu"), "float16")


def test_an_architecture_survives_its_description(architectures):
    for resolutions in architectures.values():
        for architecture in resolutions.values():
            assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "tanh"}, "no activation 'tanh'"),
        ({"dropout": 1.0}, "probability"),
        ({"blocks": []}, "blocks of one convolution"),
        ({"blocks": [[8], []]}, "blocks of one convolution"),
        ({"blocks": [[8], [0]]}, "whole and positive"),
        ({"hidden_features": [2.5]}, "whole and positive"),
        ({"droput": 0.5}, "has the entries"),
    ],
)
def test_a_wrong_description_is_an_error_that_names_its_place(tmp_path, change, message):
    description = {"blocks": [[8]], "activation": "relu", "dropout": 0.5, "hidden_features": []}
    file = tmp_path / "architectures.json"
    file.write_text(json.dumps({"mine": {"full": description | change}}))
    with pytest.raises(StudyError, match=message) as caught:
        read_architectures(file)
    assert "mine, full" in str(caught.value)


def test_images_need_three_dimensions(architectures):
    with pytest.raises(StudyError, match="three dimensions"):
        build_network(architectures["baseline"]["full"], (84, 104))
