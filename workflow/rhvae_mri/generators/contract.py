"""Checks of what a generator gives: each fault is an error that names the class and the method."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
from numpy import ndarray

from rhvae_mri.generators.interface import Generator
from rhvae_mri.io.errors import StudyError

#: Latent codes that are decoded together.
DECODED = 16


@contextmanager
def faults_of(path: str) -> Iterator[None]:
    """Turn what a generator's class raises into an error that names it; those of the library stay."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise StudyError(
            f"The generator {path} failed: {type(error).__name__}: {error}",
            where=f"{place.filename}, line {place.lineno}, in {place.name}",
            remedy="Correct the class; the jobs of other generators go on.",
        ) from error


def check_generator(
    path: str, generator: Generator, reload: Callable[[], Generator], image_shape: tuple[int, ...], seed: int
) -> None:
    """Check a fitted generator, and the one that its file gives, on three codes and their images."""
    codes = generator.draw(3, seed=seed)
    check_codes(path, codes, 3)
    images = check_images(path, generator.decode(codes), (3, *image_shape))
    loaded = reload()
    for what, again in {
        "draw gives other codes when it is called again": generator.draw(3, seed=seed),
        "draw gives other first codes when fewer are drawn": numpy.concatenate(
            [generator.draw(2, seed=seed), codes[2:]]
        ),
        "a loaded generator draws other codes than the saved one": loaded.draw(3, seed=seed),
    }.items():
        _check_equal(path, what, again, codes)
    for what, again in {
        "decode gives other images when it is called again": generator.decode(codes),
        "a loaded generator decodes other images than the saved one": loaded.decode(codes),
    }.items():
        _check_equal(path, what, again, images)


def check_codes(path: str, codes: Any, n: int) -> None:
    """Check that latent codes are n rows of finite floating-point numbers."""
    if not (isinstance(codes, ndarray) and codes.ndim == 2 and len(codes) == n and codes.dtype.kind == "f"):
        raise _fault(
            path, f"draw has to give a floating-point array of the shape ({n}, d), not {_kind(codes)}"
        )
    if not numpy.isfinite(codes).all():
        raise _fault(path, "draw gives codes that are NaN or infinite")


def check_images(path: str, images: Any, shape: tuple[int, ...]) -> ndarray:
    """Check that decoded images have a shape and are numbers in [0, 1]; return them."""
    if not (isinstance(images, ndarray) and images.shape == shape and images.dtype.kind == "f"):
        raise _fault(
            path, f"decode has to give a floating-point array of the shape {shape}, not {_kind(images)}"
        )
    if not numpy.isfinite(images).all():
        raise _fault(path, "decode gives voxels that are NaN or infinite")
    low, high = float(images.min(initial=0)), float(images.max(initial=1))
    if low < 0 or high > 1:
        raise _fault(path, f"decode gives values outside [0, 1]: from {low:.4g} to {high:.4g}")
    return images


def decode_each(
    path: str, generator: Generator, codes: ndarray, image_shape: tuple[int, ...], dtype: str = "float32"
) -> Iterator[ndarray]:
    """Decode codes (n, d), check the images and give them one by one.

    An image is the same, to the last bit, for every n. ``path`` is how errors name the generator.
    """
    for start in range(0, len(codes), DECODED):
        batch = codes[start : start + DECODED]
        # the last bits of a product depend on the number of its rows, so a batch is always full
        filled = numpy.concatenate([batch, batch[-1:].repeat(DECODED - len(batch), axis=0)])
        images = check_images(path, generator.decode(filled), (DECODED, *image_shape))
        yield from images[: len(batch)].astype(dtype)


def _check_equal(path: str, what: str, again: Any, first: ndarray) -> None:
    if not numpy.array_equal(again, first):
        raise _fault(path, what)


def _kind(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, ndarray) else type(value).__name__


def _fault(path: str, what: str) -> StudyError:
    return StudyError(
        f"The generator {path} does not keep to the interface: {what}.",
        remedy="Correct the class (rhvae_mri.generators.interface says what each method has to give).",
    )
