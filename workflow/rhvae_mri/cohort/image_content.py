"""What an image is, whatever its name: digests of its voxels and of its place in space.

Two files hold the same image if their voxels are equal: as float32, after scaling, with the axes in the order
right, front, top. Type of numbers, compression, order of the axes and the rest of the header do not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.io.texts import visible

#: Columns of the table: the file as in the table of images, bytes, times in nanoseconds, and the digests.
COLUMNS = ("path", "size", "modified", "changed", "voxels", "content")


class ImageContent(NamedTuple):
    """Digests of shape and voxels (empty: no evidence), and of all that the preprocessing reads."""

    voxels: str
    content: str


def digest_images(
    paths: Sequence[Path], record: Path | None = None, *, threads: int = 1
) -> dict[Path, ImageContent]:
    """Give the digests of images; those of files that have not changed come from the record."""
    import pandas

    known = _read_record(record)
    states = {path: (visible(path.as_posix()), *_state(path)) for path in paths}
    missing = [path for path in states if states[path] not in known]
    with ThreadPoolExecutor(threads) as pool:
        known |= zip((states[path] for path in missing), pool.map(_digest, missing), strict=True)
    if record is not None:
        rows = [(*states[path], *known[states[path]]) for path in paths]
        write_tsv(record, pandas.DataFrame(rows, columns=list(COLUMNS)))
    return {path: known[state] for path, state in states.items()}


def read_contents(record: Path) -> dict[str, ImageContent]:
    """Read the digests of a table of `digest_images`, by path."""
    table = read_tsv(record, COLUMNS).fillna("")
    return {row.path: ImageContent(row.voxels, row.content) for row in table.itertuples()}


def _read_record(record: Path | None) -> dict[tuple[str, ...], ImageContent]:
    """Read the digests of a former run, by path and state of the file; a damaged record is made anew."""
    if record is None or not record.is_file():
        return {}
    try:
        rows = read_tsv(record, COLUMNS).fillna("")[list(COLUMNS)].itertuples(index=False, name=None)
        return {tuple(row[:4]): ImageContent(*row[4:]) for row in rows}
    except (ValueError, KeyError):
        return {}


def _state(path: Path) -> tuple[str, ...]:
    """Write size and times of a file; of one that is not there, nothing."""
    try:
        status = path.stat()
    except OSError:
        return "0", "0", "0"
    return str(status.st_size), str(status.st_mtime_ns), str(status.st_ctime_ns)


def _digest(path: Path) -> ImageContent:
    import numpy
    from nibabel.orientations import apply_orientation, io_orientation

    from rhvae_mri.preprocess.nifti import NiftiError, check_header, open_nifti, read_voxels

    try:
        image = open_nifti(path)
        check_header(path, image)
        voxels = read_voxels(path, image)
    except NiftiError:
        return ImageContent("", _hash("/".join(_state(path)).encode()))
    affine = numpy.asarray(image.affine, dtype="<f4")
    standing = numpy.ascontiguousarray(apply_orientation(voxels, io_orientation(image.affine)), dtype="<f4")
    same = _hash(str(standing.shape).encode(), standing.tobytes())
    constant = standing.min() == standing.max()
    return ImageContent("" if constant else same, _hash(same.encode(), affine.tobytes()))


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:32]
