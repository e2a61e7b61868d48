import nibabel
import numpy
import pytest

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json, write_json
from rhvae_mri.imaging.images import ImageError, read_image, record_faults, recorded_fault

VOXELS = numpy.random.default_rng(0).normal(100, 10, (9, 10, 11)).astype(numpy.float32)


def save(path, voxels=VOXELS, affine=None):
    affine = numpy.diag([1.0, 2.0, 1.5, 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def sheared():
    affine = numpy.diag([2.0, 2, 2, 1])
    affine[0, 1] = 0.5
    return affine


def spoiled(value):
    voxels = VOXELS.copy()
    voxels[3, 4, 5] = value
    return voxels


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


def test_a_series_of_one_volume_is_an_image(tmp_path):
    voxels, _ = read_image(save(tmp_path / "image.nii", VOXELS[..., None, None]))
    assert voxels.shape == VOXELS.shape


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (numpy.stack([VOXELS] * 2, axis=-1), None, "has 4 dimensions"),
        (VOXELS[:, :, 0], None, "has 2 dimensions"),
        (VOXELS[:, :, :3], None, "only 9x10x3 voxels"),
        (spoiled(numpy.nan), None, "1 voxels that are NaN"),
        (spoiled(numpy.inf), None, "1 voxels that are NaN or infinite"),
        (numpy.full_like(VOXELS, 7), None, "have the value 7"),
        (VOXELS, numpy.diag([1.0, 1, 40, 1]), "impossible size: 1 x 1 x 40 mm"),
        (VOXELS, numpy.diag([0.001, 0.001, 0.001, 1]), "impossible size"),
        (VOXELS, sheared(), "not at right angles"),
    ],
)
def test_an_unfit_image_is_refused_with_the_reason(tmp_path, voxels, affine, message):
    with pytest.raises(ImageError, match=message) as error:
        read_image(save(tmp_path / "image.nii", voxels, affine))
    assert error.value.where == tmp_path / "image.nii"


def test_an_image_without_orientation_is_refused(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, numpy.eye(4))
    image.set_sform(None)
    image.set_qform(None)
    nibabel.save(image, tmp_path / "image.nii")
    with pytest.raises(ImageError, match="which way is left"):
        read_image(tmp_path / "image.nii")


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
def test_a_damaged_file_is_an_image_error(tmp_path, name):
    path = save(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(path)
    path.write_bytes(b"this is text")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(path)
    path.unlink()
    with pytest.raises(ImageError, match="does not exist"):
        read_image(path)


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
