r"""The likelihood of images under a trained RHVAE, by importance sampling along its Hamiltonian flow.

The model extends the latent space by a momentum: with z and rho at the end of the flow,

.. math:: p(x, z_K, \rho_K) = p(x | z_K) \, N(z_K; 0, I) \, N(\rho_K; 0, G(z_K)),

whose integral over rho is the usual p(x, z). The proposal draws z_0 from the encoder and
rho_0 = L gamma / sqrt(beta_0), where gamma is standard normal and L L^T = G(z_0), so that

.. math:: \log q(z_0, \rho_0) = \log q(z_0 | x) + \log N(\gamma; 0, I) - \tfrac12 \log\det G(z_0)
    + \tfrac d2 \log\beta_0,

and carries both through K leapfrog steps. A generalized leapfrog step keeps the volume. The tempering after
step k multiplies the momentum by sqrt(beta_{k-1}) / sqrt(beta_k), its volume by the d-th power of that; over
all steps, with beta_K = 1, the volume is multiplied by beta_0^{d/2}. The density of the proposal at the end
is the one at the start divided by this factor, which cancels against the last term above:

.. math:: \log w = \log p(x, z_K, \rho_K) - \log q(z_0 | x) - \log N(\gamma; 0, I) + \tfrac12 \log\det G(z_0).

The mean of w over draws estimates p(x) without bias, and the expectation of log w is a lower bound of
log p(x), the ELBO. The training loss leaves out the last two terms. The ``published`` integrator keeps the
volume to first order in the step length only, so that all models are measured with the ``generalized`` one,
whose error is that of its fixed-point iterations. The determinant that these leave is computed exactly and
given beside the estimate, which does not make use of it.

Sources: Caterini, Doucet, Sejdinovic, "Hamiltonian Variational Auto-Encoder", NeurIPS 2018, for the
cancelling of the tempering; Burda, Grosse, Salakhutdinov, arXiv 1509.00519, for the importance-weighted
estimate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from rhvae_mri.generators.rhvae.hamiltonian import sqrt_beta
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.study.seeds import derive_seed


class LikelihoodEstimate(NamedTuple):
    """Estimates for n images, in nats; float64 on the CPU, (n,)."""

    log_likelihood: Tensor  #: log of the mean weight; in expectation below log p(x)
    elbo: Tensor  #: mean log-weight
    effective_draws: Tensor  #: (sum w)^2 / sum w^2; near 1 a single draw carries the estimate
    #: of a flow, mean over draws of |log det| of the steps, which the estimate takes for 0
    volume_error: Tensor | None = None


@torch.no_grad()
def estimate_likelihood(
    model: RHVAE, images: Tensor, *, n_draws: int = 100, seed: int, batch_size: int = 50
) -> LikelihoodEstimate:
    """Estimate log p(x) and the ELBO of images (n, *image_shape), by draws of their own.

    The model is in evaluation mode, with its final metric. With the ``mse`` likelihood the estimate is a
    density of the voxels (normal with unit variance). With ``bce`` it is the Bernoulli likelihood of grey
    values, as in training: no normalized density, so it compares models of the same images only.
    """
    measured = copy.copy(model)  # the same networks
    measured.settings = replace(model.settings, integrator="generalized")
    errors = []

    def log_weights(image: Tensor, noise: Tensor) -> Tensor:
        encoded = model.encoder(image.unsqueeze(0))  # once, not for each draw
        parts = noise.split(batch_size)
        computed = [_log_weights(measured, image, encoded, part) for part in parts]
        weights, log_volumes = map(torch.cat, zip(*computed, strict=True))
        errors.append(log_volumes.abs().mean().cpu())
        return weights

    shape = (n_draws, 2, model.settings.latent_dimension)
    estimate = average_weights(images, shape, images.dtype, seed, log_weights)
    return estimate._replace(volume_error=torch.stack(errors))


def average_weights(
    images: Tensor,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    seed: int,
    log_weights: Callable[[Tensor, Tensor], Tensor],
) -> LikelihoodEstimate:
    """Estimate from the log-weights of an image (n,), given the image and its own normal draws (n, ...)."""
    weights = torch.empty(len(images), shape[0], dtype=torch.float64)
    generator = torch.Generator()
    for number, image in enumerate(images):
        generator.manual_seed(derive_seed(seed, "importance", number))
        noise = torch.randn(*shape, generator=generator, dtype=dtype)
        weights[number] = log_weights(image, noise.to(images)).cpu()
    shares = torch.softmax(weights, dim=1)
    return LikelihoodEstimate(
        log_likelihood=weights.logsumexp(1) - math.log(weights.shape[1]),
        elbo=weights.mean(1),
        effective_draws=1 / shares.square().sum(1),
    )


def _log_weights(
    model: RHVAE, image: Tensor, encoded: tuple[Tensor, Tensor], draws: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute log w of draws (n, 2, d) of noise and gamma for one image, and log |det| of the steps.

    Both are (n,), float64.
    """
    n, _, d = draws.shape
    noise, gamma = draws.unbind(1)
    mean, log_variance = (part.expand(n, -1) for part in encoded)
    output = model(image.expand(n, *image.shape), noise, gamma, (mean, log_variance), measured=True)
    start = output.mean + torch.exp(output.log_variance / 2) * noise
    log_joint = -(output.reconstruction.double() + output.prior + output.momentum)
    if model.settings.reconstruction == "mse":
        log_joint -= image.numel() * math.log(2 * math.pi) / 2  # the constant that the loss leaves out
    log_gamma = -(gamma.double().square().sum(1) + d * math.log(2 * math.pi)) / 2
    log_volume = -model.final_metric().at(start).log_det_inverse.double() / 2  # of L
    # Zero after the last step; without steps there is no tempering, and beta_0 stays.
    log_volume -= d * math.log(sqrt_beta(model.settings.leapfrog_steps, model.settings))
    log_weights = log_joint - output.posterior.double() - log_gamma + log_volume
    return log_weights, log_weights.new_zeros(n) + output.end.log_volume
