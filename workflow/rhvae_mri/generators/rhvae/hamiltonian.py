r"""The Hamiltonian flow between the encoder's draw z_0 and the position z_K that is decoded.

The Hamiltonian of position z and momentum rho is

.. math:: H(z, \rho) = -\log p(x, z) + \tfrac12 \rho^T G^{-1}(z) \rho + \tfrac12 \log\det G(z).

One generalized leapfrog step of length epsilon solves

.. math::
    \rho' &= \rho - \tfrac\epsilon2 \nabla_z H(z, \rho') \\
    z'    &= z + \tfrac\epsilon2 (\nabla_\rho H(z, \rho') + \nabla_\rho H(z', \rho')) \\
    \rho  &= \rho' - \tfrac\epsilon2 \nabla_z H(z', \rho')

where the first two lines are implicit and solved by fixed-point iteration; afterwards the momentum is
scaled down (tempering). Solved exactly, a step keeps the volume of the phase space. The public code iterates
three times, which stiff metrics are not satisfied with; ``fixed_point_tolerance`` iterates on.

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
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rhvae_mri.generators.rhvae.metric import LatentMetric, MetricValues
from rhvae_mri.generators.rhvae.potential import Potential
from rhvae_mri.generators.rhvae.settings import RHVAESettings

FIXED_POINT_ITERATIONS = 3

#: The most that a tolerance may ask for [ours].
MOST_ITERATIONS = 100


@dataclass(frozen=True)
class PhasePoint:
    """Positions with everything that was computed there, and momenta."""

    position: Tensor  #: z, (n, d)
    momentum: Tensor  #: rho, (n, d)
    metric: MetricValues  #: at z
    potential: Potential  #: at z
    #: log |det| of the steps so far without tempering, (n,), if measured; 0 for exact generalized ones
    log_volume: Tensor | float = 0.0


def sqrt_beta(step: int, settings: RHVAESettings) -> float:
    """Square root of the tempering factor after ``step`` of K leapfrog steps: sqrt_beta_zero to 1."""
    start = 1 / settings.sqrt_beta_zero
    fraction = step / settings.leapfrog_steps if settings.leapfrog_steps else 0.0
    return 1 / ((1 - start) * fraction**2 + start)


#: From z_0 to the position (n, d), the change of the momentum by the first line of the step, and what was
#: computed at the position: what one published step changes, as constants, and where it ends.
_PublishedStep = tuple[Tensor, Tensor, Potential]


class HamiltonianFlow(NamedTuple):
    """Carries positions and momenta through K tempered leapfrog steps."""

    launch: Callable[[Tensor], Tensor]  #: the first positions to the first momenta
    metric: LatentMetric
    potential: Callable[..., Potential]  #: positions, and the options of `decoder_potential`, to it
    settings: RHVAESettings
    measured: bool = False  #: with the ``log_volume`` of generalized steps

    def end(self, position: Tensor) -> PhasePoint:
        """Give z_K and rho_K of z_0; where torch records gradients, these are as the integrator says."""
        if self.settings.integrator == "published" and self.settings.leapfrog_steps:
            path = self._replace(metric=self.metric.detach())._published_path(position)
            return self._differentiable(path, position)
        point = self._arrive(position, self.launch(position))
        for step in range(1, self.settings.leapfrog_steps + 1):
            point = self._leapfrog_step(point)
            point = replace(point, momentum=self._cooling(step) * point.momentum)
        return point

    def _arrive(self, position: Tensor, momentum: Tensor, **options: bool) -> PhasePoint:
        return PhasePoint(position, momentum, self.metric.at(position), self.potential(position, **options))

    def _cooling(self, step: int) -> float:
        return sqrt_beta(step - 1, self.settings) / sqrt_beta(step, self.settings)

    def _position_gradient(self, point: PhasePoint, momentum: Tensor) -> Tensor:
        """Gradient of the Hamiltonian in z, at the point's position and another momentum."""
        kinetic = self.metric.kinetic_gradient(point.position, point.metric, momentum)
        return point.potential.gradient + kinetic

    def _leapfrog_step(self, point: PhasePoint) -> PhasePoint:
        """Take one generalized step, without tempering."""
        half = self._first_line(point, point.momentum)
        arrived = self._arrive(self._second_line(point.position, point.metric, half), half)
        log_volume = point.log_volume
        if self.measured:
            # Each line changes one of position and momentum, so its determinant is that of the change alone.
            log_volume = log_volume + _log_determinant(partial(self._first_line, point), point.momentum)
            log_volume += _log_determinant(
                lambda position: self._second_line(position, self.metric.at(position), half), point.position
            )
            log_volume += _log_determinant(partial(self._third_line, arrived), half)
        return replace(arrived, momentum=self._third_line(arrived, half), log_volume=log_volume)

    def _first_line(self, point: PhasePoint, momentum: Tensor) -> Tensor:
        size = self.settings.leapfrog_step_size

        def improve(half: Tensor) -> Tensor:
            return momentum - size / 2 * self._position_gradient(point, half)

        return self._solve(momentum, improve, FIXED_POINT_ITERATIONS)

    def _second_line(self, position: Tensor, values: MetricValues, half: Tensor) -> Tensor:
        size, velocity = self.settings.leapfrog_step_size, values.velocity(half)

        def improve(moved: Tensor) -> Tensor:
            return position + size * ((velocity + self.metric.at(moved).velocity(half)) / 2)

        # the first iteration: the metric is still the old one
        return self._solve(position + size * velocity, improve, FIXED_POINT_ITERATIONS - 1)

    def _third_line(self, arrived: PhasePoint, half: Tensor) -> Tensor:
        return half - self.settings.leapfrog_step_size / 2 * self._position_gradient(arrived, half)

    def _solve(self, value: Tensor, improve: Callable[[Tensor], Tensor], iterations: int) -> Tensor:
        """Iterate so many times; with a tolerance until each row (n, d), by itself, changes by no more.

        A row that changes by more than before, after these iterations, has no solution that they lead to, or
        is solved but for rounding: it stays as it is.
        """
        tolerance = self.settings.fixed_point_tolerance
        if not tolerance:
            for _ in range(iterations):
                value = improve(value)
            return value
        moving, last = torch.ones_like(value[:, :1], dtype=torch.bool), torch.inf
        for number in range(MOST_ITERATIONS):
            better = improve(value)
            change = (better - value).detach().norm(dim=1, keepdim=True)
            if number >= iterations:
                moving = moving & ~(change > last)
            value = torch.where(moving, better, value)
            # turned round, as above, so that NaN is not taken for a solution
            moving = moving & ~(change <= tolerance * value.detach().norm(dim=1, keepdim=True))
            if not moving.any():
                break
            last = change
        return value

    @torch.enable_grad()
    def _published_path(self, position: Tensor) -> list[_PublishedStep]:
        """Take the published steps; each position is the root of a graph of its own."""
        size = self.settings.leapfrog_step_size
        start = here = position.detach().requires_grad_()
        point = self._arrive(here, self.launch(here), weights=False)
        path = []
        for step in range(1, self.settings.leapfrog_steps + 1):
            half = point.momentum
            for _ in range(FIXED_POINT_ITERATIONS):
                force = self._position_gradient(point, half) + _momentum_term(point, half)
                half = (point.momentum - size / 2 * force).detach()
            here = (point.position + size * point.metric.velocity(half)).detach().requires_grad_()
            arrived = self._arrive(here, half, weights=False)
            path.append(((here - start).detach(), (half - point.momentum).detach(), arrived.potential))
            if step < self.settings.leapfrog_steps:
                momentum = half - size / 2 * self._position_gradient(arrived, half)
                point = replace(arrived, momentum=self._cooling(step) * momentum)
        return path

    def _differentiable(self, path: Sequence[_PublishedStep], position: Tensor) -> PhasePoint:
        """The end of a published path, as a function of z_0, rho_0 and the networks at the positions."""
        positions = torch.cat([position + drift for drift, _, _ in path])
        everywhere = self.metric.at(positions)
        potentials = self.potential(positions, visited=[there for _, _, there in path])
        momentum = self.launch(position)
        for number, (_, kick, _) in enumerate(path):
            rows = slice(number * len(position), (number + 1) * len(position))
            half = momentum + kick
            values = everywhere.rows(rows)
            gradient = potentials.gradient[rows] + self.metric.kinetic_gradient(positions[rows], values, half)
            momentum = self._cooling(number + 1) * (half - self.settings.leapfrog_step_size / 2 * gradient)
        end = Potential(potentials.log_likelihood[rows], potentials.gradient[rows], potentials.logits[rows])
        return PhasePoint(positions[rows], momentum, values, end)


@torch.enable_grad()
def _log_determinant(change: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """Log |det| of the Jacobian of a change of each row (n, d) by itself; (n,), a constant."""
    n, d = value.shape
    value = value.detach().requires_grad_()
    rows = torch.eye(d, dtype=value.dtype, device=value.device)[:, None].expand(d, n, d)
    (jacobian,) = torch.autograd.grad(change(value), value, rows, is_grads_batched=True)
    return torch.linalg.slogdet(jacobian.transpose(0, 1).double()).logabsdet


def _momentum_term(point: PhasePoint, momentum: Tensor) -> Tensor | float:
    """The velocity's product with the derivative, in z, of the momentum with which the step began."""
    if not point.momentum.requires_grad:
        return 0.0
    velocity = point.metric.velocity(momentum)
    (term,) = torch.autograd.grad(
        point.momentum, point.position, velocity.detach(), retain_graph=True, materialize_grads=True
    )
    return term
