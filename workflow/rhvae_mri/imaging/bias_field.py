"""Correction of the intensity bias field with N4, as the study did it: on the whole head."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rhvae_mri.files import save_image
from rhvae_mri.imaging.ants_library import ants_folder, run_ants, write_for_ants
from rhvae_mri.imaging.images import read_image
from rhvae_mri.imaging.sidecars import write_sidecar


def bias_arguments(
    image: str,
    corrected: str,
    *,
    spline_distance_mm: float = 600.0,
    shrink_factor: int = 4,
    iterations: Sequence[int] = (50, 50, 50, 50),
    convergence_threshold: float = 0.0,
) -> list[str]:
    """Give the command line arguments of N4.

    With the default values this is the study's call, ``N4BiasFieldCorrection -d 3 -b [600]``, with ANTs'
    defaults written out (Clinica's t1-linear up to 0.11.3).

    Parameters
    ----------
    image, corrected : str
        Names of the input and output files, without commas or brackets.
    spline_distance_mm : float
        Distance between the knots of the B-spline at the coarsest level. N4 pads the image with zeros to a
        multiple of it, which costs 8 GB of memory at 1 mm and 600 mm.
    shrink_factor : int
        N4 estimates the field on every n-th voxel.
    iterations : sequence of int
        Most iterations at each level; the knots' distance halves from level to level.
    convergence_threshold : float
        A level ends early when the field changes by less. With 0 all iterations are done.
    """
    return [
        *("-d", "3", "-v", "1"),
        *("-i", image),
        *("-o", corrected),
        *("-b", f"[{spline_distance_mm:g}]"),
        *("-s", str(shrink_factor)),
        *("-c", f"[{'x'.join(map(str, iterations))},{convergence_threshold:g}]"),
    ]


def correct_bias(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    spline_distance_mm: float = 600.0,
    shrink_factor: int = 4,
    iterations: Sequence[int] = (50, 50, 50, 50),
    convergence_threshold: float = 0.0,
    threads: int = 1,
) -> None:
    """Divide an image by its bias field, estimated with N4.

    The method is that of Tustison et al. 2010 (doi:10.1109/TMI.2010.2046908); it draws no random numbers. The
    result keeps the grid of the image; it is float32 and has a JSON sidecar.

    Parameters
    ----------
    source : path
        The T1-weighted image, NIfTI.
    target : path
        The corrected image, NIfTI.
    spline_distance_mm, shrink_factor, iterations, convergence_threshold
        See `bias_arguments`; the defaults are the study's.
    threads : int
        The number of threads.

    Raises
    ------
    ImageError
        If the image is missing, unreadable or unfit (see `images.read_image`), or N4 fails on it.
    StudyError
        If ANTs is not installed.
    """
    import nibabel
    import numpy

    voxels, affine = read_image(source)
    arguments = bias_arguments(
        "image.nii",
        "corrected.nii",
        spline_distance_mm=spline_distance_mm,
        shrink_factor=shrink_factor,
        iterations=iterations,
        convergence_threshold=convergence_threshold,
    )
    with ants_folder() as folder:
        write_for_ants(folder / "image.nii", voxels, affine)
        run_ants("N4BiasFieldCorrection", arguments, folder, threads)
        corrected = nibabel.load(folder / "corrected.nii").get_fdata(dtype=numpy.float32)
    save_image(target, nibabel.Nifti1Image(corrected, affine))
    write_sidecar(
        target,
        "Corrected for the intensity bias field with N4, whole head",
        [source],
        ["antspyx", "nibabel", "numpy"],
        BiasFieldCorrection={
            "Program": "N4BiasFieldCorrection",
            "SplineDistanceMm": spline_distance_mm,
            "ShrinkFactor": shrink_factor,
            "Iterations": list(iterations),
            "ConvergenceThreshold": convergence_threshold,
            "Arguments": arguments,
        },
        Threads=threads,
    )
