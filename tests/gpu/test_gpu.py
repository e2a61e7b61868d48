"""What the CPU computes, on a GPU. A machine without one skips these tests and says so."""

import copy
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from torch.nn import functional

import rhvae_mri
from rhvae_mri.cnn.architectures import Architecture, build_network, place_network
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.kernels import convolution
from rhvae_mri.cnn.training import TrainingSettings as CnnSettings
from rhvae_mri.cnn.training import train_network, train_networks
from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
from rhvae_mri.generators.rhvae.kernels.adam import Adam
from rhvae_mri.generators.rhvae.kernels.voxel_layers import collected_factors
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.sampler import sample_latent
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.training import train_rhvae
from rhvae_mri.runtime import locks
from rhvae_mri.runtime.devices import choose_device
from rhvae_mri.runtime.interrupts import TrainingInterrupted

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
#: Largest difference, in parts of the largest number of a tensor. Sums are formed in another order.
TOLERANCES = [
    pytest.param(torch.float64, 1e-11, id="float64"),
    pytest.param(torch.float32, 1e-4, id="float32"),
]
SHAPE = (11, 12, 10)
SETTINGS = RHVAESettings(
    latent_dimension=4,
    leapfrog_step_size=0.01,
    encoder_layers=(40, 30),
    decoder_layers=(30, 40),
    metric_layers=(20,),
    channels=(4, 8),
)
TRAINING = TrainingSettings(learning_rate=2e-3, batch_size=8, max_epochs=12)
CNN = Architecture(blocks=((8,), (16, 16)), activation="leaky_relu", dropout=0.3, hidden_features=(6,))
CNN_SETTINGS = CnnSettings(4, 6, 1e-3)


@pytest.fixture(autouse=True, scope="module")
def chosen_device(tmp_path_factory):
    """Choose the device as the jobs do, which sets how it computes; the lock is not that of other jobs."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("locks")))
        patch.setattr(locks, "_held", {})
        assert choose_device("cuda") == GPU
        yield
        for lock in locks._held.values():
            lock.release()
    cudnn.allow_tf32, cudnn.deterministic, matmul.allow_tf32 = flags


def random_images(n, dtype=numpy.float32, seed=3):
    return numpy.random.default_rng(seed).random((n, *SHAPE)).astype(dtype)


def image_set(n, seed=0):
    """Noise, with a brighter corner in every second image, which is of class 1."""
    images = random_images(n, seed=seed) * numpy.float32(0.5)
    images[1::2, :5, :5, :5] += 0.5
    return ImageSet([ImagePart(images, range(n))], numpy.arange(n) % 2)


def deviation(value, reference):
    """The largest difference, in parts of the largest number."""
    value, reference = value.detach().cpu().double(), reference.detach().cpu().double()
    return ((value - reference).abs().max() / reference.abs().max().clamp_min(1e-30)).item()


def same_weights(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[key].cpu(), second[key].cpu()) for key in first)


@pytest.mark.parametrize("networks", ["mlp", "convolutional"])
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_loss_flow_and_gradients_of_the_rhvae_are_those_of_the_cpu(networks, dtype, tolerance):
    settings = dataclasses.replace(SETTINGS, networks=networks)
    model = RHVAE(settings, SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)
    images = torch.from_numpy(random_images(6)).to(dtype)
    noise = torch.randn(
        2, 6, settings.latent_dimension, generator=torch.Generator().manual_seed(2), dtype=dtype
    )

    def differentiate(model, device):
        output = model(images.to(device), *noise.to(device))
        weights = list(model.parameters())
        gradients = torch.autograd.grad(output.loss, weights, materialize_grads=True, allow_unused=True)
        return [output.loss, output.end.position, output.end.momentum, *gradients]

    there = differentiate(copy.deepcopy(model).to(GPU), GPU)
    here = differentiate(model, CPU)
    assert max(deviation(a, b) for a, b in zip(there, here, strict=True)) < tolerance


def test_the_steps_of_the_optimizer_are_those_of_the_cpu():
    start = RHVAE(SETTINGS, SHAPE, generator=torch.Generator().manual_seed(1)).double()
    images = torch.from_numpy(random_images(6, numpy.float64))
    noise = torch.randn(2, 6, SETTINGS.latent_dimension, generator=torch.Generator().manual_seed(2)).double()
    weights = {}
    for device in (CPU, GPU):
        model = copy.deepcopy(start).to(device)
        layers = model.voxel_layers()
        optimizer = Adam(model.parameters(), 1e-3, layers)
        for _ in range(3):
            with collected_factors(layers):
                model(images.to(device), *noise.to(device)).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        weights[device] = dict(model.named_parameters())
    for name, value in weights[CPU].items():
        assert deviation(weights[GPU][name], value) < 1e-9, name


def test_an_rhvae_learns_alike_and_the_same_again():
    images = random_images(20)
    here = train_rhvae(images, SETTINGS, TRAINING, seed=5)
    there, again = (train_rhvae(images, SETTINGS, TRAINING, seed=5, device=GPU) for _ in range(2))
    assert there.history == again.history
    assert same_weights(there.model.state_dict(), again.model.state_dict())
    assert next(there.model.parameters()).is_cuda
    losses = [[row["loss"] for row in trained.history] for trained in (there, here)]
    numpy.testing.assert_allclose(*losses, rtol=1e-3)


def test_an_rhvae_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    from rhvae_mri.generators.rhvae.training import TrainingRun

    images, checkpoint = random_images(20), tmp_path / "checkpoint.safetensors"
    whole = train_rhvae(images, SETTINGS, TRAINING, seed=5, device=GPU)
    one_epoch = TrainingRun.train_epoch

    def interrupted(run):
        done = one_epoch(run)
        if run.epoch == 6:
            os.kill(os.getpid(), signal.SIGUSR1)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "train_epoch", interrupted)
        with pytest.raises(TrainingInterrupted):
            train_rhvae(images, SETTINGS, TRAINING, seed=5, device=GPU, checkpoint=checkpoint)
    resumed = train_rhvae(images, SETTINGS, TRAINING, seed=5, device=GPU, checkpoint=checkpoint)
    assert resumed.history == whole.history
    assert same_weights(resumed.model.state_dict(), whole.model.state_dict())


def test_synthetic_images_are_those_of_the_cpu():
    """A Metropolis step decides alike, and decoding agrees."""
    model = RHVAE(SETTINGS, SHAPE, generator=torch.Generator().manual_seed(1))
    model.fit_metric(torch.from_numpy(random_images(9)))
    model.eval()
    there = copy.deepcopy(model).to(GPU)
    samples = [sample_latent(one.final_metric(), 30, seed=4) for one in (there, model)]
    assert deviation(samples[0].positions, samples[1].positions) < 1e-6
    codes = samples[1].positions.numpy()
    decoded = [RHVAEGenerator(one).decode(codes) for one in (there, model)]
    numpy.testing.assert_allclose(*decoded, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_outputs_and_gradients_of_a_cnn_are_those_of_the_cpu(dtype, tolerance):
    images = torch.from_numpy(random_images(6))[:, None].to(dtype)
    labels = torch.arange(6) % 2
    values = []
    for device in (GPU, CPU):
        network = place_network(build_network(CNN, SHAPE, 7), device, "float32").to(dtype)
        network.train()
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        outputs = network(images.to(device))
        loss = functional.cross_entropy(outputs, labels.to(device))
        values.append([outputs, *torch.autograd.grad(loss, list(network.parameters()))])
    largest = max(gradient.abs().max() for gradient in values[1][1:])
    for there, here in zip(*values, strict=True):
        # the bias before a normalisation has no effect: its gradient is the rounding of a zero
        scale = max(here.abs().max(), 1e-3 * largest)
        assert (there.cpu() - here).abs().max() < tolerance * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_product_gives_the_gradient_of_the_filters_in_float32_alone(monkeypatch, dtype):
    calls = []
    original = convolution.filter_gradient
    monkeypatch.setattr(convolution, "filter_gradient", lambda *a: calls.append(1) or original(*a))
    network = place_network(build_network(CNN, SHAPE, 7), GPU).to(dtype).train()
    network(torch.rand(4, 1, *SHAPE, device=GPU, dtype=dtype)).sum().backward()
    assert len(calls) == (3 if dtype == torch.float32 else 0)


def test_a_cnn_trains_to_the_same_weights_alone_and_among_others():
    sets = image_set(24), image_set(8, seed=1)
    together = train_networks(CNN, *sets, CNN_SETTINGS, seeds={0: 11, 1: 12}, device=GPU)
    alone = train_networks(CNN, *sets, CNN_SETTINGS, seeds={1: 12}, device=GPU)
    here = train_networks(CNN, *sets, CNN_SETTINGS, seeds={1: 12}, device=CPU)
    assert alone[1].history == together[1].history
    assert same_weights(alone[1].weights, together[1].weights)
    first = [trained[1].history[0]["validation_loss"] for trained in (alone, here)]
    # dropout draws from the generator of the device
    assert first[0] == pytest.approx(first[1], rel=0.2)


def test_a_cnn_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    from rhvae_mri.cnn import training

    sets, checkpoint = (image_set(24), image_set(8, seed=1)), tmp_path / "checkpoint.safetensors"
    whole = train_network(CNN, *sets, CNN_SETTINGS, seed=7, device=GPU)
    one_epoch = training._next_epoch

    def interrupted(state, *arguments):
        if state.progress["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        one_epoch(state, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_next_epoch", interrupted)
        with pytest.raises(TrainingInterrupted):
            train_network(CNN, *sets, CNN_SETTINGS, seed=7, device=GPU, checkpoint=checkpoint)
    resumed = train_network(CNN, *sets, CNN_SETTINGS, seed=7, device=GPU, checkpoint=checkpoint)
    assert resumed.history == whole.history
    assert same_weights(resumed.weights, whole.weights)


#: Computes on a device of its own, says which, and keeps it until it is told to go.
HOLDER = (
    "import logging, sys\n"
    "from rhvae_mri.runtime.devices import choose_device\n"
    "logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
    "print('holds', choose_device('auto'), flush=True)\n"
    "sys.stdin.readline()\n"
)


def test_a_job_waits_for_the_gpu_of_another(tmp_path):
    library = str(Path(rhvae_mri.__file__).parents[1])
    # before the folders where this machine has its packages
    paths = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
    # one GPU, the first of those that this process may use
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    places = {"XDG_RUNTIME_DIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": visible, "PYTHONPATH": paths}

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", HOLDER], env=os.environ | places, **pipes)

    with start() as first:
        try:
            assert next(line for line in first.stdout if line.startswith("holds")) == "holds cuda:0\n"
            with start() as second:
                try:
                    assert "All 1 GPU(s) are taken" in second.stdout.readline()
                    first.kill()
                    assert "Computing on GPU 0 of 1" in second.stdout.readline()
                    assert second.stdout.readline() == "holds cuda:0\n"
                finally:
                    second.kill()
        finally:
            first.kill()
