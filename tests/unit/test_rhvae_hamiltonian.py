"""Laws that the flow obeys whatever its implementation: it can be turned round, and it keeps the energy."""

import dataclasses

import pytest
import torch

from rhvae_mri.generators.rhvae.hamiltonian import HamiltonianFlow
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.potential import Potential
from rhvae_mri.generators.rhvae.settings import RHVAESettings

D = 3


def quartic(positions, weights=True, visited=()):
    """A potential with a known gradient: sum z^4 / 4 + |z|^2 / 2."""
    return Potential(-positions.pow(4).sum(1) / 4, positions**3 + positions, positions)


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def walk():
    """Take steps without tempering, from positions and momenta to those at the end."""
    factors = draw(6, D, D, seed=4).tril()
    metric = LatentMetric(draw(6, D, seed=5), factors @ factors.mT, 1.5, 0.05)
    settings = RHVAESettings(sqrt_beta_zero=1.0)

    def run(position, momentum, size, steps, integrator="generalized", tolerance=0.0, measured=False):
        changes = {"leapfrog_step_size": size, "leapfrog_steps": steps, "integrator": integrator}
        chosen = dataclasses.replace(settings, fixed_point_tolerance=tolerance, **changes)
        return HamiltonianFlow(lambda _: momentum, metric, quartic, chosen, measured).end(position)

    return run


@pytest.fixture
def start():
    return draw(2, 4, D, seed=7)


def energy(point):
    kinetic = (point.momentum * point.metric.velocity(point.momentum)).sum(1) / 2
    potential = point.position.pow(4).sum(1) / 4 + point.position.square().sum(1) / 2
    return potential + kinetic - point.metric.log_det_inverse / 2


def test_the_generalized_leapfrog_goes_back_when_the_momentum_is_turned(walk, start):
    def miss(size, steps, **options):
        there = walk(*start, size, steps, **options)
        assert (there.position - start[0]).norm() > 1e-2
        back = walk(there.position.detach(), -there.momentum.detach(), size, steps, **options)
        return (back.position - start[0]).abs().max().item()

    # what is missing is the rest of the fixed-point iterations, of third order
    misses = [miss(4e-3, 5), miss(2e-3, 10), miss(1e-3, 20)]
    assert misses[2] < 1e-6
    assert [misses[0] / misses[1], misses[1] / misses[2]] == pytest.approx([8, 8], abs=1.5)
    assert miss(1e-3, 20, integrator="published") > 1e3 * misses[2]


def test_the_generalized_leapfrog_keeps_the_energy_to_second_order(walk, start):
    before = energy(walk(*start, 1.0, 0))
    errors = [(energy(walk(*start, 0.02 / n, 5 * n)) - before).abs().max().item() for n in (1, 2, 4)]
    assert errors[0] > 1e-6
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([4, 4], abs=0.6)


def volume_of(walk, start, **options):
    """Log |det| of the whole walk in the phase space, by differentiating it."""

    def end(positions, momenta):
        there = walk(positions, momenta, **options)
        return torch.cat([there.position, there.momentum], dim=1).sum(0)  # rows do not mix

    jacobian = torch.cat([part.transpose(0, 1) for part in torch.autograd.functional.jacobian(end, start)], 2)
    return torch.linalg.slogdet(jacobian).logabsdet


def test_the_volume_that_iterations_leave_is_measured_and_a_tolerance_takes_it_away(walk, start):
    options = {"size": 0.05, "steps": 3}
    walked = walk(*start, **options, measured=True)
    left = walked.log_volume
    assert left.abs().max() > 1e-3
    torch.testing.assert_close(left, volume_of(walk, tuple(start), **options), rtol=1e-9, atol=1e-12)
    unmeasured = walk(*start, **options)
    assert torch.equal(unmeasured.momentum, walked.momentum)
    assert unmeasured.log_volume == 0
    solved = walk(*start, **options, tolerance=1e-14, measured=True)
    assert solved.log_volume.abs().max() < 1e-10 < 1e-4 < (solved.position - walked.position).abs().max()


def test_steps_that_are_solved_go_back_to_rounding(walk, start):
    options = {"size": 0.05, "steps": 5, "tolerance": 1e-15}
    there = walk(*start, **options)
    back = walk(there.position, -there.momentum, **options)
    assert (back.position - start[0]).abs().max() < 1e-11


def test_each_position_is_solved_by_itself_and_nan_is_no_solution(walk, start):
    options = {"size": 0.05, "steps": 2, "tolerance": 1e-6}
    together = walk(*start, **options)
    alone = walk(*start[:, :1], **options)
    torch.testing.assert_close(together.position[:1], alone.position, rtol=1e-14, atol=1e-14)
    start[1, 0] = torch.nan
    spoiled = walk(*start, **options)
    assert spoiled.position[0].isnan().all()
    torch.testing.assert_close(spoiled.position[1:], together.position[1:], rtol=1e-14, atol=1e-14)
