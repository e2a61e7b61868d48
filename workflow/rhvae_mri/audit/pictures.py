"""The pictures of one image: before and after the bias correction, and registered to the template."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from rhvae_mri.audit.cuts import brightness_window, cut_sizes, grey, lay_out, save_cuts, take_cuts
from rhvae_mri.audit.parameters import step_parameters
from rhvae_mri.preprocess.grid import crop_box
from rhvae_mri.preprocess.images import ImageError, read_image
from rhvae_mri.preprocess.tensors import rescale
from rhvae_mri.quality.masks import HEAD_THRESHOLD, head_mask

#: Where the pictures are, beside the page.
PICTURES = "images"

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


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image that was kept for preprocessing; None where a file is not known.

    Attributes
    ----------
    image_id : str
        The image.
    raw, corrected, registered, cropped : str or None
        Path after each step.
    """

    image_id: str
    raw: str | None = None
    corrected: str | None = None
    registered: str | None = None
    cropped: str | None = None


@dataclass(frozen=True)
class CroppedImage:
    """What a cropped image adds to the pictures of its cohort.

    Attributes
    ----------
    range : tuple of float
        Smallest and largest intensity.
    histogram : numpy.ndarray of shape (256,)
        Share of the voxels in each of the bins between the two.
    cuts : list of numpy.ndarray
        Three cuts of the image, rescaled to [0, 1], float32.
    """

    range: tuple[float, float]
    histogram: numpy.ndarray
    cuts: list[numpy.ndarray]


@dataclass
class ImageRecord:
    """What was drawn and read of one image.

    Attributes
    ----------
    image_id : str
        The image.
    pictures : dict
        Kind of picture (before, after, field, registered) to file name and size in pixels.
    faults : dict
        Step (raw, corrected, registered, cropped) to the reason why there is no image of it.
    parameters : dict
        Step to what its sidecar says (see `parameters.step_parameters`).
    cropped : CroppedImage or None
        Of the cropped image, where there is one.
    """

    image_id: str
    pictures: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    cropped: CroppedImage | None = None


def draw_image(files: ImageFiles, folder: str | os.PathLike[str]) -> ImageRecord:
    """Draw the pictures of one image and read what the page says about it.

    A file that cannot be read leaves out its pictures; the reason is in the record.
    """
    record = ImageRecord(files.image_id)
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", files.image_id)
    volumes = {}
    for step in ("raw", "corrected", "registered", "cropped"):
        path = getattr(files, step)
        if path is None:
            continue
        record.parameters[step] = step_parameters(path, is_raw=step == "raw")
        try:
            volumes[step] = read_image(path)
        except ImageError as error:
            record.faults[step] = error.in_one_line()

    def save(kind: str, cuts: Sequence[numpy.ndarray]) -> None:
        name = f"{stem}_{kind}.webp"
        record.pictures[kind] = (name, *save_cuts(Path(folder, name), cuts))

    for kind, cuts in native_cuts(volumes.get("raw"), volumes.get("corrected")).items():
        save(kind, cuts)
    if "registered" in volumes:
        voxels = volumes["registered"][0]
        window = brightness_window(voxels)
        save("registered", [grey(cut, window) for cut in take_cuts(voxels)])
    if "cropped" in volumes:
        rescaled, low, high = rescale(volumes["cropped"][0])
        bins = (rescaled * N_BINS).astype(numpy.uint16).ravel()
        counts = numpy.bincount(bins, minlength=N_BINS + 1)
        counts[N_BINS - 1] += counts[N_BINS]  # the largest intensity belongs to the last bin
        cuts = [numpy.ascontiguousarray(cut) for cut in take_cuts(rescaled)]
        record.cropped = CroppedImage((low, high), counts[:N_BINS] / bins.size, cuts)
    return record


def native_cuts(
    raw: tuple[numpy.ndarray, numpy.ndarray] | None, corrected: tuple[numpy.ndarray, numpy.ndarray] | None
) -> dict[str, list[numpy.ndarray]]:
    """Cut a scan before and after the bias correction, and the bias field, in the scan's own space.

    `raw`, `corrected` (x, y, z).
    """
    volumes = {
        kind: _to_canonical(*image)
        for kind, image in (("before", raw), ("after", corrected))
        if image is not None
    }
    if not volumes:
        return {}
    voxels, sizes = next(iter(volumes.values()))
    position = _brain_centre(voxels, sizes)
    shapes = _square_pixels(voxels.shape, sizes)
    drawn = {}
    for kind, (own, _) in volumes.items():
        if own.shape == voxels.shape:
            window = brightness_window(own)
            drawn[kind] = [
                _resize(grey(cut, window), size)
                for cut, size in zip(take_cuts(own, position), shapes, strict=True)
            ]
    if {"before", "after"} <= drawn.keys():
        drawn["field"] = _field_cuts(volumes["before"][0], volumes["after"][0], position, shapes)
    return drawn


def contour_svg(template: numpy.ndarray, voxel_size: float) -> str:
    """Draw the template's contours for the cuts of the registered images, as a transparent SVG picture.

    `template` (x, y, z).
    """
    from contourpy import contour_generator
    from scipy import ndimage

    head = head_mask(template, voxel_size)
    smooth = ndimage.gaussian_filter(template, _SMOOTHING / voxel_size)
    level = _INNER_LEVEL * float(numpy.median(template[head]))
    layout = lay_out(cut_sizes(template.shape))
    paths = []
    for kind, volume, height in (("inner", smooth, level), ("outer", head.astype(float), 0.5)):
        lines = []
        for cut, (left, top) in zip(take_cuts(volume), layout.corners, strict=True):
            # contours are drawn through pixels' centres, which are half a pixel from the edge; a border of
            # air closes those that leave the picture
            closed = numpy.pad(cut, 1, constant_values=volume.min())
            lines += [
                line + numpy.array([left - 0.5, top - 0.5])
                for line in contour_generator(z=closed).lines(height)
                # every line is one array; only generators of other settings give anything else
                if isinstance(line, numpy.ndarray)
                and numpy.linalg.norm(numpy.diff(line, axis=0), axis=1).sum() * voxel_size > _SHORTEST
            ]
        shapes = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) for line in lines)
        paths.append(f'<path class="{kind}" d="{shapes}"/>')
    style = (
        "path{fill:none;vector-effect:non-scaling-stroke}"
        ".inner{stroke:#4cc9ff;stroke-width:1;stroke-opacity:.75}.outer{stroke:#ffcf33;stroke-width:1.5}"
    )
    return _svg(layout.width, layout.height, style, "".join(paths))


def crop_svg(shape: tuple[int, int, int], voxel_size: float) -> str:
    """Draw the crop box for the cuts of the registered images, as an SVG that dims what is cut off."""
    layout = lay_out(cut_sizes(shape))
    x, y, z = crop_box(voxel_size)
    paths = []
    for (across, up), (left, top), (width, height) in zip(
        ((x, y), (x, z), (y, z)), layout.corners, layout.sizes, strict=True
    ):
        box = (
            f"M{left + across.start} {top + height - up.stop}H{left + across.stop}"
            f"V{top + height - up.start}H{left + across.start}Z"
        )
        frame = f"M{left} {top}H{left + width}V{top + height}H{left}Z"
        paths.append(f'<path class="off" d="{frame}{box}"/><path class="box" d="{box}"/>')
    style = (
        ".off{fill:#7a1f2b;fill-opacity:.45;fill-rule:evenodd}"
        ".box{fill:none;stroke:#ff9e3d;stroke-width:2;vector-effect:non-scaling-stroke}"
    )
    return _svg(layout.width, layout.height, style, "".join(paths))


def _svg(width: int, height: int, style: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{style}</style>{content}</svg>\n'
    )


def _to_canonical(voxels: numpy.ndarray, affine: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Flip and swap axes so that they run to the right, front and top; give the voxel sizes in mm too."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(voxels, affine))
    return numpy.asarray(image.dataobj), numpy.linalg.norm(image.affine[:3, :3], axis=0)


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


def _square_pixels(shape: Sequence[int], sizes: numpy.ndarray) -> list[tuple[int, int]]:
    """Give widths and heights of the cuts of a scan in square pixels."""
    pixel = max(1.0, float(sizes.min()))
    counts = [max(1, round(count * size / pixel)) for count, size in zip(shape, sizes, strict=True)]
    return cut_sizes(counts)


def _resize(cut: numpy.ndarray, size: tuple[int, int]) -> numpy.ndarray:
    """Resample a cut to a width and height by linear interpolation."""
    from PIL import Image

    if cut.shape[1::-1] == size:
        return cut
    return numpy.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BILINEAR))


def _field_cuts(
    before: numpy.ndarray, after: numpy.ndarray, position: Sequence[int], shapes: Sequence[tuple[int, int]]
) -> list[numpy.ndarray]:
    """Colour the ratio of a scan to its corrected version where there is a head."""
    from scipy import ndimage

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
    colours = field_colours(256)[places.clip(0, 255).round().astype(numpy.uint8)]
    return numpy.where(inside[..., None], colours, numpy.uint8(0))


def field_colours(count: int) -> numpy.ndarray:
    """Give colours of the bias field from the darkest to the brightest, shape (count, 3), uint8."""
    import matplotlib

    table = matplotlib.colormaps[FIELD_COLOURS](numpy.linspace(0, 1, count))[:, :3]
    return (255 * table).round().astype(numpy.uint8)
