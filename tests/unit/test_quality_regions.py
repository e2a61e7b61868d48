import json

import nibabel
import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import crop_affine, crop_box, study_grid
from rhvae_mri.quality.regions import outline_regions, read_regions
from rhvae_mri.simulate.anatomy import simulate_template

VOXEL_SIZE = 4


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    simulate_template(VOXEL_SIZE, folder / "template.nii.gz")
    outline_regions(folder / "template.nii.gz", folder / "regions.nii.gz")
    return folder / "regions.nii.gz"


def label_at(image, point):
    """The label of the voxel at a point in MNI space, in mm."""
    index = numpy.linalg.inv(image.affine) @ [*point, 1.0]
    return int(image.dataobj[tuple(numpy.round(index[:3]).astype(int))])


def test_regions_lie_where_they_should_in_mni_space_on_the_cropped_grid(regions):
    image = nibabel.load(regions)
    shape, _ = study_grid(VOXEL_SIZE)
    assert image.shape == numpy.empty(shape)[crop_box(VOXEL_SIZE)].shape
    numpy.testing.assert_allclose(image.affine, crop_affine(VOXEL_SIZE))
    for side in (-1, 1):
        assert label_at(image, (28 * side, -20, -18)) == 2  # hippocampus
    assert label_at(image, (0, -60, -35)) == 2  # cerebellum
    assert label_at(image, (0, 76, -20)) == 1  # scalp of the forehead
    assert label_at(image, (80, 84, 96)) == 0
    volume = VOXEL_SIZE**3 / 1e6
    assert 1.6 < (numpy.asarray(image.dataobj) == 2).sum() * volume < 2.1  # litres
    sidecar = json.loads(regions.with_name("regions.json").read_text())
    assert sidecar["Labels"] == {"0": "outside", "1": "head", "2": "brain"}


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("resolution", ["full", "downsampled"])
def test_each_voxel_of_the_tensors_is_in_one_region(regions, resolution, align_corners):
    masks = read_regions(regions, resolution, align_corners)
    shape = nibabel.load(regions).shape
    expected = shape if resolution == "full" else tuple(size // 2 for size in shape)
    assert list(masks) == ["brain", "head", "outside"]
    assert all(mask.shape == expected and mask.dtype == bool for mask in masks.values())
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    whole = read_regions(regions, "full")
    for name, mask in masks.items():
        assert mask.mean() == pytest.approx(whole[name].mean(), abs=0.05)


def test_the_template_is_as_symmetric_as_the_flip_of_classic_augmentation_needs(regions):
    masks = read_regions(regions, "downsampled")
    for mask in masks.values():
        assert (mask != mask[::-1]).mean() < 0.06


def test_damaged_regions_are_named(tmp_path):
    (tmp_path / "regions.nii.gz").write_bytes(b"nothing")
    with pytest.raises(StudyError, match=r"regions\.nii\.gz"):
        read_regions(tmp_path / "regions.nii.gz", "full")
