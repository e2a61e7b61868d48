"""Measures of image quality that need no network, for every image of a cohort.

What compares an image with the template is taken on voxels of about 4 mm; the noise is measured at the scan's
own voxels. `rhvae_mri.quality.definitions` says what each metric is.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy
from numpy import ndarray

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import TEMPLATE_ORIGIN, crop_box, study_grid
from rhvae_mri.preprocess.images import ImageError, read_image, read_template, recorded_fault
from rhvae_mri.preprocess.intensities import into_domain
from rhvae_mri.preprocess.mni_tissue import read_average
from rhvae_mri.preprocess.nifti import NiftiError, open_checked
from rhvae_mri.preprocess.registration import read_itk_affine
from rhvae_mri.quality.anatomy import Anatomy
from rhvae_mri.quality.definitions import METRIC_NAMES
from rhvae_mri.quality.masks import (
    COMPARISON_SIZE,
    block_centres,
    block_means,
    brain_mask,
    dice,
    dilate,
    head_mask,
)
from rhvae_mri.quality.signal_noise import AIR_DISTANCE, Regions, measure_signal
from rhvae_mri.quality.similarity import correlation, normalized_mutual_information
from rhvae_mri.quality.turned import FIT_SIZE, TurnedFit

if TYPE_CHECKING:
    import pandas

#: How far outside the template's head, in mm, voxels still count for the similarity.
MARGIN = 8.0

#: Probability from which a voxel of the average brain stands for a tissue, distance in mm that white matter
#: keeps to everything else, which the thin cortex cannot, and points of each tissue at which scans are
#: sampled.
TISSUE_PROBABILITY, WHITE_MATTER_DEPTH, TISSUE_POINTS = 0.9, 2, 10_000

#: Columns of the table that name an image.
IDENTIFIERS = ("image_id", "participant_id", "session_id")

#: Columns of the table of metrics.
COLUMNS = (*IDENTIFIERS, "field_strength", *METRIC_NAMES, "fault")

_FILES = ("raw", "corrected", "registered", "affine")


def measure_quality(
    images: pandas.DataFrame, template: str | os.PathLike[str], *, processes: int = 1
) -> pandas.DataFrame:
    """Measure the quality of each image.

    Parameters
    ----------
    images : pandas.DataFrame
        Columns `image_id`, `participant_id`, `session_id`, perhaps `field_strength` in tesla, and the paths
        `raw` (the scan), `corrected` (after N4), `registered` (on the template's grid, not cropped) and
        `affine` (ITK's ``.mat`` file).
    template : path
        The whole-head template, on the study's grid.
    processes : int
        How many images to measure at a time.

    Returns
    -------
    pandas.DataFrame
        A row for each image, with `COLUMNS`. A metric that cannot be measured is missing. An image that
        cannot be read, or on which an earlier step failed, has no metrics (but the share of NaN, where that
        can be counted) and the reason in `fault`.

    Raises
    ------
    StudyError
        If the template cannot be read or is not on the study's grid, or a column is missing.
    """
    import pandas
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    missing = {*IDENTIFIERS, *_FILES} - set(images.columns)
    if missing:
        raise StudyError(f"The table of images has no column {', '.join(sorted(missing))}.")
    measure = partial(measure_image, Reference(template))
    files = images[list(_FILES)].to_dict("records")
    bar = {"desc": "quality", "unit": "image", "total": len(files), "mininterval": 5}
    if processes == 1:
        found = list(tqdm(map(measure, files), **bar))
    else:
        # one thread in each process: those of the linear algebra would be in each other's way
        with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool:
            found = list(tqdm(pool.map(measure, files, chunksize=4), **bar))
    names = images[[name for name in COLUMNS[:4] if name in images]].to_dict("records")
    rows = [{"field_strength": None, **name, **values} for name, values in zip(names, found, strict=True)]
    # a metric that no image has would be a column of objects
    types = dict.fromkeys(("field_strength", *METRIC_NAMES), float)
    return pandas.DataFrame(rows, columns=list(COLUMNS)).astype(types)


class Reference:
    """The template and the average brain, prepared for comparison with many images."""

    def __init__(self, template: str | os.PathLike[str]) -> None:
        voxels, affine = read_template(template)
        voxel_size = float(numpy.linalg.norm(affine[:3, 0]))
        self.shape, self.affine = study_grid(voxel_size)
        self.crop = crop_box(voxel_size)
        if not self.is_own_grid(voxels, affine):
            raise StudyError(
                "The template is not on the study's grid.",
                where=template,
                remedy="Remove it and run the workflow again: the rule prepare_template makes it.",
            )
        self.factor = max(1, round(COMPARISON_SIZE / voxel_size))
        self.coarse_size = voxel_size * self.factor
        self.voxels = block_means(voxels, self.factor)
        self.head = head_mask(self.voxels, self.coarse_size)
        self.surroundings = dilate(self.head, MARGIN, self.coarse_size)
        self.anatomy = Anatomy(self.head, self.coarse_size)
        # the coarser grid of the fits
        self.fit_factor = math.ceil(FIT_SIZE / self.coarse_size)
        self.turned_fit = TurnedFit(*map(self.for_fit, (self.voxels, self.surroundings, self.head)))
        self.regions = Regions(
            head=self.head,
            not_air=dilate(self.head, AIR_DISTANCE, self.coarse_size),
            affine=self.affine @ block_centres((self.factor,) * 3),
            white_matter=_tissue_points("wm", WHITE_MATTER_DEPTH),
            grey_matter=_tissue_points("gm", 0),
        )

    def for_fit(self, voxels: ndarray) -> ndarray:
        """Bring an image or a mask to the grid of the fits of turned images."""
        means = block_means(voxels, self.fit_factor)
        return means > 0.5 if voxels.dtype == bool else means

    def is_own_grid(self, voxels: ndarray, affine: ndarray) -> bool:
        """Say whether an image is on the template's grid."""
        return voxels.shape == self.shape and numpy.allclose(affine, self.affine, atol=1e-3)


def measure_image(reference: Reference, files: dict[str, str]) -> dict[str, Any]:
    """Give the metrics of one image by name, or what is wrong with it as `fault`."""
    try:
        registered, grid = read_image(files["registered"])
        if not reference.is_own_grid(registered, grid):
            shape = "x".join(map(str, registered.shape))
            what = f"The registered image has {shape} voxels; it is not on the template's grid."
            raise ImageError(what, where=files["registered"])
        affine = _read_affine(files["affine"])
        (raw, scan_affine), (corrected, _) = read_image(files["raw"]), read_image(files["corrected"])
        if raw.shape != corrected.shape:
            raise ImageError("The corrected image has not the raw image's grid.", where=files["corrected"])
        raw, _ = into_domain(raw)  # as it was when it was corrected
    except ImageError as error:
        return {"nan_fraction": _nan_fraction(files["raw"]), "fault": error.in_one_line()}
    return {
        **_compare(registered, reference),
        **measure_signal(raw, corrected, scan_affine, affine, reference.regions),
        **describe_affine(affine),
        **_intensities(registered, reference),
        "nan_fraction": 0.0,  # `read_image` accepts no other image
    }


def describe_affine(affine: ndarray) -> dict[str, float]:
    """Describe a transform from template to image coordinates in mm: size, shape and pose of the head.

    `scale`: cube root of the determinant, negative for a mirrored image. `anisotropy`: largest over smallest
    singular value. `shear`: the largest absolute shear coefficient in the factors rotation, scales, shears
    (unit upper triangular). `rotation`: the angle of the nearest rotation (polar decomposition), in degrees.
    """
    matrix = affine[:3, :3]
    left, stretches, right = numpy.linalg.svd(matrix)
    # the nearest rotation, and no reflection
    rotation = left @ numpy.diag([1, 1, numpy.sign(numpy.linalg.det(left @ right))]) @ right
    upper = numpy.linalg.qr(matrix)[1]
    shears = upper / numpy.diag(upper)[:, None] - numpy.eye(3)
    cosine = numpy.clip((numpy.trace(rotation) - 1) / 2, -1, 1)
    return {
        "scale": float(numpy.cbrt(numpy.linalg.det(matrix))),
        "anisotropy": float(stretches[0] / stretches[-1]),
        "shear": float(numpy.abs(shears).max()),
        "rotation": float(numpy.degrees(numpy.arccos(cosine))),
    }


def _compare(registered: ndarray, reference: Reference) -> dict[str, float]:
    coarse = block_means(registered, reference.factor)
    brain, pattern = reference.anatomy.brain, reference.anatomy.pattern(coarse)
    pair = (coarse, reference.voxels, reference.surroundings)
    return {
        "similarity": correlation(*pair),
        "mutual_information": normalized_mutual_information(*pair),
        "pattern": pattern,
        "turn_margin": pattern - _turned_pattern(coarse, reference),
        "brain_shown": reference.anatomy.brain_shown(coarse),
        "scalp": reference.anatomy.scalp_signal(coarse),
        "mask_overlap": dice(head_mask(coarse, reference.coarse_size), reference.head),
        "brain_overlap": dice(brain_mask(coarse, brain, reference.coarse_size), brain),
    }


def _turned_pattern(coarse: ndarray, reference: Reference) -> float:
    """Give the best pattern of the image turned by quarter and half turns and fitted from there."""
    from scipy import ndimage

    centres = block_centres((reference.fit_factor,) * 3)
    patterns = [-1.0]
    for found in reference.turned_fit.fit(reference.for_fit(coarse)):
        matrix = centres @ found @ numpy.linalg.inv(centres)
        turned = ndimage.affine_transform(coarse, matrix[:3, :3], matrix[:3, 3], order=1)
        patterns.append(reference.anatomy.pattern(turned))
    return max(patterns)


def _intensities(registered: ndarray, reference: Reference) -> dict[str, float | None]:
    factor = reference.factor
    # one voxel of each block is enough for percentiles
    blocks = tuple(slice(0, count * factor, factor) for count in reference.head.shape)
    low, high = (float(value) for value in numpy.percentile(registered[blocks][reference.head], [2, 98]))
    zeros = block_means(registered == 0, factor)
    return {
        "intensity_low": low,
        "intensity_high": high,
        "intensity_peak": float(registered[reference.crop].max()) / high if high > 0 else None,
        "zero_fraction": float(zeros[reference.head].mean()),
    }


def _read_affine(path: str) -> ndarray:
    """Read the transform of one image; a damaged file is a fault of this image only."""
    fault = recorded_fault(path)
    if fault is not None:
        raise fault
    try:
        return read_itk_affine(path)
    except StudyError as error:
        raise ImageError(error.what, where=path, cause=error.cause) from error


def _nan_fraction(path: str) -> float | None:
    """Give the share of NaN and infinite voxels of an image, refused for them or not; None if unreadable."""
    try:
        _, voxels = open_checked(Path(path))
    except NiftiError:
        return None
    return 1 - float(numpy.isfinite(voxels).mean())


def _tissue_points(name: Literal["gm", "wm"], depth: int) -> ndarray:
    """Give evenly chosen places (MNI, mm), shape (n, 3), where the average brain is a tissue beyond doubt."""
    from scipy import ndimage

    mask = read_average(name) >= 255 * TISSUE_PROBABILITY
    index = numpy.argwhere(ndimage.binary_erosion(mask, iterations=depth) if depth else mask)
    return index[:: max(1, len(index) // TISSUE_POINTS)] + numpy.array(TEMPLATE_ORIGIN)
