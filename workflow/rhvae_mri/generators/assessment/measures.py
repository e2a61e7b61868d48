"""The measures of the quality of one generator and of its synthetic images, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
from numpy import ndarray

from rhvae_mri.generators.assessment import neighbours
from rhvae_mri.generators.assessment.diversity import n_scales, pair_similarity
from rhvae_mri.generators.interface import Generator
from rhvae_mri.study.seeds import derive_seed

#: A synthetic image counts as a copy when its nearest training image is this many times closer than the
#: second nearest. Source: Yoon, Choi, Kwon, Ryu, "Diffusion Probabilistic Models Generalize when They Fail to
#: Memorize", ICML workshop 2023, who use 3.
COPY_RATIO = 3.0

#: Images per pass through the generator.
BATCH = 50

COLUMNS = ("measure", "images", "value", "uncertainty", "n", "detail")


@dataclass(frozen=True)
class MeasureSettings:
    """How much is computed for the measures."""

    n_synthetic: int = 500  #: synthetic images, from the first on, that are compared with real ones
    n_neighbours: int = 3  #: k of precision and recall
    n_pairs: int = 200  #: of images, per set, for MS-SSIM
    n_resamples: int = 1000  #: of the bootstrap behind each uncertainty


def measure_generation(
    generator: Generator,
    training: ndarray,
    held_out: ndarray,
    synthetic: ndarray,
    *,
    seed: int,
    settings: MeasureSettings,
) -> pandas.DataFrame:
    """Measure how good a generator and its synthetic images are.

    Parameters
    ----------
    generator : Generator
        A fitted one. What it has no method for has a row without a value, whose ``detail`` says so.
    training : numpy.ndarray of float32, shape (n, x, y, z)
        The real images that it has learned, at least two.
    held_out : numpy.ndarray of float32, shape (m, x, y, z)
        Real images of the same class that it has not learned, at least one.
    synthetic : numpy.ndarray, shape (s, x, y, z)
        Its synthetic images; may be mapped from a file.
    seed : int
        Determines all random draws.
    settings : MeasureSettings
        How much is computed.

    Returns
    -------
    pandas.DataFrame
        One row per measure and set of images, with the columns of `COLUMNS`. ``uncertainty`` is the standard
        error by bootstrap over the ``n`` images (of shares, by Laplace's rule), missing where there is only
        one; ``detail`` says how the measure was taken and how to read it.
    """
    table = _Table(seed, settings)
    synthetic = synthetic[: settings.n_synthetic]
    compared = {"synthetic": synthetic, "held-out": held_out}
    if hasattr(generator, "encode"):
        real = {"training": training, "held-out": held_out}
        decoded = {name: _reconstruct(generator, images) for name, images in real.items()}
        _add_reconstruction(table, real, decoded)
        compared["reconstructed held-out"] = decoded["held-out"]
    else:
        table.leave_out("unexplained_variance", "it needs an encoder")
    _add_likelihood(table, generator, {"training": training[: len(held_out)], "held-out": held_out})
    _add_distances(table, training, compared)
    _add_coverage(table, training, held_out, synthetic)
    _add_diversity(table, {"training": training, "held-out": held_out, "synthetic": synthetic})
    return pandas.DataFrame(table.rows, columns=COLUMNS)


class _Table:
    """The rows of the result, and the bootstrap behind their uncertainties."""

    def __init__(self, seed: int, settings: MeasureSettings) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.seed = seed
        self.settings = settings

    def add(
        self,
        measure: str,
        images: str,
        detail: str,
        *samples: ndarray,
        statistic: Callable[..., float] = numpy.mean,
    ) -> None:
        """Add a statistic of one or more independent samples, whose values are resampled one by one.

        A bootstrap would find no uncertainty in a share of 0 or 1, so shares get the standard error after
        one more success and failure each (Laplace's rule).
        """
        n = len(samples[0])
        if samples[0].dtype == bool:
            share = samples[0].mean()
            smoothed = (n * share + 1) / (n + 2)
            uncertainty = (smoothed * (1 - smoothed) / (n + 2)) ** 0.5
            self.rows.append((measure, images, float(share), float(uncertainty), n, detail))
            return
        samples = tuple(numpy.asarray(sample, dtype=numpy.float64) for sample in samples)

        def resampled(random: numpy.random.Generator) -> float:
            return statistic(*(random.choice(sample, len(sample)) for sample in samples))

        enough = min(len(sample) for sample in samples) > 1
        self.bootstrap(measure, images, detail, n, statistic(*samples), resampled if enough else None)

    def leave_out(self, measure: str, reason: str) -> None:
        """Add a measure that the generator does not have."""
        detail = f"left out where a generator has none: {reason}"
        self.rows.append((measure, "held-out", numpy.nan, numpy.nan, 0, detail))

    def bootstrap(
        self,
        measure: str,
        images: str,
        detail: str,
        n: int,
        value: float,
        resampled: Callable[[numpy.random.Generator], float] | None,
    ) -> None:
        """Add a value with its standard deviation over resamples."""
        uncertainty = numpy.nan
        if resampled:
            random = numpy.random.default_rng(derive_seed(self.seed, "bootstrap", measure, images))
            values = [resampled(random) for _ in range(self.settings.n_resamples)]
            uncertainty = float(numpy.std(values, ddof=1))
        self.rows.append((measure, images, float(value), uncertainty, n, detail))


def _reconstruct(generator: Any, images: ndarray) -> ndarray:
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    decoded = [generator.decode(generator.encode(batch)) for batch in batches]
    return numpy.concatenate(decoded).astype(numpy.float32)


def _add_reconstruction(table: _Table, sets: dict[str, ndarray], decoded: dict[str, ndarray]) -> None:
    spread = sets["training"].var(axis=0, dtype=numpy.float64).mean()
    for name, images in sets.items():
        pairs = zip(images, decoded[name], strict=True)
        errors = numpy.array([numpy.square(a - b, dtype=numpy.float64).mean() for a, b in pairs])
        how = "squared error per voxel of the decoded latent mean, without noise and flow"
        table.add("reconstruction_mse", name, how, errors)
        how = "squared error as a part of the training images' variance around their mean image"
        table.add("unexplained_variance", name, how, errors / spread)


def _add_likelihood(table: _Table, generator: Any, sets: dict[str, ndarray]) -> None:
    for name, images in sets.items():
        seed = derive_seed(table.seed, name)
        found = generator.log_density(images, seed=seed) if hasattr(generator, "log_density") else {}
        if not found and name == "held-out":
            table.leave_out("log_likelihood", "it needs a density that can be computed")
        for measure, (how, values) in found.items():
            table.add(measure, name, how, values)


def _add_distances(table: _Table, training: ndarray, sets: dict[str, ndarray]) -> None:
    """How near synthetic images are to the training images, against images that cannot be copies."""
    nearest = {name: neighbours.nearest_images(images, training, 2)[1] for name, images in sets.items()}
    how = "median over images of the root mean square voxel difference to the nearest one"
    for name, distances in nearest.items():
        table.add("nearest_training_distance", name, how, distances[:, 0], statistic=numpy.median)

    def ratio(one: ndarray, other: ndarray) -> float:
        return numpy.median(one) / numpy.maximum(numpy.median(other), 1e-12)

    for reference, note in {
        "held-out": "also below 1 because decoded images are smooth",
        "reconstructed held-out": "both are decoded; well below 1, the training images are memorized",
    }.items():
        if reference not in sets:
            continue
        how = f"ratio of the medians of nearest_training_distance; {note}"
        samples = nearest["synthetic"][:, 0], nearest[reference][:, 0]
        table.add("distance_ratio", f"synthetic to {reference}", how, *samples, statistic=ratio)
    how = f"share whose nearest training image is over {COPY_RATIO:g} times closer than the second"
    for name, distances in nearest.items():
        table.add("copied_share", name, how, distances[:, 0] * COPY_RATIO < distances[:, -1])


def _add_coverage(table: _Table, training: ndarray, held_out: ndarray, synthetic: ndarray) -> None:
    real, k = neighbours.block_means(training), table.settings.n_neighbours
    made = neighbours.block_means(synthetic[: len(training)])
    precision, recall = neighbours.within_manifold(made, real, k), neighbours.within_manifold(real, made, k)
    held = neighbours.within_manifold(neighbours.block_means(held_out), real, k)
    side = neighbours.block_side(training.shape[1:])
    space = f"k = {k}, features: means of cubes of {side} voxels a side"
    table.add("precision", "synthetic", f"share within the training images; {space}", precision)
    table.add("precision", "held-out", f"the same of real images, to compare with; {space}", held)
    how = f"share of training images within {len(made)} synthetic images; {space}"
    table.add("recall", "synthetic", how, recall)
    how = "variance of the voxels around the mean image, as a part of that of the training images"

    def ratio(made: ndarray, real: ndarray) -> float:
        return float(made.mean() / real.mean())

    table.add("variance_ratio", "synthetic", how, _spread(synthetic), _spread(training), statistic=ratio)


def _spread(images: ndarray) -> ndarray:
    """The mean squared distance of each image's voxels from the mean image."""
    mean = images.mean(axis=0, dtype=numpy.float64)
    return numpy.array([numpy.square(image - mean).mean() for image in images])


def _add_diversity(table: _Table, sets: dict[str, ndarray]) -> None:
    for name, images in sets.items():
        n = len(images)
        if n < 2:
            continue
        pairs, values = pair_similarity(
            images, table.settings.n_pairs, derive_seed(table.seed, "pairs", name)
        )

        def resampled(
            random: numpy.random.Generator, n: int = n, pairs: ndarray = pairs, values: ndarray = values
        ) -> float:
            # Images are resampled, not pairs, which share images.
            counts = numpy.bincount(random.integers(n, size=n), minlength=n)
            weights = counts[pairs[:, 0]] * counts[pairs[:, 1]]
            return float(numpy.average(values, weights=weights)) if weights.any() else float(values.mean())

        scales = n_scales(images.shape[1:])
        how = f"mean of {len(values)} random pairs, {scales} scale(s); lower is more diverse"
        table.bootstrap("ms_ssim", name, how, n, values.mean(), resampled)
