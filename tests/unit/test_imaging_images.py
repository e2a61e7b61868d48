import nibabel
import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json, write_json
from rhvae_mri.preprocess.images import ImageError, read_image, record_faults, recorded_fault

VOXELS = numpy.random.default_rng(0).normal(100, 10, (9, 10, 11)).astype(numpy.float32)


def save(path):
    nibabel.save(nibabel.Nifti1Image(VOXELS, numpy.diag([1.0, 2.0, 1.5, 1.0])), path)
    return path


def test_voxels_are_read_in_their_scale_and_at_their_place(tmp_path):
    affine = numpy.array([[0, -2, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image((VOXELS * 10).astype(numpy.int16), affine)
    image.header.set_slope_inter(0.1, 3)
    nibabel.save(image, tmp_path / "image.nii.gz")
    voxels, read_affine = read_image(tmp_path / "image.nii.gz")
    assert voxels.dtype == numpy.float32
    stored = numpy.asarray(nibabel.load(tmp_path / "image.nii.gz").dataobj)
    numpy.testing.assert_allclose(voxels, stored, rtol=1e-6)
    numpy.testing.assert_allclose(read_affine, affine, atol=1e-6)


def test_a_fault_is_recorded_in_place_of_the_targets_and_passed_on(tmp_path):
    targets = [tmp_path / "anat" / "image.nii.gz", tmp_path / "anat" / "affine.mat"]
    with record_faults(*targets, tmp_path / "anat" / "image.json"):
        raise ImageError("The scan is empty.", where="raw.nii", cause="A cable.", remedy="None.")
    assert all(target.stat().st_size == 0 for target in targets)
    assert sorted(path.name for path in (tmp_path / "anat").iterdir()) == [
        "affine.json",
        "affine.mat",
        "image.json",
        "image.nii.gz",
    ]
    assert read_json(tmp_path / "anat" / "affine.json")["Fault"]["where"] == "raw.nii"
    with pytest.raises(ImageError, match="The scan is empty") as error:
        read_image(targets[0])
    assert error.value.cause == "A cable."
    later = tmp_path / "later.nii.gz"
    with record_faults(later):
        read_image(targets[0])
    assert recorded_fault(later).what == "The scan is empty."


def test_an_error_that_concerns_all_images_is_not_recorded(tmp_path):
    with pytest.raises(StudyError, match="no template"), record_faults(tmp_path / "image.nii.gz"):
        raise StudyError("There is no template.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [{"MagneticFieldStrength": 3}, [1, 2]])
def test_the_sidecar_of_a_raw_image_is_no_fault(tmp_path, content):
    save(tmp_path / "image.nii.gz")
    write_json(tmp_path / "image.json", content)
    assert recorded_fault(tmp_path / "image.nii.gz") is None
    read_image(tmp_path / "image.nii.gz")
