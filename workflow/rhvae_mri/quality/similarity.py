"""A first quality check of the registered images: likeness to the template and overlap of the heads.

Both measures are taken on voxels of about 4 mm, so they and their thresholds mean the same at every voxel
size of the study.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy

from rhvae_mri.errors import StudyError
from rhvae_mri.imaging.images import ImageError, read_image

if TYPE_CHECKING:
    import pandas

#: Voxel size in mm at which images are compared.
COMPARISON_SIZE = 4.0

#: How far outside the template's head, in mm, voxels still count for the similarity.
MARGIN = 8.0

#: A head is what is brighter than this share of the range between the 2nd and the 98th percentile; the brain
#: extraction tool BET (Smith 2002, doi:10.1002/hbm.10062) uses the same rule with a tenth.
HEAD_THRESHOLD = 0.2

#: Gaps of the head's outline that are closed, in mm.
CLOSING_RADIUS = 8.0

#: Columns of the quality table.
COLUMNS = ("image_id", "participant_id", "session_id", "similarity", "mask_overlap", "status", "reason")


def check_quality(
    images: pandas.DataFrame,
    template: str | os.PathLike[str],
    *,
    minimum_similarity: float,
    minimum_overlap: float,
) -> pandas.DataFrame:
    """Compare each registered image with the template and judge it.

    Parameters
    ----------
    images : pandas.DataFrame
        Columns `image_id`, `participant_id`, `session_id` and `registered` (path of the registered image,
        not cropped).
    template : path
        The template, on the same grid.
    minimum_similarity : float
        An image passes with at least this `similarity`: the correlation of its voxels with the template's
        in and around the head (see `correlation`).
    minimum_overlap : float
        And with at least this `mask_overlap`: the Dice coefficient of the two heads (see `head_mask`).

    Returns
    -------
    pandas.DataFrame
        The table of `COLUMNS`, a row for each image; `status` is ``passed`` or ``failed``, and `reason` says
        which measure failed, with its value and threshold. An image that cannot be read, or on which an
        earlier step failed, is a failed row without measures.

    Raises
    ------
    StudyError
        If the template cannot be read or a column is missing.

    Notes
    -----
    Measured similarity and overlap: good simulated heads 0.84 and 0.97; simulated scans with strong motion
    and noise at most 0.35 and 0.63, with the wrong field of view at most 0.15 and 0.57; two real heads whose
    scans end below the vertex at least 0.56 and 0.90, tilted by 20 degrees at most 0.38 and 0.91. Thresholds
    of 0.4 and 0.75 lie between.
    """
    import pandas
    from tqdm import tqdm

    missing = {*COLUMNS[:3], "registered"} - set(images.columns)
    if missing:
        raise StudyError(f"The table of images has no column {', '.join(sorted(missing))}.")
    reference = Reference(template)
    bounds = {"similarity": minimum_similarity, "mask_overlap": minimum_overlap}
    rows = []
    for image in tqdm(images.to_dict("records"), desc="quality", unit="image", mininterval=5):
        row = {column: image[column] for column in COLUMNS[:3]}
        try:
            measures = reference.compare(image["registered"])
        except ImageError as error:
            rows.append({**row, "status": "failed", "reason": _one_line(error)})
            continue
        reason = "; ".join(
            f"{name} {value:.3f} is below {bounds[name]:g}"
            for name, value in measures.items()
            if not value >= bounds[name]
        )
        rows.append({**row, **measures, "status": "failed" if reason else "passed", "reason": reason or None})
    return pandas.DataFrame(rows, columns=list(COLUMNS))


class Reference:
    """The template, prepared for comparison with many images.

    Parameters
    ----------
    template : path
        The whole-head template.

    Raises
    ------
    StudyError
        If it cannot be read.
    """

    def __init__(self, template: str | os.PathLike[str]) -> None:
        from scipy import ndimage

        try:
            voxels, affine = read_image(template)
        except ImageError as error:
            raise StudyError(
                f"The template is unusable: {error.what}", where=template, cause=error.cause
            ) from error
        self.shape, self.affine = voxels.shape, affine
        self.voxel_size = float(numpy.linalg.norm(affine[:3, 0]))
        self.factor = max(1, round(COMPARISON_SIZE / self.voxel_size))
        self.voxels = block_means(voxels, self.factor)
        self.coarse_size = self.voxel_size * self.factor
        self.head = head_mask(self.voxels, self.coarse_size)
        self.surroundings = ndimage.binary_dilation(
            self.head, iterations=max(1, round(MARGIN / self.coarse_size))
        )

    def compare(self, path: str | os.PathLike[str]) -> dict[str, float]:
        """Give the similarity and the mask overlap of a registered image.

        Raises
        ------
        ImageError
            If the image cannot be read or is on another grid.
        """
        voxels, affine = read_image(path)
        if voxels.shape != self.shape or not numpy.allclose(affine, self.affine, atol=1e-3):
            raise ImageError(
                f"The registered image has {'x'.join(map(str, voxels.shape))} voxels; it is not on the "
                "template's grid.",
                where=path,
            )
        coarse = block_means(voxels, self.factor)
        return {
            "similarity": correlation(coarse, self.voxels, self.surroundings),
            "mask_overlap": dice(head_mask(coarse, self.coarse_size), self.head),
        }


def block_means(voxels: numpy.ndarray, factor: int) -> numpy.ndarray:
    """Average an image over blocks of ``factor`` voxels along each axis, without a rest at the upper end."""
    counts = [count // factor for count in voxels.shape]
    part = voxels[tuple(slice(count * factor) for count in counts)]
    return part.reshape(counts[0], factor, counts[1], factor, counts[2], factor).mean(axis=(1, 3, 5))


def correlation(image: numpy.ndarray, template: numpy.ndarray, mask: numpy.ndarray) -> float:
    """Give Pearson's correlation of two images over a mask; 0 where one of them is constant.

    Both images are winsorized at the 2nd and 98th percentile of the mask first, so that bright fat or a
    vessel does not outweigh the brain.
    """
    pair = []
    for voxels in (image[mask], template[mask]):
        clipped = numpy.clip(voxels, *numpy.percentile(voxels, [2, 98])).astype(float)
        pair.append(clipped - clipped.mean())
    scale = numpy.linalg.norm(pair[0]) * numpy.linalg.norm(pair[1])
    return float(pair[0] @ pair[1] / scale) if scale > 0 else 0.0


def dice(first: numpy.ndarray, second: numpy.ndarray) -> float:
    """Give the Dice coefficient of two masks: twice their common volume over the sum of their volumes."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 0.0


def head_mask(voxels: numpy.ndarray, voxel_size: float) -> numpy.ndarray:
    """Separate the head from the air around it.

    The threshold is `HEAD_THRESHOLD` of the robust intensity range. Gaps of the outline are closed, the
    inside is filled in each axial slice (the neck is open at the bottom), and the largest piece is kept.

    Parameters
    ----------
    voxels : numpy.ndarray of shape (x, y, z)
        A T1-weighted image, axes to the right, front and top.
    voxel_size : float
        In mm.

    Returns
    -------
    numpy.ndarray of bool
        The head, same shape.
    """
    from scipy import ndimage

    low, high = numpy.percentile(voxels, [2, 98])
    bright = voxels > low + HEAD_THRESHOLD * (high - low)
    radius = max(1, round(CLOSING_RADIUS / voxel_size))
    padded = numpy.pad(bright, radius)  # closing must not eat from the border
    closed = ndimage.binary_closing(padded, iterations=radius)
    inner = closed[tuple(slice(radius, -radius) for _ in range(3))]
    filled = numpy.stack([ndimage.binary_fill_holes(inner[..., z]) for z in range(inner.shape[2])], axis=-1)
    pieces, count = ndimage.label(filled)
    if count <= 1:
        return filled
    sizes = numpy.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def _one_line(error: ImageError) -> str:
    """Write an error as one cell of a table."""
    text = error.what if error.cause is None else f"{error.what} {error.cause}"
    return " ".join(text.split())
