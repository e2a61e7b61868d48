"""The images that the figures on generation show: traversals, interpolations, nearest neighbours.

They are computed beside the model and stored, so that the figures need neither model nor torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy
import pandas
import torch
from numpy import ndarray
from torch import Tensor

from rhvae_mri.generators.assessment.geodesics import geodesic, straight_line
from rhvae_mri.generators.assessment.neighbours import nearest_images
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.sampler import log_density
from rhvae_mri.io.files import write_tsv
from rhvae_mri.io.tensor_files import write_image_stack

#: Places along a principal axis, in standard deviations of the training images' latent means.
TRAVERSAL = (-2.0, -1.0, 0.0, 1.0, 2.0)
N_AXES = 3

#: Images along an interpolation, with both ends.
N_INTERPOLATED = 7

#: Synthetic images whose nearest training images are shown, by their order of the distance to these (0 to 1),
#: and how many neighbours are shown.
SHOWN = {"closest": 0.0, "typical": 0.5, "farthest": 1.0}
N_NEIGHBOURS = 4

COLUMNS = (
    *("key", "picture", "row", "column", "image_id", "position", "share", "length", "density", "distance"),
)

#: The images of a picture, each with what the table says of it.
_Picture = Iterator[tuple[dict[str, object], ndarray]]


def save_pictures(
    stack: str | os.PathLike[str],
    table: str | os.PathLike[str],
    model: RHVAE,
    training: ndarray,
    training_ids: Sequence[str],
    synthetic: ndarray,
    synthetic_ids: Sequence[str],
) -> None:
    """Compute the images of the figures and store them, with a table that says what each is.

    ``training`` are the images that the model was trained on, in the order of its centroids.
    The table has one row per image, with the columns of `COLUMNS`; what does not apply is missing.

    - picture ``traversal``: row ``axis <k>``, a principal axis of the latent means; position in standard
      deviations; share of the variance along the axis.
    - picture ``interpolation``: row ``straight line`` or ``geodesic`` between the two training images whose
      latent means are farthest apart; position, the part of the way; length of the path under the metric;
      density, the log of sqrt(det G^-1) there.
    - picture ``neighbours``: row ``closest``, ``typical`` or ``farthest``: the synthetic image that is
      nearest to any training image, the one in the middle of that order, and the last. First the image
      itself (column 0), then the nearest training images with their distance.
    """
    pictures = {
        "traversal": _traversal(model),
        "interpolation": _interpolation(model, training_ids),
        "neighbours": _neighbours(training, training_ids, synthetic, synthetic_ids),
    }
    rows: list[dict[str, object]] = []
    volumes = []
    for name, picture in pictures.items():
        for row, volume in picture:
            rows.append({"key": f"{name}-{len(rows):03d}", "picture": name, **row})
            volumes.append(volume)
    write_image_stack(stack, [str(row["key"]) for row in rows], volumes, model.image_shape)
    write_tsv(table, pandas.DataFrame(rows, columns=COLUMNS))


def _traversal(model: RHVAE) -> _Picture:
    """Decode places along the principal axes of the latent means."""
    means = model.centroids
    centre = means.mean(0)
    _, spread, axes = torch.linalg.svd(means - centre, full_matrices=False)
    deviations = spread / max(len(means) - 1, 1) ** 0.5
    shares = (spread.square() / spread.square().sum().clamp_min(1e-30)).tolist()
    for number, axis in enumerate(axes[:N_AXES]):
        axis = axis * axis[axis.abs().argmax()].sign()  # a sign that does not vary
        places = centre + torch.tensor(TRAVERSAL).to(means)[:, None] * deviations[number] * axis
        for column, (position, volume) in enumerate(zip(TRAVERSAL, _decode(model, places), strict=True)):
            row = {"row": f"axis {number + 1}", "column": column, "position": position}
            yield row | {"share": round(shares[number], 6)}, volume


def _interpolation(model: RHVAE, training_ids: Sequence[str]) -> _Picture:
    """Decode the straight line and the geodesic between the two latent means that are farthest apart."""
    settings, means = model.settings, model.centroids.double()
    metric = LatentMetric(means, model.matrices.double(), settings.temperature, settings.regularization)
    apart = torch.cdist(means, means)
    one, other = divmod(int(apart.argmax()), len(means))
    ends = {0: training_ids[one], N_INTERPOLATED - 1: training_ids[other]}
    for name, draw in (("straight line", straight_line), ("geodesic", geodesic)):
        points, length = draw(metric, means[one], means[other])
        # at equal parts of the path's segments
        places = points[torch.linspace(0, len(points) - 1, N_INTERPOLATED).round().long().to(points.device)]
        density = log_density(places, metric)[0].tolist()
        for column, volume in enumerate(_decode(model, places)):
            row = {"row": name, "column": column, "image_id": ends.get(column)}
            row["position"] = round(column / (N_INTERPOLATED - 1), 6)
            yield row | {"length": round(length, 6), "density": round(density[column], 6)}, volume


def _neighbours(
    training: ndarray, training_ids: Sequence[str], synthetic: ndarray, synthetic_ids: Sequence[str]
) -> _Picture:
    indices, distances = nearest_images(synthetic, training, N_NEIGHBOURS)
    order = numpy.argsort(distances[:, 0], kind="stable")
    for name, place in SHOWN.items():
        number = int(order[round(place * (len(order) - 1))])
        row = {"row": name, "column": 0, "image_id": synthetic_ids[number]}
        yield row, numpy.asarray(synthetic[number], dtype=numpy.float32)
        found = zip(indices[number], distances[number], strict=True)
        for column, (index, distance) in enumerate(found, start=1):
            row = {"row": name, "column": column, "image_id": training_ids[index]}
            yield row | {"distance": round(distance, 6)}, training[index]


@torch.no_grad()
def _decode(model: RHVAE, places: Tensor) -> list[ndarray]:
    return list(model.decode(places.to(model.centroids)).float().cpu().numpy())
