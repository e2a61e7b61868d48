import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess import grid


@pytest.mark.parametrize("voxel_size", [1.0, 1.1, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0])
def test_a_coarse_grid_has_the_same_field_of_view(voxel_size):
    fine_shape, fine = grid.study_grid(1.0)
    shape, affine = grid.study_grid(voxel_size)
    low, fine_low = affine[:3, 3] - voxel_size / 2, fine[:3, 3] - 0.5
    numpy.testing.assert_allclose(low, fine_low)
    high = low + voxel_size * numpy.array(shape)
    fine_high = fine_low + numpy.array(fine_shape)
    assert (high >= fine_high - 1e-3).all()
    assert (high < fine_high + voxel_size).all()


@pytest.mark.parametrize("voxel_size", [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0])
def test_a_coarse_crop_covers_the_same_box_to_within_a_voxel(voxel_size):
    shape, _ = grid.study_grid(voxel_size)
    for part, start, stop, count in zip(
        grid.crop_box(voxel_size), grid.CROP_START, grid.CROP_STOP, shape, strict=True
    ):
        assert 0 <= part.start < part.stop <= count
        assert abs(part.start * voxel_size - start) <= voxel_size / 2
        assert abs(part.stop * voxel_size - stop) <= voxel_size


@pytest.mark.parametrize("voxel_size", [0, -1, 0.5, 20, float("nan")])
def test_an_impossible_voxel_size_is_refused(voxel_size):
    with pytest.raises(StudyError, match="is not possible"):
        grid.study_grid(voxel_size)
