"""The deep quality check: a pretrained network looks at three slices of each registered image.

It is the study's own, run as ClinicaDL 1.6.1 runs it. Without weights the check is reported as not run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy
import torch
from numpy import ndarray
from torch import nn
from tqdm import tqdm

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.images import ImageError, read_image
from rhvae_mri.quality.deep_networks import PASSED, SLICE_SIZE, build_network, read_weights
from rhvae_mri.runtime.devices import choose_device

if TYPE_CHECKING:
    import pandas

#: Columns of the table.
COLUMNS = ("image_id", "network", "pass_probability", "status", "reason")

#: Each slice is scaled to fit a square of so many pixels, of which the middle `SLICE_SIZE` are kept.
SQUARE_SIZE = 256

#: What the table says when there are no weights.
NO_WEIGHTS = "no weights: `quality.deep.source` in the configuration is none"


def check_deep_quality(
    images: pandas.DataFrame,
    weights: str | os.PathLike[str] | None,
    *,
    network: str = "resnet18",
    threshold: float = 0.5,
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> pandas.DataFrame:
    """Let a pretrained network judge the registration of each image of a cohort.

    Parameters
    ----------
    images : pandas.DataFrame
        Columns `image_id` and `registered` (path of the registered image, not cropped).
    weights : path or None
        Of the ``network``, a name of `deep_networks.NETWORKS` (the study's is ``resnet18``); None: not run.
    threshold : float
        An image passes with a probability above it. The study's is 0.5.
    batch_size : int
        How many images the network sees at a time.
    device, threads
        See `rhvae_mri.runtime.devices.choose_device`.

    Returns
    -------
    pandas.DataFrame
        The table of `COLUMNS`, a row for each image in their order. `status` is ``passed``, ``failed`` or
        ``not run``; `reason` says why an image did not pass. An image that cannot be read, or on which an
        earlier step failed, fails without a probability.

    Raises
    ------
    StudyError
        If a column is missing, the weights do not fit the network, or there is no GPU for ``cuda``.
    """
    missing = {"image_id", "registered"} - set(images.columns)
    if missing:
        raise StudyError(f"The table of images has no column {', '.join(sorted(missing))}.")
    table = images[["image_id"]].reset_index(drop=True).assign(network=network)
    if weights is None:
        table = table.assign(pass_probability=numpy.nan, status="not run", reason=NO_WEIGHTS)
        return table[list(COLUMNS)]
    place = choose_device(device, threads)
    model = build_network(network)
    model.load_state_dict(read_weights(weights, network))
    probabilities, faults = _judge(images["registered"].tolist(), model.to(place), place, batch_size)
    passed = probabilities > threshold
    reasons = [
        fault or (None if good else f"pass probability {value:.3f} is not above {threshold:g}")
        for fault, good, value in zip(faults, passed, probabilities, strict=True)
    ]
    status = numpy.where(passed, "passed", "failed")
    return table.assign(pass_probability=probabilities, status=status, reason=reasons)[list(COLUMNS)]


def _judge(
    paths: list[str], network: nn.Module, place: torch.device, batch_size: int
) -> tuple[ndarray, list[str | None]]:
    """Judge images by batches; give their probabilities (NaN for a bad image) and their faults."""
    probabilities = numpy.full(len(paths), numpy.nan)
    faults: list[str | None] = [None] * len(paths)
    waiting: dict[int, ndarray] = {}
    for position, path in enumerate(tqdm(paths, desc="deep quality", unit="image", mininterval=5)):
        try:
            waiting[position] = prepare_slices(read_image(path)[0])
        except ImageError as error:
            faults[position] = error.in_one_line()
        if waiting and (len(waiting) == batch_size or position == len(paths) - 1):
            with torch.inference_mode():
                logits = network(torch.from_numpy(numpy.stack(list(waiting.values()))).to(place))
                probabilities[list(waiting)] = logits.softmax(dim=1)[:, PASSED].cpu().numpy()
            waiting.clear()
    return probabilities, faults


def prepare_slices(voxels: ndarray) -> ndarray:
    """Cut the axial, sagittal and coronal middle slices of a head for the networks, shape (3, 224, 224).

    Intensities run from -0.5 to 0.5 over the whole volume; what lies outside a slice is 0. The first row is
    the front of the axial slice and the top of the others; columns run to the right, in the sagittal slice to
    the front.
    """
    low, high = float(voxels.min()), float(voxels.max())
    x, y, z = (length // 2 for length in voxels.shape)
    prepared = numpy.empty((3, SLICE_SIZE, SLICE_SIZE), dtype=numpy.float32)
    for position, cut in enumerate((voxels[:, :, z], voxels[x], voxels[:, y])):
        rescaled = (cut.astype(float) - low) * (1.0 / (high - low)) - 0.5
        # the order of these steps decides on which side an odd number of pixels is padded
        prepared[position] = numpy.rot90(_centre(_fit_square(rescaled[::-1])))[:, ::-1]
    return prepared


def _fit_square(cut: ndarray) -> ndarray:
    """Scale a slice so that its longer side is `SQUARE_SIZE`, linearly, with 0 around it.

    ClinicaDL takes scikit-image's ``transform.rescale``, which is this call of SciPy's ``zoom``: the result
    is the same to the last digits without that package.
    """
    from scipy import ndimage

    old = numpy.array(cut.shape)
    new = numpy.round(min(SQUARE_SIZE / old) * old).clip(1)
    outside = {"mode": "grid-constant", "cval": 0.0}
    if (new < old).any():  # scikit-image's own choice against aliasing
        cut = ndimage.gaussian_filter(cut, numpy.maximum(0, (old / new - 1) / 2), **outside)
    return ndimage.zoom(cut, new / old, order=1, grid_mode=True, **outside)


def _centre(cut: ndarray) -> ndarray:
    """Pad a slice to the square and keep its middle."""
    square = numpy.zeros((SQUARE_SIZE, SQUARE_SIZE))
    rows, columns = cut.shape
    top, left = (SQUARE_SIZE - rows) // 2, (SQUARE_SIZE - columns) // 2
    square[top : top + rows, left : left + columns] = cut
    edge = (SQUARE_SIZE - SLICE_SIZE) // 2
    return square[edge:-edge, edge:-edge]
