import importlib.util
import math
import subprocess
import sys

import nibabel
import numpy
import pytest
from phantoms import coordinates, grid, head, save
from scipy.spatial.transform import Rotation

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess import ants_library, n4_grid
from rhvae_mri.preprocess.ants_library import ants_folder, load_ants, run_ants, write_for_ants
from rhvae_mri.preprocess.bias_field import bias_arguments, coarse_arguments, correct_bias
from rhvae_mri.preprocess.images import ImageError, record_faults


@pytest.fixture(scope="module")
def phantom():
    """A phantom with a known bias field and noise, on 6 mm voxels: truth, biased image, affine."""
    shape, affine = grid(6.0)
    points = coordinates(shape, affine)
    truth = head(points)
    field = numpy.exp(points @ [0.0025, -0.0015, 0.002])
    noise = numpy.abs(numpy.random.default_rng(0).normal(0, 1, shape))
    return truth, truth * field + noise, affine


@pytest.fixture(scope="module")
def corrected(phantom, tmp_path_factory):
    """The phantom corrected with the study's parameters, from integers as scanners write them."""
    folder = tmp_path_factory.mktemp("bias") / "sub-1" / "anat"
    _, biased, affine = phantom
    source = save(folder / "sub-1_T1w.nii.gz", biased * 8, affine, numpy.int16)
    target = folder / "sub-1_desc-N4_T1w.nii.gz"
    correct_bias(source, target)
    return target


def test_n4_recovers_the_known_bias(phantom, corrected):
    truth, biased, _ = phantom
    inside = truth > 30
    result = nibabel.load(corrected).get_fdata()
    before = numpy.corrcoef(biased[inside], truth[inside])[0, 1]
    after = numpy.corrcoef(result[inside], truth[inside])[0, 1]
    assert before < 0.92
    assert after > 0.95
    estimated, true = 8 * biased[inside] / result[inside], biased[inside] / truth[inside]
    assert numpy.corrcoef(numpy.log(estimated), numpy.log(true))[0, 1] > 0.8


def test_the_grid_is_kept_and_the_voxels_are_float32(phantom, corrected):
    image = nibabel.load(corrected)
    assert image.get_data_dtype() == numpy.float32
    assert image.shape == phantom[0].shape
    numpy.testing.assert_allclose(image.affine, phantom[2], atol=1e-6)


def test_the_sidecar_tells_what_was_done(corrected):
    sidecar = read_json(corrected.with_name("sub-1_desc-N4_T1w.json"))
    assert sidecar["Sources"] == ["bids::sub-1/anat/sub-1_T1w.nii.gz"]
    assert sidecar["SkullStripped"] is False
    assert sidecar["BiasFieldCorrection"]["SplineDistanceMm"] == 600
    assert sidecar["BiasFieldCorrection"]["Padding"] == "ants"
    assert "[600]" in sidecar["BiasFieldCorrection"]["Arguments"]
    assert sidecar["Threads"] == 1
    assert sidecar["SoftwarePackages"]["antspyx"] == "0.6.3"


def test_the_default_parameters_are_the_studys_call(phantom, corrected):
    """`N4BiasFieldCorrection -d 3 -b [600]` and nothing else gives the same voxels."""
    source = nibabel.load(corrected.with_name("sub-1_T1w.nii.gz"))
    with ants_folder() as folder:
        write_for_ants(folder / "i.nii", source.get_fdata(), source.affine)
        run_ants("N4BiasFieldCorrection", ["-d", "3", "-b", "[600]", "-i", "i.nii", "-o", "o.nii"], folder, 1)
        bare = nibabel.load(folder / "o.nii").get_fdata()
    numpy.testing.assert_array_equal(nibabel.load(corrected).get_fdata(), bare)


def test_other_parameters_reach_n4():
    text = " ".join(bias_arguments("a.nii", "b.nii", spline_distance_mm=200, iterations=(20, 10)))
    assert "-b [200] -s 4 -c [20x10,0]" in text


def tilt(affine, degrees):
    """Turn a grid about its first and its last axis."""
    tilted = affine.copy()
    tilted[:3, :3] = Rotation.from_euler("xz", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    return tilted


def around_a_head(voxel_size):
    sizes = numpy.broadcast_to(voxel_size, 3)
    return tuple(numpy.ceil(numpy.array([200, 240, 210]) / sizes).astype(int)), sizes


def centred(shape, sizes):
    affine = numpy.diag([*sizes, 1.0])
    affine[:3, 3] = -(numpy.array(shape) - 1) / 2 * sizes + [0, -14, -4]
    return affine


def correct_both_ways(folder, shape, sizes, degrees, **settings):
    """Correct a tilted phantom with both paddings: results, and the image before."""
    affine = centred(shape, sizes)
    points = coordinates(shape, affine)
    noise = numpy.abs(numpy.random.default_rng(0).normal(0, 1, shape))
    voxels = head(points) * numpy.exp(points @ [0.0025, -0.0015, 0.002]) + noise
    source = save(folder / "scan.nii.gz", voxels, tilt(affine, degrees))
    results = []
    for padding in ("ants", "coarse"):
        correct_bias(source, folder / f"{padding}.nii.gz", padding=padding, **settings)
        results.append(nibabel.load(folder / f"{padding}.nii.gz").get_fdata())
    return *results, voxels


@pytest.mark.parametrize("voxel_size", [4.0, 4.5, 6.0, (5.2, 7.1, 6.4)])
@pytest.mark.parametrize("degrees", [(0, 0), (17, 12)])
@pytest.mark.parametrize(("distance", "iterations"), [(600, (10, 10)), (200, (6, 4))])
def test_coarse_padding_gives_the_image_of_the_direct_call(
    tmp_path, voxel_size, degrees, distance, iterations
):
    """Also where rounding errors decide which voxels ITK takes: even padded sizes on oblique grids."""
    settings = {"spline_distance_mm": distance, "iterations": iterations}
    direct, coarse, before = correct_both_ways(tmp_path, *around_a_head(voxel_size), degrees, **settings)
    # N4 amplifies rounding errors from iteration to iteration; after these few they are still small, and
    # fields from neighbouring voxels differ by more than 1e-3
    numpy.testing.assert_allclose(coarse, direct, rtol=1e-5)
    assert numpy.abs(direct / before - 1).max() > 1e-3


@pytest.mark.parametrize("degrees", [(0, 0), (17, 12), (-8, 5)])
def test_coarse_padding_agrees_where_one_axis_needs_none(tmp_path, degrees):
    """The first axis is as long as the spline distance, so its first voxel lies inside the image."""
    settings = {"spline_distance_mm": 306, "iterations": (10, 10)}
    direct, coarse, _ = correct_both_ways(tmp_path, (52, 42, 34), numpy.full(3, 6.0), degrees, **settings)
    numpy.testing.assert_allclose(coarse, direct, rtol=1e-5)


@pytest.mark.parametrize("degrees", [(17, 12), (-8, 5), (31, -23)])
@pytest.mark.parametrize("voxel_size", [4.0, 4.5, (5.2, 7.1, 6.4)])
def test_the_coarse_grid_does_not_depend_on_how_python_adds(tmp_path, monkeypatch, degrees, voxel_size):
    """Since Python 3.12 the built-in sum of floats is exact to the last bit, and ITK's is not."""
    shape, sizes = around_a_head(voxel_size)
    with ants_folder() as folder:
        write_for_ants(folder / "image.nii", numpy.ones(shape), tilt(centred(shape, sizes), degrees))
        grids = [n4_grid.coarse_grid("image.nii", folder, 600, 4, 1)]
        monkeypatch.setattr(
            n4_grid, "sum", lambda values, start=0.0: math.fsum([start, *values]), raising=False
        )
        grids.append(n4_grid.coarse_grid("image.nii", folder, 600, 4, 1))
    origins = [[value.hex() for value in made.origin] for made in grids]
    assert origins[0] == origins[1]
    indices = [[taken.tolist() for taken in made.indices] for made in grids]
    assert indices[0] == indices[1]


def test_the_sidecar_of_coarse_padding_tells_what_ants_got(phantom, tmp_path):
    _, biased, affine = phantom
    source = save(tmp_path / "scan.nii.gz", biased, affine)
    correct_bias(source, tmp_path / "out.nii.gz", iterations=(2, 1), padding="coarse")
    about = read_json(tmp_path / "out.json")["BiasFieldCorrection"]
    assert about["Padding"] == "coarse"
    assert about["PaddedShape"] == [101, 101, 101]
    assert about["CoarseShape"] == [25, 25, 25]
    assert about["Arguments"] == coarse_arguments((1, 1, 1), (2, 1))
    assert "-x mask.mha -r 0 -o [corrected.nii,field.nii] -b [1x1x1] -s 1 -c [2x1,0]" in " ".join(
        about["Arguments"]
    )


def test_a_field_with_more_control_points_than_coarse_voxels_is_refused(phantom, tmp_path):
    _, biased, affine = phantom
    source = save(tmp_path / "scan.nii.gz", biased, affine)
    with pytest.raises(StudyError, match="control points, but only") as error:
        correct_bias(source, tmp_path / "out.nii.gz", spline_distance_mm=100, padding="coarse")
    assert "padding: ants" in error.value.remedy
    assert not isinstance(error.value, ImageError)


def test_an_unknown_padding_is_refused(phantom, tmp_path):
    source = save(tmp_path / "scan.nii.gz", phantom[1], phantom[2])
    with pytest.raises(StudyError, match="must be ants or coarse"):
        correct_bias(source, tmp_path / "out.nii.gz", padding="none")


def test_an_unfit_image_is_refused_and_the_study_goes_on(tmp_path):
    target = tmp_path / "sub-1_desc-N4_T1w.nii.gz"
    with pytest.raises(ImageError, match="does not exist"):
        correct_bias(tmp_path / "none.nii.gz", target)
    assert not target.exists()
    with record_faults(target):
        correct_bias(tmp_path / "none.nii.gz", target)
    assert target.stat().st_size == 0


def test_a_failing_program_is_an_error(phantom):
    with ants_folder() as folder:
        write_for_ants(folder / "i.nii", phantom[0], phantom[2])
        with pytest.raises(ImageError, match="N4BiasFieldCorrection failed with exit status 1"):
            run_ants("N4BiasFieldCorrection", ["-d", "3", "-i", "i.nii", "--no-such-flag", "1"], folder, 1)
        short = ["-d", "3", "-i", "i.nii", "-c", "[1,0]", "-b", "[600]", "-o", "missing/o.nii"]
        with pytest.raises(ImageError, match="N4BiasFieldCorrection failed") as error:
            run_ants("N4BiasFieldCorrection", short, folder, 1)
        assert "missing/o.nii" in error.value.cause


def test_the_number_of_threads_cannot_change_once_ants_is_loaded():
    load_ants(1)
    with pytest.raises(StudyError, match="loaded already with 1 threads, not 2"):
        load_ants(2)
    assert load_ants(1) is load_ants(1)


def test_a_missing_antspyx_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, ants_library._MODULE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match="ANTs is not installed") as error:
        load_ants(1)
    assert "antspyx" in error.value.remedy


def test_per_image_jobs_import_nothing_heavy(request):
    """A process that loads ANTs and all per-image steps has none of the slow libraries."""
    program = """
import sys
from rhvae_mri.preprocess import bias_field, crop, registration
from rhvae_mri.preprocess.ants_library import load_ants
load_ants(1)
import nibabel
heavy = {"ants", "torch", "nilearn", "pandas", "sklearn", "statsmodels", "matplotlib", "scipy.stats"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=request.config.rootpath / "workflow",
    )
    assert result.stdout.strip() == "[]"
