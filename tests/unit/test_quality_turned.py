import numpy
import pytest
from phantoms import coordinates, grid, head
from scipy import ndimage
from scipy.spatial.transform import Rotation

from rhvae_mri.quality.similarity import correlation, local_correlation
from rhvae_mri.quality.turned import SMALLEST_TURN, TurnedFit

CENTRE = numpy.array([0, -14, -4.0])


@pytest.fixture(scope="module")
def template():
    shape, affine = grid(8.0)
    points = coordinates(shape, affine)
    voxels = head(points)
    return points, voxels, TurnedFit(voxels, numpy.ones(shape, bool), voxels > 5)


@pytest.mark.parametrize(("axis", "angle"), [("z", 180), ("z", 90), ("x", 180), ("y", 270)])
def test_a_turned_head_is_found_upright(axis, angle, template):
    points, voxels, fits = template
    tilt = Rotation.from_euler("xyz", [8, -5, 6], degrees=True)
    image = head(
        (points - CENTRE) @ (Rotation.from_euler(axis, angle, degrees=True) * tilt).as_matrix() + CENTRE
    )
    everywhere = numpy.ones(voxels.shape, bool)
    found = [
        correlation(ndimage.affine_transform(image, fit[:3, :3], fit[:3, 3], order=1), voxels, everywhere)
        for fit in fits.fit(image)
    ]
    assert max(found) > 0.9 > correlation(image, voxels, everywhere)


def test_fits_that_come_back_are_left_out(template):
    _, voxels, fits = template
    for fit in fits.fit(voxels):
        turn = Rotation.from_matrix(fit[:3, :3])
        assert numpy.degrees(turn.magnitude()) > SMALLEST_TURN - 1


def test_the_pattern_is_blind_to_shading_and_negative_where_contrasts_are_exchanged(template):
    points, voxels, _ = template
    brain = voxels > 30
    shaded = voxels * (1.5 + points[..., 1] / 100)
    assert local_correlation(shaded, voxels, brain, 8.0) > correlation(shaded, voxels, brain) + 0.05
    assert local_correlation(120 - voxels, voxels, brain, 8.0) == pytest.approx(-1)
