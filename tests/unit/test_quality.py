from pathlib import Path

import nibabel
import numpy
import pandas
import pytest
from phantoms import coordinates, grid, head, save
from scipy import ndimage

from rhvae_mri.errors import StudyError
from rhvae_mri.imaging.images import ImageError, record_faults
from rhvae_mri.imaging.registration import Levels, register_to_template
from rhvae_mri.imaging.template import prepare_template
from rhvae_mri.quality.similarity import block_means, check_quality, correlation, dice, head_mask

REAL = Path(__file__).parents[2].parent / "shared" / "real"

BOUNDS = {"minimum_similarity": 0.4, "minimum_overlap": 0.75}


@pytest.fixture(scope="module")
def scene():
    """The phantom on the template's grid: points, voxels and affine."""
    shape, affine = grid(4.0)
    points = coordinates(shape, affine)
    return points, head(points), affine


@pytest.fixture(scope="module")
def template(scene, tmp_path_factory):
    return save(tmp_path_factory.mktemp("template") / "template.nii.gz", scene[1], scene[2])


def judge(paths, template, **bounds):
    table = pandas.DataFrame(
        {
            "image_id": [f"sub-{i}_ses-M000" for i in range(len(paths))],
            "participant_id": [f"sub-{i}" for i in range(len(paths))],
            "session_id": "ses-M000",
            "registered": [str(path) for path in paths],
        }
    )
    return check_quality(table, template, **{**BOUNDS, **bounds})


def noisy(voxels, level=4.0):
    return numpy.abs(voxels + numpy.random.default_rng(1).normal(0, level, voxels.shape))


def test_good_images_pass_whatever_their_contrast(scene, template, tmp_path):
    points, voxels, affine = scene
    paths = [
        save(tmp_path / "same.nii.gz", voxels, affine),
        save(tmp_path / "brighter.nii.gz", noisy(7 * voxels**1.3, 30), affine),
        save(tmp_path / "moved.nii.gz", noisy(head(points + numpy.array([3, -4, 2]))), affine),
    ]
    table = judge(paths, template)
    assert list(table["status"]) == ["passed"] * 3
    assert table["reason"].isna().all()
    assert table.loc[0, "similarity"] == pytest.approx(1)
    assert table.loc[0, "mask_overlap"] == pytest.approx(1)
    assert table.columns.tolist() == [
        *("image_id", "participant_id", "session_id", "similarity", "mask_overlap", "status", "reason")
    ]


def test_faults_fail_and_the_reason_names_measure_value_and_threshold(scene, template, tmp_path):
    points, voxels, affine = scene
    cut = numpy.where(points[..., 2] < -20, voxels, 0)
    paths = [
        save(tmp_path / "shifted.nii.gz", head(points + numpy.array([0, 45, 35])), affine),
        save(tmp_path / "noise.nii.gz", noisy(voxels, 80), affine),
        save(tmp_path / "cut.nii.gz", cut, affine),
        save(tmp_path / "inverted.nii.gz", numpy.where(voxels > 5, 120 - voxels, 0), affine),
    ]
    table = judge(paths, template)
    assert list(table["status"]) == ["failed"] * 4
    for row in table.itertuples():
        if row.mask_overlap < 0.75:
            assert f"mask_overlap {row.mask_overlap:.3f} is below 0.75" in row.reason
        if row.similarity < 0.4:
            assert f"similarity {row.similarity:.3f} is below 0.4" in row.reason
    assert table.loc[3, "mask_overlap"] > 0.9  # only the similarity sees wrong contrast
    assert "mask_overlap" not in table.loc[3, "reason"]


def test_a_damaged_image_is_a_row_and_not_an_exception(scene, template, tmp_path):
    good = save(tmp_path / "good.nii.gz", scene[1], scene[2])
    damaged, other_grid, faulty = (tmp_path / f"{name}.nii.gz" for name in ("damaged", "other", "faulty"))
    damaged.write_bytes(b"nothing")
    save(other_grid, scene[1][:-1], scene[2])
    with record_faults(faulty):
        raise ImageError("The image cannot be read.", cause="The series is truncated.")
    table = judge([damaged, good, tmp_path / "none.nii.gz", other_grid, faulty], template)
    assert list(table["status"]) == ["failed", "passed", "failed", "failed", "failed"]
    for row, reason in [
        (0, "cannot be read"),
        (2, "does not exist"),
        (3, "not on the template's grid"),
        (4, "The image cannot be read. The series is truncated."),
    ]:
        assert reason in table.loc[row, "reason"]
        assert "\n" not in table.loc[row, "reason"]
    assert table.loc[[0, 2, 3, 4], ["similarity", "mask_overlap"]].isna().all(axis=None)


def test_thresholds_decide(scene, template, tmp_path):
    path = save(tmp_path / "moved.nii.gz", noisy(head(scene[0] + numpy.array([8, 0, 0]))), scene[2])
    similarity = judge([path], template).loc[0, "similarity"]
    assert judge([path], template, minimum_similarity=similarity - 1e-6).loc[0, "status"] == "passed"
    assert judge([path], template, minimum_similarity=similarity + 1e-6).loc[0, "status"] == "failed"


def test_measures_do_not_depend_on_the_voxel_size(tmp_path):
    shape, affine = grid(2.0, (98, 120, 104))
    points = coordinates(shape, affine)
    coarse = affine @ numpy.diag([2.0, 2, 2, 1])
    coarse[:3, 3] += 1.0  # the same lower edge
    results = []
    for size, place in [(2, affine), (4, coarse)]:
        images = [head(points), noisy(head(points + numpy.array([9, -7, 5])))]
        images = [block_means(voxels, size // 2) for voxels in images]
        template, path = (save(tmp_path / f"{size}-{i}.nii", images[i], place) for i in range(2))
        results.append(judge([path], template).loc[0, ["similarity", "mask_overlap"]].tolist())
    numpy.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_the_head_mask_is_the_filled_head(scene):
    points, voxels, _ = scene
    truth = (((points - (0, -18, 0)) / (76, 92, 80)) ** 2).sum(axis=-1) < 1
    mask = head_mask(noisy(voxels), 4.0)
    assert dice(mask, truth) > 0.97
    assert mask[truth & (voxels < 20)].mean() > 0.97  # skull and ventricles count as head


def test_the_measures_equal_their_formulas():
    random = numpy.random.default_rng(0)
    a, b = random.uniform(0, 1, (2, 6, 7, 8))
    mask = random.random((6, 7, 8)) > 0.3
    x, y = (numpy.clip(v[mask], *numpy.quantile(v[mask], [0.02, 0.98])) for v in (a, b))
    assert correlation(a, b, mask) == pytest.approx(numpy.corrcoef(x, y)[0, 1])
    assert correlation(numpy.ones_like(a), b, mask) == 0
    first, second = a > 0.5, b > 0.4
    shared, total = (first & second).sum(), first.sum() + second.sum()
    assert dice(first, second) == pytest.approx(2 * shared / total)
    assert dice(first & False, second & False) == 0
    means = block_means(a, 3)
    assert means.shape == (2, 2, 2)
    assert means[1, 0, 1] == pytest.approx(a[3:6, 0:3, 3:6].mean())


def test_a_bad_template_or_table_stops_the_check(template, tmp_path):
    with pytest.raises(StudyError, match="template is unusable"):
        judge([], tmp_path / "none.nii.gz")
    with pytest.raises(StudyError, match="no column participant_id, registered, session_id"):
        check_quality(pandas.DataFrame({"image_id": []}), template, **BOUNDS)


@pytest.mark.real
@pytest.mark.parametrize("name", ["head_01", "head_12"])
def test_a_real_head_passes_when_registered_and_fails_when_tilted(name, tmp_path):
    if not REAL.is_dir():
        pytest.skip("the real images of shared/real are not here")
    template = tmp_path / "template.nii.gz"
    prepare_template(str(REAL / "mni152_2009_wholehead_1mm.nii.gz"), 4.0, template)
    scan = nibabel.load(REAL / f"{name}_T1w.nii.gz")
    voxels = scan.get_fdata()[::2, ::2]  # every second voxel within a slice is enough at 4 mm
    source = save(tmp_path / "scan.nii.gz", voxels, scan.affine @ numpy.diag([2.0, 2, 1, 1]))
    image, affine = tmp_path / "image.nii.gz", tmp_path / "image.mat"
    levels = Levels((4, 2, 1), (8, 4, 2), "mm", (1000, 500, 20))
    register_to_template(source, template, image, affine, seed=1, levels=levels)
    registered = nibabel.load(image)
    tilted = ndimage.rotate(registered.get_fdata(), 30, axes=(1, 2), reshape=False, order=1)
    bad = save(tmp_path / "tilted.nii.gz", tilted, registered.affine)
    table = judge([image, bad], template)
    assert list(table["status"]) == ["passed", "failed"], table.to_string()
