"""The pictures of one image: before and after the bias correction, and registered to the template.

Every picture of the audit shows a head by three orthogonal cuts beside each other: axial, coronal and
sagittal, from left to right. The left of an axial or coronal cut is the left of the head; the right of a
sagittal cut is its front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import matplotlib
import nibabel
import numpy
from contourpy import contour_generator
from nibabel.affines import voxel_sizes
from PIL import Image
from scipy import ndimage

from rhvae_mri.audit.parameters import step_parameters
from rhvae_mri.preprocess.grid import PLANES, crop_box
from rhvae_mri.preprocess.images import ImageError, read_image
from rhvae_mri.preprocess.tensors import rescale
from rhvae_mri.quality.masks import HEAD_THRESHOLD, head_mask

#: Pixels between two cuts.
GAP = 2

#: Quality of the pictures' lossy compression (WebP, 0 to 100).
_QUALITY = 65

#: Percentiles of the brightness that become black and white.
_WINDOW = (1.0, 98.5)

#: Every n-th voxel along each axis is enough for percentiles of a whole head.
_STRIDE = 3

#: Pictures smaller than this many pixels are stored without loss: blocks of a lossy one would show.
_SMALL = 40_000

#: Bins of an image's histogram, from its smallest to its largest intensity.
N_BINS = 256

#: The colours of the bias field end at this factor and at its inverse, in every picture, so that they can be
#: compared. The limit was chosen by eye on simulated and real heads; the page says so.
FIELD_LIMIT = 1.3

#: Purple where the scanner made the image darker, orange where it made it brighter.
FIELD_COLOURS = "PuOr_r"

#: The field is smoothed by this, and gaps in the outline of the head are closed to this radius, in voxels.
_FIELD_SMOOTHING = 1.0
_OUTLINE_CLOSING = 3

#: The cuts of a scan meet this far below the top of the head, in mm: about the middle of the brain.
_BELOW_VERTEX = 70.0

#: Smoothing of the template before its inner contour is drawn, in mm, and the contour's brightness as a part
#: of the median brightness in the head: it runs round the brain, the ventricles and the scalp.
_SMOOTHING = 2.0
_INNER_LEVEL = 0.6

#: Contours shorter than this, in mm, are specks.
_SHORTEST = 30.0

_LINES_STYLE = (
    "path{fill:none;vector-effect:non-scaling-stroke}"
    ".inner{stroke:#4cc9ff;stroke-opacity:.75}.outer{stroke:#ffcf33;stroke-width:1.5}"
    ".off{fill:#7a1f2b;fill-opacity:.45;fill-rule:evenodd}.box{stroke:#ff9e3d;stroke-width:2}"
)


class Layout(NamedTuple):
    """The size of a picture in pixels, and the left and the top of each cut in it."""

    width: int
    height: int
    corners: tuple[tuple[int, int], ...]


def lay_out(sizes: Sequence[tuple[int, int]]) -> Layout:
    """Place cuts of these widths and heights beside each other, centred vertically.

    Examples
    --------
    >>> lay_out([(4, 6), (4, 5), (6, 5)]).corners
    ((0, 0), (6, 0), (12, 0))
    """
    height = max(own_height for _, own_height in sizes)
    corners, left = [], 0
    for width, own_height in sizes:
        corners.append((left, (height - own_height) // 2))
        left += width + GAP
    return Layout(left - GAP, height, tuple(corners))


def cut_sizes(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Give the widths and heights of the cuts of a volume, in voxels."""
    x, y, z = shape
    return [(x, y), (x, z), (y, z)]


def take_cuts(volume: numpy.ndarray, position: Sequence[int] | None = None) -> list[numpy.ndarray]:
    """Cut a volume (x, y, z) in the three planes, through its middle or a voxel."""
    place = [count // 2 for count in volume.shape] if position is None else position
    # an index, unlike numpy.take, copies nothing, whatever the order of the voxels in memory
    return [volume[(slice(None),) * axis + (place[axis],)].T[::-1] for axis in PLANES.values()]


def brightness_window(voxels: numpy.ndarray) -> tuple[float, float]:
    """Give the brightness that is shown as black and the one that is shown as white."""
    low, high = numpy.percentile(voxels[::_STRIDE, ::_STRIDE, ::_STRIDE], _WINDOW)
    if high <= low:
        low, high = voxels.min(), voxels.max()
    return float(low), float(high)


def grey(cut: numpy.ndarray, window: tuple[float, float]) -> numpy.ndarray:
    """Turn a cut into 8-bit grey values."""
    low, high = window
    scaled = (cut - low) / (high - low if high > low else 1.0)
    return (255 * scaled.clip(0, 1)).round().astype(numpy.uint8)


def colour_table(name: str, count: int) -> numpy.ndarray:
    """Give the colours of a colour map from its lowest to its highest value, shape (count, 3), uint8."""
    return matplotlib.colormaps[name](numpy.linspace(0, 1, count), bytes=True)[:, :3]


def save_cuts(path: Path, cuts: Sequence[numpy.ndarray]) -> tuple[str, int, int]:
    """Write cuts (height, width) beside each other as one WebP file; give its name, width and height."""
    width, height, corners = lay_out([cut.shape[1::-1] for cut in cuts])
    canvas = numpy.zeros((height, width, *cuts[0].shape[2:]), dtype=numpy.uint8)
    for cut, (left, top) in zip(cuts, corners, strict=True):
        canvas[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    Image.fromarray(canvas).save(path, lossless=width * height < _SMALL, quality=_QUALITY, method=4)
    return path.name, width, height


class CroppedImage(NamedTuple):
    """What a cropped image adds to the pictures of its cohort."""

    range: tuple[float, float]  # smallest and largest intensity
    histogram: numpy.ndarray  # share of the voxels in each of the bins between the two
    cuts: list[numpy.ndarray]  # rescaled to [0, 1], float32


@dataclass
class ImageRecord:
    """What was drawn and read of one image; steps are raw, corrected, registered and cropped."""

    #: Kind of picture (before, after, field, registered) to file name and size in pixels.
    pictures: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    #: Step to the reason why there is no image of it.
    faults: dict[str, str] = field(default_factory=dict)
    #: Step to what its sidecar says (see `parameters.step_parameters`).
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    cropped: CroppedImage | None = None


def draw_image(image_id: str, files: Mapping[str, str], folder: Path) -> ImageRecord:
    """Draw the pictures of one image and read what the page says about it.

    `files` has the path of each step that is known. A file that cannot be read leaves out its pictures; the
    reason is in the record.
    """
    record = ImageRecord()
    volumes = {}
    for step, path in files.items():
        record.parameters[step] = step_parameters(path, is_raw=step == "raw")
        try:
            volumes[step] = read_image(path)
        except ImageError as error:
            record.faults[step] = error.in_one_line()
    pictures = native_cuts(volumes.get("raw"), volumes.get("corrected"))
    if "registered" in volumes:
        pictures["registered"] = grey_cuts(volumes["registered"][0])
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", image_id)
    for kind, cuts in pictures.items():
        record.pictures[kind] = save_cuts(folder / f"{stem}_{kind}.webp", cuts)
    if "cropped" in volumes:
        rescaled, low, high = rescale(volumes["cropped"][0])
        # the largest intensity belongs to the last bin
        bins = numpy.minimum(rescaled * N_BINS, N_BINS - 1).astype(numpy.uint8).ravel()
        counts = numpy.bincount(bins, minlength=N_BINS)
        cuts = [numpy.ascontiguousarray(cut) for cut in take_cuts(rescaled)]
        record.cropped = CroppedImage((low, high), counts / bins.size, cuts)
    return record


def grey_cuts(voxels: numpy.ndarray, position: Sequence[int] | None = None) -> list[numpy.ndarray]:
    """Cut a volume (x, y, z) and turn its brightness into grey values."""
    window = brightness_window(voxels)
    return [grey(cut, window) for cut in take_cuts(voxels, position)]


def native_cuts(
    raw: tuple[numpy.ndarray, numpy.ndarray] | None, corrected: tuple[numpy.ndarray, numpy.ndarray] | None
) -> dict[str, list[numpy.ndarray]]:
    """Cut a scan before and after the bias correction, and the bias field, in the scan's own space.

    `raw` and `corrected` are voxels (x, y, z) and affines.
    """
    images = {"before": raw, "after": corrected}
    volumes = {kind: _to_canonical(*image) for kind, image in images.items() if image is not None}
    if not volumes:
        return {}
    voxels, sizes = next(iter(volumes.values()))
    position = _brain_centre(voxels, sizes)
    pixel = max(1.0, float(sizes.min()))
    shapes = cut_sizes(
        [max(1, round(count * size / pixel)) for count, size in zip(voxels.shape, sizes, strict=True)]
    )
    drawn = {
        kind: list(map(_resize, grey_cuts(own, position), shapes))
        for kind, (own, _) in volumes.items()
        if own.shape == voxels.shape
    }
    if {"before", "after"} <= drawn.keys():
        drawn["field"] = _field_cuts(volumes["before"][0], volumes["after"][0], position, shapes)
    return drawn


def contour_svg(template: numpy.ndarray, voxel_size: float) -> str:
    """Draw the template's contours for the cuts of the registered images, as a transparent SVG picture."""
    head = head_mask(template, voxel_size)
    smooth = ndimage.gaussian_filter(template, _SMOOTHING / voxel_size)
    level = _INNER_LEVEL * float(numpy.median(template[head]))
    corners = lay_out(cut_sizes(template.shape)).corners
    paths = []
    for kind, volume, height in (("inner", smooth, level), ("outer", head.astype(float), 0.5)):
        shapes = ""
        for cut, (left, top) in zip(take_cuts(volume), corners, strict=True):
            # contours are drawn through pixels' centres, which are half a pixel from the edge; a border of
            # air closes those that leave the picture
            closed = numpy.pad(cut, 1, constant_values=volume.min())
            for line in contour_generator(z=closed).lines(height):
                # generators of other settings give more than one array for a line
                assert isinstance(line, numpy.ndarray)
                length = numpy.linalg.norm(numpy.diff(line, axis=0), axis=1).sum() * voxel_size
                if length > _SHORTEST:
                    shapes += "M" + "L".join(f"{x + left - 0.5:.1f} {y + top - 0.5:.1f}" for x, y in line)
        paths.append((kind, shapes))
    return _svg(template.shape, paths)


def crop_svg(shape: Sequence[int], voxel_size: float) -> str:
    """Draw the crop box for the cuts of the registered images, as an SVG that dims what is cut off."""
    x, y, z = crop_box(voxel_size)
    sizes = cut_sizes(shape)
    paths = []
    for (across, up), (left, top), (width, height) in zip(
        ((x, y), (x, z), (y, z)), lay_out(sizes).corners, sizes, strict=True
    ):
        bottom = top + height
        box = (
            f"M{left + across.start} {bottom - up.stop}H{left + across.stop}"
            f"V{bottom - up.start}H{left + across.start}Z"
        )
        paths += [("off", f"M{left} {top}H{left + width}V{bottom}H{left}Z{box}"), ("box", box)]
    return _svg(shape, paths)


def _svg(shape: Sequence[int], paths: Sequence[tuple[str, str]]) -> str:
    """Write paths, each with its class, as a picture that lies over the cuts of a volume of this shape."""
    width, height, _ = lay_out(cut_sizes(shape))
    content = "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in paths)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{_LINES_STYLE}</style>{content}</svg>\n'
    )


def _to_canonical(voxels: numpy.ndarray, affine: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Flip and swap axes so that they run to the right, front and top; give the voxel sizes in mm too."""
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
    return numpy.asarray(image.dataobj), voxel_sizes(image.affine)


def _brain_centre(voxels: numpy.ndarray, sizes: numpy.ndarray) -> list[int]:
    """Guess the voxel in the middle of the brain from the outline of the head."""
    stride = [max(1, round(4 / size)) for size in sizes]
    coarse = voxels[:: stride[0], :: stride[1], :: stride[2]]
    low, high = numpy.percentile(coarse, [2, 98])
    bright = numpy.argwhere(coarse > low + HEAD_THRESHOLD * (high - low)) * stride
    if len(bright) == 0:
        return [count // 2 for count in voxels.shape]
    below = _BELOW_VERTEX / sizes[2]
    top = numpy.percentile(bright[:, 2], 99.5)
    upper = bright[bright[:, 2] > top - 2 * below]
    middle = [numpy.median(upper[:, 0]), numpy.median(upper[:, 1]), top - below]
    return [int(numpy.clip(place, 0, count - 1)) for place, count in zip(middle, voxels.shape, strict=True)]


def _resize(cut: numpy.ndarray, size: tuple[int, int]) -> numpy.ndarray:
    """Resample a cut to a width and height by linear interpolation."""
    return numpy.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BILINEAR))


def _field_cuts(
    before: numpy.ndarray, after: numpy.ndarray, position: Sequence[int], shapes: Sequence[tuple[int, int]]
) -> list[numpy.ndarray]:
    """Colour the ratio of a scan to its corrected version where there is a head."""
    low, high = brightness_window(after)
    threshold = low + HEAD_THRESHOLD * (high - low)
    fields, values = [], []
    for raw, corrected in zip(take_cuts(before, position), take_cuts(after, position), strict=True):
        valid = (corrected > 0) & (raw > 0)
        log_field = numpy.zeros(raw.shape, numpy.float32)
        numpy.divide(raw, corrected, out=log_field, where=valid)
        numpy.log(log_field, out=log_field, where=valid)
        # N4's field is smooth, so a voxel without signal (in dark bone) has the field of its neighbours
        weight = ndimage.gaussian_filter(valid.astype(numpy.float32), _FIELD_SMOOTHING)
        smooth = ndimage.gaussian_filter(log_field, _FIELD_SMOOTHING) / numpy.maximum(weight, 1e-6)
        bright = numpy.pad(corrected > threshold, _OUTLINE_CLOSING)  # closing must not eat from the border
        closed = ndimage.binary_closing(bright, iterations=_OUTLINE_CLOSING)
        inner = slice(_OUTLINE_CLOSING, -_OUTLINE_CLOSING)
        inside = ndimage.binary_fill_holes(closed[inner, inner]) & (weight > 0)
        fields.append((smooth, inside))
        values.append(smooth[inside])
    centre = numpy.float32(numpy.median(numpy.concatenate(values))) if any(map(len, values)) else 0.0
    return [
        _colour(_resize(smooth - centre, size), _resize((255 * inside).astype(numpy.uint8), size) > 127)
        for (smooth, inside), size in zip(fields, shapes, strict=True)
    ]


def _colour(log_field: numpy.ndarray, inside: numpy.ndarray) -> numpy.ndarray:
    """Give the colours of a field, with black outside the head."""
    places = 127.5 + 127.5 * log_field / numpy.log(FIELD_LIMIT)
    colours = colour_table(FIELD_COLOURS, 256)[places.clip(0, 255).round().astype(numpy.uint8)]
    return numpy.where(inside[..., None], colours, numpy.uint8(0))
