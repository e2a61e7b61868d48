import dataclasses

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal

from rhvae_mri.generators.rhvae.hamiltonian import sqrt_beta
from rhvae_mri.generators.rhvae.kernels import decoder
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings, SamplerSettings, TrainingSettings
from rhvae_mri.io.errors import StudyError

SHAPE = (3, 2, 4)
SMALL = RHVAESettings(
    latent_dimension=3,
    leapfrog_step_size=0.02,
    encoder_layers=(7,),
    decoder_layers=(6, 8),
    metric_layers=(5,),
)


def make(n=5, seed=0, dtype=torch.float64, **changes):
    """A model with a final metric, images and noise."""
    settings = dataclasses.replace(SMALL, **changes)
    generator = torch.Generator().manual_seed(seed)
    model = RHVAE(settings, SHAPE, generator=generator).to(torch.float64)
    with torch.no_grad():  # away from the nearly constant networks of the usual initial weights
        for weight in model.parameters():
            weight *= 2
    model.fit_metric(torch.rand(2 * n, *SHAPE, generator=generator, dtype=torch.float64))
    images = torch.rand(n, *SHAPE, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, n, settings.latent_dimension, generator=generator, dtype=torch.float64)
    return model.to(dtype), images.to(dtype), noise.to(dtype)


def test_tempering_goes_from_the_square_root_of_beta_zero_to_one():
    settings = RHVAESettings(leapfrog_steps=5, sqrt_beta_zero=0.3)
    factors = [sqrt_beta(step, settings) for step in range(6)]
    assert (factors[0], factors[-1]) == pytest.approx((0.3, 1))
    assert factors == sorted(factors)
    assert factors[2] == pytest.approx(1 / ((1 - 1 / 0.3) * (2 / 5) ** 2 + 1 / 0.3))


class SlowRHVAE:
    """The definition, image by image, with every derivative by autograd and the metric in a loop."""

    def __init__(self, model, images, noise):
        self.settings = model.settings
        self.model = model
        self.images = images
        mean, log_variance = model.encoder(images)
        self.log_variance = log_variance
        self.noise = noise
        if model.training:
            self.factors = model.metric_network(images)
            self.centroids, self.matrices = mean, [f @ f.T for f in self.factors]
        else:
            self.centroids, self.matrices = model.centroids, model.matrices
        self.start = mean + torch.exp(0.5 * log_variance) * noise[0]

    def inverse(self, z):
        total = self.settings.regularization * torch.eye(len(z), dtype=z.dtype)
        for c, m in zip(self.centroids, self.matrices, strict=True):
            total = total + m * torch.exp(-((z - c) ** 2).sum() / self.settings.temperature**2)
        return total

    def log_likelihood(self, k, z):
        reconstruction = torch.sigmoid(self.model.decoder(z[None])).flatten()
        target = self.images[k].flatten()
        if self.settings.reconstruction == "bce":
            return Bernoulli(probs=reconstruction, validate_args=False).log_prob(target).sum()
        return -0.5 * ((reconstruction - target) ** 2).sum()

    def hamiltonian(self, k, z, rho):
        inverse = self.inverse(z)
        prior = MultivariateNormal(torch.zeros_like(z), torch.eye(len(z), dtype=z.dtype)).log_prob(z)
        kinetic = 0.5 * rho @ inverse @ rho - 0.5 * torch.linalg.slogdet(inverse)[1]
        return -self.log_likelihood(k, z) - prior + kinetic

    def slope(self, k, z, rho, by):
        """A partial derivative of the Hamiltonian, which can itself be differentiated."""
        z_copy, rho_copy = z.view_as(z), rho.view_as(rho)
        wanted = z_copy if by == "z" else rho_copy
        return torch.autograd.grad(self.hamiltonian(k, z_copy, rho_copy), wanted, create_graph=True)[0]

    def first_slope(self, k, z, rho):
        """The derivative in z that the first line of a step takes."""
        if self.settings.integrator == "published":  # of the momentum, too, where it comes from this z
            return torch.autograd.grad(self.hamiltonian(k, z, rho), z, retain_graph=True)[0]
        return self.slope(k, z, rho, "z")

    def end(self, k):
        """Position and momentum of image k after the flow."""
        settings = self.settings
        published = settings.integrator == "published"
        frozen = torch.detach if published else torch.clone
        eps = settings.leapfrog_step_size
        iterations = 20 if settings.fixed_point_tolerance else 3
        z = self.start[k]
        if self.model.training:
            rho = self.factors[k] @ self.noise[1][k] / settings.sqrt_beta_zero
        else:
            metric = torch.linalg.inv(self.inverse(z))
            rho = torch.linalg.cholesky(metric) @ self.noise[1][k] / settings.sqrt_beta_zero
        for step in range(settings.leapfrog_steps):
            half = rho
            for _ in range(iterations):
                half = rho - eps / 2 * self.first_slope(k, z, half)
            first = frozen(self.slope(k, z, half, "rho"))
            moved = z
            for _ in range(iterations):
                last = first if published else self.slope(k, moved, half, "rho")
                moved = z + eps / 2 * (first + last)
            rho = half - eps / 2 * self.slope(k, moved, half, "z")
            rho = rho * sqrt_beta(step, settings) / sqrt_beta(step + 1, settings)
            z = moved
        return z, rho

    def loss(self):
        total = 0.0
        d = self.settings.latent_dimension
        standard = MultivariateNormal(torch.zeros(d).double(), torch.eye(d).double())
        for k in range(len(self.images)):
            z, rho = self.end(k)
            momentum = MultivariateNormal(torch.zeros_like(z), precision_matrix=self.inverse(z))
            joint = self.log_likelihood(k, z) + standard.log_prob(z) + momentum.log_prob(rho)
            total = total - joint + standard.log_prob(self.noise[0][k]) - 0.5 * self.log_variance[k].sum()
        return total / len(self.images)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("integrator", "tolerance"), [("published", 0.0), ("generalized", 0.0), ("generalized", 1e-13)]
)
@pytest.mark.parametrize(("reconstruction", "steps"), [("bce", 3), ("mse", 2), ("mse", 0)])
def test_loss_flow_and_parameter_gradients_equal_the_slow_definition(
    training, integrator, tolerance, reconstruction, steps
):
    changes = {"integrator": integrator, "reconstruction": reconstruction, "leapfrog_steps": steps}
    model, images, noise = make(n=2, fixed_point_tolerance=tolerance, **changes)
    model.train(training)
    output = model(images, *noise)
    slow = SlowRHVAE(model, images, noise)
    ends = [slow.end(k) for k in range(len(images))]
    end = output.end.position, output.end.momentum
    for ours, theirs in zip(end, zip(*ends, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs), rtol=1e-10, atol=1e-12)
    loss = slow.loss()
    torch.testing.assert_close(output.loss, loss, rtol=1e-10, atol=0)
    weights = list(model.parameters())
    ours = torch.autograd.grad(output.loss, weights, materialize_grads=True, allow_unused=True)
    theirs = torch.autograd.grad(loss, weights, materialize_grads=True, allow_unused=True)
    assert any(gradient.abs().max() > 0.1 for gradient in theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_the_loss_is_the_same_without_gradients():
    model, images, noise = make()
    with torch.no_grad():
        again = model(images, *noise)
    assert again.loss.item() == pytest.approx(model(images, *noise).loss.item(), rel=1e-12)
    assert not again.loss.requires_grad


class OtherDecoder(torch.nn.Module):
    """Hides the study's decoder, so that torch differentiates it."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, positions):
        return self.decoder(positions)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "flow",
    [
        {"integrator": "published"},
        {"integrator": "generalized"},
        {"integrator": "generalized", "fixed_point_tolerance": 1e-6},
    ],
)
@pytest.mark.parametrize("reconstruction", ["bce", "mse"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_fused_voxel_layer_equals_plain_differentiation(training, flow, reconstruction, dtype, tolerance):
    model, images, noise = make(**flow, reconstruction=reconstruction, dtype=dtype)
    model.train(training)
    weights = list(model.parameters())

    def differentiate():
        output = model(images, *noise)
        gradients = torch.autograd.grad(output.loss, weights, materialize_grads=True, allow_unused=True)
        return [output.loss, output.end.position, output.end.momentum, *gradients]

    fused = differentiate()
    model.decoder = OtherDecoder(model.decoder)
    for a, b in zip(fused, differentiate(), strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def test_the_decoder_runs_once_per_position_and_once_for_all_in_the_end():
    model, images, noise = make(leapfrog_steps=4)
    rows = []
    model.decoder.body.register_forward_hook(lambda _, __, hidden: rows.append(len(hidden)))
    with pytest.MonkeyPatch.context() as patch:
        product, products = decoder.product, []
        patch.setattr(decoder, "product", lambda *a: products.append(a[1].shape) or product(*a))
        model(images, *noise)
    assert rows == [5] * 5 + [20]
    # once per position, and for the derivative of the momentum thrice in each step but the first
    assert products.count(model.decoder.logits.weight.shape) == 5 + 3 * 3


def test_saturated_voxels_keep_a_finite_loss():
    model, images, noise = make(dtype=torch.float32)
    with torch.no_grad():
        model.decoder.logits.bias += 200
    assert torch.isfinite(model(images, *noise).loss)


def test_the_final_metric_is_that_of_all_images_whatever_the_batch_size():
    model, _, _ = make()
    images = torch.rand(11, *SHAPE, dtype=torch.float64)
    model.fit_metric(images, batch_size=4)
    factors = model.metric_network(images)
    torch.testing.assert_close(model.centroids, model.encoder(images)[0])
    torch.testing.assert_close(model.matrices, factors @ factors.mT)
    assert (factors.diagonal(dim1=1, dim2=2) > 0).all()
    assert torch.equal(factors, factors.tril())


def test_evaluation_needs_the_final_metric():
    model = RHVAE(SMALL, SHAPE).eval()
    with pytest.raises(StudyError, match="no final metric"):
        model(torch.rand(2, *SHAPE), torch.randn(2, 3), torch.randn(2, 3))


def test_the_study_s_networks_have_their_published_size():
    def count(n_voxels):
        networks = build_networks(RHVAESettings(), (n_voxels,))
        return sum(weight.numel() for module in networks for weight in module.parameters())

    per_voxel = count(21) - count(20)
    assert per_voxel == 500 + 500 + 1 + 400
    total = count(20) + per_voxel * (84 * 104 * 89 - 20)
    assert total == pytest.approx(1.09e9, rel=0.001)


def test_only_the_last_hidden_layer_of_the_encoder_may_have_no_activation():
    def built(last):
        settings = RHVAESettings(encoder_last_activation=last)
        return build_networks(settings, (20,), torch.Generator().manual_seed(1))

    bent, straight = built("relu"), built("none")
    assert [len(part.body) for part in bent] == [6, 6, 2]
    assert [len(part.body) for part in straight] == [5, 6, 2]
    weights = zip(bent.encoder.state_dict().items(), straight.encoder.state_dict().items(), strict=True)
    assert all(one == other and torch.equal(value, same) for (one, value), (other, same) in weights)
    images = torch.rand(3, 20)
    hidden = straight.encoder.body(images)
    assert hidden.min() < 0
    assert torch.equal(hidden.relu(), bent.encoder.body(images))


@pytest.mark.parametrize("networks", ["mlp", "convolutional"])
def test_initial_weights_follow_from_the_generator_alone(networks):
    state = torch.get_rng_state()
    settings = dataclasses.replace(SMALL, networks=networks)
    first, second = (build_networks(settings, (8, 9, 10), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(first, second, strict=True):
        for weight, same in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(weight, same)
    if networks == "mlp":
        assert first.encoder.body[0].weight.abs().max() <= 720**-0.5


@pytest.mark.parametrize(
    ("make_settings", "key"),
    [
        (lambda: RHVAESettings(latent_dimension=0), "latent_dimension"),
        (lambda: RHVAESettings(leapfrog_step_size=-1e-3), "leapfrog_step_size"),
        (lambda: RHVAESettings(temperature="1e-5"), "temperature"),
        (lambda: RHVAESettings(sqrt_beta_zero=2.0), "sqrt_beta_zero"),
        (lambda: RHVAESettings(encoder_layers=(500, 0)), "encoder_layers"),
        (lambda: RHVAESettings(networks="transformer"), "networks"),
        (lambda: RHVAESettings(channels=()), "channels"),
        (lambda: RHVAESettings(channels=(8, 0)), "channels"),
        (lambda: RHVAESettings(reconstruction="l1"), "reconstruction"),
        (lambda: RHVAESettings(integrator="euler"), "integrator"),
        (lambda: RHVAESettings(encoder_last_activation="tanh"), "encoder_last_activation"),
        (lambda: RHVAESettings(fixed_point_tolerance=-1e-6), "fixed_point_tolerance"),
        (lambda: TrainingSettings(hold_out_fraction=1.0), "hold_out_fraction"),
        (lambda: TrainingSettings(start_at_mean_image=1), "start_at_mean_image"),
        (lambda: TrainingSettings(learning_rate=float("nan")), "learning_rate"),
        (lambda: TrainingSettings(batch_size=2.5), "batch_size"),
        (lambda: SamplerSettings(leapfrog_steps=0), "leapfrog_steps"),
    ],
)
def test_settings_out_of_bounds_name_their_key(make_settings, key):
    with pytest.raises(StudyError, match=key) as raised:
        make_settings()
    assert raised.value.where == key
