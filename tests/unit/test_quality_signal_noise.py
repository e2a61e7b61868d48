import numpy
import pytest
from phantoms import coordinates, grid, head

from rhvae_mri.quality.masks import dilate, head_mask
from rhvae_mri.quality.signal_noise import AIR_DISTANCE, Regions, measure_signal

#: Size and pose of the scanned head: template to scanner coordinates in mm.
POSE = numpy.array([[0.95, -0.2, 0.1, 4], [0.22, 0.93, -0.12, 7], [-0.06, 0.15, 1.03, -5], [0, 0, 0, 1]])

WHITE = numpy.array([[x, y, 18.0] for x in range(-36, 37, 6) for y in (-50, -45, 10, 15)])
GREY = numpy.array([[x, y, 2.0] for x in (-61, -59, 58, 60) for y in range(-30, -5)])


@pytest.fixture(scope="module")
def regions():
    shape, affine = grid(4.0)
    mask = head_mask(head(coordinates(shape, affine)), 4.0)
    return Regions(mask, dilate(mask, AIR_DISTANCE, 4.0), affine, WHITE, GREY)


@pytest.fixture(scope="module")
def scan():
    """A scan of the phantom without noise, in its own pose and with thick slices, and its affine."""
    affine = numpy.array([[0, 0, 3.0, -120], [-2.5, 0, 0, 130], [0, 2.5, 0, -130], [0, 0, 0, 1]])
    points = coordinates((104, 104, 81), affine)
    inverse = numpy.linalg.inv(POSE)
    return 6 * head(points @ inverse[:3, :3].T + inverse[:3, 3]), affine


def rician(voxels, noise):
    parts = numpy.random.default_rng(0).normal(0, noise, (2, *voxels.shape))
    return numpy.hypot(voxels + parts[0], parts[1])


@pytest.mark.parametrize("noise", [6.0, 30.0])
def test_signal_and_contrast_to_noise_are_those_that_went_in(scan, regions, noise):
    voxels, affine = scan
    image = numpy.rint(rician(voxels, noise))  # scanners write integers
    found = measure_signal(image, image, affine, POSE, regions)
    assert found["snr"] == pytest.approx(600 / noise, rel=0.05)
    assert found["cnr"] == pytest.approx((600 - 372) / noise, rel=0.08)
    assert found["bias_range"] == pytest.approx(1)


def test_the_bias_field_changes_its_range_and_not_the_contrast(scan, regions):
    voxels, affine = scan
    height = numpy.linspace(-1, 1, voxels.shape[1])[None, :, None]
    field = numpy.exp(0.5 * height)
    image = rician(voxels * field, 6)
    plain = measure_signal(rician(voxels, 6), rician(voxels, 6), affine, POSE, regions)
    found = measure_signal(image, 3 * image / field, affine, POSE, regions)
    inside = voxels > 60
    low, high = numpy.percentile(numpy.broadcast_to(field, voxels.shape)[inside], [2, 98])
    assert found["bias_range"] == pytest.approx(high / low, rel=0.05)
    assert found["cnr"] / found["snr"] == pytest.approx(plain["cnr"] / plain["snr"], rel=0.02)


def test_bright_spots_in_the_air_are_not_noise(scan, regions):
    voxels, affine = scan
    image = rician(voxels, 6)
    expected = measure_signal(image, image, affine, POSE, regions)["snr"]
    image[80:100, 95:100, 30:50] = 500  # an ear, a hand, a fold of the cushion
    assert measure_signal(image, image, affine, POSE, regions)["snr"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("scanned", [0.0, 0.5])
def test_zeros_outside_the_scan_are_no_air(scan, regions, scanned):
    voxels, affine = scan
    image = rician(voxels, 6)
    expected = measure_signal(image, image, affine, POSE, regions)["snr"]
    air = voxels == 0
    if scanned:
        air[: int(scanned * len(air))] = False
    image[air] = 0
    found = measure_signal(image, image, affine, POSE, regions)
    if scanned:
        assert found["snr"] == pytest.approx(expected, rel=0.08)
    else:  # the scanner set all air to zero: neither infinite nor zero, but unknown
        assert found["snr"] is None
        assert found["cnr"] is None
    assert found["bias_range"] == pytest.approx(1)


def test_tissue_outside_the_scan_is_not_measured(scan, regions):
    voxels, affine = scan
    elsewhere = POSE.copy()
    elsewhere[:3, 3] += 400
    found = measure_signal(rician(voxels, 6), voxels, affine, elsewhere, regions)
    assert found == {"snr": None, "cnr": None, "bias_range": None}
