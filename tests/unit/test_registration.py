import nibabel
import numpy
import pytest
from phantoms import coordinates, grid, head, save
from scipy.spatial.transform import Rotation

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess.grid import TEMPLATE_SHAPE
from rhvae_mri.preprocess.images import ImageError
from rhvae_mri.preprocess.registration import (
    Levels,
    ants_seed,
    read_itk_affine,
    register_to_template,
    registration_arguments,
)

VOXEL = 6.0
LEVELS = Levels((2, 1), (6, 3), "mm", (500, 100))


def rotation(degrees):
    """A rotation about the three axes in turn."""
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def pose(degrees, shift, scales=(1, 1, 1)):
    """An affine from template to scanner coordinates."""
    affine = numpy.eye(4)
    affine[:3, :3] = rotation(degrees) @ numpy.diag(scales)
    affine[:3, 3] = shift
    return affine


def brain_error(found, truth):
    """Mean distance in mm over the brain between where two affines take a point."""
    points = numpy.random.default_rng(0).uniform(-1, 1, (2000, 3))
    points = points[(points**2).sum(axis=1) < 1] * [65, 81, 68] + [0, -18, 2]
    points = numpy.c_[points, numpy.ones(len(points))]
    return numpy.linalg.norm(points @ (found - truth).T, axis=1).mean()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    shape, affine = grid(VOXEL)
    return save(
        tmp_path_factory.mktemp("template") / "template.nii.gz", head(coordinates(shape, affine)), affine
    )


def scan(path, truth, seed=0):
    """Draw the phantom in a pose, with noise and other intensities, on another grid than the template's."""
    shape, affine = grid(5.0)
    points = coordinates(shape, affine)
    inverse = numpy.linalg.inv(truth)
    values = 3 * head(points @ inverse[:3, :3].T + inverse[:3, 3]) ** 1.1
    noise = numpy.random.default_rng(seed).normal(0, 5, shape)
    return save(path, numpy.abs(values + noise), affine)


def register(source, template, folder, seed=1, levels=LEVELS):
    image, affine = folder / "image.nii.gz", folder / "affine.mat"
    register_to_template(source, template, image, affine, seed=seed, levels=levels)
    return image, affine


#: What ``antsRegistrationSyNQuick.sh -d 3 -f F -m M -r 32 -n 1 -p d -e 42 -t a -o P`` passes to
#: antsRegistration for a fixed image of at most 256 voxels along each axis. Read from the script of ANTs
#: 2.6.5 (that of 2.3.5, of the study's years, gives the same), one flag a line and in its order, without the
#: blanks inside its brackets, which ANTs' parser drops.
SCRIPT = """
--verbose 1
--random-seed 42
--dimensionality 3
--float 0
--collapse-output-transforms 1
--output [P,PWarped.nii.gz,PInverseWarped.nii.gz]
--interpolation Linear
--use-histogram-matching 0
--winsorize-image-intensities [0.005,0.995]
--initial-moving-transform [F,M,1]
--transform Rigid[0.1]
--metric MI[F,M,1,32,Regular,0.25]
--convergence [1000x500x250x0,1e-6,10]
--shrink-factors 8x4x2x1
--smoothing-sigmas 3x2x1x0vox
--transform Affine[0.1]
--metric MI[F,M,1,32,Regular,0.25]
--convergence [1000x500x250x0,1e-6,10]
--shrink-factors 8x4x2x1
--smoothing-sigmas 3x2x1x0vox
"""


def split_stages(flags):
    """The flags before the first stage, and those of each stage in turn; flags within one have no order."""
    parts = [{}]
    for flag, value in flags:
        if flag == "--transform":
            parts.append({})
        assert flag not in parts[-1]
        parts[-1][flag] = value
    return parts


def test_the_arguments_are_those_of_antsregistrationsynquick():
    arguments = registration_arguments("F", "M", "P", "PWarped.nii.gz", 41)
    ours = split_stages(zip(arguments[::2], arguments[1::2], strict=True))
    script = split_stages(line.split() for line in SCRIPT.split("\n")[1:-1])
    assert [stage.get("--transform") for stage in ours] == [None, "Rigid[0.1]", "Affine[0.1]"]
    # the one difference: the script also asks for the template in the space of the image, a mere by-product
    assert script[0].pop("--output") == "[P,PWarped.nii.gz,PInverseWarped.nii.gz]"
    assert ours[0].pop("--output") == "[P,PWarped.nii.gz]"
    assert ours == script


def test_the_template_is_none_of_the_images_that_the_script_calls_large():
    """Above 256 voxels along an axis the script takes other levels; the study's template is below."""
    assert max(TEMPLATE_SHAPE) <= 256


def test_seeds_of_the_study_become_seeds_of_ants():
    seeds = [ants_seed(seed) for seed in (0, 5, 2**31 - 2, 2**31 - 1, 2**63 - 1)]
    assert all(1 <= seed < 2**31 for seed in seeds)
    assert ants_seed(5) != ants_seed(6)


@pytest.mark.parametrize(
    "truth", [pose((12, 0, 0), (0, 15, -10)), pose((-8, 6, -10), (-12, 8, 14), (1.04, 0.97, 1.05))]
)
def test_a_known_affine_is_recovered(template, tmp_path, truth):
    image, affine = register(scan(tmp_path / "scan.nii.gz", truth), template, tmp_path)
    assert brain_error(read_itk_affine(affine), truth) < VOXEL / 2
    assert brain_error(numpy.eye(4), truth) > 2 * VOXEL
    fixed, warped = nibabel.load(template), nibabel.load(image)
    assert warped.shape == fixed.shape
    assert warped.get_data_dtype() == numpy.float32
    numpy.testing.assert_array_equal(warped.affine, fixed.affine)
    assert numpy.corrcoef(warped.get_fdata().ravel(), fixed.get_fdata().ravel())[0, 1] > 0.97


def test_the_studys_own_levels_work_on_the_coarse_grid(template, tmp_path):
    truth = pose((6, -4, 5), (8, -6, 10))
    source = scan(tmp_path / "scan.nii.gz", truth)
    _, affine = register(source, template, tmp_path, levels=Levels())
    assert brain_error(read_itk_affine(affine), truth) < VOXEL


def test_one_seed_gives_one_result(template, tmp_path):
    source = scan(tmp_path / "scan.nii.gz", pose((5, 0, 0), (0, 0, 0)))
    results = []
    for name, seed in [("a", 3), ("b", 3), ("c", 4)]:
        folder = tmp_path / name
        folder.mkdir()
        image, affine = register(source, template, folder, seed)
        results.append((nibabel.load(image).get_fdata(), affine.read_bytes()))
    numpy.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert results[0][1] != results[2][1]


def test_the_sidecars_hold_the_transform_and_the_seed(template, tmp_path):
    source = scan(tmp_path / "scan.nii.gz", pose((0, 0, 0), (10, 0, 0)))
    image, affine = register(source, template, tmp_path, seed=3)
    about_image = read_json(tmp_path / "image.json")
    assert about_image["Sources"] == [source.name, "template.nii.gz", affine.name]
    assert about_image["SpatialReference"] == "template.nii.gz"
    assert about_image["RandomSeed"] == 4
    assert "[500x100,1e-6,10]" in about_image["Registration"]["Arguments"]
    matrix = numpy.array(read_json(tmp_path / "affine.json")["MatrixTemplateToImageRAS"])
    numpy.testing.assert_array_equal(matrix, read_itk_affine(affine))
    assert image.exists()


def test_the_itk_file_is_read_with_its_centre_and_axes(tmp_path):
    from scipy.io import savemat

    turn, translation, centre = rotation((10, 20, 30)), numpy.array([3.0, -4, 5]), numpy.array([7.0, 8, -9])
    content = {
        "AffineTransform_double_3_3": numpy.r_[turn.ravel(), translation][:, None],
        "fixed": centre[:, None],
    }
    savemat(tmp_path / "a.mat", content, format="4")
    affine = read_itk_affine(tmp_path / "a.mat")
    point = numpy.array([11.0, -12, 13])
    flip = numpy.array([-1, -1, 1])
    expected = flip * (turn @ (flip * point - centre) + translation + centre)
    numpy.testing.assert_allclose((affine @ [*point, 1])[:3], expected)
    whole = (tmp_path / "a.mat").read_bytes()
    for part in (whole[:-1], whole[: len(whole) // 2], whole[:30], b"\xe8\x03\0\0" + whole[4:]):
        (tmp_path / "a.mat").write_bytes(part)
        with pytest.raises(StudyError, match="not an affine transform of ITK"):
            read_itk_affine(tmp_path / "a.mat")


@pytest.mark.parametrize("content", [b"", b"text that is no transform", bytes(20)])
def test_another_file_is_no_affine(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(StudyError, match="not an affine transform of ITK"):
        read_itk_affine(tmp_path / "a.mat")


def test_levels_that_do_not_fit_together_are_refused():
    with pytest.raises(StudyError, match="2 shrink factors, 1 values of smoothing and 2 numbers"):
        Levels((2, 1), (1,), "vox", (10, 10))
    with pytest.raises(StudyError, match="must be vox or mm"):
        Levels((2, 1), (1, 0), "voxels", (10, 10))


def test_a_bad_image_and_a_bad_template_are_told_apart(template, tmp_path):
    source = scan(tmp_path / "scan.nii.gz", numpy.eye(4))
    with pytest.raises(ImageError, match="does not exist"):
        register(tmp_path / "none.nii.gz", template, tmp_path)
    with pytest.raises(StudyError, match="template is unusable: The image does not exist") as error:
        register(source, tmp_path / "none.nii.gz", tmp_path)
    assert not isinstance(error.value, ImageError)
    assert not (tmp_path / "image.nii.gz").exists()
