"""Sampling of latent positions by Hamiltonian Monte Carlo on the learned Riemannian volume.

The target density is proportional to sqrt(det G^{-1}(z)): high where training images lie. Its logarithm and
the exact gradient of that are in closed form (`rhvae_mri.rhvae.metric`). The density does not vanish far from
the centroids, where it falls to a constant set by the regularization; chains of the study's length that
start at centroids do not get there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from tqdm import tqdm

from rhvae_mri.rhvae.metric import LatentMetric
from rhvae_mri.rhvae.settings import SamplerSettings
from rhvae_mri.seeds import derive_seed

logger = logging.getLogger(__name__)

#: Chains that are computed together. Each block has its own random generator and is always computed whole,
#: so a chain is the same, to the last bit, however many are asked for.
BLOCK = 250


@dataclass(frozen=True)
class LatentSample:
    """Latent positions drawn by the sampler.

    Attributes
    ----------
    positions : torch.Tensor, shape (n, d)
        The last state of each chain, on the device of the metric.
    acceptance : torch.Tensor, shape (n,)
        The fraction of proposals that each chain accepted.
    """

    positions: torch.Tensor
    acceptance: torch.Tensor


def log_density(positions: torch.Tensor, metric: LatentMetric) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-density of the target, up to a constant, and its gradient.

    Parameters
    ----------
    positions : torch.Tensor, shape (n, d)
        Latent positions.
    metric : LatentMetric
        The final metric of a trained model.

    Returns
    -------
    value : torch.Tensor, shape (n,)
        1/2 log det G^{-1}(z).
    gradient : torch.Tensor, shape (n, d)
        1/T^2 sum_i w_i tr(G M_i) (c_i - z).
    """
    values = metric.at(positions)
    return values.log_det_inverse / 2, metric.log_volume_gradient(positions, values)


@torch.no_grad()
def sample_latent(
    metric: LatentMetric,
    n: int,
    *,
    seed: int,
    settings: SamplerSettings | None = None,
    progress: bool = False,
) -> LatentSample:
    """Run one chain per sample and keep its last state.

    Parameters
    ----------
    metric : LatentMetric
        The final metric of a trained model.
    n : int
        Number of samples.
    seed : int
        Determines every draw. The first samples are the same for every ``n``.
    settings : SamplerSettings, optional
        Length of the chains and of their steps; the study's if not given.
    progress : bool
        Whether to draw a progress bar on standard error.

    Returns
    -------
    LatentSample
        Positions and acceptance rates.
    """
    settings = settings or SamplerSettings()
    n_blocks = -(-n // BLOCK)
    blocks = [
        _run_block(metric, derive_seed(seed, "chains", block), settings)
        for block in tqdm(range(n_blocks), disable=not progress, unit="block")
    ]
    centroids = metric.centroids
    positions = torch.cat([centroids[:0], *(block.positions for block in blocks)])[:n]
    acceptance = torch.cat([centroids[:0, 0], *(block.acceptance for block in blocks)])[:n]
    if n:
        logger.info("%d chains accepted %.1f %% of their proposals.", n, 100 * acceptance.mean())
    return LatentSample(positions, acceptance)


def _run_block(metric: LatentMetric, seed: int, settings: SamplerSettings) -> LatentSample:
    """Run one block of chains from random centroids."""
    centroids = metric.centroids
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same draws for every device
    start = torch.randint(len(centroids), (BLOCK,), generator=generator)
    position = centroids[start.to(centroids.device)]
    value, gradient = log_density(position, metric)
    accepted = torch.zeros_like(value)
    for _ in range(settings.steps):
        momentum = torch.randn(position.shape, generator=generator, dtype=position.dtype).to(position.device)
        uniform = torch.rand(BLOCK, generator=generator, dtype=position.dtype).to(position.device)
        energy = momentum.square().sum(1) / 2 - value
        proposal, slope = position, gradient
        for _ in range(settings.leapfrog_steps):
            momentum = momentum + settings.step_size / 2 * slope
            proposal = proposal + settings.step_size * momentum
            proposed, slope = log_density(proposal, metric)
            momentum = momentum + settings.step_size / 2 * slope
        # In logarithms nothing overflows, and a comparison with NaN rejects.
        accept = uniform.log() < energy - (momentum.square().sum(1) / 2 - proposed)
        position = torch.where(accept[:, None], proposal, position)
        gradient = torch.where(accept[:, None], slope, gradient)
        value = torch.where(accept, proposed, value)
        accepted += accept
    return LatentSample(position, accepted / max(settings.steps, 1))
