"""Stacks of images in safetensors files: one tensor per image, written one by one, read by memory map.

A whole cohort at full resolution is larger than the memory of most machines, so the writer streams: it
fixes the header first (shape, type and keys are known before the voxels are) and appends each image. The
layout is the published safetensors format; any safetensors reader opens the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy
from safetensors import SafetensorError, safe_open

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path

#: Element types of the stacks: name in the configuration and in numpy -> name in the safetensors format.
DTYPES = {"float16": "F16", "float32": "F32"}


def write_image_stack(
    path: str | os.PathLike[str],
    keys: Sequence[str],
    images: Iterable[numpy.ndarray],
    shape: tuple[int, ...],
    dtype: str = "float32",
    metadata: dict[str, str] | None = None,
) -> None:
    """Write as many images of one shape as there are keys, atomically, holding one in memory at a time."""
    if len(set(keys)) != len(keys):
        repeated = sorted({key for key in keys if list(keys).count(key) > 1})
        raise StudyError(f"Image names occur more than once: {', '.join(repeated[:5])}.", where=path)
    element = numpy.dtype(dtype).newbyteorder("<")
    size = int(numpy.prod(shape)) * element.itemsize
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    for position, key in enumerate(keys):
        offsets = [position * size, (position + 1) * size]
        header[key] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format asks for data that start on a multiple of eight bytes
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for key, image in zip(keys, images, strict=True):
            if image.shape != tuple(shape):
                raise StudyError(f"Image {key} has the shape {image.shape}, not {tuple(shape)}.", where=path)
            if not numpy.isfinite(image).all():
                raise StudyError(f"Image {key} has voxels that are NaN or infinite.", where=path)
            file.write(numpy.ascontiguousarray(image, dtype=element).tobytes())


class ImageStack:
    """Read access to a file of `write_image_stack`, by memory map; a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise StudyError("The image stack does not exist.", where=path)
        try:
            self._file = safe_open(self.path, framework="numpy")
        except SafetensorError as error:
            raise StudyError(
                "This is no file of tensors (.safetensors).",
                where=path,
                cause=str(error),
                remedy="Give a file that the workflow has packed, or let it pack the images again.",
            ) from error
        self.keys: tuple[str, ...] = tuple(self._file.offset_keys())
        self.metadata: dict[str, str] = dict(self._file.metadata() or {})
        self.shape = tuple(self._file.get_slice(self.keys[0]).get_shape()) if self.keys else ()

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._file.__exit__(*raised)

    def read(self, key: str) -> numpy.ndarray:
        """Read one image as float32."""
        if key not in self.keys:
            raise StudyError(f"The image stack holds no image {key}.", where=self.path)
        return self._file.get_tensor(key).astype(numpy.float32, copy=False)

    def read_many(self, keys: Sequence[str]) -> numpy.ndarray:
        """Read images into one float32 array of shape (len(keys), *shape)."""
        stack = numpy.empty((len(keys), *self.shape), dtype=numpy.float32)
        for position, key in enumerate(keys):
            stack[position] = self.read(key)
        return stack

    def as_array(self) -> numpy.ndarray:
        """Map the whole stack into memory as one read-only array of shape (n, *shape), without reading it."""
        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        entries = [header[key] for key in self.keys]
        types = {entry["dtype"] for entry in entries}
        names = {stored: name for name, stored in DTYPES.items()}
        if len(types) != 1 or not types <= names.keys():
            raise StudyError(f"The tensors of this file have the types {sorted(types)}.", where=self.path)
        shape = (len(entries), *self.shape)
        dtype = numpy.dtype(names[types.pop()]).newbyteorder("<")
        size = int(numpy.prod(self.shape)) * dtype.itemsize
        if any(entry["data_offsets"] != [i * size, (i + 1) * size] for i, entry in enumerate(entries)):
            what = "The tensors of this file are not one block of images of one shape."
            raise StudyError(what, where=self.path)
        return numpy.memmap(self.path, dtype=dtype, mode="r", offset=8 + length, shape=shape)
