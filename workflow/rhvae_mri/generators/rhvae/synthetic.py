"""Synthetic images as latent codes: kilobytes in a file, decoded where they are used.

A set of 10,000 images at the study's size takes tens of gigabytes, its latent codes take 400 kilobytes. The
codes go with the model that decodes them; `DecodedImages` stands in for the array of their images.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rhvae_mri.errors import StudyError
from rhvae_mri.files import atomic_path
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.storage import load_model

#: Tells these files from others, and their version.
FORMAT = "rhvae-mri latent codes 1"

REMEDY = "Let the workflow generate the synthetic images again."

#: Images per pass through the decoder. An image is always decoded at the same place of a batch of this size,
#: because the last bits of a matrix product depend on both.
BATCH_SIZE = 16

#: The most by which a voxel may vary with the device, by the images' element type.
ROUNDING = {"float32": 1e-5, "float16": 2.0**-10}


class DecodedImages:
    """The images of latent codes, decoded when they are asked for.

    It has the ``shape``, ``dtype``, length and indexing by rows of an array, which is all that
    `rhvae_mri.cnn.data.ImagePart` needs. On one device with one number of threads an image is the same, to
    the last bit, however and with whichever others it is asked for.

    Parameters
    ----------
    model : RHVAE
        The model whose decoder is used, on the device where to decode.
    codes : torch.Tensor, shape (n, d)
        Latent positions, on any device.
    dtype : {"float32", "float16"}
        The element type of the images.

    Attributes
    ----------
    shape : tuple of int
        (n, *image_shape).
    dtype : numpy.dtype
        The element type.
    """

    def __init__(self, model: RHVAE, codes: torch.Tensor, dtype: str = "float32") -> None:
        weights = model.centroids
        self.shape = (len(codes), *model.image_shape)
        self.dtype = numpy.dtype(dtype)
        self._decoder = model.decoder
        self._codes = codes.to(device=weights.device, dtype=weights.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @torch.no_grad()
    def __getitem__(self, rows: int | slice | Sequence[int] | numpy.ndarray) -> numpy.ndarray:
        """Decode one row, or the rows that a slice or an array of numbers stands for."""
        numbers = numpy.arange(len(self))[rows]
        wanted = numpy.atleast_1d(numbers)
        images = numpy.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        for chosen in _without_collision(wanted % BATCH_SIZE):
            codes = self._codes.new_zeros(BATCH_SIZE, self._codes.shape[1])
            places = wanted[chosen] % BATCH_SIZE
            codes[places] = self._codes[wanted[chosen]]
            decoded = torch.sigmoid(self._decoder(codes)).reshape(BATCH_SIZE, *self.shape[1:])
            images[chosen] = decoded[places].cpu().numpy()
        return images if numpy.ndim(numbers) else images[0]

    def one_by_one(self) -> Iterator[numpy.ndarray]:
        """Yield the images in order, with one batch in memory at a time."""
        for start in range(0, len(self), BATCH_SIZE):
            yield from self[start : start + BATCH_SIZE]


def save_codes(path: str | os.PathLike[str], codes: torch.Tensor, model: RHVAE, dtype: str) -> None:
    """Write latent codes, atomically.

    Parameters
    ----------
    path : path
        The file to write (safetensors).
    codes : torch.Tensor, shape (n, d)
        Latent positions.
    model : RHVAE
        The model that drew them; the file keeps a digest of its metric.
    dtype : {"float32", "float16"}
        The element type of the images.
    """
    header = {"format": FORMAT, "model": _digest(model), "dtype": dtype}
    with atomic_path(path) as temporary:
        save_file({"codes": codes.detach().cpu().contiguous()}, temporary, metadata=header)


def load_decoded(
    codes: str | os.PathLike[str], model: str | os.PathLike[str] | RHVAE, device: torch.device | str = "cpu"
) -> DecodedImages:
    """Read latent codes, and decode them on the fly.

    Parameters
    ----------
    codes : path
        What `save_codes` wrote.
    model : path or RHVAE
        The model that drew them.
    device : torch.device or str
        Where to decode; for a model that is given as a path. Only the decoder stays in memory.

    Returns
    -------
    DecodedImages
        In place of an array of the images.

    Raises
    ------
    StudyError
        If the file is missing, damaged, of another kind or of another model.
    """
    if not Path(codes).is_file():
        raise StudyError("There is no such file of latent codes.", where=codes, remedy=REMEDY)
    try:
        with safe_open(codes, framework="pt") as file:
            header, positions = file.metadata() or {}, file.get_tensor("codes")
    except SafetensorError as error:
        raise StudyError(
            "The latent codes cannot be read.", where=codes, cause=str(error), remedy=REMEDY
        ) from error
    if header.get("format") != FORMAT:
        raise StudyError("This is not a file of latent codes of this version.", where=codes, remedy=REMEDY)
    if not isinstance(model, RHVAE):
        model = load_model(model)
        model.decoder.to(device)
        model.centroids = model.centroids.to(device)
    if header["model"] != _digest(model):
        raise StudyError(
            "The latent codes were drawn by another model.",
            where=codes,
            cause="The model was trained again since.",
            remedy=REMEDY,
        )
    return DecodedImages(model, positions, header["dtype"])


def largest_difference(stored: numpy.ndarray, decoded: numpy.ndarray) -> float:
    """Compare stored synthetic images with those that are decoded from their codes.

    Parameters
    ----------
    stored, decoded : numpy.ndarray, shapes (n, *image_shape) and (m, *image_shape)
        Both from the first on, of one element type; as many are compared as there are of both. They are read
        in batches.

    Returns
    -------
    float
        The largest difference of a voxel.

    Raises
    ------
    StudyError
        If it is beyond rounding: other devices and numbers of threads sum in another order, which moves
        float32 voxels by less than 1e-5, and float16 ones to the next number.
    """
    largest = 0.0
    for start in range(0, min(len(stored), len(decoded)), BATCH_SIZE):
        batch = slice(start, min(start + BATCH_SIZE, len(stored), len(decoded)))
        one, other = (numpy.asarray(images[batch], dtype=numpy.float64) for images in (stored, decoded))
        largest = max(largest, float(numpy.abs(one - other).max()))
    bound = ROUNDING[str(stored.dtype)]
    if not largest <= bound:
        raise StudyError(
            f"The stored synthetic images differ by {largest:.3g} from those decoded from their codes, "
            f"by more than rounding ({bound:.1g}).",
            cause="Images and codes are of different runs, or one of the files was changed.",
            remedy=REMEDY,
        )
    return largest


def _without_collision(places: numpy.ndarray) -> Iterator[numpy.ndarray]:
    """Part the indices of ``places`` into groups in which no place occurs twice."""
    waiting = numpy.arange(len(places))
    while len(waiting):
        _, first = numpy.unique(places[waiting], return_index=True)
        yield waiting[numpy.sort(first)]
        waiting = numpy.delete(waiting, first)


def _digest(model: RHVAE) -> str:
    """Digest the final metric, which no two trained models share; the weights would take far longer."""
    digest = hashlib.sha256()
    for tensor in (model.centroids, model.matrices):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
