"""How well Markov chains have mixed: effective sample size, and the potential scale reduction.

Sources: Geyer, "Practical Markov Chain Monte Carlo", Statistical Science 7 (1992), for the initial monotone
sequence; Gelman and Rubin, "Inference from Iterative Simulation Using Multiple Sequences", ibid., for the
scale reduction.
"""

from __future__ import annotations

import math

import torch


def effective_sample_size(trace: torch.Tensor) -> torch.Tensor:
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
    kept = pairs.cummin(0).values * (pairs > 0).cumprod(0)
    time = (2 * kept.sum(0) / covariances[0] - 1).clamp_min(1 / max(math.log10(n), 1))
    moved = centred.abs().amax(0) > 0
    return torch.where(moved, n / time, 1.0)


def scale_reduction(means: torch.Tensor, variances: torch.Tensor, length: int) -> torch.Tensor:
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
