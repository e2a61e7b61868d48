"""Checks of the images that an RHVAE is trained on."""

from __future__ import annotations

from typing import Any

import numpy

from rhvae_mri.errors import StudyError


def check_images(images: numpy.ndarray) -> None:
    """Check that images are fit for training.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, *image_shape)
        The training set.

    Raises
    ------
    StudyError
        If there are fewer than two images, or images of different shapes, of another type than float32 or
        float64, with values that are not finite or outside [0, 1], or that are constant.
    """
    _check_shapes(images)
    if not isinstance(images, numpy.ndarray) or images.dtype not in (numpy.float32, numpy.float64):
        kind = images.dtype if isinstance(images, numpy.ndarray) else type(images).__name__
        raise StudyError(
            f"The training images are of type {kind}.",
            cause="The images were not rescaled to [0, 1].",
            remedy="Give one numpy array of float32 or float64 values.",
        )
    if images.ndim < 2 or len(images) < 2 or images[0].size == 0:
        raise StudyError(
            f"The training set has the shape {images.shape}.",
            cause="Too few images of this diagnosis were kept.",
            remedy="An RHVAE needs at least two images; see the quality and split tables.",
        )
    low = images.reshape(len(images), -1).min(axis=1)
    high = images.reshape(len(images), -1).max(axis=1)
    faults = {
        "voxels that are NaN or infinite": ~numpy.isfinite(low + high),
        "values outside [0, 1]": (low < 0) | (high > 1),
        "one value in all voxels": low == high,
    }
    for fault, concerned in faults.items():
        indices = numpy.flatnonzero(concerned)
        if len(indices):
            share = f"{len(indices)} of {len(images)} training images"
            raise StudyError(
                f"{share} have {fault}: the first is number {indices[0]}.",
                cause="The images were not rescaled to [0, 1], or an image is empty.",
                remedy="Pack the tensors again, or leave these images out.",
            )


def _check_shapes(images: Any) -> None:
    """Refuse a sequence of images, or an array of such, whose shapes differ."""
    if isinstance(images, numpy.ndarray) and images.dtype != object:
        return
    shapes = [numpy.shape(image) for image in images]
    other = next((index for index, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise StudyError(
            f"The training images differ in shape: number {other} has {shapes[other]}, number 0 {shapes[0]}.",
            cause="The images are on different grids.",
            remedy="Register and crop them to one template, then pack the tensors again.",
        )
