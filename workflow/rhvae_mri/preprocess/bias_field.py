"""Correction of the intensity bias field with N4, as the study did it: on the whole head."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import save_image
from rhvae_mri.preprocess.ants_library import ants_folder, run_ants, write_for_ants
from rhvae_mri.preprocess.images import read_image
from rhvae_mri.preprocess.intensities import into_domain
from rhvae_mri.preprocess.n4_grid import coarse_grid, refine_field, sample, write_coarse
from rhvae_mri.preprocess.sidecars import write_sidecar

#: Who pads the image to whole spline distances: ANTs itself at full resolution, or this library coarsely.
Padding = Literal["ants", "coarse"]


#: N4 takes every n-th voxel, and no level of the spline ends before its iterations do: ANTs' defaults.
SHRINK_FACTOR, CONVERGENCE_THRESHOLD = 4, 0.0


def bias_arguments(
    image: str,
    corrected: str,
    spline_distance_mm: float = 600.0,
    iterations: Sequence[int] = (50, 50, 50, 50),
) -> list[str]:
    """Give the command line arguments of N4; files have names without commas or brackets.

    With the default values this is the study's call, ``N4BiasFieldCorrection -d 3 -b [600]``, with ANTs'
    defaults written out (Clinica's t1-linear up to 0.11.3). ANTs pads the image with zeros to a multiple of
    the spline distance, which costs 5.6 GB of memory for a head of 240 mm at 1 mm and 600 mm.
    """
    return [
        *("-d", "3", "-v", "1", "-i", image, "-o", corrected),
        *("-b", f"[{spline_distance_mm:g}]", "-s", str(SHRINK_FACTOR)),
        *("-c", f"[{_by_x(iterations)},{CONVERGENCE_THRESHOLD:g}]"),
    ]


def coarse_arguments(elements: Sequence[int], iterations: Sequence[int]) -> list[str]:
    """Give the arguments of N4 on an image that is padded and shrunk already; the mask is 0 in the padding.

    With a number of mesh elements in place of a distance ANTs does not pad.
    """
    return [
        *("-d", "3", "-v", "1", "-i", "coarse.mha", "-x", "mask.mha"),
        *("-r", "0"),  # with a mask ANTs rescales the intensities unless told otherwise
        *("-o", "[corrected.nii,field.nii]", "-b", f"[{_by_x(elements)}]", "-s", "1"),
        *("-c", f"[{_by_x(iterations)},{CONVERGENCE_THRESHOLD:g}]"),
    ]


def correct_bias(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    spline_distance_mm: float = 600.0,
    iterations: Sequence[int] = (50, 50, 50, 50),
    padding: Padding = "ants",
    threads: int = 1,
) -> None:
    """Divide an image by its bias field, estimated with N4.

    The method is that of Tustison et al. 2010 (doi:10.1109/TMI.2010.2046908); it draws no random numbers. The
    result keeps the grid of the image; it is float32 and has a JSON sidecar. Its intensities are those of the
    image over the field, or of `into_domain`, where N4 cannot take the image as it is; then the sidecar's
    `Intensities` says so.

    Parameters
    ----------
    source, target : path
        The T1-weighted image and the corrected one, NIfTI.
    spline_distance_mm, iterations
        See `bias_arguments`; the defaults are the study's.
    padding : {"ants", "coarse"}
        Who pads the image to whole spline distances. ``ants`` is the study's direct call. ``coarse`` gives N4
        the same voxels, padded after they are picked (see `n4_grid`), for a fraction of the memory; the
        measured difference is in ``benchmarks/README.md``.

    Raises
    ------
    ImageError
        If the image cannot be read or is unfit (see `images.read_image`, `intensities.into_domain`), or N4
        fails. That ANTs is not installed is another StudyError.
    """
    import nibabel

    if padding not in ("ants", "coarse"):
        raise StudyError(f"The padding of N4 is {padding!r}; it must be ants or coarse.")
    voxels, affine = read_image(source)
    voxels, changes = into_domain(voxels)
    with ants_folder() as folder:
        write_for_ants(folder / "image.nii", voxels, affine)
        if padding == "ants":
            arguments = bias_arguments("image.nii", "corrected.nii", spline_distance_mm, iterations)
            run_ants("N4BiasFieldCorrection", arguments, folder, threads)
            corrected = nibabel.load(folder / "corrected.nii").get_fdata(dtype=numpy.float32)
            details = {}
        else:
            grid = coarse_grid("image.nii", folder, spline_distance_mm, SHRINK_FACTOR, threads)
            coarse, mask = sample(voxels, grid)
            write_coarse(folder / "coarse.mha", coarse, grid)
            write_coarse(folder / "mask.mha", mask, grid)
            arguments = coarse_arguments(grid.elements, iterations)
            run_ants("N4BiasFieldCorrection", arguments, folder, threads)
            field = nibabel.load(folder / "field.nii").get_fdata(dtype=numpy.float32)
            corrected = voxels / refine_field(field, grid, len(iterations))
            details = {"PaddedShape": list(grid.padded_shape), "CoarseShape": list(coarse.shape)}
    save_image(target, nibabel.Nifti1Image(corrected, affine))
    write_sidecar(
        target,
        "Corrected for the intensity bias field with N4, whole head",
        [source],
        ["antspyx", "nibabel", "numpy"],
        BiasFieldCorrection={
            "Program": "N4BiasFieldCorrection",
            "Padding": padding,
            "SplineDistanceMm": spline_distance_mm,
            "ShrinkFactor": SHRINK_FACTOR,
            "Iterations": list(iterations),
            "ConvergenceThreshold": CONVERGENCE_THRESHOLD,
            "Arguments": arguments,
            **details,
        },
        **({"Intensities": changes} if changes else {}),
        Threads=threads,
    )


def _by_x(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))
