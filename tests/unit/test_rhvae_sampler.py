import math

import pytest
import torch

from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.sampler import leapfrog, log_density, sample_latent
from rhvae_mri.generators.rhvae.settings import SamplerSettings

#: Long steps, so that short chains forget where they began.
FAST = SamplerSettings(steps=30, leapfrog_steps=6, step_size=0.25)


def three_centroids():
    centroids = torch.tensor([[0.0, 0.0], [1.6, 0.3], [0.4, -1.2]], dtype=torch.float64)
    factors = torch.tensor(
        [[[1.0, 0.0], [0.4, 0.5]], [[0.6, 0.0], [-0.5, 1.1]], [[0.3, 0.0], [0.2, 0.9]]], dtype=torch.float64
    )
    return LatentMetric(centroids, factors @ factors.mT, 1.2, 1e-6)


# In one leapfrog step the first kick counts most, whose gradient is that of the chain's state.
@pytest.mark.parametrize("settings", [FAST, SamplerSettings(steps=60, leapfrog_steps=1, step_size=0.6)])
def test_the_moments_in_two_dimensions_equal_quadrature(settings):
    metric = three_centroids()
    axis = torch.linspace(-5, 6, 551, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = torch.exp(log_density(grid, metric)[0])
    density /= density.sum()
    mean = density @ grid
    covariance = (grid - mean).T @ (density[:, None] * (grid - mean))

    n = 20_000
    draws = sample_latent(metric, n, seed=11, settings=settings, batch_size=5000).positions
    assert ((draws.mean(0) - mean).abs() < 4 * (covariance.diagonal() / n).sqrt()).all()
    assert ((draws.T.cov() - covariance).abs() < 4 * covariance.diagonal().max() * math.sqrt(2 / n)).all()


def trajectory(metric, step_size, steps, turned=None):
    """A trajectory from fixed places, or back from the end of another one: positions, momenta, energies."""
    if turned is None:
        draws = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
        position, momentum = draws
    else:
        position, momentum = turned[0], -turned[1]
    _, slope = log_density(position, metric)
    settings = SamplerSettings(leapfrog_steps=steps, step_size=step_size)
    position, momentum, value, end_slope = leapfrog(position, momentum, slope, metric, settings)
    expected, expected_slope = log_density(position, metric)
    assert torch.equal(value, expected)
    assert torch.equal(end_slope, expected_slope)
    return position, momentum, momentum.square().sum(1) / 2 - value


def test_the_trajectory_goes_back_when_the_momentum_is_turned():
    metric = three_centroids()
    start = trajectory(metric, 1e-12, 1)
    there = trajectory(metric, 0.2, 15)
    assert (there[0] - start[0]).norm(dim=1).min() > 0.1
    back = trajectory(metric, 0.2, 15, turned=there)
    torch.testing.assert_close(back[0], start[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(-back[1], start[1], rtol=0, atol=1e-9)


def test_the_trajectory_keeps_the_energy_to_second_order():
    metric = three_centroids()
    before = trajectory(metric, 1e-12, 1)[2]
    errors = [(trajectory(metric, 0.1 / n, 10 * n)[2] - before).abs().max().item() for n in (1, 2, 4)]
    assert errors[0] > 1e-6
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.6)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.6)


def test_a_chain_does_not_depend_on_how_many_are_asked_for():
    metric = three_centroids()
    settings = SamplerSettings(steps=5, leapfrog_steps=2, step_size=0.3)
    many = sample_latent(metric, 50, seed=2, settings=settings, batch_size=20)
    assert many.positions.shape == (50, 2)
    for n in (0, 1, 20, 33):
        few = sample_latent(metric, n, seed=2, settings=settings, batch_size=20)
        assert torch.equal(few.positions, many.positions[:n])
        assert torch.equal(few.acceptance, many.acceptance[:n])
        assert torch.equal(few.effective_size, many.effective_size[:n])
    assert len(torch.unique(many.positions, dim=0)) == 50
    assert not torch.equal(sample_latent(metric, 50, seed=3, settings=settings).positions, many.positions)


def test_chains_start_at_centroids_and_stay_there_without_steps():
    metric = three_centroids()
    start = sample_latent(metric, 60, seed=1, settings=SamplerSettings(steps=0)).positions
    assert torch.equal(torch.unique(start, dim=0), torch.unique(metric.centroids, dim=0))


def test_huge_energies_neither_overflow_nor_are_accepted():
    # The steps are so long that every proposal ends where exp(-H) is zero in float32.
    metric = LatentMetric(torch.zeros(1, 10), 1e4 * torch.eye(10)[None], 0.05, 1e-2)
    settings = SamplerSettings(steps=3, leapfrog_steps=3, step_size=10.0)
    sample = sample_latent(metric, 10, seed=1, settings=settings)
    assert torch.equal(sample.positions, torch.zeros(10, 10))
    assert sample.acceptance.max() == 0


def test_the_log_determinant_neither_underflows_nor_loses_digits_in_float32():
    d = 25
    far = 1e3 + torch.randn(3, d, generator=torch.Generator().manual_seed(1))
    metric = LatentMetric(far, torch.eye(d).expand(3, d, d), 1.5, 1e-2)
    # So far from the centroids that their weights vanish: the inverse metric is the regularization alone.
    values = metric.at(torch.zeros(1, d))
    assert torch.det(values.inverse).item() == 0
    assert values.log_det_inverse.item() == pytest.approx(d * torch.log(torch.tensor(1e-2)).item(), rel=1e-6)
    # Near them, although both are far from the origin.
    exact = torch.exp(-(far[0] - far).double().square().sum(1) / 1.5**2)
    torch.testing.assert_close(metric.at(far[:1]).weights[0].double(), exact, rtol=1e-4, atol=1e-9)


def test_a_matrix_that_is_not_positive_definite_gives_nan():
    metric = LatentMetric(torch.zeros(1, 2), -torch.eye(2)[None], 1.0, 1e-2)
    assert metric.at(torch.zeros(1, 2)).log_det_inverse.isnan().all()
