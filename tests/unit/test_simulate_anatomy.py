import numpy
import pytest
from scipy import ndimage

from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.simulate.anatomy import (
    LATTICE_ORIGIN,
    LATTICE_SHAPE,
    coarse_lattice,
    load_anatomy,
    whole_head_template,
)
from rhvae_mri.simulate.deformation import deform, near_head, structure_volumes


@pytest.fixture(scope="module")
def anatomy():
    return load_anatomy()


def at(array, *point):
    """Value of a map of the 1 mm lattice at an MNI coordinate."""
    return array[tuple(round(p - o) for p, o in zip(point, LATTICE_ORIGIN, strict=True))]


def centre_of_mass(label):
    return numpy.array(ndimage.center_of_mass(label)) + LATTICE_ORIGIN


def test_the_same_object_is_given_again(anatomy):
    assert load_anatomy() is anatomy
    assert anatomy.intensity.shape == LATTICE_SHAPE
    assert anatomy.intensity.dtype == numpy.float32


def test_the_brain_is_nilearns_on_the_study_grid(anatomy):
    from nilearn.datasets import load_mni152_brain_mask

    nilearn_mask = load_mni152_brain_mask(resolution=1)
    counts = [int(anatomy.brain.sum()), int(nilearn_mask.get_fdata().sum())]
    assert abs(counts[0] - counts[1]) < 0.03 * counts[1]
    own = centre_of_mass(anatomy.brain)
    centre = nilearn_mask.affine @ [*ndimage.center_of_mass(nilearn_mask.get_fdata()), 1]
    assert numpy.abs(own - centre[:3]).max() < 0.5


def test_tissues_have_t1_contrast(anatomy):
    fluid = anatomy.intensity[anatomy.ventricles > 0.9].mean()
    grey = at(anatomy.intensity, 0, -14, 8)  # thalamus
    white = at(anatomy.intensity, 26, -22, 32)  # corona radiata
    cortex = numpy.median(anatomy.intensity[(anatomy.cortical_loss < -0.35) & anatomy.brain])
    assert fluid < 0.35 < cortex < grey + 0.2 < 1.05
    assert 0.9 < white < 1.1


def test_skull_is_dark_and_scalp_bright_around_the_whole_brain(anatomy):
    for direction in ([0, 0, 1], [1, 0, 0.3], [-1, 0, 0.3], [0, 1, 0.3], [0, -1, 0.2]):
        steps = numpy.linspace(0, 130, 521)
        ray = numpy.outer(numpy.array(direction) / numpy.linalg.norm(direction), steps)
        index = ray + numpy.array([[0], [-18], [12]]) - numpy.array(LATTICE_ORIGIN)[:, None]
        signal = ndimage.map_coordinates(anatomy.intensity, index, order=1)
        brain = ndimage.map_coordinates(anatomy.brain.astype(float), index, order=1) > 0.5
        beyond = signal[numpy.flatnonzero(brain)[-1] :]
        skin = numpy.flatnonzero(beyond > 0.7)[-1]
        assert beyond[:skin].min() < 0.2
        assert beyond[skin - 12 : skin].max() > 0.85
        assert beyond[-1] == 0


def test_front_and_back_differ_and_left_and_right_hardly(anatomy):
    # the lattice without its last sagittal plane is symmetric about x = 0
    part = anatomy.intensity[:-1:4, ::4, ::4]
    mirrored = numpy.corrcoef(part.ravel(), part[::-1].ravel())[0, 1]
    reversed_ = numpy.corrcoef(part.ravel(), part[:, ::-1].ravel())[0, 1]
    assert mirrored > 0.97
    assert reversed_ < 0.8


def test_the_head_ends_inside_the_lattice(anatomy):
    for axis in range(3):
        for side in (0, -1):
            assert numpy.take(anatomy.intensity, side, axis).max() == 0


def test_ventricles_are_where_they_belong(anatomy):
    volume = anatomy.ventricles.sum() / 1000
    assert 14 < volume < 25
    right = anatomy.ventricles.copy()
    right[: round(-LATTICE_ORIGIN[0])] = 0
    assert numpy.abs(centre_of_mass(right) - [16, -17, 13]).max() < 5
    assert at(anatomy.ventricles, 22, -35, 20) > 0.6
    assert at(anatomy.ventricles, 0, -14, 2) == 0  # the third ventricle
    assert abs(numpy.flip(anatomy.ventricles, 0).sum() - anatomy.ventricles.sum()) < 1


def test_hippocampi_are_where_they_belong(anatomy):
    assert 6 < anatomy.hippocampi.sum() / 1000 < 10  # both; 3 to 5 ml each in adults
    left = anatomy.hippocampi.copy()
    left[round(-LATTICE_ORIGIN[0]) :] = 0
    assert numpy.abs(centre_of_mass(left) - [-28, -20, -16]).max() < 4
    assert (anatomy.hippocampi * anatomy.ventricles).sum() < 0.05 * anatomy.hippocampi.sum()
    assert at(anatomy.temporal_loss, 30, -4, -32) < 0
    assert at(anatomy.cortical_loss, 0, -30, -30) == 0  # brain stem
    assert anatomy.cortical_loss.max() <= 0


@pytest.mark.parametrize("voxel_size", [2.5, 4.0, 8.0])
def test_template_holds_the_mean_of_each_voxels_box(voxel_size):
    image = whole_head_template(voxel_size)
    shape, affine = study_grid(voxel_size)
    assert image.shape == shape
    assert numpy.allclose(image.affine, affine)
    assert image.get_data_dtype() == numpy.float32
    data = image.get_fdata()
    voxel = numpy.array([25, 30, 26]) * 4 // round(voxel_size * 1.01)
    # brute force: the mean over a fine grid of points in the voxel's box
    offsets = (numpy.arange(40) + 0.5) / 40 - 0.5
    points = affine[:3, 3] + voxel_size * (
        voxel + numpy.stack(numpy.meshgrid(offsets, offsets, offsets, indexing="ij"), -1)
    )
    index = numpy.rint(points - LATTICE_ORIGIN).astype(int)
    expected = 100 * load_anatomy().intensity[tuple(numpy.moveaxis(index, -1, 0))].mean()
    assert data[tuple(voxel)] == pytest.approx(expected, rel=0.01)


def test_template_at_one_mm_is_the_average_itself(anatomy):
    image = whole_head_template(1)
    start = [round(o - p) for o, p in zip(image.affine[:3, 3], LATTICE_ORIGIN, strict=True)]
    part = tuple(slice(s, s + n) for s, n in zip(start, image.shape, strict=True))
    assert numpy.allclose(image.get_fdata(), 100 * anatomy.intensity[part], atol=1e-3)


def test_coarse_lattice_is_the_mean_of_blocks(anatomy):
    blocks, origin = coarse_lattice(anatomy.intensity, 5)
    assert blocks[20, 20, 20] == pytest.approx(anatomy.intensity[100:105, 100:105, 100:105].mean(), rel=1e-5)
    assert origin.tolist() == [-98, -134, -116]


@pytest.mark.parametrize("scale", [0.8, 1.5, 2.0, 3.0])
def test_ventricles_grow_by_the_factor_asked_for(scale):
    before = structure_volumes(deform(0, random_part=0))
    after = structure_volumes(deform(0, ventricle_scale=scale, random_part=0))
    assert after[0] / before[0] == pytest.approx(scale, rel=0.03)
    assert after[1] / before[1] == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.1])
def test_hippocampi_shrink_by_the_factor_asked_for(scale):
    before = structure_volumes(deform(0, random_part=0))
    after = structure_volumes(deform(0, hippocampus_scale=scale, random_part=0))
    assert after[1] / before[1] == pytest.approx(scale, rel=0.03)
    assert after[0] / before[0] == pytest.approx(1, rel=0.03)


def test_no_deformation_leaves_the_average(anatomy):
    deformation = deform(0, random_part=0)
    points = numpy.random.default_rng(0).uniform(-60, 60, (3, 50))
    assert numpy.abs(deformation.at(points) - points).max() < 1e-3
    expected = [anatomy.ventricles.sum() / 1000, anatomy.hippocampi.sum() / 1000]
    assert structure_volumes(deformation) == pytest.approx(expected, rel=1e-3)


def test_deformations_are_invertible_and_differ_and_repeat():
    first = deform(1, 3.0, 0.5)
    derivative = numpy.stack([numpy.stack(numpy.gradient(part, 5.0)) for part in first.displacement])
    jacobian = derivative + numpy.eye(3)[:, :, None, None, None]
    determinant = numpy.linalg.det(numpy.moveaxis(jacobian, (0, 1), (-2, -1)))
    lattice = numpy.array(LATTICE_ORIGIN) + 2 + 5 * numpy.argwhere(numpy.ones(first.displacement.shape[1:]))
    head = near_head(lattice.T).reshape(determinant.shape)
    inner = ndimage.binary_erosion(head, iterations=2)
    assert determinant[inner].min() > 0.05
    assert numpy.array_equal(first.displacement, deform(1, 3.0, 0.5).displacement)
    assert not numpy.allclose(first.displacement, deform(2, 3.0, 0.5).displacement)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_deformations_have_no_affine_part_in_either_direction(anatomy, seed):
    deformation = deform(seed, 1.8, 0.8)
    head, origin = coarse_lattice(anatomy.head, 5)
    brain, _ = coarse_lattice(anatomy.brain, 5)
    points = (numpy.argwhere(head > 0.5) * 5 + origin).T
    points = points[:, points[2] > -75]
    mapped = deformation.at(points)
    targets = (numpy.argwhere(brain > 0.5) * 5 + origin).T
    for source, goal in ((points, mapped), (mapped, points)):
        design = numpy.vstack([source, numpy.ones(source.shape[1])])
        fitted = numpy.linalg.lstsq(design.T, goal.T, rcond=None)[0].T
        moved = fitted @ numpy.vstack([targets, numpy.ones(targets.shape[1])])
        assert numpy.linalg.norm(moved - targets, axis=0).mean() < 0.4
    assert 1.0 < numpy.linalg.norm(mapped - points, axis=0).mean() < 6
