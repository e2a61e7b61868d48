"""The RHVAE as a generator (see `rhvae_mri.generators.interface`), and what a VAE shares with it."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from rhvae_mri.generators.rhvae.geodesics import geodesic, straight_line
from rhvae_mri.generators.rhvae.hamiltonian import FIXED_POINT_ITERATIONS
from rhvae_mri.generators.rhvae.importance import LikelihoodEstimate, estimate_likelihood
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.model import RHVAE, Autoencoder
from rhvae_mri.generators.rhvae.sampler import (
    LatentSample,
    chain_summary,
    chain_table,
    log_density,
    sample_latent,
)
from rhvae_mri.generators.rhvae.settings import SamplerSettings, split_settings
from rhvae_mri.generators.rhvae.storage import load_model, save_model
from rhvae_mri.generators.rhvae.training import train_rhvae

if TYPE_CHECKING:
    import pandas

#: Images per pass through the encoder.
BATCH = 50


class AutoencoderGenerator(ABC):
    """A trained autoencoder of the images of one class: what the RHVAE and the VAE have in common."""

    kind: type[Autoencoder]

    def __init__(
        self,
        model: Any,
        history: Sequence[Mapping[str, float]] = (),
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.history = history
        self._notes = notes  # on the training, for the header of the file

    @classmethod
    def fit(
        cls,
        images: ndarray,
        *,
        seed: int,
        device: str = "cpu",
        checkpoint: Path | None = None,
        **settings: Any,
    ) -> Self:
        """Train; the settings are the fields of `RHVAESettings` and `TrainingSettings`.

        A VAE takes those of metric and flow as well, without effect.
        """
        chosen = split_settings(settings)
        options: dict[str, Any] = {"seed": seed, "device": device, "checkpoint": checkpoint, "kind": cls.kind}
        trained = train_rhvae(images, *chosen, **options, progress=True)
        notes = {name: getattr(trained, name) for name in ("best_epoch", "final_loss", "recoveries")}
        return cls(trained.model, trained.history, notes)

    @torch.no_grad()
    def decode(self, codes: ndarray) -> ndarray:
        """Decode codes to images."""
        return self.model.decode(self._tensor(codes)).float().cpu().numpy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model."""
        save_model(path, self.model, {"training": json.dumps(self._notes)} if self._notes else None)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> Self:
        """Read the model; its history is not in the file."""
        return cls(load_model(path, device, kind=cls.kind))

    @torch.no_grad()
    def encode(self, images: ndarray) -> ndarray:
        """Give the means of the encoder."""
        batches = (self._tensor(images[start : start + BATCH]) for start in range(0, len(images), BATCH))
        return numpy.concatenate([self.model.encoder(batch)[0].cpu().numpy() for batch in batches])

    def log_density(
        self, images: ndarray, *, seed: int, n_draws: int = 100
    ) -> dict[str, tuple[str, ndarray]]:
        """Estimate the likelihood by importance sampling (arXiv 1509.00519)."""
        kind = {"bce": "Bernoulli likelihood of grey values, no density", "mse": "normal, unit variance"}
        how = f"nats per image; {n_draws} importance samples; {kind[self.model.settings.reconstruction]}"
        near_one = f"of {n_draws}; near 1, log_likelihood is hardly tighter than elbo"
        estimate = self.estimate_likelihood(self._tensor(images), n_draws=n_draws, seed=seed)
        found = {
            "elbo": (how, estimate.elbo.numpy()),
            "log_likelihood": (how, estimate.log_likelihood.numpy()),
            "effective_importance_samples": (near_one, estimate.effective_draws.numpy()),
        }
        if estimate.volume_error is not None:
            tolerance = self.model.settings.fixed_point_tolerance
            solved = f"iterated to {tolerance:g}" if tolerance else f"{FIXED_POINT_ITERATIONS} iterations"
            left = f"nats per image, which elbo and log_likelihood are off by; implicit steps: {solved}"
            found["flow_volume_error"] = (left, estimate.volume_error.numpy())
        return found

    @abstractmethod
    def estimate_likelihood(self, images: Tensor, *, n_draws: int, seed: int) -> LikelihoodEstimate:
        """Estimate log p(x) of images on the model's device."""

    def _tensor(self, values: ndarray) -> Tensor:
        return torch.tensor(values).to(next(self.model.parameters()))


class RHVAEGenerator(AutoencoderGenerator):
    """A trained RHVAE of the images of one class.

    Examples
    --------
    >>> images = numpy.random.default_rng(0).random((6, 5, 4, 3), dtype=numpy.float32)
    >>> trained = RHVAEGenerator.fit(images, seed=1, latent_dimension=2, max_epochs=3)
    >>> trained.decode(trained.draw(4, seed=2)).shape
    (4, 5, 4, 3)
    """

    kind = RHVAE
    _drawn: tuple[LatentSample, SamplerSettings] | None = None

    def draw(
        self,
        n: int,
        *,
        seed: int,
        steps: int = 100,
        leapfrog_steps: int = 15,
        leapfrog_step_size: float = 0.03,
    ) -> ndarray:
        """Draw codes by Hamiltonian Monte Carlo on the learned volume: see `sampler`."""
        settings = SamplerSettings(steps, leapfrog_steps, leapfrog_step_size)
        sample = sample_latent(self.model.final_metric(), n, seed=seed, settings=settings, progress=True)
        self._drawn = sample, settings
        return sample.positions.cpu().numpy()

    def report_draws(self, image_ids: Sequence[str]) -> tuple[pandas.DataFrame, dict[str, Any]]:
        """Say of the last codes that were drawn how well their chains mixed: each one, and all together."""
        if self._drawn is None:
            raise RuntimeError("Nothing was drawn yet.")
        sample, settings = self._drawn
        return chain_table(sample, image_ids), chain_summary(sample, settings)

    def estimate_likelihood(self, images: Tensor, *, n_draws: int, seed: int) -> LikelihoodEstimate:
        """Estimate log p(x) along the flow: see `importance`."""
        return estimate_likelihood(self.model, images, n_draws=n_draws, seed=seed)

    def paths(self, start: ndarray, end: ndarray) -> dict[str, tuple[ndarray, float, ndarray]]:
        """Go straight, and along the geodesic of the learned metric; the density is the root of det G^-1."""
        model, settings = self.model, self.model.settings
        centroids, matrices = model.centroids.double(), model.matrices.double()
        metric = LatentMetric(centroids, matrices, settings.temperature, settings.regularization)
        ends = [torch.from_numpy(code).to(centroids) for code in (start, end)]
        ways = {}
        for name, follow in (("straight line", straight_line), ("geodesic", geodesic)):
            points, length = follow(metric, ends[0], ends[1])
            density = log_density(points, metric)[0]
            ways[name] = (points.cpu().numpy(), length, density.cpu().numpy())
        return ways
