import nibabel
import numpy
import pandas
import pytest
from phantoms import coordinates, head, save
from scipy import ndimage
from scipy.io import savemat

from rhvae_mri.io.errors import StudyError
from rhvae_mri.preprocess.grid import study_grid
from rhvae_mri.preprocess.images import ImageError, derivative_table, record_faults
from rhvae_mri.preprocess.registration import Levels, register_to_template
from rhvae_mri.preprocess.template import prepare_template
from rhvae_mri.quality.definitions import METRIC_NAMES, METRICS
from rhvae_mri.quality.masks import block_means
from rhvae_mri.quality.metrics import COLUMNS, describe_affine, measure_quality

#: The phantom's brain is lower than the average brain in MNI space.
LOWER = numpy.array([0, 0, -12])
LPS = numpy.diag([-1.0, -1, 1, 1])


class Study:
    """Images of the phantom with their preprocessed files, on the study's grid at some voxel size."""

    def __init__(self, folder, voxel_size=4.0):
        shape, self.affine = study_grid(voxel_size)
        self.folder, self.points = folder, coordinates(shape, self.affine) + LOWER
        self.voxels = head(self.points)
        self.template = save(folder / "template.nii.gz", self.voxels, self.affine)
        self.rows = []

    def add(self, name, voxels, transform=None, **files):
        """Add an image whose registered voxels are these; its scan is on the template's grid."""
        folder = self.folder / name
        row = {"image_id": name, "participant_id": name, "session_id": "ses-M000"}
        for kind in ("raw", "corrected", "registered"):
            row[kind] = str(files.get(kind) or save(folder / f"{kind}.nii.gz", voxels, self.affine))
        itk = LPS @ (numpy.eye(4) if transform is None else transform) @ LPS
        parameters = numpy.r_[itk[:3, :3].ravel(), itk[:3, 3]][:, None]
        row["affine"] = str(files.get("affine") or folder / "affine.mat")
        if "affine" not in files:
            content = {"AffineTransform_double_3_3": parameters, "fixed": numpy.zeros((3, 1))}
            savemat(row["affine"], content, format="4")
        self.rows.append(row)

    def measure(self, **options):
        table = measure_quality(pandas.DataFrame(self.rows), self.template, **options)
        return table.set_index("image_id")


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def noisy(voxels, level=4.0):
    return numpy.abs(voxels + numpy.random.default_rng(1).normal(0, level, voxels.shape))


def test_good_images_have_good_metrics_whatever_their_contrast(study):
    study.add("same", study.voxels)
    study.add("brighter", noisy(7 * study.voxels**1.3, 30))
    study.add("moved", noisy(head(study.points + numpy.array([3, -4, 2]))))
    table = study.measure()
    assert table["fault"].isna().all()
    assert (table["similarity"] > 0.6).all()
    assert (table["mask_overlap"] > 0.93).all()
    assert (table["brain_overlap"] > 0.8).all()
    same = table.loc["same"]
    assert same[["similarity", "mask_overlap", "scale", "anisotropy", "bias_range"]].tolist() == (
        pytest.approx([1] * 5)
    )
    assert same["mutual_information"] == pytest.approx(2)
    assert same[["shear", "rotation", "nan_fraction"]].tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert numpy.isnan(same["snr"])  # its air is exactly 0
    assert table.loc["brighter", "intensity_high"] > 10 * same["intensity_high"]
    assert same["intensity_peak"] == pytest.approx(study.voxels.max() / same["intensity_high"], rel=1e-5)


def test_each_fault_shows_in_its_metric(study):
    head_top = study.points[..., 2] > 20
    study.add("good", noisy(study.voxels))
    study.add("cut", numpy.where(head_top, 0, noisy(study.voxels)))
    study.add("noise", noisy(study.voxels, 40))
    study.add("shifted", noisy(head(study.points + numpy.array([0, 45, 35]))))
    study.add("inverted", noisy(numpy.where(study.voxels > 5, 120 - study.voxels, 0)))
    study.add("spike", numpy.where(study.points[..., 2] > 60, 10, 1) * noisy(study.voxels))
    table = study.measure()
    good = table.loc["good"]
    assert good["zero_fraction"] < 0.001
    assert 0.2 < table.loc["cut", "zero_fraction"] < 0.5
    assert table.loc["noise", "snr"] < good["snr"] / 5
    assert table.loc["noise", "cnr"] < good["cnr"] / 5
    assert table.loc["shifted", "brain_overlap"] < good["brain_overlap"] - 0.2
    assert table.loc["shifted", "mask_overlap"] < good["mask_overlap"] - 0.2
    assert table.loc["inverted", "mask_overlap"] > 0.9  # only the contrast is wrong
    assert table.loc["inverted", "similarity"] < good["similarity"] - 0.4
    assert table.loc["spike", "intensity_peak"] > 1.5 * good["intensity_peak"]


def test_the_affine_is_that_of_the_image(study):
    matrix = numpy.eye(4)
    matrix[:3, :3] = 1.1 * numpy.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    study.add("turned", study.voxels, transform=matrix)
    found = study.measure().loc["turned"]
    assert found["rotation"] == pytest.approx(90)
    assert found["scale"] == pytest.approx(1.1)


def test_a_damaged_image_is_a_row_with_its_fault_and_without_metrics(study, tmp_path):
    damaged, faulty, spoiled = (tmp_path / f"{name}.nii.gz" for name in ("damaged", "faulty", "nan"))
    damaged.write_bytes(b"nothing")
    other = save(tmp_path / "other.nii.gz", study.voxels[:-1], study.affine)
    with record_faults(faulty):
        raise ImageError("The image cannot be read.", cause="The series is truncated.")
    voxels = study.voxels.copy()
    voxels[:, :, 0] = numpy.nan
    save(spoiled, voxels, study.affine)
    no_affine = tmp_path / "damaged.mat"
    no_affine.write_bytes(b"nothing")
    study.add("registered", study.voxels, registered=damaged)
    study.add("grid", study.voxels, registered=other)
    study.add("recorded", study.voxels, registered=faulty, raw=damaged)
    study.add("missing", study.voxels, corrected=tmp_path / "none.nii.gz")
    study.add("corrected", study.voxels, corrected=other)
    study.add("affine", study.voxels, affine=no_affine)
    study.add("nan", study.voxels, raw=spoiled)
    study.add("good", study.voxels)
    table = study.measure()
    for name, words in {
        "registered": "cannot be read",
        "grid": "not on the template's grid",
        "recorded": "The image cannot be read. The series is truncated.",
        "missing": "does not exist",
        "corrected": "not the raw image's grid",
        "affine": "not an affine transform of ITK",
        "nan": "NaN or infinite",
    }.items():
        assert words in table.loc[name, "fault"], name
        assert "\n" not in table.loc[name, "fault"]
        assert table.loc[name, list(METRIC_NAMES)].drop("nan_fraction").isna().all(), name
    assert table.loc["nan", "nan_fraction"] == pytest.approx(1 / study.voxels.shape[2])
    assert numpy.isnan(table.loc["recorded", "nan_fraction"])
    assert pandas.isna(table.loc["good", "fault"])
    assert table.loc["good", "similarity"] == pytest.approx(1)


def test_metrics_do_not_depend_on_the_voxel_size(tmp_path):
    moved = numpy.array([6, -7, 5])
    fine, coarse = Study(tmp_path / "fine", 2.0), Study(tmp_path / "coarse", 4.0)
    even = tuple(slice(2 * n) for n in coarse.voxels.shape)
    pad = [(0, 2 * n - m) for n, m in zip(coarse.voxels.shape, fine.voxels.shape, strict=True)]
    for study in (fine, coarse):
        study.voxels = head(study.points)
    image = noisy(head(fine.points + moved))
    fine.add("image", image)
    means = [block_means(numpy.pad(v, [(0, max(0, p)) for _, p in pad], "edge")[even], 2)
             for v in (image, fine.voxels)]  # fmt: skip
    coarse.add("image", means[0])
    save(coarse.template, means[1], coarse.affine)
    names = ["similarity", "mutual_information", "mask_overlap", "brain_overlap"]
    found = [study.measure().loc["image", names].tolist() for study in (fine, coarse)]
    numpy.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_several_processes_give_the_same_table_as_one(study):
    for number in range(6):
        study.add(f"image{number}", noisy(study.voxels, 2.0 + number))
    pandas.testing.assert_frame_equal(study.measure(), study.measure(processes=2))


def test_the_table_has_the_documented_columns(study):
    study.add("good", study.voxels)
    table = measure_quality(pandas.DataFrame(study.rows), study.template)
    assert table.columns.tolist() == list(COLUMNS)
    assert table.columns[4:-1].tolist() == [metric.name for metric in METRICS]


def test_a_bad_template_or_table_stops_the_measurement(study, tmp_path):
    study.add("good", study.voxels)
    images = pandas.DataFrame(study.rows)
    with pytest.raises(StudyError, match="template is unusable"):
        measure_quality(images, tmp_path / "none.nii.gz")
    with pytest.raises(StudyError, match="not on the study's grid"):
        measure_quality(images, save(tmp_path / "other.nii.gz", study.voxels[1:], study.affine))
    with pytest.raises(StudyError, match="no column affine, raw"):
        measure_quality(images.drop(columns=["affine", "raw"]), study.template)


def test_an_affine_is_taken_apart():
    angle = numpy.radians(20)
    about_x = numpy.eye(3)
    about_x[1:, 1:] = [[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]]
    matrix = numpy.eye(4)
    matrix[:3, :3] = about_x @ numpy.diag([1.1, 0.9, 1.0])
    found = describe_affine(matrix)
    assert found["rotation"] == pytest.approx(20)
    assert found["scale"] == pytest.approx((1.1 * 0.9) ** (1 / 3))
    assert found["anisotropy"] == pytest.approx(1.1 / 0.9)
    assert found["shear"] == pytest.approx(0, abs=1e-12)
    matrix[:3, :3] = about_x @ numpy.array([[1, 0, 0.08], [0, 1, -0.03], [0, 0, 1]])
    assert describe_affine(matrix)["shear"] == pytest.approx(0.08)
    assert describe_affine(matrix)["scale"] == pytest.approx(1)
    mirrored = describe_affine(numpy.diag([-1.0, 1, 1, 1]))
    assert mirrored["scale"] == pytest.approx(-1)
    assert numpy.isfinite(list(mirrored.values())).all()


def test_derivatives_are_listed_by_their_image():
    names = [
        "sub-A_ses-M000_desc-N4_T1w.nii.gz",
        "sub-B_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w.nii.gz",
        "sub-C_ses-M006_space-MNI152NLin2009cSym_res-1x1x1_affine.mat",
    ]
    table = derivative_table([f"anat/{name}" for name in names])
    assert table["image_id"].tolist() == ["sub-A_ses-M000", "sub-B", "sub-C_ses-M006"]
    assert table["path"].tolist() == [f"anat/{name}" for name in names]


@pytest.mark.real
@pytest.mark.parametrize("name", ["head_01", "head_12"])
def test_a_real_head_is_like_the_template_until_it_is_tilted(name, shared_images, tmp_path):
    template = tmp_path / "template.nii.gz"
    prepare_template(str(shared_images / "mni152_2009_wholehead_1mm.nii.gz"), 4.0, template)
    scan = nibabel.load(shared_images / f"{name}_T1w.nii.gz")
    voxels = scan.get_fdata()[::2, ::2]  # every second voxel within a slice is enough at 4 mm
    source = save(tmp_path / "scan.nii.gz", voxels, scan.affine @ numpy.diag([2.0, 2, 1, 1]))
    image, affine = tmp_path / "image.nii.gz", tmp_path / "image.mat"
    levels = Levels((4, 2, 1), (8, 4, 2), "mm", (1000, 500, 20))
    register_to_template(source, template, image, affine, seed=1, levels=levels)
    registered = nibabel.load(image)
    tilted = ndimage.rotate(registered.get_fdata(), 30, axes=(1, 2), reshape=False, order=1)
    bad = save(tmp_path / "tilted.nii.gz", tilted, registered.affine)
    files = {"raw": str(source), "corrected": str(source), "affine": str(affine)}
    rows = [
        {"image_id": f"{i}", "participant_id": f"{i}", "session_id": None, "registered": str(path), **files}
        for i, path in enumerate((image, bad))
    ]
    table = measure_quality(pandas.DataFrame(rows), template)
    good, poor = table.to_dict("records")
    assert good["similarity"] > 0.5 > 0.4 > poor["similarity"]
    assert good["mask_overlap"] > 0.85
    assert good["brain_overlap"] > 0.85
    assert poor["brain_overlap"] < good["brain_overlap"] - 0.05
    assert 0.8 < good["scale"] < 1.1
    assert numpy.isnan(good["snr"])  # the air of these scans is exactly 0
