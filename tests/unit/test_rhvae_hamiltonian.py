import dataclasses

import pytest
import torch

from rhvae_mri.generators.rhvae.hamiltonian import PhasePoint, flow, leapfrog_step, sqrt_beta
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.potential import Potential
from rhvae_mri.generators.rhvae.settings import RHVAESettings

GENERALIZED = RHVAESettings(integrator="generalized", sqrt_beta_zero=1.0)


def make_metric(d=3, n_centroids=6):
    generator = torch.Generator().manual_seed(4)
    factors = torch.randn(n_centroids, d, d, generator=generator, dtype=torch.float64).tril()
    centroids = torch.randn(n_centroids, d, generator=generator, dtype=torch.float64)
    return LatentMetric(centroids, factors @ factors.mT, 1.5, 0.05)


def quartic(positions, weights=True, visited=()):
    """A potential with a known gradient: sum z^4 / 4 + |z|^2 / 2."""
    return Potential(-positions.pow(4).sum(1) / 4, positions**3 + positions, positions)


def start(metric, n=4, d=3):
    generator = torch.Generator().manual_seed(7)
    z, rho = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    return PhasePoint(z, rho, metric.at(z), quartic(z))


def energy(point):
    kinetic = (point.momentum * point.metric.velocity(point.momentum)).sum(1) / 2
    potential = point.position.pow(4).sum(1) / 4 + point.position.square().sum(1) / 2
    return potential + kinetic - point.metric.log_det_inverse / 2


def walk(point, metric, size, steps):
    settings = dataclasses.replace(GENERALIZED, leapfrog_step_size=size)
    for _ in range(steps):
        point = leapfrog_step(point, metric, quartic, settings)
    return point


def published_walk(point, metric, size, steps):
    settings = dataclasses.replace(
        GENERALIZED, integrator="published", leapfrog_step_size=size, leapfrog_steps=steps
    )
    return flow(point.position, lambda _: point.momentum, metric, quartic, settings)


def test_the_generalized_leapfrog_goes_back_when_the_momentum_is_turned():
    metric = make_metric()
    first = start(metric)

    def miss(size, steps, walk=walk):
        there = walk(first, metric, size, steps)
        assert (there.position - first.position).norm() > 1e-2
        back = walk(dataclasses.replace(there, momentum=-there.momentum), metric, size, steps)
        return (back.position - first.position).abs().max().item()

    # What is missing is the rest of the fixed-point iterations, of third order.
    misses = [miss(4e-3, 5), miss(2e-3, 10), miss(1e-3, 20)]
    assert misses[2] < 1e-6
    assert misses[0] / misses[1] == pytest.approx(8, abs=1.5)
    assert misses[1] / misses[2] == pytest.approx(8, abs=1.5)
    assert miss(1e-3, 20, published_walk) > 1e3 * misses[2]


def test_the_generalized_leapfrog_keeps_the_energy_to_second_order():
    metric = make_metric()
    first = start(metric)
    errors = [
        (energy(walk(first, metric, 0.02 / n, 5 * n)) - energy(first)).abs().max().item() for n in (1, 2, 4)
    ]
    assert errors[0] > 1e-6
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.6)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.6)


def test_tempering_goes_from_the_square_root_of_beta_zero_to_one():
    settings = RHVAESettings(leapfrog_steps=5, sqrt_beta_zero=0.3)
    factors = [sqrt_beta(step, settings) for step in range(6)]
    assert factors[0] == pytest.approx(0.3)
    assert factors[-1] == pytest.approx(1)
    assert factors == sorted(factors)
    assert factors[2] == pytest.approx(1 / ((1 - 1 / 0.3) * (2 / 5) ** 2 + 1 / 0.3))
