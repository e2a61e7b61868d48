import dataclasses
import itertools

import numpy
import pytest
from scipy import ndimage

from rhvae_mri.simulate.acquisition import (
    BIAS_TERMS,
    add_motion,
    add_noise,
    bias_field,
    site_scanner,
)
from rhvae_mri.simulate.anatomy import LATTICE_ORIGIN, coarse_lattice, load_anatomy, whole_head_template
from rhvae_mri.simulate.deformation import deform
from rhvae_mri.simulate.heads import render_scan
from rhvae_mri.simulate.participants import draw_cohort

FAULTS = ("truncated_series", "wrong_field_of_view", "motion_noise")


@pytest.fixture(scope="module")
def anatomy():
    return load_anatomy()


@pytest.fixture(scope="module")
def cohort():
    return draw_cohort("ADNI", {"AD": 8, "CN": 8, **dict.fromkeys(FAULTS, 2)}, 4.0, seed=11)


@pytest.fixture(scope="module")
def good_scans(cohort):
    """Each good participant with a rendered scan of the first visit."""
    return [(person, render(person)) for person in cohort[:16]]


def render(person, visit=None, **changes):
    visit = visit or person.visits[0]
    scan = dataclasses.replace(visit.scans[-1], **changes)
    return render_scan(person, visit, scan)


def to_template(rendered, points):
    inverse = numpy.linalg.inv(rendered.template_to_voxel)
    return inverse[:3, :3] @ points + inverse[:3, 3:]


def sample(array, points):
    """Value of a map of the 1 mm lattice at the nearest voxel to each MNI coordinate."""
    return ndimage.map_coordinates(array, points - numpy.array(LATTICE_ORIGIN)[:, None], order=0)


def mask_in_scan(rendered, mask):
    """A mask of the average head, put into a scan by its true affine."""
    points = numpy.indices(rendered.volume.shape).reshape(3, -1)
    return sample(mask, to_template(rendered, points)).reshape(rendered.volume.shape)


def on_template_grid(rendered, template):
    """The scan on the template's grid by its true affine."""
    matrix = rendered.template_to_voxel @ template.affine
    return ndimage.affine_transform(
        rendered.volume.astype(float), matrix[:3, :3], matrix[:3, 3], template.shape, order=1
    )


def test_a_scan_is_int16_in_a_realistic_range(good_scans):
    for person, rendered in good_scans:
        scan = person.visits[0].scans[-1]
        assert rendered.volume.dtype == numpy.int16
        extent = numpy.array(rendered.volume.shape) * scan.voxel_size
        assert (numpy.abs(extent - [212, 256, 256]) < scan.voxel_size).all()
        assert numpy.allclose(numpy.diag(rendered.affine)[:3], scan.voxel_size)
        assert rendered.volume.min() >= 0
        assert 600 < rendered.volume.max() < 2500
        corner = rendered.volume[:3, -3:, -3:]
        assert 0 < corner.mean() < 60


def test_the_same_seed_gives_the_same_scan(cohort):
    first, again = (render(cohort[0]) for _ in range(2))
    for name in ("volume", "template_to_voxel", "bias_coefficients", "ventricle_ml"):
        assert numpy.array_equal(getattr(first, name), getattr(again, name))
    other = render(cohort[0], seed=1)
    assert not numpy.array_equal(first.volume, other.volume)
    assert not numpy.allclose(first.template_to_voxel, other.template_to_voxel)
    assert first.ventricle_ml == other.ventricle_ml


def test_the_whole_head_is_in_the_box(good_scans):
    for _, rendered in good_scans:
        smooth = ndimage.gaussian_filter(rendered.volume.astype(float), 1)
        tissue = smooth > 0.3 * numpy.percentile(smooth, 95)
        # nothing at the walls to the left, right, front, back and top; the neck may leave at the bottom
        walls = [tissue[0], tissue[-1], tissue[:, 0], tissue[:, -1], tissue[:, :, -1]]
        assert not any(wall.any() for wall in walls)


def test_the_pose_is_within_its_limits(good_scans):
    for _, rendered in good_scans:
        pose = rendered.affine @ rendered.template_to_voxel
        left, scales, right = numpy.linalg.svd(pose[:3, :3])
        rotation = left @ right
        angle = numpy.rad2deg(numpy.arccos((numpy.trace(rotation) - 1) / 2))
        assert angle < 18
        assert (numpy.abs(scales - 1) < 0.08).all()
        assert numpy.abs(pose @ [0, -4, -8, 1])[:3].max() < 16


def test_the_true_affine_aligns_the_scan_with_the_template(good_scans):
    template = whole_head_template(4)
    reference = template.get_fdata()
    for _, rendered in good_scans:
        aligned = on_template_grid(rendered, template)
        agreement = numpy.corrcoef(aligned.ravel(), reference.ravel())[0, 1]
        assert agreement > 0.8
        for axis in range(3):
            shifted = numpy.roll(aligned, 3, axis)
            assert numpy.corrcoef(shifted.ravel(), reference.ravel())[0, 1] < agreement - 0.1


def test_the_true_volumes_are_those_of_the_rendered_head(cohort, anatomy):
    for person in cohort[1:16:5]:
        rendered = render(person, voxel_size=(3.0, 3.0, 3.0))
        own = person.anatomy
        deformation = deform(own.head_seed, own.ventricle_scale, own.hippocampus_scale)
        points = numpy.indices(rendered.volume.shape).reshape(3, -1)
        average_points = deformation.at(to_template(rendered, points))
        index = average_points - numpy.array(LATTICE_ORIGIN)[:, None]
        for labels, true in (
            (anatomy.ventricles, rendered.ventricle_ml),
            (anatomy.hippocampi, rendered.hippocampus_ml),
        ):
            share = ndimage.map_coordinates(labels, index, order=1)
            assert 27 / 1000 * share.sum() == pytest.approx(true, rel=0.03)
        # and what is called ventricle is as dark as fluid in the image
        inside = ndimage.map_coordinates(anatomy.ventricles, index, order=1) > 0.85
        white = site_scanner("ADNI", person.site, person.visits[0].scans[-1].field_strength).white_matter
        clean = rendered.volume / bias_field(rendered.volume.shape, rendered.bias_coefficients)
        assert numpy.median(clean.ravel()[inside]) < 0.5 * white


def test_atrophy_shows_in_the_image(cohort, anatomy):
    """The voxels of the average ventricles darken when only the ventricles of a head grow."""
    template = whole_head_template(4)
    blocks = whole_head_template(4).shape
    grid = template.affine[:3, :3] @ numpy.indices(blocks).reshape(3, -1) + template.affine[:3, 3:]
    ventricles = sample(ndimage.gaussian_filter(anatomy.ventricles, 2), grid).reshape(blocks) > 0.15
    person = cohort[9]
    signals = []
    for scale in (1.0, 2.5):
        own = dataclasses.replace(person.anatomy, ventricle_scale=scale)
        rendered = render(dataclasses.replace(person, anatomy=own))
        signals.append(on_template_grid(rendered, template)[ventricles].mean())
    assert signals[1] < 0.9 * signals[0]


def test_a_later_scan_shows_a_later_anatomy():
    people = draw_cohort("ADNI", {"converters": 6}, 4.0, seed=2)
    person = next(p for p in people if p.visits[1].diagnosis == "AD")
    first = render(person)
    later = render(person, visit=person.visits[1])
    assert 1.02 < later.ventricle_ml / first.ventricle_ml < 1.25
    assert 0.85 < later.hippocampus_ml / first.hippocampus_ml < 0.99


def test_bias_field_is_the_polynomial_that_its_docstring_says():
    random = numpy.random.default_rng(0)
    coefficients = random.normal(0, 0.1, len(BIAS_TERMS))
    field = bias_field((5, 4, 3), coefficients)
    for i, j, k in itertools.product(range(5), range(4), range(3)):
        x, y, z = -1 + 2 * i / 4, -1 + 2 * j / 3, -1 + 2 * k / 2
        terms = [x**a * y**b * z**c for a, b, c in BIAS_TERMS]
        assert field[i, j, k] == pytest.approx(numpy.exp(numpy.dot(coefficients, terms)), rel=1e-4)
    assert len(set(BIAS_TERMS)) == 20


def test_bias_is_realistic_over_the_head(good_scans, anatomy):
    for _, rendered in good_scans:
        field = numpy.log(bias_field(rendered.volume.shape, rendered.bias_coefficients))
        inside = field[mask_in_scan(rendered, anatomy.head)]
        assert abs(inside.mean()) < 0.02
        assert 0.09 < inside.std() < 0.19
        assert numpy.abs(numpy.percentile(inside, [2, 98])).max() < 0.55


def test_noise_is_rician_and_stronger_at_low_field():
    silent = add_noise(numpy.zeros((40, 40, 40), numpy.float32), 10.0, seed=1)
    assert silent.mean() == pytest.approx(10 * numpy.sqrt(numpy.pi / 2), rel=0.02)
    signal = add_noise(numpy.full((40, 40, 40), 500, numpy.float32), 10.0, seed=1)
    assert signal.std() == pytest.approx(10, rel=0.03)
    weak = [site_scanner("ADNI", site, 1.5).noise for site in range(30)]
    strong = [site_scanner("ADNI", site, 3.0).noise for site in range(30)]
    assert 1.5 < numpy.mean(weak) / numpy.mean(strong) < 2.5
    assert len({site_scanner("ADNI", site, 3.0).gamma for site in range(30)}) == 30


def test_motion_spoils_the_image_but_not_its_sum_of_squares():
    image = numpy.zeros((30, 40, 30), numpy.float32)
    image[8:22, 10:30, 8:22] = 1
    moved = add_motion(image, (4.8, 4.0, 4.0), seed=1)
    assert (moved**2).sum() == pytest.approx((image**2).sum(), rel=1e-3)
    assert numpy.corrcoef(moved.ravel(), image.ravel())[0, 1] < 0.8


def test_faults_are_gross(cohort, anatomy):
    template = whole_head_template(4)
    reference = template.get_fdata()
    brain, origin = coarse_lattice(anatomy.brain, 5)
    points = numpy.argwhere(brain > 0.5) * 5 + origin
    for person in cohort[16:]:
        fault = person.visits[0].scans[0].fault
        rendered = render(person)
        aligned = on_template_grid(rendered, template)
        agreement = numpy.corrcoef(aligned.ravel(), reference.ravel())[0, 1]
        voxels = rendered.template_to_voxel @ numpy.column_stack([points, numpy.ones(len(points))]).T
        limits = numpy.array(rendered.volume.shape)[:, None]
        inside = ((voxels[:3] >= 0) & (voxels[:3] < limits)).all(axis=0).mean()
        if fault == "truncated_series":
            assert agreement > 0.8 and inside == 1
        elif fault == "wrong_field_of_view":
            assert agreement < 0.5 and inside < 0.35
        else:
            assert agreement < 0.75 and inside == 1


def test_one_head_renders_alike_at_every_voxel_size(cohort):
    person = cohort[3]
    template = whole_head_template(6)
    fine, coarse = (on_template_grid(render(person, voxel_size=(size,) * 3), template) for size in (2.5, 5.0))
    assert numpy.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.97


def test_ants_finds_the_true_affine_and_n4_the_bias(good_scans, anatomy, tmp_path):
    import nibabel

    from rhvae_mri.preprocess.bias_field import correct_bias
    from rhvae_mri.preprocess.registration import Levels, read_itk_affine, register_to_template

    nibabel.save(whole_head_template(4), tmp_path / "template.nii")
    brain, origin = coarse_lattice(anatomy.brain, 5)
    points = (numpy.argwhere(brain > 0.5) * 5 + origin).T
    rendered = good_scans[11][1]
    nibabel.save(nibabel.Nifti1Image(rendered.volume, rendered.affine), tmp_path / "raw.nii")
    correct_bias(tmp_path / "raw.nii", tmp_path / "n4.nii")
    register_to_template(
        tmp_path / "n4.nii",
        tmp_path / "template.nii",
        tmp_path / "registered.nii",
        tmp_path / "affine.mat",
        seed=1,
        levels=Levels((4, 2), (8, 4), "mm", (1000, 500)),
    )
    error = read_itk_affine(tmp_path / "affine.mat") - rendered.affine @ rendered.template_to_voxel
    distance = numpy.linalg.norm(error[:3, :3] @ points + error[:3, 3:], axis=0)
    assert distance.mean() < 2.0
    head = mask_in_scan(rendered, anatomy.head)
    clean = rendered.volume / bias_field(rendered.volume.shape, rendered.bias_coefficients)
    corrected = nibabel.load(tmp_path / "n4.nii").get_fdata()
    before = numpy.corrcoef(rendered.volume[head], clean[head])[0, 1]
    assert numpy.corrcoef(corrected[head], clean[head])[0, 1] > before
