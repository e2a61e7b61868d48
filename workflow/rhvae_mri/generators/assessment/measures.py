"""The measures of the quality of one RHVAE and of its synthetic images, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
import torch

from rhvae_mri.generators.assessment.diversity import n_scales, pair_similarity
from rhvae_mri.generators.assessment.importance import estimate_likelihood
from rhvae_mri.generators.assessment.neighbours import (
    block_means,
    block_side,
    nearest_images,
    precision_and_recall,
    within_manifold,
)
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.study.seeds import derive_seed

#: A synthetic image counts as a copy when its nearest training image is this many times closer than the
#: second nearest. Source: Yoon, Choi, Kwon, Ryu, "Diffusion Probabilistic Models Generalize when They Fail to
#: Memorize", ICML workshop 2023, who use 3.
COPY_RATIO = 3.0

COLUMNS = ("measure", "images", "value", "uncertainty", "n", "detail")


@dataclass(frozen=True)
class MeasureSettings:
    """How much is computed for the measures."""

    n_draws: int = 100  #: importance samples per image for the likelihood
    n_synthetic: int = 500  #: synthetic images, from the first on, that are compared with real ones
    n_neighbours: int = 3  #: k of precision and recall
    n_pairs: int = 200  #: of images, per set, for MS-SSIM
    n_resamples: int = 1000  #: of the bootstrap behind each uncertainty
    batch_size: int = 50  #: images or draws per pass through the model


def measure_generation(
    model: RHVAE,
    training: numpy.ndarray,
    held_out: numpy.ndarray,
    synthetic: numpy.ndarray,
    *,
    seed: int,
    settings: MeasureSettings | None = None,
) -> pandas.DataFrame:
    """Measure how good a model and its synthetic images are.

    Parameters
    ----------
    model : RHVAE
        A trained model, with its final metric.
    training : numpy.ndarray of float32, shape (n, x, y, z)
        The real images that it was trained on, at least two.
    held_out : numpy.ndarray of float32, shape (m, x, y, z)
        Real images of the same class that it was not trained on, at least one.
    synthetic : numpy.ndarray, shape (s, x, y, z)
        Its synthetic images; may be mapped from a file.
    seed : int
        Determines all random draws.
    settings : MeasureSettings, optional
        How much is computed.

    Returns
    -------
    pandas.DataFrame
        One row per measure and set of images, with the columns of `COLUMNS`. ``uncertainty`` is the standard
        error by bootstrap over the ``n`` images (of shares, by Laplace's rule), missing where there is only
        one; ``detail`` says how the measure was taken and how to read it.
    """
    settings = settings or MeasureSettings()
    table = _Table(seed, settings.n_resamples)
    synthetic = synthetic[: settings.n_synthetic]
    reconstructed = _measure_reconstruction(table, model, training, held_out, settings)
    _measure_likelihood(table, model, training, held_out, settings)
    _measure_distances(table, training, held_out, synthetic, reconstructed)
    _measure_coverage(table, training, held_out, synthetic, settings)
    _measure_diversity(table, training, held_out, synthetic, settings)
    return pandas.DataFrame(table.rows, columns=COLUMNS)


class _Table:
    """The rows of the result, and the bootstrap behind their uncertainties."""

    def __init__(self, seed: int, n_resamples: int) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.seed = seed
        self._n_resamples = n_resamples

    def add(
        self,
        measure: str,
        images: str,
        *samples: numpy.ndarray,
        statistic: Callable[..., float] = numpy.mean,
        detail: str = "",
    ) -> None:
        """Add a statistic of one or more independent samples, whose values are resampled one by one.

        A bootstrap would find no uncertainty in a share of 0 or 1, so shares get the standard error after
        one more success and failure each (Laplace's rule).
        """
        if samples[0].dtype == bool:
            n, share = len(samples[0]), samples[0].mean()
            smoothed = (n * share + 1) / (n + 2)
            self.add_row(measure, images, share, (smoothed * (1 - smoothed) / (n + 2)) ** 0.5, n, detail)
            return
        samples = tuple(numpy.asarray(sample, dtype=numpy.float64) for sample in samples)

        def resampled(random: numpy.random.Generator) -> float:
            return statistic(*(random.choice(sample, len(sample)) for sample in samples))

        enough = min(len(sample) for sample in samples) > 1
        uncertainty = self.bootstrap(resampled, measure, images) if enough else numpy.nan
        self.add_row(measure, images, statistic(*samples), uncertainty, len(samples[0]), detail)

    def add_row(
        self, measure: str, images: str, value: float, uncertainty: float, n: int, detail: str
    ) -> None:
        """Add a finished row."""
        self.rows.append((measure, images, float(value), float(uncertainty), n, detail))

    def bootstrap(self, resampled: Callable[[numpy.random.Generator], float], *names: str) -> float:
        """Standard deviation of a statistic over resamples."""
        random = numpy.random.default_rng(derive_seed(self.seed, "bootstrap", *names))
        values = [resampled(random) for _ in range(self._n_resamples)]
        return float(numpy.std(values, ddof=1))


@torch.no_grad()
def _measure_reconstruction(
    table: _Table,
    model: RHVAE,
    training: numpy.ndarray,
    held_out: numpy.ndarray,
    settings: MeasureSettings,
) -> numpy.ndarray:
    """Errors of the decoded latent means; returns the decoded held-out images."""
    spread = training.var(axis=0, dtype=numpy.float64).mean()
    for name, images in (("training", training), ("held-out", held_out)):  # the last is returned
        decoded = numpy.empty(images.shape, dtype=numpy.float32)
        for start in range(0, len(images), settings.batch_size):
            batch = _tensor(images[start : start + settings.batch_size], model)
            decoded[start : start + len(batch)] = model.decode(model.encoder(batch)[0]).cpu().numpy()
        pairs = zip(images, decoded, strict=True)
        errors = numpy.array([numpy.square(a - b, dtype=numpy.float64).mean() for a, b in pairs])
        table.add(
            "reconstruction_mse",
            name,
            errors,
            detail="squared error per voxel of the decoded latent mean, without noise and flow",
        )
        table.add(
            "unexplained_variance",
            name,
            errors / spread,
            detail="squared error as a part of the training images' variance around their mean image",
        )
    return decoded


def _measure_likelihood(
    table: _Table, model: RHVAE, training: numpy.ndarray, held_out: numpy.ndarray, settings: MeasureSettings
) -> None:
    kind = {"bce": "Bernoulli likelihood of grey values, no density", "mse": "normal, unit variance"}
    how = f"nats per image; {settings.n_draws} importance samples; {kind[model.settings.reconstruction]}"
    for name, images in (("training", training[: len(held_out)]), ("held-out", held_out)):
        estimate = estimate_likelihood(
            model,
            _tensor(images, model),
            n_draws=settings.n_draws,
            seed=derive_seed(table.seed, name),
            batch_size=settings.batch_size,
        )
        table.add("elbo", name, estimate.elbo.numpy(), detail=how)
        table.add("log_likelihood", name, estimate.log_likelihood.numpy(), detail=how)
        table.add(
            "effective_importance_samples",
            name,
            estimate.effective_draws.numpy(),
            detail=f"of {settings.n_draws}; near 1, log_likelihood is hardly tighter than elbo",
        )


def _measure_distances(
    table: _Table,
    training: numpy.ndarray,
    held_out: numpy.ndarray,
    synthetic: numpy.ndarray,
    reconstructed: numpy.ndarray,
) -> None:
    """How near synthetic images are to the training images, against images that cannot be copies."""
    sets = {"synthetic": synthetic, "held-out": held_out, "reconstructed held-out": reconstructed}
    nearest = {name: nearest_images(images, training, k=2).distances for name, images in sets.items()}
    for name, distances in nearest.items():
        table.add(
            "nearest_training_distance",
            name,
            distances[:, 0],
            statistic=numpy.median,
            detail="median over images of the root mean square voxel difference to the nearest one",
        )
    for reference, note in (
        ("held-out", "also below 1 because decoded images are smooth"),
        ("reconstructed held-out", "both are decoded; well below 1, the training images are memorized"),
    ):
        table.add(
            "distance_ratio",
            f"synthetic to {reference}",
            nearest["synthetic"][:, 0],
            nearest[reference][:, 0],
            statistic=lambda one, other: numpy.median(one) / numpy.maximum(numpy.median(other), 1e-12),
            detail=f"ratio of the medians of nearest_training_distance; {note}",
        )
    for name, distances in nearest.items():
        table.add(
            "copied_share",
            name,
            distances[:, 0] * COPY_RATIO < distances[:, -1],
            detail=f"share whose nearest training image is over {COPY_RATIO:g} times closer than the second",
        )


def _measure_coverage(
    table: _Table,
    training: numpy.ndarray,
    held_out: numpy.ndarray,
    synthetic: numpy.ndarray,
    settings: MeasureSettings,
) -> None:
    real, k = block_means(training), settings.n_neighbours
    made = block_means(synthetic[: len(training)])
    precision, recall = precision_and_recall(real, made, k)
    space = f"k = {k}, features: means of cubes of {block_side(training.shape[1:])} voxels a side"
    table.add("precision", "synthetic", precision, detail=f"share within the training images; {space}")
    table.add(
        "precision",
        "held-out",
        within_manifold(block_means(held_out), real, k),
        detail=f"the same of real images, to compare with; {space}",
    )
    table.add(
        "recall",
        "synthetic",
        recall,
        detail=f"share of training images within {len(made)} synthetic images; {space}",
    )


def _measure_diversity(
    table: _Table,
    training: numpy.ndarray,
    held_out: numpy.ndarray,
    synthetic: numpy.ndarray,
    settings: MeasureSettings,
) -> None:
    scales = n_scales(training.shape[1:])
    for name, images in (("training", training), ("held-out", held_out), ("synthetic", synthetic)):
        if len(images) < 2:
            continue
        pairs, values = pair_similarity(images, settings.n_pairs, derive_seed(table.seed, "pairs", name))

        def resampled(
            random: numpy.random.Generator,
            n: int = len(images),
            pairs: numpy.ndarray = pairs,
            values: numpy.ndarray = values,
        ) -> float:
            # Images are resampled, not pairs, which share images.
            counts = numpy.bincount(random.integers(n, size=n), minlength=n)
            weights = counts[pairs[:, 0]] * counts[pairs[:, 1]]
            return float(numpy.average(values, weights=weights)) if weights.any() else float(values.mean())

        table.add_row(
            "ms_ssim",
            name,
            values.mean(),
            table.bootstrap(resampled, "ms_ssim", name),
            len(images),
            f"mean of {len(values)} random pairs, {scales} scale(s); lower is more diverse",
        )


def _tensor(images: numpy.ndarray, model: RHVAE) -> torch.Tensor:
    """Images on the model's device, in its precision."""
    return torch.tensor(images).to(model.centroids)
