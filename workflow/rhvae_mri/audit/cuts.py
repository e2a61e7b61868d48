"""Three orthogonal cuts beside each other: how every picture of the audit shows a head.

The cuts are axial, coronal and sagittal, from left to right. The left of an axial or coronal cut is the left
of the head; the right of a sagittal cut is its front.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy
from PIL import Image

from rhvae_mri.preprocess.grid import PLANES

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
