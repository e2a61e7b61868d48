"""Checks of what a generator gives: each fault is an error that names the class and the method."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
from numpy import ndarray

from rhvae_mri.generators.interface import Generator
from rhvae_mri.generators.registry import BUILT_IN, own_module
from rhvae_mri.io.errors import StudyError

#: Latent codes that are decoded together.
DECODED = 16


@contextmanager
def faults_of(path: str) -> Iterator[None]:
    """Turn what a class of the user raises into an error that names it, and its own line.

    Errors of the library, of the disk and of the memory stay as they are, and so do all of a built-in class.
    """
    try:
        yield
    except (StudyError, OSError, MemoryError):
        raise
    except Exception as error:
        if path in BUILT_IN.values():
            raise
        frames, own = traceback.extract_tb(error.__traceback__), str(own_module(path))
        place = [*frames[-1:], *(frame for frame in frames if frame.filename.startswith(own))][-1]
        raise StudyError(
            f"The generator {path} failed: {type(error).__name__}: {error}",
            where=f"{place.filename}, line {place.lineno}, in {place.name}",
            remedy="Correct the class; what other generators have made is not lost.",
        ) from error


def check_generator(
    path: str, generator: Any, reload: Callable[[], Any], image_shape: tuple[int, ...], seed: int
) -> None:
    """Check a fitted generator, and the one that its file gives, on some codes and their images."""
    codes = generator.draw(100, seed=seed)
    check_codes(path, "draw", codes, 100)
    for n in (100, 37, 3):
        if not numpy.array_equal(generator.draw(n, seed=seed), codes[:n]):
            raise _fault(path, f"draw gives other codes when it is called again, for the first {n} of 100")
    few = codes[:3].copy()
    images = check_images(path, generator.decode(few), (3, *image_shape))
    if not numpy.array_equal(few, codes[:3]):
        raise _fault(path, "decode changes the codes that it is given")
    if not numpy.array_equal(generator.decode(few), images):
        raise _fault(path, "decode gives other images when it is called again")
    loaded = reload()
    # sums may be taken in another order, since the weights lie elsewhere in the memory
    if not numpy.allclose(loaded.draw(3, seed=seed), few, atol=1e-4):
        raise _fault(path, "a loaded generator draws other codes than the saved one")
    if not numpy.allclose(loaded.decode(few), images, atol=1e-4):
        raise _fault(path, "a loaded generator decodes other images than the saved one")
    if hasattr(generator, "encode"):
        check_codes(path, "encode", generator.encode(images), 3)
    if hasattr(generator, "log_density"):
        for name, (_, values) in generator.log_density(images, seed=seed).items():
            if numpy.shape(values) != (3,) or not numpy.isfinite(values).all():
                raise _fault(path, f"log_density has to give one finite number per image as {name}")
    read_history(path, generator)


def read_history(path: str, generator: Any) -> list[Mapping[str, Any]]:
    """Return the history of a generator, which may have none."""
    history = getattr(generator, "history", ())
    if not isinstance(history, Sequence) or not all(isinstance(row, Mapping) for row in history):
        raise _fault(path, f"history has to be a sequence of mappings, not {type(history).__name__}")
    return list(history)


def check_codes(path: str, method: str, codes: Any, n: int) -> None:
    """Check that the latent codes of a method are n rows of finite floating-point numbers."""
    if not (isinstance(codes, ndarray) and codes.ndim == 2 and len(codes) == n and codes.dtype.kind == "f"):
        raise _fault(
            path, f"{method} has to give a floating-point array of the shape ({n}, d), not {_kind(codes)}"
        )
    if not numpy.isfinite(codes).all():
        raise _fault(path, f"{method} gives codes that are NaN or infinite")


def check_images(path: str, images: Any, shape: tuple[int, ...]) -> ndarray:
    """Check that decoded images have a shape and are numbers in [0, 1]; return them."""
    if not (isinstance(images, ndarray) and images.shape == shape and images.dtype.kind == "f"):
        raise _fault(
            path, f"decode has to give a floating-point array of the shape {shape}, not {_kind(images)}"
        )
    if not numpy.isfinite(images).all():
        raise _fault(path, "decode gives voxels that are NaN or infinite")
    low, high = float(images.min()), float(images.max())
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


def _kind(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, ndarray) else type(value).__name__


def _fault(path: str, what: str) -> StudyError:
    return StudyError(
        f"The generator {path} does not keep to the interface: {what}.",
        remedy="Correct the class (rhvae_mri.generators.interface says what each method has to give).",
    )
