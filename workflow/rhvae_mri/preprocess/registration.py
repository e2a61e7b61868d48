"""Affine registration to the template, as the study did it: ``antsRegistrationSyNQuick.sh -t a``."""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path, save_image
from rhvae_mri.preprocess.ants_library import ants_folder, run_ants, write_for_ants
from rhvae_mri.preprocess.images import read_image, read_template
from rhvae_mri.preprocess.sidecars import source_uri, write_sidecar

#: From ITK's world axes (left, back, top) to those of NIfTI and of this library (right, front, top).
_LPS = numpy.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Levels:
    """The resolution levels of the registration, the coarsest first; the defaults are the study's.

    They fit images of about 1 mm. On coarser grids the first levels show hardly any anatomy, and
    smoothing in voxels blurs the template much more than a finer scan: on 4 mm the mean error over the
    brain is 1.9 mm for simulated heads of 4 to 5 mm (median), but 11 mm for two real ones of 0.8 x 0.8 x
    3 mm. With factors of 4x2x1, smoothing of 8, 4 and 2 mm and 1000, 500 and 20 iterations the errors are
    1.1 mm, and 0.9 and 1.4 mm. On 6 mm the study's levels misplace 11 of 140 good simulated heads; those
    in mm none, with 20 or with 5 iterations on the finest level.
    """

    shrink_factors: tuple[int, ...] = (8, 4, 2, 1)  # of the template
    smoothing: tuple[float, ...] = (3, 2, 1, 0)  # standard deviation of the Gaussian that smooths both images
    smoothing_unit: Literal["vox", "mm"] = "vox"  # of each image
    iterations: tuple[int, ...] = (1000, 500, 250, 0)  # at most; 0 skips a level

    def __post_init__(self) -> None:
        counts = {len(self.shrink_factors), len(self.smoothing), len(self.iterations)}
        if len(counts) != 1 or 0 in counts:
            given = (
                f"{len(self.shrink_factors)} shrink factors, {len(self.smoothing)} values of smoothing and "
            )
            given += f"{len(self.iterations)} numbers of iterations"
            what = f"The levels of the registration do not fit together: {given}."
            raise StudyError(what, remedy="Give one of each for every level.")
        if self.smoothing_unit not in ("vox", "mm"):
            raise StudyError(f"The smoothing's unit is {self.smoothing_unit!r}; it must be vox or mm.")


#: The study's levels.
STUDY_LEVELS = Levels()


def registration_arguments(
    fixed: str, moving: str, prefix: str, warped: str, seed: int, levels: Levels = STUDY_LEVELS
) -> list[str]:
    """Give the command line arguments of antsRegistration; files have names without commas or brackets.

    With the study's levels they are what ``antsRegistrationSyNQuick.sh -d 3 -t a -r 32 -p d`` passes on:
    centres of mass, then a rigid, then an affine stage of mutual information with 32 bins on a regular sample
    of a quarter of the voxels, in double precision. The transform is written to
    ``<prefix>0GenericAffine.mat``.
    """
    smoothing = "x".join(f"{sigma:g}" for sigma in levels.smoothing)
    stage = [
        *("--metric", f"MI[{fixed},{moving},1,32,Regular,0.25]"),
        *("--convergence", f"[{'x'.join(map(str, levels.iterations))},1e-6,10]"),
        *("--shrink-factors", "x".join(map(str, levels.shrink_factors))),
        *("--smoothing-sigmas", f"{smoothing}{levels.smoothing_unit}"),
    ]
    return [
        *("--verbose", "1", "--random-seed", str(ants_seed(seed))),
        *("--dimensionality", "3", "--float", "0", "--collapse-output-transforms", "1"),
        *("--output", f"[{prefix},{warped}]"),
        *("--interpolation", "Linear", "--use-histogram-matching", "0"),
        *("--winsorize-image-intensities", "[0.005,0.995]"),
        *("--initial-moving-transform", f"[{fixed},{moving},1]"),
        *("--transform", "Rigid[0.1]", *stage),
        *("--transform", "Affine[0.1]", *stage),
    ]


def ants_seed(seed: int) -> int:
    """Reduce a seed to the range that ANTs takes, 1 to 2**31 - 1."""
    return seed % (2**31 - 1) + 1


def register_to_template(
    source: str | os.PathLike[str],
    template: str | os.PathLike[str],
    target_image: str | os.PathLike[str],
    target_affine: str | os.PathLike[str],
    *,
    threads: int = 1,
    seed: int,
    levels: Levels = STUDY_LEVELS,
) -> None:
    """Register an image to the template with an affine transform and resample it onto the template's grid.

    The result is repeatable to the last bit with one thread.

    Parameters
    ----------
    source, template : path
        The bias-corrected image and the whole-head template, NIfTI.
    target_image : path
        The image on the template's grid: float32, linear interpolation, 0 outside the scan.
    target_affine : path
        The transform from template to image coordinates, in ITK's ``.mat`` format (see `read_itk_affine`).
    threads, seed, levels
        The number of threads, the seed of the sampling of voxels, and the resolution levels.

    Raises
    ------
    ImageError
        If the image is missing, unreadable or unfit (see `images.read_image`), or ANTs fails on it. A
        template that cannot be read is another StudyError.
    """
    import nibabel

    fixed, fixed_affine = read_template(template)
    voxels, affine = read_image(source)
    arguments = registration_arguments("template.nii", "image.nii", "image_", "warped.nii", seed, levels)
    with ants_folder() as folder:
        write_for_ants(folder / "template.nii", fixed, fixed_affine)
        write_for_ants(folder / "image.nii", voxels, affine)
        run_ants("antsRegistration", arguments, folder, threads)
        warped = nibabel.load(folder / "warped.nii").get_fdata(dtype=numpy.float32)
        with atomic_path(target_affine) as temporary:
            shutil.copyfile(folder / "image_0GenericAffine.mat", temporary)
    save_image(target_image, nibabel.Nifti1Image(warped, fixed_affine))
    packages = ["antspyx", "nibabel", "numpy"]
    shared = {
        "SpatialReference": source_uri(template, target_image),
        "Registration": {"Program": "antsRegistration", "Arguments": arguments},
        "RandomSeed": ants_seed(seed),
        "Threads": threads,
    }
    size = "x".join(f"{length:g}" for length in numpy.linalg.norm(fixed_affine[:3, :3], axis=0))
    write_sidecar(
        target_image,
        "Registered to the template with an affine transform and resampled onto its grid, whole head",
        [source, template, target_affine],
        packages,
        Resolution=f"{size} mm, the template's grid",
        Interpolation="linear",
        **shared,
    )
    write_sidecar(
        target_affine,
        "Affine transform from template to image coordinates, in ITK's format (axes left, back, top)",
        [source, template],
        packages,
        MatrixTemplateToImageRAS=read_itk_affine(target_affine).tolist(),
        **shared,
    )


def read_itk_affine(path: str | os.PathLike[str]) -> numpy.ndarray:
    """Read ANTs' affine ``.mat`` file as a 4 x 4 matrix, template to image coordinates (mm, axes of NIfTI).

    The file is MATLAB version 4, with twelve parameters (matrix by rows, then translation) and the centre of
    rotation, along ITK's axes (left, back, top). It is read here, because the import of `scipy.io` takes a
    tenth of a small image's time.
    """
    values: dict[str, numpy.ndarray] = {}
    try:
        content = Path(path).read_bytes()
        while content:
            kind, rows, columns, _, length = struct.unpack("<5i", content[:20])
            name, content = content[20 : 20 + length], content[20 + length :]
            if kind != 0 or length < 1 or not 0 < 8 * rows * columns <= len(content):
                raise ValueError("it is no MATLAB file of version 4 with doubles")
            values[name.rstrip(b"\0").decode()] = numpy.frombuffer(content, "<f8", rows * columns)
            content = content[8 * rows * columns :]
        parameters = next(each for name, each in values.items() if name.endswith("Transform_double_3_3"))
        matrix, translation, centre = parameters[:9].reshape(3, 3), parameters[9:12], values["fixed"]
        shift = translation + centre - matrix @ centre
    except (OSError, struct.error, ValueError, LookupError, StopIteration) as error:
        raise StudyError("This is not an affine transform of ITK.", where=path, cause=str(error)) from error
    affine = numpy.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = shift
    return _LPS @ affine @ _LPS
