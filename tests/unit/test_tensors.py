import nibabel
import numpy
import pandas
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv
from rhvae_mri.io.tensor_files import ImageStack
from rhvae_mri.preprocess.tensors import downsample, pack_tensors, rescale

SHAPE = (7, 8, 5)


@pytest.fixture
def cohort(tmp_path):
    """Write three images of different ranges, the second with NaN voxels."""
    random = numpy.random.default_rng(0)
    images, rows = {}, []
    for position, image_id in enumerate(["sub-B_ses-M000", "sub-A_ses-M000", "sub-C_ses-M012"]):
        voxels = (random.normal(size=SHAPE) * 10**position + position).astype(numpy.float32)
        if position == 1:
            voxels[0, 0, :2] = numpy.nan
        path = tmp_path / f"{image_id}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), path)
        images[image_id] = voxels
        rows.append({"image_id": image_id, "path": str(path)})
    return pandas.DataFrame(rows), images


def pack(table, folder, **options):
    pack_tensors(table, folder / "images.safetensors", folder / "images.tsv", **options)
    with ImageStack(folder / "images.safetensors") as stack:
        return stack.keys, {key: stack.read(key) for key in stack.keys}


def test_each_full_image_is_rescaled_by_its_own_range(cohort, tmp_path):
    table, images = cohort
    keys, tensors = pack(table, tmp_path, resolution="full")
    assert list(keys) == list(table["image_id"])
    index = read_tsv(tmp_path / "images.tsv").set_index("image_id")
    assert list(index["position"]) == [0, 1, 2]
    for key, voxels in images.items():
        voxels = numpy.where(numpy.isnan(voxels), 0, voxels).astype(float)
        low, high = voxels.min(), voxels.max()
        numpy.testing.assert_allclose(tensors[key], (voxels - low) / (high - low), atol=1e-6)
        numpy.testing.assert_allclose(index.loc[key, ["minimum", "maximum"]].tolist(), [low, high], rtol=1e-6)
        assert tensors[key].min() == 0
        assert tensors[key].max() == 1


def test_downsampling_comes_before_the_rescaling(cohort, tmp_path):
    table, images = cohort
    _, tensors = pack(table, tmp_path, resolution="downsampled")
    for key, voxels in images.items():
        voxels = numpy.where(numpy.isnan(voxels), 0, voxels)[:6, :8, :4].astype(float)
        means = voxels.reshape(3, 2, 4, 2, 2, 2).mean(axis=(1, 3, 5))
        expected = (means - means.min()) / (means.max() - means.min())
        assert tensors[key].shape == (3, 4, 2)
        numpy.testing.assert_allclose(tensors[key], expected, atol=1e-6)


def test_downsampling_with_aligned_corners_interpolates_between_the_outermost_voxels():
    x, y, z = numpy.meshgrid(*map(numpy.arange, SHAPE), indexing="ij")
    plane = (2.0 * x - 3 * y + z).astype(numpy.float32)
    small = downsample(plane, align_corners=True)
    assert small.shape == (3, 4, 2)
    axes = [numpy.linspace(0, n - 1, n // 2) for n in SHAPE]
    x, y, z = numpy.meshgrid(*axes, indexing="ij")
    numpy.testing.assert_allclose(small, 2 * x - 3 * y + z, atol=1e-5)


def test_half_precision_keeps_three_digits(cohort, tmp_path):
    table, _ = cohort
    _, exact = pack(table, tmp_path)
    _, rough = pack(table, tmp_path, dtype="float16")
    for key, tensor in exact.items():
        numpy.testing.assert_allclose(rough[key], tensor, atol=5e-4)


def test_rescaling_never_leaves_the_unit_interval():
    random = numpy.random.default_rng(3)
    for scale in (1e-6, 1.0, 1e6):
        scaled, _, _ = rescale((random.normal(size=2000) * scale).astype(numpy.float32))
        assert scaled.dtype == numpy.float32
        assert scaled.min() == 0
        assert scaled.max() == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: nibabel.save(nibabel.Nifti1Image(numpy.ones(SHAPE), numpy.eye(4)), path),
            "no contrast",
        ),
        (lambda path: nibabel.save(nibabel.Nifti1Image(numpy.eye(9), numpy.eye(4)), path), "has the shape"),
        (lambda path: path.write_bytes(b"no image"), "cannot be read"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_a_bad_image_is_named_and_no_file_is_left(cohort, tmp_path, spoil, message):
    table, _ = cohort
    spoil(tmp_path / "sub-A_ses-M000.nii.gz")
    with pytest.raises(StudyError, match=f"Image sub-A_ses-M000 .*{message}"):
        pack(table, tmp_path)
    assert not list(tmp_path.glob("images.*"))


def test_images_of_different_shapes_are_refused_even_if_their_halves_are_alike(cohort, tmp_path):
    table, _ = cohort
    other = numpy.random.default_rng(0).normal(size=(SHAPE[0] - 1, *SHAPE[1:]))
    nibabel.save(nibabel.Nifti1Image(other, numpy.eye(4)), tmp_path / "sub-A_ses-M000.nii.gz")
    with pytest.raises(StudyError, match=r"Image sub-A_ses-M000 has the shape \(6, 8, 5\)"):
        pack(table, tmp_path, resolution="downsampled")


def test_a_cohort_without_images_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="no image to pack"):
        pack(pandas.DataFrame({"image_id": [], "path": []}), tmp_path)
