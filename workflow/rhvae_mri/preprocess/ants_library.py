"""ANTs, called in this process: the same programs, arguments and numbers as on its command line.

antspyx holds ANTs as one compiled extension. Importing the package ``ants`` around it takes seconds, for
plotting and statistics libraries; the extension alone a fraction of one, which counts when each image is a
job of its own.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.images import ImageError

logger = logging.getLogger(__name__)

Program = Literal["N4BiasFieldCorrection", "antsApplyTransforms", "antsRegistration"]

#: ITK reads this when it loads, and never again.
THREADS_VARIABLE = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"

_MODULE = "ants.lib"


@dataclass(frozen=True)
class Geometry:
    """Where voxels lie, as ITK reads it (axes left, back, top; mm); a column of direction for each axis."""

    shape: tuple[int, ...]
    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]


def load_ants(threads: int) -> ModuleType:
    """Load ANTs' compiled extension; results are repeatable to the last bit with one thread only."""
    if _MODULE in sys.modules:
        loaded = os.environ.get(THREADS_VARIABLE)
        if loaded != str(threads):
            raise StudyError(
                f"ANTs is loaded already with {loaded or 'another number of'} threads, not {threads}.",
                cause="ITK fixes its number of threads when it loads.",
                remedy=f"Start a new process, or set {THREADS_VARIABLE}={threads} before `import ants`.",
            )
        return sys.modules[_MODULE]
    os.environ[THREADS_VARIABLE] = str(threads)
    loader = importlib.machinery.ExtensionFileLoader(_MODULE, str(_find_extension()))
    spec = importlib.machinery.ModuleSpec(_MODULE, loader, origin=loader.path)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[_MODULE] = module  # a second copy in one process would register its types twice
    return module


@contextmanager
def ants_folder() -> Iterator[Path]:
    """Make a temporary folder for ANTs' files, with plain names: it splits others at commas and brackets."""
    with tempfile.TemporaryDirectory(prefix="rhvae-mri-") as folder:
        yield Path(folder)


def write_for_ants(path: Path, voxels: numpy.ndarray, affine: numpy.ndarray) -> None:
    """Write an image as ANTs reads it best: float32, and one geometry in both places of the header."""
    import nibabel

    image = nibabel.Nifti1Image(numpy.asarray(voxels, dtype=numpy.float32), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    nibabel.save(image, path)


def read_geometry(path: Path, threads: int) -> Geometry:
    """Read the geometry of an image that `write_for_ants` wrote, in ITK's own numbers to the last bit."""
    ants = load_ants(threads)
    image = ants.imageReadF3(str(path))
    direction = ants.getDirection(image)
    rows = tuple(tuple(direction[row : row + 3]) for row in (0, 3, 6))
    shape, origin, spacing = (get(image) for get in (ants.getShape, ants.getOrigin, ants.getSpacing))
    return Geometry(tuple(shape), tuple(origin), tuple(spacing), rows)


def run_ants(program: Program, arguments: Sequence[str], folder: Path, threads: int) -> None:
    """Run one of ANTs' programs on files of a folder, which is the working directory for so long.

    The input files must exist: some programs crash the whole process without them.
    """
    call = getattr(load_ants(threads), program)
    logger.info("%s %s", program, " ".join(arguments))
    sys.stdout.flush()  # the program prints from native code, in its own order
    try:
        with chdir(folder):
            status = call(list(arguments))
    except RuntimeError as error:
        raise ImageError(f"{program} failed.", cause=str(error).strip()) from error
    if status:
        raise ImageError(f"{program} failed with exit status {status}; its own message is in the log.")


def _find_extension() -> Path:
    """Find the compiled extension of antspyx without importing the package."""
    spec = importlib.util.find_spec("ants")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"lib{suffix}"
            if path.is_file():
                return path
    raise StudyError(
        "ANTs is not installed.",
        cause="The Python package antspyx is missing from this environment, or is not the one of the pins.",
        remedy="Install the environment again (`make demo` does), or `pip install antspyx==0.6.3`.",
    )
