"""The plain VAE: its loss, likelihood, history, recoveries and resumption."""

import dataclasses
import math
import multiprocessing
import signal
import time

import numpy
import pytest
import torch
from fitted_generators import NETWORK, SHAPE, TRAINING, assert_same_arrays, fit, images
from safetensors.numpy import load_file
from torch import nn

from rhvae_mri.generators.rhvae import kernels
from rhvae_mri.generators.rhvae.networks import Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.storage import load_model
from rhvae_mri.generators.rhvae.training import TrainingRun, train_rhvae
from rhvae_mri.generators.vae import VAE, VAEGenerator
from rhvae_mri.io.errors import StudyError


def test_the_history_of_a_vae_has_its_terms_and_no_leapfrog_step():
    history = fit("vae").history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    for row in history:
        assert list(row) == [
            *("epoch", "loss", "reconstruction", "divergence", "latent_norm", "learning_rate"),
        ]
        assert row["loss"] == pytest.approx(row["reconstruction"] + row["divergence"], rel=1e-5)
        assert row["learning_rate"] == TRAINING["learning_rate"]


def test_a_vae_starts_from_the_weights_of_an_rhvae():
    for changes in ({}, {"networks": "convolutional", "channels": (2, 3)}):
        settings = RHVAESettings(**NETWORK | changes)
        networks = build_networks(settings, SHAPE, torch.Generator().manual_seed(3))
        model = VAE(settings, SHAPE, generator=torch.Generator().manual_seed(3))
        weights = {
            f"{name}.{key}": value
            for name in ("encoder", "decoder")
            for key, value in getattr(networks, name).state_dict().items()
        }
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


def test_settings_of_metric_and_flow_have_no_effect_on_a_vae():
    changes = {
        "leapfrog_step_size": 0.5,
        "temperature": 3.0,
        "metric_layers": (4, 4),
        "integrator": "generalized",
    }
    other = VAEGenerator.fit(images(), seed=1, **NETWORK | TRAINING | changes)
    assert other.history == fit("vae").history


def test_a_vae_learns_images():
    axis = numpy.linspace(-1, 1, 9)
    radius = numpy.hypot(*numpy.meshgrid(axis, axis))
    discs = numpy.stack([radius < r for r in numpy.linspace(0.3, 0.9, 8)]).astype(numpy.float32)
    settings = NETWORK | {"learning_rate": 1e-2, "batch_size": 4, "max_epochs": 150}
    trained = VAEGenerator.fit(discs, seed=1, **settings)
    error = numpy.square(trained.decode(trained.encode(discs)) - discs).sum()
    assert error < 0.2 * numpy.square(discs - discs.mean(0)).sum()
    assert trained.history[-1]["loss"] < 0.5 * trained.history[0]["loss"]


def test_the_terms_of_the_loss_are_those_of_torchs_distributions():
    generator = torch.Generator().manual_seed(2)
    stack = torch.rand(4, *SHAPE, generator=generator, dtype=torch.float64)
    noise = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    for reconstruction in ("bce", "mse"):
        model = VAE(
            RHVAESettings(**NETWORK, reconstruction=reconstruction), SHAPE, generator=generator
        ).double()
        output = model(stack, noise)
        mean, log_variance = model.encoder(stack)
        posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        divergence = torch.distributions.kl_divergence(posterior, prior).sum(1)
        torch.testing.assert_close(output.divergence, divergence, rtol=1e-10, atol=1e-12)
        voxels = model.decode(mean + posterior.stddev * noise).flatten(1)
        target = stack.flatten(1)
        if reconstruction == "bce":
            bernoulli = torch.distributions.Bernoulli(voxels, validate_args=False)
            expected = -bernoulli.log_prob(target).sum(1)
        else:
            expected = (voxels - target).square().sum(1) / 2
        torch.testing.assert_close(output.reconstruction, expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(output.loss, (expected + divergence).mean(), rtol=1e-10, atol=1e-12)


class FixedEncoder(nn.Module):
    """The same normal distribution for every image, which is wrong."""

    def __init__(self):
        super().__init__()
        self.mean, self.log_variance = (
            nn.Parameter(torch.tensor(x, dtype=torch.float64)) for x in ([0.2], [0.1])
        )

    def forward(self, stack):
        return self.mean.expand(len(stack), -1), self.log_variance.expand(len(stack), -1)


@pytest.mark.parametrize("reconstruction", ["bce", "mse"])
def test_importance_sampling_finds_the_likelihood_by_integration(reconstruction):
    settings = RHVAESettings(latent_dimension=1, reconstruction=reconstruction, decoder_layers=(5,))
    networks = build_networks(settings, (4, 3), torch.Generator().manual_seed(1))
    model = VAE(settings, (4, 3), Networks(FixedEncoder(), networks.decoder, nn.Identity())).double().eval()
    stack = images(3, (4, 3), numpy.float64)
    codes = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    prior = torch.distributions.Normal(torch.tensor(0.0).double(), 1)
    posterior = torch.distributions.Normal(model.encoder.mean, (model.encoder.log_variance / 2).exp())
    with torch.no_grad():
        voxels = model.decode(codes.unsqueeze(1)).flatten(1)
        likelihoods, bounds = [], []
        for image in torch.from_numpy(stack).flatten(1):
            if reconstruction == "bce":
                given = torch.distributions.Bernoulli(voxels, validate_args=False).log_prob(image).sum(1)
            else:
                given = torch.distributions.Normal(voxels, 1).log_prob(image).sum(1)
            log_joint = given + prior.log_prob(codes)
            log_q = posterior.log_prob(codes)
            likelihoods.append(torch.trapezoid(log_joint.exp(), codes).log())
            bounds.append(torch.trapezoid(log_q.exp() * (log_joint - log_q), codes))
    n_draws = 4000
    measured = VAEGenerator(model).log_density(stack, seed=3, n_draws=n_draws)
    effective = measured["effective_importance_samples"][1]
    assert ((effective > n_draws / 2) & (effective < n_draws)).all()
    # relative error of the mean weight, from its effective draws
    error = 5 * numpy.sqrt(1 / effective - 1 / n_draws)
    assert (abs(measured["log_likelihood"][1] - numpy.array(likelihoods)) < error).all()
    # a log-weight spreads by far less than 1 here
    assert (abs(measured["elbo"][1] - numpy.array(bounds)) < 5 / math.sqrt(n_draws)).all()
    assert (measured["elbo"][1] < measured["log_likelihood"][1]).all()
    again = VAEGenerator(model).log_density(stack, seed=3, n_draws=n_draws)
    assert numpy.array_equal(again["elbo"][1], measured["elbo"][1])


def test_a_vae_and_an_rhvae_file_are_not_taken_for_each_other(tmp_path):
    for name in ("vae", "rhvae"):
        fit(name).save(tmp_path / f"{name}.safetensors")
    with pytest.raises(StudyError, match="no VAE model file of this version"):
        VAEGenerator.load(tmp_path / "rhvae.safetensors")
    with pytest.raises(StudyError, match="no RHVAE model file of this version"):
        load_model(tmp_path / "vae.safetensors")


def vae_run(**changes):
    training = TrainingSettings(**TRAINING | changes)
    return TrainingRun(images(), RHVAESettings(**NETWORK), training, 1, "cpu", None, VAE)


def test_a_fault_in_a_vae_halves_the_learning_rate(monkeypatch, caplog):
    original, calls = TrainingRun._step, []

    def step(run, output):
        calls.append(1)
        is_faulty = len(calls) in (5, 6)
        return original(
            run, dataclasses.replace(output, loss=output.loss * math.nan) if is_faulty else output
        )

    monkeypatch.setattr(TrainingRun, "_step", step)
    trained = train_rhvae(images(), RHVAESettings(**NETWORK), TrainingSettings(**TRAINING), seed=1, kind=VAE)
    assert [row["learning_rate"] for row in trained.recoveries] == [1e-3, 5e-4]
    assert not any("leapfrog_step_size" in row for row in trained.recoveries)
    assert trained.history[-1]["learning_rate"] == 5e-4
    assert trained.model.settings == RHVAESettings(**NETWORK)
    assert "half the learning rate, 0.001" in caplog.text


def test_a_vae_that_cannot_be_trained_is_a_clear_error():
    with pytest.raises(StudyError, match=r"The VAE cannot be trained: .* after 2 recoveries") as raised:
        settings = TrainingSettings(**TRAINING | {"learning_rate": 1e12, "max_recoveries": 2})
        train_rhvae(images(), RHVAESettings(**NETWORK), settings, seed=1, kind=VAE)
    assert "leapfrog" not in str(raised.value)


@pytest.mark.parametrize("spoiled", ["weights", "loss"])
def test_a_spoiled_vae_is_no_result(monkeypatch, spoiled):
    run = vae_run()
    assert run.train_epoch()
    assert run.train_epoch()  # so that there are best weights before those of the last step, too
    if spoiled == "weights":
        for name, kept in run.state.tensors.items():
            kept.fill_(math.nan)
            run.model.get_parameter(name.removeprefix("best/")).data.fill_(math.nan)
    else:
        monkeypatch.setattr(TrainingRun, "_final_loss", lambda _: math.inf)
    with pytest.raises(StudyError, match="weights or the loss of the trained VAE are not finite"):
        run.finish()
    assert run.recoveries == []


def test_a_vae_is_trained_the_same_without_kernels(monkeypatch):
    results = []
    for enabled in (True, False):
        monkeypatch.setattr(kernels, "enabled", enabled)
        stack = images(dtype=numpy.float64)
        run = TrainingRun(stack, RHVAESettings(**NETWORK), TrainingSettings(1e-2, 3), 1, "cpu", None, VAE)
        assert len(run.model.voxel_layers()) == (2 if enabled else 0)
        assert all(run.train_epoch() for _ in range(4))
        results.append((run.history, run.model.state_dict()))
    (history, weights), (other_history, other_weights) = results
    assert history == [pytest.approx(row, rel=1e-9) for row in other_history]
    torch.testing.assert_close(weights, other_weights, rtol=1e-7, atol=1e-9)


def train_in_a_process(folder):
    """Train with a checkpoint after each epoch; the steep learning rate makes recoveries."""
    torch.set_num_threads(1)
    settings = NETWORK | TRAINING | {"learning_rate": 1.0, "max_recoveries": 40, "max_epochs": 40}
    checkpoint = folder / "checkpoint.safetensors"
    trained = VAEGenerator.fit(
        images(), seed=4, checkpoint=checkpoint, **settings, patience=40, checkpoint_seconds=1e-9
    )
    trained.save(folder / "model.safetensors")
    (folder / "history.txt").write_text(f"{trained.history} {trained._notes}")


@pytest.fixture(scope="module")
def processes():
    """Start trainings in processes that are forked from one that has loaded torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo"])

    def start(folder):
        process = context.Process(target=train_in_a_process, args=(folder,), daemon=True)
        process.start()
        return process

    return start


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(1e-3)


def test_a_vae_whose_training_is_killed_and_resumed_is_the_same(processes, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    process = processes(whole)
    process.join(120)
    assert process.exitcode == 0
    process = processes(killed)
    wait_for(killed / "checkpoint.safetensors")
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (killed / "model.safetensors").exists()
    process = processes(killed)
    process.join(120)
    assert process.exitcode == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    assert_same_arrays(one, other)
    text = (whole / "history.txt").read_text()
    assert text == (killed / "history.txt").read_text()
    assert "'fault'" in text
