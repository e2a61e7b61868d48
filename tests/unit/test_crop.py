import nibabel
import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess.crop import crop_to_template
from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.preprocess.images import ImageError


def numbered_image(path, voxel_size):
    """Write an image on the study's grid whose voxels are all different."""
    shape, affine = study_grid(voxel_size)
    voxels = numpy.arange(numpy.prod(shape), dtype=numpy.float32).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return voxels


def test_the_studys_crop_is_exact(tmp_path):
    voxels = numbered_image(tmp_path / "image.nii", 1.0)
    crop_to_template(tmp_path / "image.nii", tmp_path / "crop.nii", 1.0)
    crop = nibabel.load(tmp_path / "crop.nii")
    assert crop.shape == (169, 208, 179)
    assert crop.get_data_dtype() == numpy.float32
    expected = [[1, 0, 0, -84], [0, 1, 0, -119], [0, 0, 1, -78], [0, 0, 0, 1]]
    numpy.testing.assert_array_equal(crop.affine, expected)
    numpy.testing.assert_array_equal(crop.get_sform(coded=True)[0], expected)
    numpy.testing.assert_array_equal(numpy.asarray(crop.dataobj), voxels[12:181, 13:221, 0:179])


def test_every_voxel_of_a_coarse_crop_stays_at_its_place(tmp_path):
    voxels = numbered_image(tmp_path / "sub-1_T1w.nii.gz", 4.0)
    crop_to_template(tmp_path / "sub-1_T1w.nii.gz", tmp_path / "sub-1_desc-Crop_T1w.nii.gz", 4.0)
    crop = nibabel.load(tmp_path / "sub-1_desc-Crop_T1w.nii.gz")
    _, affine = study_grid(4.0)
    assert crop.shape == (42, 52, 45)
    for index in [(0, 0, 0), (41, 51, 44), (7, 30, 22)]:
        place = crop.affine @ [*index, 1]
        source = numpy.rint(numpy.linalg.inv(affine) @ place)[:3].astype(int)
        assert crop.dataobj[index] == voxels[tuple(source)]
    sidecar = read_json(tmp_path / "sub-1_desc-Crop_T1w.json")
    assert sidecar["Crop"] == {"Start": [3, 3, 0], "Stop": [45, 55, 45]}
    assert sidecar["SkullStripped"] is False


def test_an_image_on_another_grid_is_refused(tmp_path):
    numbered_image(tmp_path / "image.nii", 4.0)
    with pytest.raises(StudyError, match="49x58x49 voxels") as error:
        crop_to_template(tmp_path / "image.nii", tmp_path / "crop.nii", 5.0)
    assert not isinstance(error.value, ImageError)
    assert not (tmp_path / "crop.nii").exists()
