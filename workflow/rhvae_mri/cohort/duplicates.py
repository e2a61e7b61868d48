"""Images that more than one participant has: nobody knows whose they are.

Within a cohort none of them is used. Of an image that the training cohort has too, the other cohort's is not
tested: the split does not depend on other cohorts, so that one that is added later trains nothing again.

Equal voxels are found by their digests (`rhvae_mri.cohort.image_content`): within a cohort when its images
are listed, between cohorts here. An image that was exported again, rescaled or shifted has other voxels. It
is found among the packed tensors by its likeness: the correlation of what distinguishes two heads from the
rest.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations, permutations
from pathlib import Path

import numpy
import pandas

from rhvae_mri.cohort.image_content import read_contents
from rhvae_mri.cohort.images import read_images
from rhvae_mri.io.tensor_files import ImageStack

logger = logging.getLogger(__name__)

COLUMNS = (
    *("cohort", "participant_id", "image_id"),
    *("other_cohort", "other_participant_id", "other_image_id", "evidence"),
)

#: Likeness from which two images count as the same person's. Measured on blocks of 8 mm: 0.77 to 1 for a
#: scan that was shifted, rescaled, given another gamma or noise (4 simulated, 4 real ones), 0.80 to 0.97 for
#: seven of eight pairs of real scans that are, or look like, one person at different times (0.42 for the
#: eighth); for two persons at most 0.35 among 63 simulated heads and 0.43 among 39 real ones of several
#: scanners.
LIKENESS = 0.65

#: Number of blocks along the first axis on which images are compared: of 8 mm on the study's grid.
_BLOCKS = 21

#: Part of the crop along each axis that is compared: the brain. Scalp and neck differ by scanner.
_BRAIN = ((0.15, 0.85), (0.15, 0.85), (0.35, 0.9))

#: Standard deviation in blocks of the Gaussian that is subtracted: what is coarser differs by scanner.
_SMOOTHING = 1.0

#: With fewer images nothing says what heads have in common.
_FEWEST_IMAGES = 8

#: A cohort and an image of it.
Name = tuple[str, str]


def find_duplicates(
    cohort: str,
    images: Mapping[str, str | os.PathLike[str]],
    contents: Mapping[str, str | os.PathLike[str]],
    stacks: Mapping[str, str | os.PathLike[str]],
) -> pandas.DataFrame:
    """Find the images of a cohort that another participant has too, there or in another one (`COLUMNS`).

    Tables of images, of their digests, and stacks are given by cohort. Pairs within the cohort are in both
    directions; the evidence is ``equal voxels`` or ``likeness`` and its value.
    """
    tables = {cohort: read_images(Path(path)) for cohort, path in images.items()}
    owner = {
        (cohort, image): participant
        for cohort, table in tables.items()
        for image, participant in zip(table["image_id"], table["participant_id"], strict=True)
    }
    pairs = dict(_near_pairs(stacks)) | dict(_equal_pairs(tables, contents))
    rows = []
    for pair, evidence in pairs.items():
        for first, second in permutations(pair):
            if first[0] == cohort:
                rows.append((cohort, owner[first], first[1], second[0], owner[second], second[1], evidence))
                logger.warning("%s is %s of %s too: %s", first[1], second[1], second[0], evidence)
    return pandas.DataFrame(sorted(rows), columns=list(COLUMNS))


def leave_out(images: pandas.DataFrame, duplicates: pandas.DataFrame, cohort: str) -> pandas.DataFrame:
    """Return the images of a cohort whose participants have no image that another one has too."""
    doubtful = duplicates["participant_id"][duplicates["cohort"] == cohort]
    return images[~images["participant_id"].isin(doubtful)].reset_index(drop=True)


def likenesses(images: numpy.ndarray) -> numpy.ndarray:
    """Give the likeness of each image to each other, shape (n, n), on blocks of about 8 mm in one space.

    It is the correlation of what the images have beyond their median. Of each only the order of its
    intensities counts, without what is coarse, in the brain. Images of different persons are about 0.
    """
    from scipy import ndimage, stats

    details = []
    for image in images:
        ranks = stats.rankdata(image).reshape(image.shape) / image.size
        ends = zip(_BRAIN, image.shape, strict=True)
        brain = tuple(slice(round(low * length), round(high * length)) for (low, high), length in ends)
        details.append((ranks - ndimage.gaussian_filter(ranks, _SMOOTHING))[brain].ravel())
    values = _standardized(numpy.stack(details), axis=1)
    values = _standardized(values - numpy.median(values, axis=0), axis=1)
    return values @ values.T / values.shape[1]


def _near_pairs(stacks: Mapping[str, str | os.PathLike[str]]) -> Iterator[tuple[tuple[Name, Name], str]]:
    names: list[Name] = []
    blocks: list[numpy.ndarray] = []
    for cohort, path in stacks.items():
        with ImageStack(path) as stack:
            names += [(cohort, key) for key in stack.keys]
            blocks += [_in_blocks(stack.read(key)) for key in stack.keys]
    if len(names) < _FEWEST_IMAGES:
        return
    alike = likenesses(numpy.stack(blocks))
    for first, second in zip(*numpy.nonzero(numpy.triu(alike >= LIKENESS, 1)), strict=True):
        yield (names[first], names[second]), f"likeness {alike[first, second]:.2f}"


def _equal_pairs(
    tables: Mapping[str, pandas.DataFrame], contents: Mapping[str, str | os.PathLike[str]]
) -> Iterator[tuple[tuple[Name, Name], str]]:
    """Yield the pairs of images of different cohorts that have equal voxels."""
    same: dict[str, list[Name]] = defaultdict(list)
    for cohort, table in tables.items():
        digests = read_contents(Path(contents[cohort]))
        for image, path in zip(table["image_id"], table["path"], strict=True):
            if path in digests and digests[path].voxels:
                same[digests[path].voxels].append((cohort, image))
    for group in same.values():
        yield from (((a, b), "equal voxels") for a, b in combinations(group, 2) if a[0] != b[0])


def _in_blocks(image: numpy.ndarray) -> numpy.ndarray:
    """Average an image over blocks, about `_BLOCKS` along the first axis."""
    size = max(1, round(image.shape[0] / _BLOCKS))
    whole = tuple(slice(0, length // size * size) for length in image.shape)
    counts = [part for length in image.shape for part in (length // size, size)]
    return image[whole].reshape(counts).mean(axis=(1, 3, 5))


def _standardized(values: numpy.ndarray, axis: int) -> numpy.ndarray:
    spread = values.std(axis=axis, keepdims=True)
    return (values - values.mean(axis=axis, keepdims=True)) / numpy.where(spread > 0, spread, 1)
