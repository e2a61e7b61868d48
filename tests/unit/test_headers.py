import nibabel
import numpy
import pytest
from nifti_files import SHAPE, write_nifti

from rhvae_mri.cohort.headers import describe_fault


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"shape": (20, 54, 45)}, "field of view of 80 x 216 x 180 mm"),
        ({"shape": (45, 54, 45, 1), "voxel_size": 2.0}, "field of view of 90 x 108 x 90 mm"),
        ({"voxel_size": 9.0, "shape": (45, 70, 45)}, "field of view of 405 x 630 x 405 mm"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_geometry(tmp_path, options, reason, suffix):
    fault = describe_fault(write_nifti(tmp_path / f"image{suffix}", **options))
    assert fault == (reason and f"grossly wrong geometry: {reason}")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.999])
def test_files_that_are_cut_short(tmp_path, suffix, part):
    path = tmp_path / f"image{suffix}"
    noise = numpy.random.default_rng(0).integers(0, 255, SHAPE, numpy.uint8)
    nibabel.save(nibabel.Nifti1Image(noise, numpy.diag([4.0, 4.0, 4.0, 1.0])), path)
    assert describe_fault(path) is None
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert describe_fault(path).startswith("unreadable NIfTI: ")
