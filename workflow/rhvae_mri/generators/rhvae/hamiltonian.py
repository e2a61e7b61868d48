r"""The Hamiltonian flow between the encoder's draw z_0 and the position z_K that is decoded.

The Hamiltonian of position z and momentum rho is

.. math:: H(z, \rho) = -\log p(x, z) + \tfrac12 \rho^T G^{-1}(z) \rho + \tfrac12 \log\det G(z).

One generalized leapfrog step of length epsilon solves

.. math::
    \rho' &= \rho - \tfrac\epsilon2 \nabla_z H(z, \rho') \\
    z'    &= z + \tfrac\epsilon2 (\nabla_\rho H(z, \rho') + \nabla_\rho H(z', \rho')) \\
    \rho  &= \rho' - \tfrac\epsilon2 \nabla_z H(z', \rho')

where the first two lines are implicit and solved by fixed-point iteration; afterwards the momentum is
scaled down (tempering).

The ``published`` integrator computes what the public code of Pyraug 0.0.6 and pythae 0.1.2 computes, which
differs in three ways. The position moves with the metric at its old place. The changes of the first two
lines are constants in the gradient of the loss. And the first line takes the derivative of H(z, rho(z)),
because the momentum with which a step begins was computed from the gradient at the same z and is
differentiated with it: the product of that derivative and the velocity G^{-1} rho' comes on top of the
gradient. In the equations momentum and position are independent, so this term, of the order of epsilon
squared, is an oversight; but the study was computed with it.

Neither the fixed-point iterations nor the first line of the next step compute the gradient of the decoder
again. Because the published steps are constants, they are taken first, and all positions are differentiated
together afterwards.

Source: Chadebec, Thibeau-Sutre, Burgos, Allassonniere, arXiv 2105.00026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rhvae_mri.generators.rhvae.metric import LatentMetric, MetricValues
from rhvae_mri.generators.rhvae.potential import Potential
from rhvae_mri.generators.rhvae.settings import RHVAESettings

FIXED_POINT_ITERATIONS = 3


#: Latent positions (n, d), and the options of `decoder_potential`, to the potential there.
PotentialFunction = Callable[..., Potential]

#: The first positions to the first momenta.
Launch = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PhasePoint:
    """Positions with everything that was computed there, and momenta."""

    position: Tensor  #: z, (n, d)
    momentum: Tensor  #: rho, (n, d)
    metric: MetricValues  #: at z
    potential: Potential  #: at z


def sqrt_beta(step: int, settings: RHVAESettings) -> float:
    """Square root of the tempering factor after ``step`` of K leapfrog steps: sqrt_beta_zero to 1."""
    start = 1 / settings.sqrt_beta_zero
    fraction = step / settings.leapfrog_steps if settings.leapfrog_steps else 0.0
    return 1 / ((1 - start) * fraction**2 + start)


def flow(
    position: Tensor,
    launch: Launch,
    metric: LatentMetric,
    potential: PotentialFunction,
    settings: RHVAESettings,
) -> PhasePoint:
    """Carry positions and momenta through K tempered leapfrog steps.

    From z_0 and, with ``launch``, rho_0 to z_K and rho_K. Where torch records gradients, these can be
    differentiated as the integrator says.
    """
    if settings.integrator == "published" and settings.leapfrog_steps:
        path = _published_path(position, launch, metric, potential, settings)
        return _differentiable(path, position, launch, metric, potential, settings)
    point = PhasePoint(position, launch(position), metric.at(position), potential(position))
    for step in range(1, settings.leapfrog_steps + 1):
        point = leapfrog_step(point, metric, potential, settings)
        point = replace(point, momentum=_cooling(step, settings) * point.momentum)
    return point


def leapfrog_step(
    point: PhasePoint, metric: LatentMetric, potential: PotentialFunction, settings: RHVAESettings
) -> PhasePoint:
    """Take one generalized leapfrog step, without tempering; `_published_path` takes the published ones."""
    size = settings.leapfrog_step_size
    momentum = point.momentum
    for _ in range(FIXED_POINT_ITERATIONS):
        momentum = point.momentum - size / 2 * _position_gradient(point, metric, momentum)
    velocity = point.metric.velocity(momentum)
    position = point.position + size * velocity  # the first iteration: the metric is still the old one
    for _ in range(FIXED_POINT_ITERATIONS - 1):
        mean_velocity = (velocity + metric.at(position).velocity(momentum)) / 2
        position = point.position + size * mean_velocity
    arrived = PhasePoint(position, momentum, metric.at(position), potential(position))
    momentum = momentum - size / 2 * _position_gradient(arrived, metric, momentum)
    return replace(arrived, momentum=momentum)


class _PublishedStep(NamedTuple):
    """What one step of the published integrator changes, as constants, and where it ends."""

    drift: Tensor  #: from z_0 to the position, (n, d)
    kick: Tensor  #: of the momentum, by the first line of the step, (n, d)
    potential: Potential


@torch.enable_grad()
def _published_path(
    position: Tensor,
    launch: Launch,
    metric: LatentMetric,
    potential: PotentialFunction,
    settings: RHVAESettings,
) -> list[_PublishedStep]:
    """Take the steps of the published integrator; each position is the root of a graph of its own."""
    size = settings.leapfrog_step_size
    metric = metric.detach()
    start = here = position.detach().requires_grad_()
    point = PhasePoint(here, launch(here), metric.at(here), potential(here, weights=False))
    path = []
    for step in range(1, settings.leapfrog_steps + 1):
        half = point.momentum
        for _ in range(FIXED_POINT_ITERATIONS):
            force = _position_gradient(point, metric, half) + _momentum_term(point, half)
            half = (point.momentum - size / 2 * force).detach()
        here = (point.position + size * point.metric.velocity(half)).detach().requires_grad_()
        arrived = PhasePoint(here, half, metric.at(here), potential(here, weights=False))
        kick = (half - point.momentum).detach()
        path.append(_PublishedStep((here - start).detach(), kick, arrived.potential))
        if step < settings.leapfrog_steps:
            momentum = half - size / 2 * _position_gradient(arrived, metric, half)
            point = replace(arrived, momentum=_cooling(step, settings) * momentum)
    return path


def _momentum_term(point: PhasePoint, momentum: Tensor) -> Tensor | float:
    """The velocity's product with the derivative, in z, of the momentum with which the step began."""
    if not point.momentum.requires_grad:
        return 0.0
    velocity = point.metric.velocity(momentum)
    (term,) = torch.autograd.grad(
        point.momentum, point.position, velocity.detach(), retain_graph=True, materialize_grads=True
    )
    return term


def _differentiable(
    path: Sequence[_PublishedStep],
    position: Tensor,
    launch: Launch,
    metric: LatentMetric,
    potential: PotentialFunction,
    settings: RHVAESettings,
) -> PhasePoint:
    """The end of a published path, as a function of z_0, rho_0 and the networks at the visited positions."""
    positions = torch.cat([position + step.drift for step in path])
    everywhere = metric.at(positions)
    potentials = potential(positions, visited=[step.potential for step in path])
    momentum = launch(position)
    for number, step in enumerate(path):
        rows = slice(number * len(position), (number + 1) * len(position))
        half = momentum + step.kick
        values = everywhere.rows(rows)
        gradient = potentials.gradient[rows] + metric.kinetic_gradient(positions[rows], values, half)
        momentum = _cooling(number + 1, settings) * (half - settings.leapfrog_step_size / 2 * gradient)
    end = Potential(potentials.log_likelihood[rows], potentials.gradient[rows], potentials.logits[rows])
    return PhasePoint(positions[rows], momentum, values, end)


def _cooling(step: int, settings: RHVAESettings) -> float:
    return sqrt_beta(step - 1, settings) / sqrt_beta(step, settings)


def _position_gradient(point: PhasePoint, metric: LatentMetric, momentum: Tensor) -> Tensor:
    """Gradient of the Hamiltonian in z, at the point's position and another momentum."""
    return point.potential.gradient + metric.kinetic_gradient(point.position, point.metric, momentum)
