import dataclasses

import numpy
import pytest
import torch
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings
from torch import nn

from rhvae_mri.generators.rhvae.checks import check_networks
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import ConvolutionalDecoder, Encoder, Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.storage import load_model, save_model
from rhvae_mri.generators.rhvae.training import train_rhvae
from rhvae_mri.io.errors import StudyError

# With one latent dimension the metric has no elements below its diagonal.
pytestmark = pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")

#: The same cases in every session, so that a failure comes back.
PROPERTY = hypothesis_settings(max_examples=25, deadline=None, derandomize=True, database=None)

SMALL = RHVAESettings(
    latent_dimension=2,
    networks="convolutional",
    channels=(3, 4),
    encoder_layers=(6,),
    decoder_layers=(5,),
    metric_layers=(4,),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(n, shape, seed=0):
    """One bright ball in each image, at a random place."""
    random_state = numpy.random.default_rng(seed)
    grid = numpy.indices(shape)
    centres = random_state.uniform(0.3, 0.7, (n, 3, 1, 1, 1)) * numpy.reshape(shape, (3, 1, 1, 1))
    return numpy.exp(-((grid - centres) ** 2).sum(1) / 8).astype(numpy.float32)


@strategies.composite
def cases(draw):
    """Settings, a shape and a number of images: even and odd lengths, as many or fewer channels per layer."""
    widths = strategies.lists(strategies.integers(1, 9), max_size=2).map(tuple)
    settings = RHVAESettings(
        latent_dimension=draw(strategies.integers(1, 6)),
        leapfrog_steps=draw(strategies.integers(0, 3)),
        networks=draw(strategies.sampled_from(["mlp", "convolutional"])),
        encoder_layers=draw(widths),
        decoder_layers=draw(widths),
        encoder_last_activation=draw(strategies.sampled_from(["relu", "none"])),
        metric_layers=draw(widths),
        channels=draw(strategies.lists(strategies.integers(1, 5), min_size=1, max_size=5).map(tuple)),
        reconstruction=draw(strategies.sampled_from(["bce", "mse"])),
        integrator=draw(strategies.sampled_from(["published", "generalized"])),
    )
    convolutional = settings.networks == "convolutional"
    n_axes = 3 if convolutional else draw(strategies.integers(1, 4))
    lengths = strategies.integers(8, 14) if convolutional else strategies.integers(2, 6)
    return settings, tuple(draw(lengths) for _ in range(n_axes)), draw(strategies.integers(1, 5))


@given(case=cases(), seed=strategies.integers(0, 2**32 - 1))
@PROPERTY
def test_any_model_is_differentiated_stored_and_read_again(tmp_path_factory, case, seed):
    settings, shape, n = case
    d = settings.latent_dimension
    model = RHVAE(settings, shape, generator=generator(seed))
    images = torch.rand(n, *shape, generator=generator(seed))
    check_networks(Networks(model.encoder, model.decoder, model.metric_network), settings, shape)
    output = model(images, *torch.randn(2, n, d, generator=generator(seed)))
    assert torch.isfinite(output.loss)
    assert output.mean.shape == output.log_variance.shape == (n, d)
    output.loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.numel()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    model.fit_metric(images)
    model.eval()
    assert model.decode(model.centroids).shape == images.shape
    assert torch.isfinite(model(images, *torch.zeros(2, n, d)).loss)
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    save_model(path, model)
    again = load_model(path)
    assert again.settings == settings
    assert type(again.decoder) is type(model.decoder)
    stored = again.state_dict()
    assert all(torch.equal(stored[name], value) for name, value in model.state_dict().items())
    torch.testing.assert_close(again.decode(again.centroids), model.decode(model.centroids))


def test_convolutions_learn_images_of_odd_sizes():
    images = blobs(6, (9, 8, 11))
    settings = dataclasses.replace(SMALL, channels=(4, 8))
    training = TrainingSettings(learning_rate=2e-2, batch_size=6, max_epochs=40)
    trained = train_rhvae(images, settings, training, seed=1)
    assert isinstance(trained.model.decoder, ConvolutionalDecoder)
    with torch.no_grad():
        error = (trained.model.decode(trained.model.centroids) - torch.from_numpy(images)).square().sum()
    spread = ((images - images.mean(0)) ** 2).sum()
    assert error < 0.8 * spread
    decoded = trained.model.decode(torch.randn(5, 2))
    assert decoded.shape == (5, 9, 8, 11)
    assert ((decoded >= 0) & (decoded <= 1)).all()


def test_convolutions_refuse_images_without_three_axes():
    with pytest.raises(StudyError, match=r"\(9, 9\) have 2 axes") as raised:
        RHVAE(SMALL, (9, 9))
    assert "mlp" in raised.value.remedy


class Constant(nn.Module):
    """Gives the same for each image, with a weight so that it can be trained."""

    def __init__(self, *outputs):
        super().__init__()
        self.outputs = outputs
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        repeated = [self.weight * output.expand(len(batch), *output.shape) for output in self.outputs]
        return repeated[0] if len(repeated) == 1 else tuple(repeated)


def own_networks(**changes):
    modules = {
        "encoder": Encoder(nn.Sequential(nn.Linear(60, 6), nn.BatchNorm1d(6), nn.Dropout(0.2)), 6, 2),
        "decoder": nn.Sequential(nn.Linear(2, 60), nn.LayerNorm(60)),
        "metric": Constant(torch.eye(2)),
    }
    return Networks(**{**modules, **changes})


def test_modules_of_the_right_shapes_are_accepted_and_left_as_they_were():
    networks = own_networks()
    networks.decoder.eval()
    before = networks.encoder.body[1].running_mean.clone()
    check_networks(networks, SMALL, (3, 4, 5))
    assert torch.equal(networks.encoder.body[1].running_mean, before)
    assert not networks.decoder.training
    assert networks.encoder.training and networks.encoder.body[1].training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": Constant(torch.zeros(2))}, r"encoder has to give a pair .*\(n, 2\)"),
        ({"encoder": Constant(torch.zeros(2), torch.zeros(3))}, "encoder has to give a pair"),
        ({"decoder": nn.Linear(2, 59)}, r"decoder has to give .*\(3, 4, 5\), not \(n, 59\)"),
        ({"metric": Constant(torch.zeros(2))}, r"matrices of the shape \(n, 2, 2\), not \(n, 2\)"),
        ({"metric": Constant(torch.ones(2, 2))}, "lower triangular"),
        ({"metric": Constant(torch.zeros(2, 2))}, "positive diagonal"),
    ],
)
def test_modules_that_do_not_fit_are_named_before_training(changes, message):
    images = numpy.random.default_rng(0).random((4, 3, 4, 5), dtype=numpy.float32)
    with pytest.raises(StudyError, match=message) as raised:
        train_rhvae(images, SMALL, TrainingSettings(max_epochs=1), seed=1, networks=own_networks(**changes))
    (name,) = changes
    assert raised.value.where == f"networks.{name}"


def test_dropout_in_own_modules_follows_from_the_seed_too():
    images = numpy.random.default_rng(0).random((4, 3, 4, 5), dtype=numpy.float32)
    histories = []
    for global_seed in (1, 2):
        torch.manual_seed(0)
        networks = own_networks()
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        training = TrainingSettings(max_epochs=2, batch_size=4)
        histories.append(train_rhvae(images, SMALL, training, seed=1, networks=networks).history)
        assert torch.equal(torch.get_rng_state(), state)
    assert histories[0] == histories[1]


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(60), nn.BatchNorm1d(60, momentum=None)])
def test_a_decoder_that_varies_from_call_to_call_is_refused(layer):
    networks = build_networks(SMALL, (3, 4, 5), torch.Generator().manual_seed(0))
    varying = nn.Sequential(networks.decoder, nn.Flatten(), layer).eval()
    before = {name: value.clone() for name, value in varying.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(StudyError, match="without dropout and BatchNorm") as raised:
        check_networks(networks._replace(decoder=varying), SMALL, (3, 4, 5))
    assert raised.value.where == "networks.decoder"
    assert torch.equal(torch.get_rng_state(), state)
    assert not varying.training
    assert all(torch.equal(value, before[name]) for name, value in varying.state_dict().items())
    steady = nn.Sequential(networks.decoder, nn.Flatten(), nn.LayerNorm(60))
    check_networks(networks._replace(decoder=steady), SMALL, (3, 4, 5))
