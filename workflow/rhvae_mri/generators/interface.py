"""What a generator is: a model of the images of one class that draws latent codes and decodes them to images.

A class with the methods of `Generator` takes part in the study; it needs no base class. It knows nothing of
files' places, cohorts or the workflow. Three more methods are optional. Where a class lacks one, what depends
on it is left out of tables and figures, with the reason:

``encode(images)``
    The latent codes (n, d) of images; for reconstructions, and for figures of the latent space.
``log_density(images, *, seed)``
    What is known of log p(x): a mapping from the measure's name (such as ``log_likelihood``) to how it was
    taken, in words, and one value in nats per image, (n,). Empty, where a fitted one has no density.
``paths(start, end)``
    Ways in the latent space from one code to another: a mapping from the name of the way to codes along it
    (m, d), its length, and the log-density at each code (m,). Without it the straight line is shown.

A generator may also have ``history``, one mapping from column to number per epoch. The RHVAE alone has
settings of its draws, and reports on their chains.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, Self

import numpy
from numpy import ndarray
from safetensors.numpy import save_file

from rhvae_mri.io.files import atomic_path
from rhvae_mri.study.seeds import derive_seed


class Generator(Protocol):
    """A model of the images of one class."""

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
        """Learn the images (n, *image_shape), float32 in [0, 1]; all random draws follow from the seed.

        ``checkpoint`` is a file for the state of an unfinished training: it has been written for the same
        images, settings, seed and code, or is not there. Whoever calls this removes it. ``settings`` are
        those that the configuration gives; a class names those that it takes.
        """

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Draw latent codes, float32 (n, d). Code i follows from seed and i alone, whatever ``n`` is."""

    def decode(self, codes: ndarray) -> ndarray:
        """Decode codes (n, d) to images (n, *image_shape), float32 in [0, 1]; no random draw is made."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that drawing and decoding need to one file, without pickle."""

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> Self:
        """Read what `save` wrote."""


def normal_codes(n: int, dimension: int, seed: int) -> ndarray:
    """Draw standard normal codes (n, dimension), float32; code i depends on seed and i alone.

    Examples
    --------
    >>> bool((normal_codes(5, 2, seed=1)[:3] == normal_codes(3, 2, seed=1)).all())
    True
    """
    rows = [
        numpy.random.default_rng(derive_seed(seed, "code", i)).standard_normal(dimension) for i in range(n)
    ]
    return numpy.array(rows, dtype=numpy.float32).reshape(n, dimension)


def save_codes(path: str | os.PathLike[str], codes: ndarray) -> None:
    """Write latent codes (n, d) as the tensor `codes` of a safetensors file, atomically."""
    with atomic_path(path) as temporary:
        save_file({"codes": numpy.ascontiguousarray(codes)}, temporary)
