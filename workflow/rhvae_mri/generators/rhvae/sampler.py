"""Sampling of latent positions by Hamiltonian Monte Carlo on the learned Riemannian volume.

The target density is proportional to sqrt(det G^{-1}(z)): high where training images lie. Its logarithm and
the exact gradient of that are in closed form (`metric`). The density does not vanish far from
the centroids, where it falls to a constant set by the regularization; chains of the study's length that
start at centroids do not get there.

Each sample is the last state of a chain of its own, whose random draws follow from the seed and the sample's
number alone. Chains are computed in batches that are always filled up, so that a sample is the same, to the
last bit, however many are asked for. Batches of another size draw the same numbers and differ by rounding,
unless a proposal lies so close to the edge of being accepted that rounding decides; in float64 this does not
happen in practice.

Sources: Geyer, "Practical Markov Chain Monte Carlo", Statistical Science 7 (1992), for the initial monotone
sequence; Gelman and Rubin, "Inference from Iterative Simulation Using Multiple Sequences", ibid., for the
scale reduction.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.settings import SamplerSettings
from rhvae_mri.study.seeds import derive_seed

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

#: Chains that are computed together: a GPU takes as long for thousands as for one.
CHAINS = {"cpu": 250, "cuda": 2500}


@dataclass(frozen=True)
class LatentSample:
    """Latent positions drawn by the sampler, and how well the chains mixed.

    The samples are one per chain, so the effective size of a chain does not count them; it says whether the
    chain has forgotten the centroid where it began. With a scale reduction far above 1, the chains have
    stayed near their own centroids.
    """

    positions: Tensor  #: the last state of each chain, on the device of the metric, (n, d)
    acceptance: Tensor  #: the fraction of proposals that each chain accepted, (n,)
    step_acceptance: Tensor  #: the fraction of chains that accepted the proposal of a step, (steps,)
    effective_size: Tensor  #: of each chain, for log-density and latent coordinates, (n, d + 1)
    scale_reduction: Tensor  #: over the second halves of all chains, for the same, (d + 1,)


def log_density(positions: Tensor, metric: LatentMetric) -> tuple[Tensor, Tensor]:
    """The log-density of the target at positions (n, d), 1/2 log det G^{-1}(z), (n,), and its gradient."""
    values = metric.at(positions)
    return values.log_det_inverse / 2, metric.log_volume_gradient(positions, values)


@torch.no_grad()
def sample_latent(
    metric: LatentMetric,
    n: int,
    *,
    seed: int,
    settings: SamplerSettings | None = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> LatentSample:
    """Run one chain per sample and keep its last state.

    Every draw follows from ``seed``; the first samples are the same for every ``n``. Chains are computed
    together in batches, by default of as many as `CHAINS` says.
    """
    settings = settings or SamplerSettings()
    if batch_size is None:
        batch_size = CHAINS.get(metric.centroids.device.type, CHAINS["cpu"])
    starts = range(0, max(n, 1), batch_size)  # one batch even for no sample, for the shapes
    batches = []
    for start in tqdm(starts, disable=not progress, unit="batch"):
        chains = _run_chains(metric, range(start, start + batch_size), seed, settings)
        batches.append([values[: min(batch_size, n - start)] for values in chains])
    positions, accepted, effective_size, means, variances = map(torch.cat, zip(*batches, strict=True))
    accepted = accepted.to(metric.centroids.dtype)
    sample = LatentSample(
        positions=positions,
        acceptance=accepted.mean(1) if settings.steps else accepted.new_zeros(n),
        step_acceptance=accepted.mean(0),
        effective_size=effective_size,
        scale_reduction=scale_reduction(means, variances, settings.steps - settings.steps // 2),
    )
    if n:
        logger.info("%d chains accepted %.1f %% of their proposals.", n, 100 * sample.acceptance.mean())
    return sample


def effective_sample_size(trace: Tensor) -> Tensor:
    """Estimate how many independent draws the states of a chain are worth.

    The sum of the autocorrelations is cut off where the sums of two neighbours stop being positive, and
    these sums are made to fall (Geyer's initial monotone sequence).

    ``trace`` (n, ...) has the successive states of one number per chain; all further axes are other chains
    and other numbers. At most n log10(n) (chains whose states alternate can be worth more than n draws); 1
    for a chain that never moved.
    """
    n = len(trace)
    if n < 2:
        return torch.full(trace.shape[1:], float(n), dtype=torch.float64, device=trace.device)
    centred = trace.double() - trace.double().mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * n, dim=0).abs().square()
    covariances = torch.fft.irfft(spectrum, n=2 * n, dim=0)[:n] / n
    pairs = covariances[0 : n - n % 2 : 2] + covariances[1::2]
    kept = pairs.cummin(0)[0] * (pairs > 0).cumprod(0)
    time = (2 * kept.sum(0) / covariances[0] - 1).clamp_min(1 / max(math.log10(n), 1))
    moved = centred.abs().amax(0) > 0
    return torch.where(moved, n / time, 1.0)


def scale_reduction(means: Tensor, variances: Tensor, length: int) -> Tensor:
    """Compute by how much the spread could still shrink if the chains ran on (Gelman and Rubin's R-hat).

    From mean and unbiased variance (m, ...) of the states of each of m chains of a length. It is 1 where all
    chains have seen the same distribution, and NaN for fewer than two chains or states, or where no chain has
    moved.
    """
    if len(means) < 2 or length < 2:
        return torch.full(means.shape[1:], torch.nan, dtype=torch.float64)
    within = variances.double().mean(0)
    ratio = (length - 1) / length + means.double().var(0) / within
    return torch.where(within > 0, ratio.sqrt(), torch.nan)


def chain_table(sample: LatentSample, image_ids: Sequence[str]) -> pandas.DataFrame:
    """List the chains by their images; effective_size_lowest is of the coordinate that mixed worst."""
    import pandas

    effective = sample.effective_size.cpu()
    columns = {
        "image_id": list(image_ids),
        "acceptance_rate": sample.acceptance.cpu().numpy().round(6),
        "effective_size_log_density": effective[:, 0].numpy().round(3),
        "effective_size_lowest": effective[:, 1:].amin(1).numpy().round(3),
    }
    return pandas.DataFrame(columns)


def chain_summary(sample: LatentSample, settings: SamplerSettings) -> dict[str, Any]:
    """Sum up as JSON values how well all chains mixed, as medians over chains; None where not defined."""
    quantities = ["log_density", *(f"latent_{axis}" for axis in range(sample.positions.shape[1]))]
    effective = torch.median(sample.effective_size.cpu(), dim=0)[0].tolist()
    reductions = sample.scale_reduction.cpu().tolist()
    return {
        "chains": len(sample.positions),
        **asdict(settings),
        "acceptance": {
            "mean": round(sample.acceptance.mean().item(), 6),
            "lowest": round(sample.acceptance.min().item(), 6),
            "by_step": [round(value, 6) for value in sample.step_acceptance.tolist()],
        },
        "effective_size_median": dict(zip(quantities, (round(v, 3) for v in effective), strict=True)),
        "scale_reduction": {
            name: round(value, 6) if math.isfinite(value) else None
            for name, value in zip(quantities, reductions, strict=True)
        },
    }


def _run_chains(
    metric: LatentMetric, numbers: range, seed: int, settings: SamplerSettings
) -> tuple[Tensor, ...]:
    """Run the chains of these numbers from random centroids.

    Of each chain (the first axis): its last position, which proposals it accepted, the effective size of
    log-density and coordinates, and mean and variance of these over its second half.
    """
    start, momenta, uniforms = _draw(metric.centroids, numbers, seed, settings.steps)
    position = metric.centroids[start]
    value, gradient = log_density(position, metric)
    trace = position.new_empty(settings.steps, len(numbers), position.shape[1] + 1)
    accepted = torch.empty(settings.steps, len(numbers), dtype=torch.bool, device=position.device)
    for step, (momentum, uniform) in enumerate(zip(momenta, uniforms, strict=True)):
        energy = momentum.square().sum(1) / 2 - value
        proposal, momentum, proposed, slope = leapfrog(position, momentum, gradient, metric, settings)
        # In logarithms nothing overflows, and a comparison with NaN rejects.
        accept = uniform.log() < energy - (momentum.square().sum(1) / 2 - proposed)
        position = torch.where(accept[:, None], proposal, position)
        gradient = torch.where(accept[:, None], slope, gradient)
        value = torch.where(accept, proposed, value)
        accepted[step] = accept
        trace[step, :, 0], trace[step, :, 1:] = value, position
    half = trace[settings.steps // 2 :].double()
    variance = half.var(0) if len(half) > 1 else torch.zeros_like(trace[:0].double().sum(0))
    return position, accepted.T, effective_sample_size(trace), half.mean(0), variance


def leapfrog(
    position: Tensor, momentum: Tensor, slope: Tensor, metric: LatentMetric, settings: SamplerSettings
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Follow a trajectory from where the log-density has the gradient ``slope``; the end, and both there."""
    for _ in range(settings.leapfrog_steps):
        momentum = momentum + settings.step_size / 2 * slope
        position = position + settings.step_size * momentum
        value, slope = log_density(position, metric)
        momentum = momentum + settings.step_size / 2 * slope
    return position, momentum, value, slope


def _draw(centroids: Tensor, numbers: range, seed: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    n, d = len(numbers), centroids.shape[1]
    # On the CPU, so that the draws are the same for every device.
    start = torch.empty(n, dtype=torch.int64)
    momenta = torch.empty(n, steps, d, dtype=centroids.dtype)
    uniforms = torch.empty(n, steps, dtype=centroids.dtype)
    generator = torch.Generator()
    for row, number in enumerate(numbers):
        generator.manual_seed(derive_seed(seed, "chain", number))
        start[row] = torch.randint(len(centroids), (), generator=generator)
        momenta[row].normal_(generator=generator)
        uniforms[row].uniform_(generator=generator)
    device = centroids.device
    return start.to(device), momenta.transpose(0, 1).to(device), uniforms.T.to(device)
