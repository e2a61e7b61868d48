"""Images outside the domain of N4 and of the rescaling: brought into it and recorded, or refused."""

import json

import nibabel
import numpy
import pytest
from phantoms import coordinates, grid, head, save

from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.images import ImageError, read_image, record_faults, recorded_fault
from rhvae_mri.preprocess.intensities import into_domain

SHAPE, AFFINE = grid(6.0)
POINTS = coordinates(SHAPE, AFFINE)
RANDOM = numpy.random.default_rng(0)
AIR_NOISE = numpy.abs(RANDOM.normal(0, 4, SHAPE))
#: A head with a bias field, as a scanner stores it: whole numbers, air of 0 and a little more.
HEAD = (4 * head(POINTS) * numpy.exp(POINTS @ [0.0025, -0.0015, 0.002]) + AIR_NOISE).round()
TOP = HEAD.max()
AIR = HEAD < 16


def with_voxels(value, count=1):
    voxels = HEAD.copy()
    voxels[(slice(15, 15 + count),) * 3] = value
    return voxels


def undershooting(share=0.014):
    """Some voxels of the air in -30..0, as interpolation leaves them."""
    return numpy.where(AIR & (RANDOM.random(SHAPE) < share), RANDOM.uniform(-30, 0, SHAPE), HEAD)


def padded():
    voxels = HEAD.copy()
    voxels[:, :5] = -1024
    return voxels


def stored(voxels, dtype, wrap):
    """Store values in too few bits."""
    return (voxels.round().astype(numpy.int64) % wrap).astype(dtype)


UNCHANGED = {
    "scanner": HEAD,
    "uint8": (HEAD * 200 / TOP).round(),
    "0 to 1": HEAD / TOP,
    "thousandths": HEAD / 1000,
    "32 grey levels": (HEAD * 32 // TOP) * 8,
    "one bright voxel": with_voxels(20 * TOP),  # the quality check fails it
    "no noise": head(POINTS),
    "zero air": numpy.where(AIR, 0, HEAD),
}

#: Image, what is subtracted, and the factor: the same head comes out.
CHANGED = {
    "minus 100": (HEAD - 100, -100, 1),
    "minus 1024": (HEAD - 1024, -1024, 1),
    "zero air minus 1024": (numpy.where(AIR, 0, HEAD) - 1024, -1024, 1),
    "plus 100": (HEAD + 100, 100, 1),
    "plus 10000": (HEAD + 10_000, 10_000, 1),
    "some negative": (undershooting(), 0, 1),
    "one of -5000": (numpy.where(numpy.arange(HEAD.size).reshape(SHAPE) == 5, -5000, HEAD), 0, 1),
    "padded": (padded(), 0, 1),
    "noise about 0": (numpy.where(AIR, RANDOM.normal(0, 20, SHAPE), HEAD), 0, 1),
    "tiny": (HEAD * 1e-30, 0, None),
    "huge": (HEAD * 1e30, 0, None),
    "tiny and shifted": ((HEAD - 100) * 1e-20, -1e-18, None),
}

REFUSED = {
    "mask": (HEAD > 100, "only 2 different intensities"),
    "labels": (HEAD // (TOP / 6), "different intensities"),
    "8 grey levels": (HEAD // (TOP / 8), "only [78] different intensities"),
    "a marker in the dark": (
        with_voxels(RANDOM.random((3, 3, 3)), 3) * (with_voxels(-1, 3) != HEAD),
        "value 0",
    ),
    "saturated": (HEAD.clip(0, 0.4 * TOP), "have its highest value"),
    "white air": (numpy.where(AIR, TOP, HEAD), "have its highest value"),
    "uint8 wrapped": (stored(HEAD * 380 / TOP, numpy.uint8, 2**8), "that of 8 bits"),
    "12 bits wrapped": (stored(HEAD * 5500 / TOP, numpy.int16, 2**12), "that of 12 bits"),
    "uint16 wrapped": (stored(HEAD * 90_000 / TOP, numpy.uint16, 2**16), "that of 16 bits"),
    "signed as unsigned": (stored(HEAD - 5, numpy.uint16, 2**16), "that of 16 bits"),
    "negated": (-HEAD, "far below its background|highest value"),
    "brain normalized": (numpy.where(HEAD > 150, HEAD - 350, 0), "far below its background"),
    "phase": (RANDOM.uniform(-3000, 3000, SHAPE) * (HEAD > 0), "far below its background"),
}


def float32(voxels):
    return voxels.astype(numpy.float32)


@pytest.mark.parametrize("name", UNCHANGED)
def test_an_image_inside_the_domain_is_not_touched(name):
    voxels = float32(UNCHANGED[name])
    same, changes = into_domain(voxels)
    assert same is voxels
    assert changes == {}


@pytest.mark.parametrize("name", CHANGED)
def test_an_image_outside_comes_out_as_the_same_head_with_a_record(name):
    voxels, subtracted, factor = CHANGED[name]
    moved, changes = into_domain(float32(voxels))
    assert moved.dtype == numpy.float32
    assert moved.min() == 0
    assert changes["Subtracted"] == pytest.approx(subtracted, rel=1e-6)
    if factor:
        assert changes["MultipliedBy"] == factor
    assert changes["SetToZeroShare"] == pytest.approx(float((float32(voxels) < subtracted).mean()), abs=2e-3)
    bright = HEAD > 100
    if name == "padded":
        bright &= voxels == HEAD
    expected = HEAD[bright] / HEAD[bright].mean()
    numpy.testing.assert_allclose(moved[bright] / moved[bright].mean(), expected, rtol=1e-3)
    assert 100 < numpy.percentile(moved, 99.9) < 2000


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_magnitude_image_of_a_head_is_refused(name):
    voxels, words = REFUSED[name]
    with pytest.raises(ImageError, match=words) as error:
        into_domain(float32(voxels))
    assert error.value.remedy


def field(folder, voxels, padding):
    """Correct an image; give its field relative to the head's mean, and its sidecar."""
    source = save(folder / "scan.nii.gz", voxels, AFFINE)
    correct_bias(source, folder / "out.nii.gz", padding=padding)
    inside = (HEAD > 150) & (numpy.abs(POINTS).sum(-1) < 150)
    ratio = HEAD[inside] / nibabel.load(folder / "out.nii.gz").get_fdata()[inside]
    return ratio / ratio.mean(), json.loads((folder / "out.json").read_text())


@pytest.fixture(scope="module", params=["ants", "coarse"])
def clean(request, tmp_path_factory):
    return request.param, *field(tmp_path_factory.mktemp("clean"), HEAD, request.param)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("minus 100", 1e-5),
        ("minus 1024", 1e-5),
        ("plus 100", 1e-5),
        ("some negative", 0.02),
        ("one of -5000", 0.02),
        ("tiny", 0.02),
        ("huge", 0.02),
        ("tiny and shifted", 0.02),
    ],
)
def test_n4_finds_the_field_of_the_clean_image(tmp_path, clean, name, tolerance):
    """N4 alone gives these images fields of 1, or such as differ from the clean one by more than 2 %."""
    padding, expected, sidecar = clean
    assert "Intensities" not in sidecar
    assert numpy.ptp(expected) > 0.1
    found, sidecar = field(tmp_path, CHANGED[name][0], padding)
    numpy.testing.assert_allclose(found, expected, rtol=tolerance)
    assert sidecar["Intensities"].keys() == {"Subtracted", "SetToZeroShare", "MultipliedBy"}


def test_a_refused_image_is_the_fault_of_that_image_alone(tmp_path):
    source = save(tmp_path / "scan.nii.gz", REFUSED["mask"][0], AFFINE, numpy.uint8)
    with record_faults(tmp_path / "out.nii.gz"):
        correct_bias(source, tmp_path / "out.nii.gz")
    assert "only 2 different intensities" in recorded_fault(tmp_path / "out.nii.gz").what
    with pytest.raises(ImageError, match="only 2 different"):
        read_image(tmp_path / "out.nii.gz")
