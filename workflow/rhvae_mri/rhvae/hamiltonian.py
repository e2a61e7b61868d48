r"""The Hamiltonian flow between the encoder's draw z_0 and the position z_K that is decoded.

The Hamiltonian of position z and momentum rho is

.. math:: H(z, \rho) = -\log p(x, z) + \tfrac12 \rho^T G^{-1}(z) \rho + \tfrac12 \log\det G(z).

One generalized leapfrog step of length epsilon solves

.. math::
    \rho' &= \rho - \tfrac\epsilon2 \nabla_z H(z, \rho') \\
    z'    &= z + \tfrac\epsilon2 (\nabla_\rho H(z, \rho') + \nabla_\rho H(z', \rho')) \\
    \rho  &= \rho' - \tfrac\epsilon2 \nabla_z H(z', \rho')

where the first two lines are implicit and solved by fixed-point iteration; afterwards the momentum is
scaled down (tempering). The decoder is differentiated once per position: neither the fixed-point iterations
nor the first line of the next step do it again.

Source: Chadebec, Thibeau-Sutre, Burgos, Allassonniere, arXiv 2105.00026; the ``published`` integrator follows
the public code of Pyraug 0.0.6 and pythae 0.1.2 (see `RHVAESettings`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from rhvae_mri.rhvae.metric import LatentMetric, MetricValues
from rhvae_mri.rhvae.settings import RHVAESettings

FIXED_POINT_ITERATIONS = 3


@dataclass(frozen=True)
class Potential:
    """The decoder's part of the Hamiltonian at n latent positions.

    Attributes
    ----------
    logits : torch.Tensor, shape (n, ...)
        What the decoder gives.
    gradient : torch.Tensor, shape (n, d)
        Gradient of -log p(x, z) in z.
    """

    logits: torch.Tensor
    gradient: torch.Tensor


#: Latent positions, and whether the result is to be differentiable, to the potential there.
PotentialFunction = Callable[[torch.Tensor, bool], Potential]


@dataclass(frozen=True)
class PhasePoint:
    """Positions with everything that was computed there, and momenta.

    Attributes
    ----------
    position, momentum : torch.Tensor, shape (n, d)
        z and rho.
    metric : MetricValues
        The metric at z.
    potential : Potential
        The decoder's part of the Hamiltonian at z.
    """

    position: torch.Tensor
    momentum: torch.Tensor
    metric: MetricValues
    potential: Potential


def sqrt_beta(step: int, settings: RHVAESettings) -> float:
    """Square root of the tempering factor after ``step`` of K leapfrog steps: sqrt_beta_zero to 1."""
    start = 1 / settings.sqrt_beta_zero
    fraction = step / settings.leapfrog_steps if settings.leapfrog_steps else 0.0
    return 1 / ((1 - start) * fraction**2 + start)


def flow(
    position: torch.Tensor,
    momentum: torch.Tensor,
    metric: LatentMetric,
    potential: PotentialFunction,
    settings: RHVAESettings,
) -> PhasePoint:
    """Carry positions and momenta through K tempered leapfrog steps.

    Parameters
    ----------
    position : torch.Tensor, shape (n, d)
        z_0.
    momentum : torch.Tensor, shape (n, d)
        rho_0.
    metric : LatentMetric
        The latent metric.
    potential : callable
        Gives the `Potential` at a position.
    settings : RHVAESettings
        Number and length of the steps, tempering, integrator.

    Returns
    -------
    PhasePoint
        z_K and rho_K. Where torch records gradients, they can be differentiated as the integrator says.
    """
    recording = torch.is_grad_enabled()
    # In the published integrator the first position acts on the loss through constants only.
    at_start = recording and (settings.integrator == "generalized" or settings.leapfrog_steps == 0)
    point = PhasePoint(position, momentum, metric.at(position), potential(position, at_start))
    for step in range(1, settings.leapfrog_steps + 1):
        point = leapfrog_step(point, metric, potential, settings)
        cooling = sqrt_beta(step - 1, settings) / sqrt_beta(step, settings)
        point = replace(point, momentum=cooling * point.momentum)
    return point


def leapfrog_step(
    point: PhasePoint, metric: LatentMetric, potential: PotentialFunction, settings: RHVAESettings
) -> PhasePoint:
    """Take one leapfrog step, without tempering.

    Parameters
    ----------
    point : PhasePoint
        Where the step begins.
    metric, potential, settings
        As in `flow`.

    Returns
    -------
    PhasePoint
        Where it ends.
    """
    published = settings.integrator == "published"
    constant = torch.no_grad if published else contextlib.nullcontext
    size = settings.leapfrog_step_size

    momentum = point.momentum
    for _ in range(FIXED_POINT_ITERATIONS):
        with constant():
            force = _position_gradient(point, metric, momentum)
        momentum = point.momentum - size / 2 * force

    with constant():
        velocity = point.metric.velocity(momentum)
    position = point.position + size * velocity  # the first iteration: the metric is still the old one
    if not published:
        for _ in range(FIXED_POINT_ITERATIONS - 1):
            mean_velocity = (velocity + metric.at(position).velocity(momentum)) / 2
            position = point.position + size * mean_velocity

    arrived = PhasePoint(
        position, momentum, metric.at(position), potential(position, torch.is_grad_enabled())
    )
    momentum = momentum - size / 2 * _position_gradient(arrived, metric, momentum)
    return replace(arrived, momentum=momentum)


def _position_gradient(point: PhasePoint, metric: LatentMetric, momentum: torch.Tensor) -> torch.Tensor:
    """Gradient of the Hamiltonian in z, at the point's position and another momentum."""
    return point.potential.gradient + metric.kinetic_gradient(point.position, point.metric, momentum)
