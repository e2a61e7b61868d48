"""What every built-in generator keeps to, and the numbers of those that are simple enough to be known."""

import dataclasses
import inspect
import math
import multiprocessing
import random
import signal
import time

import numpy
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from torch import nn

from rhvae_mri.generators.copies import ClassMean, Jitter, RealSteps
from rhvae_mri.generators.ppca import PPCA
from rhvae_mri.generators.rhvae import kernels
from rhvae_mri.generators.rhvae.generator import RHVAEGenerator
from rhvae_mri.generators.rhvae.networks import Networks, build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.generators.rhvae.storage import load_model
from rhvae_mri.generators.rhvae.training import TrainingRun, train_rhvae
from rhvae_mri.generators.vae import VAE, VAEGenerator
from rhvae_mri.io.errors import StudyError

SHAPE = (6, 5, 4)
NETWORK = {"latent_dimension": 3, "encoder_layers": (12,), "decoder_layers": (12,), "metric_layers": (6,)}
TRAINING = {"learning_rate": 2e-3, "batch_size": 3, "max_epochs": 5}

#: Class and settings of each generator.
GENERATORS = {
    "rhvae": (RHVAEGenerator, NETWORK | TRAINING),
    "vae": (VAEGenerator, NETWORK | TRAINING),
    "ppca": (PPCA, {"latent_dimension": 3}),
    "real_steps": (RealSteps, {}),
    "class_mean": (ClassMean, {}),
    "jitter": (Jitter, {"noise_share": 0.5}),
}
OPTIONAL = {
    "rhvae": {"encode", "log_density", "paths", "history"},
    "vae": {"encode", "log_density", "history"},
    "ppca": {"encode", "log_density"},
    "real_steps": set(),
    "class_mean": set(),
    "jitter": set(),
}


def images(n=7, shape=SHAPE, dtype=numpy.float32):
    return numpy.random.default_rng(0).random((n, *shape)).astype(dtype)


@pytest.fixture(scope="module")
def fitted():
    """Fit each generator once."""
    done = {}

    def fit(name):
        if name not in done:
            kind, settings = GENERATORS[name]
            done[name] = kind.fit(images(), seed=1, **settings)
        return done[name]

    return fit


def assert_same_arrays(one, other):
    """Equal to the last bit."""
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert (array.shape, array.dtype) == (other[key].shape, other[key].dtype)
        assert array.tobytes() == other[key].tobytes()


def global_states():
    numbers = numpy.random.get_state()[1].tolist()  # noqa: NPY002 (that it is left alone)
    return random.getstate(), numbers, torch.get_rng_state().tolist()


every_generator = pytest.mark.parametrize("name", GENERATORS)


@every_generator
def test_a_code_does_not_depend_on_how_many_are_drawn(fitted, name):
    generator = fitted(name)
    codes = generator.draw(6, seed=2)
    assert codes.dtype == numpy.float32
    assert codes.ndim == 2
    assert numpy.array_equal(codes[:2], generator.draw(2, seed=2))
    assert numpy.array_equal(codes, generator.draw(6, seed=2))
    if name not in ("class_mean", "real_steps"):  # which draw nothing
        assert not (codes == generator.draw(6, seed=3)).all(1).any()
        assert len(numpy.unique(codes, axis=0)) == 6


@every_generator
def test_codes_are_decoded_to_images_and_the_same_ones_again(fitted, name):
    generator = fitted(name)
    codes = generator.draw(5, seed=2)
    decoded = generator.decode(codes)
    assert decoded.shape == (5, *SHAPE)
    assert decoded.dtype == numpy.float32
    assert 0 <= decoded.min() <= decoded.max() <= 1
    assert numpy.array_equal(decoded, generator.decode(codes))
    assert numpy.allclose(decoded[3:4], generator.decode(codes[3:4]), atol=1e-6)


@every_generator
def test_a_generator_survives_the_round_trip(fitted, name, tmp_path):
    generator, path = fitted(name), tmp_path / "model.safetensors"
    generator.save(path)
    again = type(generator).load(path)
    codes = generator.draw(4, seed=5)
    # Loaded weights begin at other addresses, for which linear algebra may sum in another order.
    assert numpy.allclose(again.draw(4, seed=5), codes, atol=1e-4)
    assert numpy.allclose(again.decode(codes), generator.decode(codes), atol=1e-6)
    if "encode" in OPTIONAL[name]:
        assert numpy.allclose(again.encode(images()), generator.encode(images()), atol=1e-5)
    if "log_density" in OPTIONAL[name]:
        measured, expected = (each.log_density(images(), seed=3) for each in (again, generator))
        assert measured.keys() == expected.keys()
        assert measured.keys() & {"log_likelihood", "log_density"}
        for key, (how, values) in expected.items():
            assert measured[key][0] == how
            assert measured[key][1] == pytest.approx(values, rel=1e-4)
    again.save(tmp_path / "again.safetensors")
    one, other = load_file(path), load_file(tmp_path / "again.safetensors")
    assert_same_arrays(one, other)


@every_generator
def test_a_file_of_another_kind_or_with_other_entries_is_refused(fitted, name, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted("ppca" if name != "ppca" else "jitter").save(path)
    with pytest.raises(StudyError, match=r"This is no .* of this version") as raised:
        GENERATORS[name][0].load(path)
    assert raised.value.where == path
    if name in ("ppca", "class_mean", "jitter"):
        kind = GENERATORS[name][0]
        save_file({"mean_of": numpy.zeros(3)}, path, metadata={"format": f"rhvae-mri {kind.__name__} 1"})
        with pytest.raises(StudyError, match="has other entries: mean_of"):
            kind.load(path)


@every_generator
def test_fitting_follows_from_the_seed_and_leaves_the_global_random_states(fitted, name):
    kind, settings = GENERATORS[name]
    torch.manual_seed(5)
    before = global_states()
    again = kind.fit(images(), seed=1, **settings)
    assert global_states() == before
    codes = again.draw(3, seed=2)
    assert numpy.array_equal(again.decode(codes), fitted(name).decode(codes))


@every_generator
def test_unknown_settings_and_unfit_images_are_refused(name):
    kind, settings = GENERATORS[name]
    with pytest.raises((TypeError, StudyError), match="depth"):
        kind.fit(images(), seed=1, **settings, depth=3)
    with pytest.raises(StudyError, match="outside"):
        kind.fit(images() + 1, seed=1, **settings)
    with pytest.raises(StudyError, match="at least two images"):
        kind.fit(images(1), seed=1, **settings)


@every_generator
def test_what_is_optional_is_there_or_not(fitted, name):
    optional = {"encode", "log_density", "paths", "history"}
    assert {method for method in optional if hasattr(fitted(name), method)} == OPTIONAL[name]
    parameters = inspect.signature(GENERATORS[name][0].fit).parameters
    assert {"images", "seed", "device", "checkpoint"} <= parameters.keys()


# PPCA


def linear_images(n, shape, seed=0):
    """Images of four directions and noise, far from the bounds."""
    draw = numpy.random.default_rng(seed)
    v = math.prod(shape)
    scales = numpy.array([[0.08], [0.05], [0.03], [0.01]])
    values = 0.5 + draw.standard_normal((n, 4)) @ (scales * draw.standard_normal((4, v)) / 2)
    values += 0.02 * draw.standard_normal((n, v))
    assert 0 < values.min() < values.max() < 1
    return values.reshape(n, *shape)


def test_ppca_is_that_of_scikit_learn():
    """scikit-learn's eigenvalues have the divisor n - 1, ours n; so the variances differ by that ratio alone.

    What is left is rounding, of variances (relative 1e-12) and of sums over voxels (1e-11).
    """
    n, shape, d = 200, (3, 4, 2), 3
    stack = linear_images(n, shape)
    ours = PPCA.fit(stack, seed=1, latent_dimension=d)
    theirs = PCA(d, svd_solver="full").fit(stack.reshape(n, -1))
    ratio = n / (n - 1)
    assert ours.noise_variance * ratio == pytest.approx(theirs.noise_variance_, rel=1e-12)
    covariance = ours.weights @ ours.weights.T + ours.noise_variance * numpy.eye(24)
    assert numpy.allclose(covariance * ratio, theirs.get_covariance(), rtol=0, atol=1e-15)
    others = linear_images(5, shape, seed=1)
    scaled = PPCA(ours.mean, ours.weights * math.sqrt(ratio), ours.noise_variance * ratio)
    measured = scaled.log_density(others, seed=0)["log_density"][1]
    assert measured == pytest.approx(theirs.score_samples(others.reshape(5, -1)), rel=1e-11)


def test_no_other_variances_make_the_training_images_more_likely():
    """The reason for the divisor n."""
    stack = linear_images(12, (4, 3))
    best = PPCA.fit(stack, seed=1, latent_dimension=2)

    def likelihood(weights, noise_variance):
        return PPCA(best.mean, weights, noise_variance).log_density(stack, seed=0)["log_density"][1].sum()

    highest = likelihood(best.weights, best.noise_variance)
    for factor in (0.95, 12 / 11, 1.05):
        assert likelihood(best.weights * math.sqrt(factor), best.noise_variance * factor) < highest
        assert likelihood(best.weights, best.noise_variance * factor) < highest
        assert likelihood(best.weights * math.sqrt(factor), best.noise_variance) < highest


def test_the_likelihood_and_posterior_are_those_of_the_whole_covariance_with_fewer_images_than_voxels():
    stack = linear_images(9, (5, 4))
    fitted = PPCA.fit(stack, seed=1, latent_dimension=3)
    covariance = fitted.weights @ fitted.weights.T + fitted.noise_variance * numpy.eye(20)
    others = numpy.concatenate([stack, linear_images(4, (5, 4), seed=1)])
    expected = multivariate_normal(fitted.mean.ravel(), covariance).logpdf(others.reshape(-1, 20))
    assert fitted.log_density(others, seed=0)["log_density"][1] == pytest.approx(expected, rel=1e-10)
    centred = others.reshape(-1, 20) - fitted.mean.ravel()
    means = centred @ numpy.linalg.solve(covariance, fitted.weights)
    assert numpy.allclose(fitted.encode(others), means, atol=1e-5)  # codes are float32


def test_many_decoded_draws_have_the_moments_of_the_model():
    n = 20000
    fitted = PPCA.fit(linear_images(30, (3, 2, 2)), seed=1, latent_dimension=4)
    decoded = fitted.decode(fitted.draw(n, seed=3)).reshape(n, -1).astype(float)
    assert 0 < decoded.min() < decoded.max() < 1  # nothing was clipped
    covariance = fitted.weights @ fitted.weights.T
    variances = covariance.diagonal()
    assert (abs(decoded.mean(0) - fitted.mean.ravel()) < 5 * numpy.sqrt(variances / n)).all()
    spread = numpy.sqrt((numpy.outer(variances, variances) + covariance**2) / n)  # of an estimated covariance
    assert (abs(numpy.cov(decoded.T) - covariance) < 5 * spread).all()


def test_values_beyond_the_bounds_are_clipped():
    fitted = PPCA(numpy.array([0.2, 0.9]), numpy.array([[1.0], [1.0]]), numpy.array(0.1))
    decoded = fitted.decode(numpy.array([[0.5], [-1]], dtype=numpy.float32))
    assert decoded.tolist() == [[pytest.approx(0.7), 1], [0, 0]]


@pytest.mark.parametrize(("n", "used"), [(7, 6), (2, 1)])
def test_components_beyond_what_the_images_span_are_not_used(n, used):
    fitted = PPCA.fit(images(n), seed=1, latent_dimension=10)
    assert fitted.weights.shape == (120, used)
    assert fitted.noise_variance == 0
    assert fitted.log_density(images(n), seed=0) == {}
    assert numpy.allclose(fitted.decode(fitted.encode(images(n))), images(n), atol=1e-5)
    assert PPCA.fit(images(50, (2, 3)), seed=1, latent_dimension=10).weights.shape == (6, 5)


def test_images_that_are_all_the_same_are_decoded_for_every_code():
    same = numpy.repeat(images(1), 4, axis=0)
    fitted = PPCA.fit(same, seed=1)
    assert numpy.allclose(fitted.decode(fitted.draw(3, seed=1)), same[:3], atol=1e-7)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_ppca_refuses_a_latent_dimension_that_is_none(value):
    with pytest.raises(StudyError, match="latent_dimension"):
        PPCA.fit(images(), seed=1, latent_dimension=value)


# copies


def test_the_class_mean_is_decoded_each_time(fitted):
    generator = fitted("class_mean")
    codes = generator.draw(3, seed=1)
    assert not codes.any()
    assert codes.shape == (3, 1)
    expected = images().astype(float).mean(0)
    assert numpy.allclose(generator.decode(codes), expected, atol=1e-7)


def test_jittered_images_are_training_images_with_noise_of_its_share():
    stack = (0.5 + 0.02 * numpy.random.default_rng(1).standard_normal((5, 12, 11, 10))).astype(numpy.float32)
    fitted = Jitter.fit(stack, seed=1, noise_share=0.5)
    codes = fitted.draw(60, seed=4)
    assert numpy.array_equal(codes, codes.round())
    assert set(codes[:, 0]) == set(range(5))
    assert codes[:, 1].max() < 2**24
    noise = fitted.decode(codes) - stack[codes[:, 0].astype(int)]
    share = noise.var() / stack.astype(float).var(0).mean()
    assert share == pytest.approx(0.5, abs=5 * 0.5 * math.sqrt(2 / noise.size))
    assert abs(noise.mean()) < 5 * noise.std() / math.sqrt(noise.size)
    correlations = numpy.corrcoef(noise.reshape(60, -1))[numpy.triu_indices(60, 1)]
    assert abs(correlations).max() < 6 / math.sqrt(noise[0].size)


def test_jitter_without_noise_gives_the_training_images():
    fitted = Jitter.fit(images(), seed=1, noise_share=0)
    codes = fitted.draw(9, seed=1)
    assert numpy.array_equal(fitted.decode(codes), images()[codes[:, 0].astype(int)])
    assert Jitter.fit(images(), seed=1).noise_sd ** 2 == pytest.approx(0.7 * images().var(0).mean(), rel=1e-5)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "0.5"])
def test_jitter_refuses_a_share_that_is_none(value):
    with pytest.raises(StudyError, match="noise_share"):
        Jitter.fit(images(), seed=1, noise_share=value)


# VAE


def test_the_history_of_a_vae_has_its_terms_and_no_leapfrog_step(fitted):
    history = fitted("vae").history
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


def test_settings_of_metric_and_flow_have_no_effect_on_a_vae(fitted):
    changes = {
        "leapfrog_step_size": 0.5,
        "temperature": 3.0,
        "metric_layers": (4, 4),
        "integrator": "generalized",
    }
    other = VAEGenerator.fit(images(), seed=1, **NETWORK | TRAINING | changes)
    assert other.history == fitted("vae").history


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


def test_a_vae_and_an_rhvae_file_are_not_taken_for_each_other(fitted, tmp_path):
    for name in ("vae", "rhvae"):
        fitted(name).save(tmp_path / f"{name}.safetensors")
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
