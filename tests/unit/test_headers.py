import gzip

import nibabel
import numpy
import pytest
from nifti_files import SHAPE, write_nifti

from rhvae_mri.cohort.headers import describe_fault


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"shape": (45, 54, 45, 2)}, "4 dimensions"),
        ({"shape": (20, 54, 45)}, "field of view of 80 x 216 x 180 mm"),
        ({"voxel_size": 12.0}, "voxels of 12 x 12 x 12 mm"),
        ({"voxel_size": 0.1}, "voxels of 0.1 x 0.1 x 0.1 mm"),
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_geometry(tmp_path, options, reason, suffix):
    fault = describe_fault(write_nifti(tmp_path / f"image{suffix}", **options))
    assert (
        fault is None if reason is None else fault.startswith("grossly wrong geometry: ") and reason in fault
    )


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


def test_a_compressed_file_of_several_blocks_is_whole(tmp_path):
    path = write_nifti(tmp_path / "image.nii")
    content = path.read_bytes()
    blocks = gzip.compress(content[:5000]) + gzip.compress(content[5000:])
    (tmp_path / "blocks.nii.gz").write_bytes(blocks)
    assert describe_fault(tmp_path / "blocks.nii.gz") is None


def test_a_compressed_file_that_is_whole_but_holds_too_little(tmp_path):
    content = write_nifti(tmp_path / "image.nii").read_bytes()
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(content[:-1]))
    expected = "unreadable NIfTI: the file is shorter than its header says"
    assert describe_fault(tmp_path / "short.nii.gz") == expected


def test_an_affine_that_is_not_invertible(tmp_path):
    image = nibabel.Nifti1Image(numpy.zeros(SHAPE, numpy.uint8), numpy.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    image.header["srow_x"] = image.header["srow_y"] = [4, 0, 0, 0]
    image.header["srow_z"] = [0, 0, 4, 0]
    path = tmp_path / "image.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + bytes(int(numpy.prod(SHAPE))))
    assert describe_fault(path) == "grossly wrong geometry: the affine matrix of the header is not invertible"
