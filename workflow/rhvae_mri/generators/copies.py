"""Generators that carry no information beyond the training images, for comparison.

What a classifier gains by their images it gains by more steps of training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy
from numpy import ndarray

from rhvae_mri.generators.rhvae.checks import check_images
from rhvae_mri.generators.stored_arrays import StoredArrays
from rhvae_mri.io.errors import StudyError
from rhvae_mri.study.seeds import derive_seed

#: Numbers of noises; float32, in which codes are, has each of them.
N_NOISES = 2**24


@dataclass(frozen=True, eq=False)
class ClassMean(StoredArrays):
    """The mean image of one class, each time.

    Examples
    --------
    >>> images = numpy.random.default_rng(0).random((6, 5, 4, 3), dtype=numpy.float32)
    >>> fitted = ClassMean.fit(images, seed=1)
    >>> numpy.allclose(fitted.decode(fitted.draw(4, seed=2)), images.mean(0), atol=1e-6)
    True
    """

    mean: ndarray  #: (*image_shape), float32

    @classmethod
    def fit(cls, images: ndarray, *, seed: int, device: str = "cpu", checkpoint: Path | None = None) -> Self:
        """Average; seed, device and checkpoint have no effect."""
        check_images(images)
        return cls(images.mean(0, dtype=numpy.float64).astype(numpy.float32))

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Give zeros, (n, 1)."""
        return numpy.zeros((n, 1), dtype=numpy.float32)

    def decode(self, codes: ndarray) -> ndarray:
        """Give the mean image for each code."""
        return numpy.repeat(self.mean[None], len(codes), axis=0)


@dataclass(frozen=True, eq=False)
class RealSteps(StoredArrays):
    """The training images themselves, one after the other.

    Trained on real images and on these, a classifier takes as many steps as with other synthetic images, on
    real images alone. A code is the number of an image; the model file has the images.

    Examples
    --------
    >>> images = numpy.random.default_rng(0).random((3, 5, 4, 3), dtype=numpy.float32)
    >>> fitted = RealSteps.fit(images, seed=1)
    >>> numpy.array_equal(fitted.decode(fitted.draw(5, seed=2)), images[[0, 1, 2, 0, 1]])
    True
    """

    images: ndarray  #: (n, *image_shape), float32

    @classmethod
    def fit(cls, images: ndarray, *, seed: int, device: str = "cpu", checkpoint: Path | None = None) -> Self:
        """Keep the images; seed, device and checkpoint have no effect."""
        check_images(images)
        return cls(images.astype(numpy.float32))

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Count through the images, again and again, (n, 1)."""
        return numpy.arange(n, dtype=numpy.float32)[:, None] % len(self.images)

    def decode(self, codes: ndarray) -> ndarray:
        """Give the images."""
        return self.images[codes[:, 0].astype(int)]


@dataclass(frozen=True, eq=False)
class Jitter(StoredArrays):
    """The training images of one class, with white noise.

    A code is the number of the image and the number of the noise. The model file has the training images.

    Examples
    --------
    >>> images = numpy.random.default_rng(0).random((6, 5, 4, 3), dtype=numpy.float32)
    >>> fitted = Jitter.fit(images, seed=1, noise_share=1e-9)
    >>> numpy.allclose(fitted.decode(numpy.array([[4, 7]])), images[4], atol=1e-3)
    True
    """

    images: ndarray  #: (n, *image_shape), float32
    noise_sd: ndarray  #: standard deviation of the noise before clipping, (), float32

    @classmethod
    def fit(
        cls,
        images: ndarray,
        *,
        seed: int,
        device: str = "cpu",
        checkpoint: Path | None = None,
        noise_share: float = 0.7,
    ) -> Self:
        """Keep the images; seed, device and checkpoint have no effect.

        ``noise_share`` is the variance of the noise as a share of that of the training images around their
        mean image, averaged over the voxels. The default is what the RHVAEs of the demo leave unexplained,
        which is 0.55 to 0.73.
        """
        check_images(images)
        is_number = isinstance(noise_share, int | float) and not isinstance(noise_share, bool)
        if not is_number or not 0 <= noise_share < math.inf:
            raise StudyError(
                f"The setting noise_share is {noise_share!r}.",
                where="noise_share",
                remedy="Give a number of at least 0.",
            )
        variance = images.var(0, dtype=numpy.float64).mean()
        return cls(
            images.astype(numpy.float32), numpy.array(math.sqrt(noise_share * variance), numpy.float32)
        )

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Draw numbers of images and noises, (n, 2), whole numbers."""
        highest = (len(self.images), N_NOISES)
        rows = [numpy.random.default_rng(derive_seed(seed, "copy", i)).integers(highest) for i in range(n)]
        return numpy.array(rows, dtype=numpy.float32).reshape(n, 2)

    def decode(self, codes: ndarray) -> ndarray:
        """Give the images with their noise, clipped to [0, 1]."""
        numbers, noises = codes.astype(int).T
        images = self.images[numbers]
        for image, noise in zip(images, noises, strict=True):
            drawn = numpy.random.default_rng(noise).standard_normal(image.shape, dtype=numpy.float32)
            image += self.noise_sd * drawn
        return images.clip(0, 1)
