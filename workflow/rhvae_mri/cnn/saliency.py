"""What a network looks at: how much each voxel of an image adds to its answer.

The answer is the log odds of class 1, the difference of the two outputs. An attribution is positive where
the image speaks for class 1 and negative where it speaks for class 0, whatever the true class is. Integrated
gradients (Sundararajan, Taly and Yan, ICML 2017) are the voxel's intensity times the mean of the gradient on
the way from the empty image, all zero, to the image; their sum is the change of the answer on this way.
Gradient times input is the same with the gradient at the image alone; it is faster, and its sum means
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from rhvae_mri.cnn.architectures import ConvolutionalNetwork, place_network
from rhvae_mri.cnn.data import RESIDENT_BYTES, ImageSet
from rhvae_mri.cnn.prediction import check_shape
from rhvae_mri.cnn.storage import TrainedNetwork
from rhvae_mri.io.errors import StudyError

#: The ways to compute attributions.
METHODS = ("integrated_gradients", "gradient_x_input")


class Saliency(NamedTuple):
    """The attributions of a set of images."""

    #: for each class in the set, ``<class>/attribution``, the mean over its images, in log odds per voxel,
    #: and ``<class>/image``, the mean image
    maps: dict[str, numpy.ndarray]
    #: one for each image, in the order of the set: ``diagnosis``; ``log_odds`` of class 1, and those of the
    #: empty image (``log_odds_empty``); the sum of the attributions (``attribution``); and for each region
    #: the share of the absolute attributions and of the intensities in it, in percent (``<region>_percent``,
    #: ``<region>_intensity_percent``)
    rows: list[dict[str, Any]]


def best_on_validation(networks: Iterable[tuple[int, TrainedNetwork]]) -> tuple[int, TrainedNetwork]:
    """Choose the seed whose selected epoch has the highest validation balanced accuracy.

    Of equal ones it is the one with the lowest validation loss, then the first. Test data play no part.

    The networks may come from a generator, of which one at a time is kept.
    """

    def merit(candidate: tuple[int, TrainedNetwork]) -> tuple[float, float, int]:
        seed, trained = candidate
        selected = trained.history[trained.selected_epoch - 1]
        return selected["validation_balanced_accuracy"], -selected["validation_loss"], -seed

    best = max(networks, key=merit, default=None)
    if best is None:
        raise StudyError("There is no network to choose from.")
    return best


def attribute(network: ConvolutionalNetwork, images: Tensor, method: str, steps: int = 1) -> Tensor:
    """Attribute a network's log odds of class 1 to the voxels of images.

    The network is in evaluation mode, the images are (n, 1, x, y, z). Integrated gradients take the gradient
    at ``steps`` places between the empty image and the image, the middles of as many equal parts.
    """
    if method not in METHODS:
        raise StudyError(f"There is no attribution {method!r}.", remedy=f"Choose from {', '.join(METHODS)}.")
    if steps < 1:
        raise StudyError(f"Integrated gradients need 1 step or more, not {steps}.", where="saliency: steps")
    places = [(step + 0.5) / steps for step in range(steps)] if method == "integrated_gradients" else [1.0]
    total = torch.zeros_like(images)
    for place in places:
        point = (place * images).requires_grad_()
        # In evaluation mode no image plays a part in another's answer, so each gets its own gradient.
        (gradient,) = torch.autograd.grad(_log_odds(network(point)).sum(), point)
        total += gradient
    return images * total / len(places)


def measure_saliency(
    network: ConvolutionalNetwork,
    images: ImageSet,
    regions: Mapping[str, numpy.ndarray],
    *,
    method: str,
    steps: int,
    batch_size: int,
    device: torch.device,
    resident_bytes: int = RESIDENT_BYTES,
) -> Saliency:
    """Compute the mean attributions of each class of a set of images, and where they lie.

    The network is moved to ``device``, and its weights take no gradients any more. ``regions`` are masks on
    the grid of the images, which have labels, that share no voxel and leave none out. ``method`` and
    ``steps`` are as for `attribute`. StudyError if shapes do not fit or the attributions are not finite.
    """
    known = images.known_labels("given")
    check_shape(network, images)
    wrong = [name for name, mask in regions.items() if mask.shape != images.shape]
    if wrong:
        raise StudyError(
            f"The regions {', '.join(wrong)} are not on the grid of the images, {images.shape}.",
            cause="They are of another resolution or voxel size.",
            remedy="Make both with one configuration.",
        )
    network = place_network(network, device).eval().requires_grad_(False)
    masks = torch.tensor(numpy.stack(list(regions.values())), dtype=torch.float32, device=device).flatten(1)
    placed = images.on(device, resident_bytes)
    empty = _log_odds(network(torch.zeros(1, 1, *images.shape, device=device))).item()
    sums: dict[str, Tensor] = {}
    rows: list[dict[str, Any]] = []
    for indices in torch.arange(len(images)).split(batch_size):
        batch = placed.batch(indices)
        attributions = attribute(network, batch, method, steps)
        if not torch.isfinite(attributions).all():
            raise StudyError(
                "The attributions are not finite.", cause="The network's weights are damaged or diverged."
            )
        labels = known[indices.numpy()]
        for label in numpy.unique(labels):
            chosen = torch.from_numpy(labels == label).to(device)
            for kind, values in (("attribution", attributions), ("image", batch)):
                key = f"{images.classes[label]}/{kind}"
                sums[key] = sums.get(key, 0.0) + values[chosen, 0].double().sum(dim=0)
        columns = {
            "diagnosis": [images.classes[label] for label in labels],
            "log_odds": _log_odds(network(batch)).tolist(),
            "log_odds_empty": [empty] * len(batch),
            "attribution": attributions.double().sum(dim=(1, 2, 3, 4)).tolist(),
        }
        for suffix, values in (("percent", attributions.abs()), ("intensity_percent", batch)):
            flat = values.flatten(1)
            # in percent of each image's sum; NaN for a sum of zero
            shares = (100 * masks @ flat.T / flat.sum(dim=1)).tolist()
            columns |= {f"{name}_{suffix}": share for name, share in zip(regions, shares, strict=True)}
        rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    counts = Counter(row["diagnosis"] for row in rows)
    maps = {key: (total / counts[key.split("/")[0]]).float().cpu().numpy() for key, total in sums.items()}
    return Saliency(maps, rows)


def _log_odds(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]
