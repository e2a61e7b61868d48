import dataclasses
import math

import numpy
import pytest
import torch
from torch import nn

from rhvae_mri.generators.rhvae import kernels
from rhvae_mri.generators.rhvae.kernels import adam as adam_module
from rhvae_mri.generators.rhvae.kernels import voxel_layers
from rhvae_mri.generators.rhvae.kernels.adam import Adam
from rhvae_mri.generators.rhvae.kernels.voxel_layers import (
    VoxelLinear,
    collected_factors,
    factor_norms,
    product,
)
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import Decoder, Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, split_settings
from rhvae_mri.generators.rhvae.training import TrainingRun

SETTINGS = RHVAESettings(latent_dimension=3, encoder_layers=(9, 7), decoder_layers=(6, 8), metric_layers=(5,))
SHAPE = (4, 5, 3)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) - 0.5


def make(networks=None, dtype=torch.float64, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    model = RHVAE(settings, SHAPE, networks, torch.Generator().manual_seed(0)).to(dtype)
    images = random(6, *SHAPE, dtype=dtype) + 0.5
    return model, images, random(2, 6, 3, seed=1, dtype=dtype)


@pytest.mark.parametrize(("n", "n_outputs", "n_inputs"), [(25, 2000, 90), (25, 70, 3001), (1, 1, 2**20)])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("turned", [(), (0,), (1,), (0, 1)])
def test_the_product_is_that_of_torch_for_any_strides(n, n_outputs, n_inputs, has_bias, turned):
    inputs, weight = random(n, n_inputs), random(n_outputs, n_inputs, seed=1)
    bias = random(n_outputs, seed=2) if has_bias else None
    expected = nn.functional.linear(inputs.double(), weight.double(), bias if bias is None else bias.double())
    inputs, weight = (
        matrix.T.contiguous().T if number in turned else matrix
        for number, matrix in enumerate((inputs, weight))
    )
    assert n * weight.numel() >= voxel_layers.LEAST_MULTIPLICATIONS
    error = (product(inputs, weight, bias) - expected).abs().max()
    assert error < 1e-6 * math.sqrt(n_inputs)


def test_a_decoder_of_ones_own_gives_no_factors():
    class Other(Decoder):
        pass

    networks = build_networks(SETTINGS, SHAPE)
    other = Other(3, (6, 8), math.prod(SHAPE))
    model, images, noise = make(Networks(networks.encoder, other, networks.metric))
    layers = model.voxel_layers()
    assert other.logits not in layers
    with collected_factors(layers):
        model(images, *noise).loss.backward()
    assert other.logits.weight.grad is not None


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_the_steps_are_those_of_torchs_adam(monkeypatch, block):
    monkeypatch.setitem(adam_module.BLOCK, "cpu", block)
    model, images, noise = make()
    other, _, _ = make()
    ours = Adam(model.parameters(), 1e-2, model.voxel_layers())
    theirs = torch.optim.Adam(other.parameters(), lr=1e-2)
    for _ in range(4):
        with collected_factors(model.voxel_layers()):
            model(images, *noise).loss.backward()
            ours.step()
            ours.zero_grad()
        theirs.zero_grad()
        other(images, *noise).loss.backward()
        theirs.step()
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-9, atol=1e-12), name
        assert one.grad is None


def test_a_weight_that_is_used_elsewhere_too_gets_both_gradients():
    layer = VoxelLinear(4, 3)
    inputs = random(5, 4)
    optimizer, theirs = Adam(layer.parameters(), 0.1, [layer]), VoxelLinear(4, 3)
    theirs.load_state_dict(layer.state_dict())
    reference = torch.optim.Adam(theirs.parameters(), lr=0.1)
    with collected_factors([layer]):
        (layer(inputs).sum() + layer.weight.square().sum()).backward()
        optimizer.step()
    (theirs(inputs).sum() + theirs.weight.square().sum()).backward()
    reference.step()
    assert torch.allclose(layer.weight, theirs.weight, atol=1e-6)


def test_the_bound_is_no_less_than_the_norm_and_shows_what_is_not_finite():
    model, images, noise = make()
    model(images, *noise).loss.backward()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    layers = model.voxel_layers()
    with collected_factors(layers):
        model(images, *noise).loss.backward()
        factored = [g for g, weight in zip(gradients, model.parameters(), strict=True) if weight.grad is None]
        assert len(factored) == len(layers) == 3
        assert torch.nn.utils.get_total_norm(factored) <= torch.stack(factor_norms(layers)).sum() < math.inf
        for layer in layers:
            left, _ = layer.gradient_factors[-1]
            left[0, 0] = math.inf
        assert sum(not norm.isfinite() for norm in factor_norms(layers)) == len(layers)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reconstruction": "mse"},
        {"integrator": "generalized"},
        {"integrator": "generalized", "fixed_point_tolerance": 1e-9, "leapfrog_step_size": 0.1},
        {"leapfrog_steps": 0},
        {"networks": "convolutional", "channels": (2, 3)},
        {"encoder_last_activation": "relu"},
        {"encoder_layers": (9,), "start_at_mean_image": True, "hold_out_fraction": 0.3},
    ],
)
def test_a_training_without_kernels_is_the_same(monkeypatch, changes):
    given = {"learning_rate": 1e-2, "batch_size": 3, **dataclasses.asdict(SETTINGS), **changes}
    settings, training = split_settings(given)
    images = numpy.random.default_rng(0).random((7, *SHAPE))
    trained = []
    for enabled in (True, False):
        monkeypatch.setattr(kernels, "enabled", enabled)
        run = TrainingRun(images, settings, training, 1, "cpu", None)
        assert isinstance(run.optimizer, Adam if enabled else torch.optim.Adam)
        assert any(isinstance(layer, VoxelLinear) for layer in run.model.modules()) == (
            enabled and settings.networks == "mlp"
        )
        assert all(run.train_epoch() for _ in range(4))
        trained.append((run.history, run.finish(), run.model.state_dict()))
    (history, end, weights), (other_history, other_end, other_weights) = trained
    assert history == [pytest.approx(row, rel=1e-9) for row in other_history]
    assert end == pytest.approx(other_end, rel=1e-9)
    torch.testing.assert_close(weights, other_weights, rtol=1e-7, atol=1e-9)
