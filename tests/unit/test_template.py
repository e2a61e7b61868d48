import hashlib
import json

import nibabel
import numpy
import pytest
from phantoms import coordinates, save

from rhvae_mri.io.downloads import read_descriptor
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.preprocess.template import prepare_template
from rhvae_mri.simulate.anatomy import simulate_template


def smooth(points):
    """A smooth field on which linear interpolation is nearly exact."""
    return 100 + points @ [0.3, -0.2, 0.1] + 10 * numpy.sin(points[..., 0] / 30)


def prepare(source, voxel_size, folder):
    prepare_template(str(source), voxel_size, folder / "template.nii.gz")
    return read(voxel_size, folder)


def read(voxel_size, folder):
    image = nibabel.load(folder / "template.nii.gz")
    assert image.get_data_dtype() == numpy.float32
    shape, affine = study_grid(voxel_size)
    assert image.shape == shape
    numpy.testing.assert_array_equal(image.affine, affine)
    return numpy.asarray(image.dataobj), read_json(folder / "template.json")


def test_a_template_on_the_grid_is_copied_exactly(tmp_path):
    shape, affine = study_grid(5.0)
    voxels = numpy.random.default_rng(0).random(shape, dtype=numpy.float32)
    source = save(tmp_path / "mine.nii.gz", voxels, affine)
    prepared, sidecar = prepare(source, 5.0, tmp_path)
    numpy.testing.assert_array_equal(prepared, voxels)
    assert sidecar["Simulated"] is False
    assert sidecar["SHA256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_flipped_axes_are_undone_without_interpolation(tmp_path):
    shape, affine = study_grid(5.0)
    voxels = numpy.random.default_rng(0).random(shape, dtype=numpy.float32)
    flip = numpy.diag([-1.0, 1, 1, 1])
    flip[0, 3] = shape[0] - 1
    source = save(tmp_path / "mine.nii", voxels[::-1], affine @ flip)
    prepared, _ = prepare(source, 5.0, tmp_path)
    numpy.testing.assert_array_equal(prepared, voxels)


def test_a_coarser_template_holds_the_means_over_its_voxels(tmp_path):
    shape, affine = study_grid(1.0)
    voxels = numpy.random.default_rng(0).random(shape, dtype=numpy.float32)
    prepared, sidecar = prepare(save(tmp_path / "mine.nii", voxels, affine), 4.0, tmp_path)
    blocks = voxels[:192, :228, :192].reshape(48, 4, 57, 4, 48, 4).mean(axis=(1, 3, 5))
    numpy.testing.assert_allclose(prepared[:48, :57, :48], blocks, atol=1e-5)
    assert sidecar["Resampling"] == "means over blocks of 4 mm"


def test_another_grid_is_interpolated_in_world_coordinates(tmp_path):
    affine = numpy.diag([3.0, -3.0, 3.0, 1.0])
    affine[:3, 3] = [-110, 115, -90]
    voxels = smooth(coordinates((75, 88, 76), affine))
    prepared, sidecar = prepare(save(tmp_path / "mine.nii", voxels, affine), 6.0, tmp_path)
    expected = smooth(coordinates(*study_grid(6.0)))
    inner = (slice(2, -2),) * 3
    numpy.testing.assert_allclose(prepared[inner], expected[inner], atol=0.15)
    assert "linear interpolation" in sidecar["Resampling"]


def test_a_template_in_another_space_is_refused(tmp_path):
    shape, affine = study_grid(4.0)
    affine[:3, 3] = 0
    source = save(tmp_path / "mine.nii", numpy.random.default_rng(0).random(shape), affine)
    with pytest.raises(StudyError, match="% of the study's field of view"):
        prepare_template(str(source), 4.0, tmp_path / "template.nii.gz")


def test_the_simulated_template_says_so(tmp_path):
    simulate_template(8.0, tmp_path / "template.nii.gz")
    _, sidecar = read(8.0, tmp_path)
    assert sidecar["Simulated"] is True


def test_a_downloaded_template_is_used_when_it_is_the_pinned_one(tmp_path):
    shape, affine = study_grid(8.0)
    voxels = numpy.random.default_rng(0).random(shape, dtype=numpy.float32)
    file = save(tmp_path / "t.nii", voxels, affine)
    descriptor = {
        "name": "a test",
        "url": "https://example.invalid/t.nii",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    (tmp_path / "template_descriptor.json").write_text(json.dumps(descriptor))
    source = str(tmp_path / "template_descriptor.json")
    prepare_template(source, 8.0, tmp_path / "template.nii.gz")
    sidecar = read_json(tmp_path / "template.json")
    assert sidecar["URL"] == descriptor["url"]
    assert sidecar["Origin"] == "a test"
    numpy.testing.assert_array_equal(nibabel.load(tmp_path / "template.nii.gz").get_fdata(), voxels)


def test_the_projects_own_descriptor_is_complete(request):
    descriptor = read_descriptor(request.config.rootpath / "resources" / "template.json")
    assert descriptor["url"].endswith("mni_icbm152_t1_tal_nlin_sym_09c.nii")
    assert len(descriptor["sha256"]) == 64
    shape, affine = study_grid(1.0)
    assert tuple(descriptor["shape"]) == shape
    assert descriptor["origin_mm"] == affine[:3, 3].tolist()


def test_a_missing_template_names_the_path(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        prepare_template(str(tmp_path / "no.nii"), 4.0, tmp_path / "template.nii.gz")
