r"""Probabilistic principal component analysis, a linear generator with an exact likelihood.

An image is x = mu + W z + e, with z from N(0, I) in d dimensions and e from N(0, sigma^2 I) in v voxels.
With the eigenvectors U and the eigenvalues lambda of the images' covariance (divisor n, the number of images;
only that one gives the maximum of the likelihood), the largest first, its maximum-likelihood fit is

.. math:: \sigma^2 = \frac{1}{v - d} \sum_{i > d} \lambda_i, \qquad
    W = U_d (\Lambda_d - \sigma^2 I)^{1/2}.

Source: Tipping and Bishop, "Probabilistic Principal Component Analysis", J. R. Stat. Soc. B 61 (1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy
from numpy import ndarray

from rhvae_mri.generators.interface import normal_codes
from rhvae_mri.generators.rhvae.checks import check_images
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.generators.stored_arrays import StoredArrays


@dataclass(frozen=True, eq=False)
class PPCA(StoredArrays):
    """Probabilistic principal components of the images of one class; all numbers are float64.

    Examples
    --------
    >>> images = numpy.random.default_rng(0).random((6, 5, 4, 3), dtype=numpy.float32)
    >>> fitted = PPCA.fit(images, seed=1, latent_dimension=2)
    >>> fitted.decode(fitted.draw(4, seed=2)).shape
    (4, 5, 4, 3)
    """

    mean: ndarray  #: mu, (*image_shape)
    weights: ndarray  #: W, (v, d)
    noise_variance: ndarray  #: sigma^2, ()

    @classmethod
    def fit(
        cls,
        images: ndarray,
        *,
        seed: int,
        device: str = "cpu",
        checkpoint: Path | None = None,
        latent_dimension: int = 10,
    ) -> Self:
        """Fit by a singular value decomposition; seed, device and checkpoint have no effect.

        Of the ``latent_dimension`` components at most as many are used as the images span, which is at most
        n - 1 and less than v. If they are all used, no variance is left for the noise.
        """
        check_images(images)
        RHVAESettings(latent_dimension=latent_dimension)  # which checks it
        n, v = len(images), images[0].size
        mean = images.mean(0, dtype=numpy.float64)
        # never the covariance, which has a row and a column for each voxel
        centred = (images - mean).reshape(n, v)
        _, sizes, components = numpy.linalg.svd(centred, full_matrices=False)
        rounding = sizes[0] * max(n, v) * numpy.finfo(sizes.dtype).eps
        eigenvalues = sizes[: n - 1][sizes[: n - 1] > rounding] ** 2 / n
        d = min(latent_dimension, len(eigenvalues), v - 1)
        noise_variance = eigenvalues[d:].sum() / (v - d)
        weights = components[:d].T * numpy.sqrt(eigenvalues[:d] - noise_variance)
        return cls(mean, weights, numpy.array(noise_variance))

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Draw codes from the prior."""
        return normal_codes(n, self.weights.shape[1], seed)

    def decode(self, codes: ndarray) -> ndarray:
        """Decode codes to mu + W z, clipped to [0, 1].

        Without the noise of the voxels, because the image that an RHVAE decodes is the mean of its voxels'
        distributions, too.
        """
        images = self.mean + (codes.astype(numpy.float64) @ self.weights.T).reshape(-1, *self.mean.shape)
        return images.clip(0, 1).astype(numpy.float32)

    def encode(self, images: ndarray) -> ndarray:
        """Give the means of p(z | x)."""
        return self._posterior_means(self._centred(images)).astype(numpy.float32)

    def log_density(self, images: ndarray, *, seed: int) -> dict[str, tuple[str, ndarray]]:
        """Compute the log-likelihood; the seed has no effect. Without noise there is no density: nothing."""
        if not self.noise_variance:
            return {}
        v, d = self.weights.shape
        centred = self._centred(images)
        # By the matrix inversion lemma, C^-1 = (I - W M^-1 W^T) / sigma^2, where C = W W^T + sigma^2 I
        residual = centred - self._posterior_means(centred) @ self.weights.T
        distance = (residual * centred).sum(1) / self.noise_variance
        log_det = (v - d) * math.log(self.noise_variance) + numpy.linalg.slogdet(self._precision())[1]
        how = f"nats per image; exact; normal, voxel noise of the variance {self.noise_variance:.3g}"
        # another name: the Bernoulli likelihood of a network is no density, and is not to stand beside this
        return {"log_density": (how, -(v * math.log(2 * math.pi) + log_det + distance) / 2)}

    def _centred(self, images: ndarray) -> ndarray:
        return (images - self.mean).reshape(len(images), self.mean.size)

    def _posterior_means(self, centred: ndarray) -> ndarray:
        return numpy.linalg.solve(self._precision(), (centred @ self.weights).T).T

    def _precision(self) -> ndarray:
        """M = W^T W + sigma^2 I, which is sigma^2 times the precision of z given x."""
        return self.weights.T @ self.weights + self.noise_variance * numpy.eye(self.weights.shape[1])
