"""The file of a generator that is nothing but some arrays: one safetensors file, without pickle."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Self

import numpy
from safetensors.numpy import save_file

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path
from rhvae_mri.runtime.checkpoints import read_stored

REMEDY = "Fit the model again, or give the file that its save method wrote."


@dataclass(frozen=True, eq=False)
class StoredArrays:
    """What a dataclass of numpy arrays needs, to be saved and loaded."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays, atomically, under the names of the fields."""
        arrays = {field.name: numpy.asarray(getattr(self, field.name), order="C") for field in fields(self)}
        with atomic_path(path) as temporary:
            save_file(arrays, temporary, metadata={"format": _layout(type(self))})

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> Self:
        """Read the arrays; ``device`` has no effect. StudyError for a file of another kind."""
        name = f"{cls.__name__} model file"
        _, tensors = read_stored(path, name, _layout(cls), REMEDY)
        if tensors.keys() != {field.name for field in fields(cls)}:
            what = f"The {name} has other entries: {', '.join(sorted(tensors))}."
            raise StudyError(what, where=path, remedy=REMEDY)
        return cls(**{key: tensor.numpy() for key, tensor in tensors.items()})


def _layout(kind: type) -> str:
    return f"rhvae-mri {kind.__name__} 1"
