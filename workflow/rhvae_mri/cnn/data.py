"""Image sets: rows of one or several stacks (real, synthetic) as one sequence, without a joined copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy
import torch
from numpy import ndarray
from numpy.typing import ArrayLike
from torch import Tensor

from rhvae_mri.io.errors import StudyError

#: Sets of at most this size are kept on the device; larger ones are read batch by batch.
RESIDENT_BYTES = 4 * 2**30

#: How much of a set is read at a time when it is copied to the device.
_CHUNK_BYTES = 64 * 2**20


class ImagePart(NamedTuple):
    """Some rows of a stack of images (n, *shape), float16 or float32, which may be mapped from a file.

    Only shape, dtype, length and indexing by an array of rows are used. ``source`` is for error messages.
    """

    images: ndarray
    rows: Sequence[int] | ndarray
    source: str = "images"


class ImageSet:
    """A sequence of images from one or several stacks, with their labels: those of the first part, and so on.

    Prediction needs no ``labels``, 0 or 1; ``classes`` is what these are called. There must be an image, and
    the stacks must have images of one ``shape``, float16 or float32. Intensities are checked where they are
    read, by `batch`.
    """

    def __init__(
        self,
        parts: Sequence[ImagePart],
        labels: ArrayLike | None = None,
        classes: tuple[str, str] = ("0", "1"),
    ) -> None:
        self.classes = classes
        self._parts = [part for part in parts if len(part.rows)]
        if not self._parts:
            raise StudyError("The image set is empty.", cause="No image of this kind is left in the study.")
        self.shape = tuple(self._parts[0].images.shape[1:])
        for part in self._parts:
            _check_part(part, self.shape, self._parts[0].source)
        sizes = [len(part.rows) for part in self._parts]
        self._part_of = numpy.repeat(numpy.arange(len(sizes)), sizes)
        self._row_of = numpy.concatenate([part.rows for part in self._parts]).astype(numpy.int64)
        self.labels = None if labels is None else self._checked_labels(labels)
        self._placed: tuple[tuple[torch.device, int], DeviceImages] | None = None

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def dtype(self) -> numpy.dtype:
        """The element type that holds every image without loss."""
        return numpy.result_type(*(part.images.dtype for part in self._parts))

    @property
    def nbytes(self) -> int:
        """The size of all images in bytes, in `dtype`."""
        return len(self) * math.prod(self.shape) * self.dtype.itemsize

    def batch(self, indices: ArrayLike) -> ndarray:
        """Read the images at some positions as float32 (k, *shape); StudyError if one is not in [0, 1]."""
        indices = numpy.asarray(indices)
        images = numpy.empty((len(indices), *self.shape), dtype=numpy.float32)
        parts, rows = self._part_of[indices], self._row_of[indices]
        for number in numpy.unique(parts):
            chosen = parts == number
            images[chosen] = self._parts[number].images[rows[chosen]]
        # Written so that NaN is found too: no comparison with it holds.
        if not (images.min(initial=0.0) >= 0 and images.max(initial=0.0) <= 1):
            self._raise_intensity(images, indices)
        return images

    def on(self, device: torch.device, resident_bytes: int = RESIDENT_BYTES) -> DeviceImages:
        """Put the images on a device, as a whole if they are not too large; copied once for each device."""
        key = (device, resident_bytes)
        if self._placed is None or self._placed[0] != key:
            self._placed = (key, DeviceImages(self, device, resident_bytes))
        return self._placed[1]

    def known_labels(self, name: str) -> ndarray:
        """Return the labels; StudyError, which names the set, if there are none."""
        if self.labels is None:
            raise StudyError(f"The images of the {name} set have no labels.")
        return self.labels

    def check_classes(self, name: str) -> None:
        """Check that the set can train or select a network: labels, and images of both classes."""
        labels = self.known_labels(name)
        for label, known in enumerate(self.classes):
            if not (labels == label).any():
                raise StudyError(
                    f"The {name} set has no image of the class {known}.",
                    cause="The cohort is too small for the split, or this class was left out on the way.",
                    remedy="Look at the split's table and at the reasons for exclusion.",
                )

    def _checked_labels(self, labels: ArrayLike) -> ndarray:
        values = numpy.asarray(labels)
        if values.shape != (len(self),):
            raise StudyError(f"There are {values.size} labels for {len(self)} images.")
        wrong = ~numpy.isin(values, (0, 1))
        if wrong.any():
            known = f"1 ({self.classes[1]}) or 0 ({self.classes[0]})"
            raise StudyError(f"Labels are {known}, but there is also {values[wrong][0]}.")
        return values.astype(numpy.int64)

    def _raise_intensity(self, images: ndarray, indices: ndarray) -> None:
        first = (~((images >= 0) & (images <= 1)).reshape(len(images), -1).all(axis=1)).argmax()
        index, image = int(indices[first]), images[first]
        raise StudyError(
            f"Row {self._row_of[index]} of a stack has intensities from {image.min()} to {image.max()}; "
            "the networks take images rescaled to [0, 1].",
            where=self._parts[self._part_of[index]].source,
            cause="The images were not rescaled when they were packed, or a synthetic image is not finite.",
            remedy="Make the stack again.",
        )


class DeviceImages:
    """The images and labels of a set as tensors on a device, the whole set or read batch by batch."""

    def __init__(self, images: ImageSet, device: torch.device, resident_bytes: int = RESIDENT_BYTES) -> None:
        self._images = images
        self._device = device
        self._resident = self._copy() if images.nbytes <= resident_bytes else None

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def labels(self) -> Tensor:
        """The labels as int64 of shape (n,), on the device; StudyError if the set has none."""
        return torch.from_numpy(self._images.known_labels("given")).to(self._device)

    def batch(self, indices: Tensor) -> Tensor:
        """Return images as float32 (k, 1, *shape), on the device, for positions in the set, on the CPU."""
        if self._resident is None:
            images = torch.from_numpy(self._images.batch(indices.numpy())).to(self._device)
        else:
            images = self._resident[indices.to(self._device)]
        return images.unsqueeze(1).float()

    def _copy(self) -> Tensor:
        """Copy the set to the device, chunk by chunk, in the type of its stacks."""
        size, shape = len(self._images), self._images.shape
        dtype = torch.float16 if self._images.dtype == numpy.float16 else torch.float32
        resident = torch.empty((size, *shape), dtype=dtype, device=self._device)
        step = max(1, _CHUNK_BYTES // (math.prod(shape) * 4))
        for start in range(0, size, step):
            indices = numpy.arange(start, min(start + step, size))
            resident[start : start + step] = torch.from_numpy(self._images.batch(indices))
        return resident


def _check_part(part: ImagePart, shape: tuple[int, ...], first_source: str) -> None:
    if part.images.dtype not in (numpy.float16, numpy.float32):
        raise StudyError(f"A stack of images has the type {part.images.dtype}.", where=part.source)
    if tuple(part.images.shape[1:]) != shape:
        raise StudyError(
            f"Stacks have images of different shapes: {tuple(part.images.shape[1:])} and {shape}.",
            where=f"{part.source}; {first_source}",
            cause="They were made at different resolutions or voxel sizes.",
            remedy="Make them again with one configuration.",
        )
    first, last = min(part.rows), max(part.rows)
    if first < 0 or last >= len(part.images):
        what = f"A stack of {len(part.images)} images is asked for its rows {first} to {last}."
        raise StudyError(what, where=part.source)
