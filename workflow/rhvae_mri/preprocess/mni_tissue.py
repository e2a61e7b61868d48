"""The average brain in MNI space that nilearn ships, with its tissue maps, on the study's 1 mm grid.

It is the MNI152 2009a nonlinear symmetric average: its T1-weighted image without the head around the brain,
and the probabilities of grey and white matter. The study's template (2009c) lies in the same space.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import TEMPLATE_SHAPE

# how nilearn's arrays (197x233x189, origin -98, -134, -72) lie on the study's grid
_SOURCE_SHAPE = (197, 233, 189)
_SOURCE_PART = (slice(2, 195), slice(2, 231), slice(0, 187))
_FIRST_SLICE = 6


def read_average(name: Literal["t1", "gm", "wm"]) -> numpy.ndarray:
    """Read a map of the average brain, uint8 on the study's grid at 1 mm; probabilities run from 0 to 255."""
    import nibabel

    package = importlib.util.find_spec("nilearn")
    if package is None or not package.submodule_search_locations:
        raise StudyError("nilearn is not installed.", remedy="Run make demo or make test: they install it.")
    # the file is read directly: importing nilearn takes seconds
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    path = folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    source = numpy.asarray(nibabel.load(path).dataobj) if path.is_file() else numpy.empty(0)
    if source.shape != _SOURCE_SHAPE or source.dtype != numpy.uint8:
        raise StudyError(
            "nilearn's average brain is not where it should be, or is another one.",
            where=path,
            cause=f"Expected {_SOURCE_SHAPE} and uint8: another version of nilearn is installed.",
            remedy="Install the version in envs/requirements.txt.",
        )
    part = source[_SOURCE_PART]
    average = numpy.zeros(TEMPLATE_SHAPE, numpy.uint8)
    average[..., _FIRST_SLICE : _FIRST_SLICE + part.shape[2]] = part
    return average
