import re

import nibabel
import numpy
import pytest
from phantoms import coordinates, grid, head, save
from PIL import Image

from rhvae_mri.audit.cohort_pictures import CutMoments, draw_classes, intensity_curves
from rhvae_mri.audit.parameters import share_parameters, step_parameters
from rhvae_mri.audit.pictures import (
    FIELD_COLOURS,
    FIELD_LIMIT,
    N_BINS,
    colour_table,
    contour_svg,
    crop_svg,
    cut_sizes,
    draw_image,
    lay_out,
    native_cuts,
    take_cuts,
)
from rhvae_mri.preprocess.grid import crop_box, study_grid
from rhvae_mri.preprocess.sidecars import write_sidecar


@pytest.fixture(scope="module")
def scan():
    """A head on an anisotropic grid: voxels and affine."""
    shape, affine = grid(4.0)
    thick = affine @ numpy.diag([1, 1, 2, 1])
    shape = (shape[0], shape[1], shape[2] // 2)
    return head(coordinates(shape, thick)) + 1, thick


def test_cuts_show_left_on_the_left_and_up_above():
    volume = numpy.zeros((5, 7, 9))
    volume[0, 3, 8] = 1  # left and top
    volume[2, 6, 4] = 2  # front
    axial, coronal, sagittal = take_cuts(volume)
    assert coronal[0, 0] == 1
    assert axial[0, 2] == 2
    assert sagittal[4, 6] == 2


def test_cuts_are_placed_without_overlap():
    layout = lay_out(cut_sizes((5, 7, 9)))
    assert (layout.width, layout.height) == (5 + 5 + 7 + 4, 9)
    assert layout.corners == ((0, 1), (7, 0), (14, 0))


def test_native_pictures_have_square_pixels_and_canonical_axes(scan):
    voxels, affine = scan
    cuts = native_cuts((voxels, affine), None)["before"]
    x, y, z = voxels.shape
    assert [cut.shape for cut in cuts] == [(y, x), (2 * z, x), (2 * z, y)]
    flipped = affine.copy()
    flipped[:, 0] *= -1
    flipped[:3, 3] = (affine @ [x - 1, 0, 0, 1])[:3]
    again = native_cuts((voxels[::-1], flipped), None)["before"]
    for cut, other in zip(cuts, again, strict=True):
        numpy.testing.assert_array_equal(cut, other)


def test_fine_scans_are_drawn_at_a_millimetre():
    cuts = native_cuts(
        (numpy.random.default_rng(0).random((40, 40, 10)), numpy.diag([0.5, 0.5, 3, 1.0])), None
    )
    assert [cut.shape for cut in cuts["before"]] == [(20, 20), (30, 20), (30, 20)]


def test_the_field_has_the_colours_of_its_ratio(scan):
    voxels, affine = scan
    middle = (voxels.shape[0] - 1) / 2
    steps = (numpy.arange(voxels.shape[0]) - middle) / middle
    field = numpy.exp(0.2 * steps)[:, None, None]  # brighter to the right
    drawn = native_cuts((voxels * field * 3, affine), (voxels, affine))
    axial = drawn["field"][0].astype(int)
    inside = axial.sum(axis=-1) > 0
    row = axial.shape[0] // 2
    columns = numpy.flatnonzero(inside[row])
    expected = colour_table(FIELD_COLOURS, 256)[
        (127.5 + 127.5 * 0.2 * steps[columns] / numpy.log(FIELD_LIMIT)).round().astype(int)
    ]
    # the median in the head is the middle of the scale, up to the head's asymmetry and the smoothing
    assert numpy.abs(axial[row, columns] - expected)[2:-2].max() <= 16
    assert axial[row, columns[0], 2] > axial[row, columns[0], 0]  # purple
    assert axial[row, columns[-1], 0] > axial[row, columns[-1], 2]  # orange


def test_the_crop_box_is_where_the_crop_is():
    shape, _ = study_grid(1.0)
    svg = crop_svg(shape, 1.0)
    boxes = re.findall(r'class="box" d="M(\S+) (\S+)H(\S+)V(\S+)H', svg)
    x, y, z = crop_box(1.0)
    layout = lay_out(cut_sizes(shape))
    for (left, top, right, bottom), (across, up), corner, size in zip(
        boxes, ((x, y), (x, z), (y, z)), layout.corners, cut_sizes(shape), strict=True
    ):
        assert float(left) - corner[0] == across.start
        assert float(right) - corner[0] == across.stop
        assert size[1] - (float(bottom) - corner[1]) == up.start
        assert size[1] - (float(top) - corner[1]) == up.stop


def test_the_contour_runs_round_the_head():
    shape, affine = study_grid(4.0)
    points = coordinates(shape, affine)
    svg = contour_svg(head(points), 4.0)
    outer = re.search(r'class="outer" d="([^"]*)"', svg)[1]
    corners = numpy.array([[float(n) for n in pair.split()] for pair in re.split("[ML]", outer)[1:]])
    axial = corners[corners[:, 0] < shape[0]]
    middle = head(points)[:, :, shape[2] // 2]
    across = numpy.flatnonzero((middle > 20).any(axis=1))
    assert axial[:, 0].min() == pytest.approx(across[0], abs=1.5)
    assert axial[:, 0].max() == pytest.approx(across[-1] + 1, abs=1.5)


@pytest.fixture
def files(tmp_path, scan):
    shape, affine = study_grid(8.0)
    voxels = head(coordinates(shape, affine)) + 1
    paths = {
        "raw": save(tmp_path / "raw.nii.gz", scan[0], scan[1]),
        "corrected": save(tmp_path / "n4.nii.gz", scan[0] * 0.9, scan[1]),
        "registered": save(tmp_path / "registered.nii.gz", voxels, affine),
        "cropped": save(tmp_path / "cropped.nii.gz", voxels[crop_box(8.0)], affine),
    }
    return {step: str(path) for step, path in paths.items()}


def test_all_pictures_of_an_image_are_written_with_their_sizes(files, tmp_path):
    record = draw_image("sub-1_ses-M000", files, tmp_path)
    assert record.pictures.keys() == {"before", "after", "field", "registered"}
    for name, width, height in record.pictures.values():
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (width, height)
    shape, _ = study_grid(8.0)
    layout = lay_out(cut_sizes(shape))
    assert record.pictures["registered"][1:] == (layout.width, layout.height)
    assert not record.faults


def test_the_histogram_is_that_of_the_rescaled_crop(files, tmp_path):
    cropped = draw_image("sub-1_ses-M000", files, tmp_path).cropped
    voxels = nibabel.load(files["cropped"]).get_fdata(dtype=numpy.float32)
    expected, _ = numpy.histogram(voxels, bins=N_BINS, range=(voxels.min(), voxels.max()))
    assert cropped.range == (voxels.min(), voxels.max())
    assert cropped.histogram.sum() == pytest.approx(1)
    # rounding puts a voxel on an edge into one bin or the other
    assert numpy.abs(cropped.histogram.cumsum() - expected.cumsum() / voxels.size).max() < 0.01
    assert all(cut.min() >= 0 and cut.max() <= 1 for cut in cropped.cuts)


def test_a_bad_image_leaves_out_its_pictures_and_says_why(files, tmp_path):
    for step in ("corrected", "registered"):
        with open(files[step], "wb") as file:
            file.write(b"nothing")
    record = draw_image("sub-1_ses-M000", files, tmp_path)
    assert record.pictures.keys() == {"before"}
    assert record.faults.keys() == {"corrected", "registered"}
    assert all("cannot be read" in reason and "\n" not in reason for reason in record.faults.values())


def test_a_name_from_a_table_cannot_leave_the_folder(files, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    record = draw_image("../../sub<1>", {"raw": files["raw"]}, folder)
    assert [path.name for path in folder.iterdir()] == [record.pictures["before"][0]]
    assert re.fullmatch(r"[\w-]+\.webp", record.pictures["before"][0])


def test_moments_are_those_of_numpy():
    images = numpy.random.default_rng(0).random((5, 4, 6))
    moments = CutMoments()
    for image in images:
        moments.add([image, image[:2]])
    numpy.testing.assert_allclose(moments.mean[0], images.mean(axis=0))
    numpy.testing.assert_allclose(moments.standard_deviation[1], images[:, :2].std(axis=0, ddof=1))


def test_a_class_of_one_image_has_no_standard_deviation(tmp_path):
    moments = CutMoments()
    moments.add([numpy.eye(4)] * 3)
    (drawn,), _ = draw_classes({"AD": moments}, tmp_path)
    assert drawn["sd"] is None
    assert drawn["count"] == 1
    assert (tmp_path / drawn["mean"][0]).is_file()


def test_curves_before_the_rescaling_are_on_the_images_own_scale():
    uniform = numpy.full(N_BINS, 1 / N_BINS)
    curves = intensity_curves([(0.0, 100.0), (0.0, 200.0)], [uniform, uniform])
    after = curves[curves["rescaled"] == "after"]
    numpy.testing.assert_allclose(after["mean"], 1 / N_BINS, atol=1e-8)
    before = curves[curves["rescaled"] == "before"]
    # up to 100 both images count, beyond it only the second
    low, high = before[before["intensity"] < 95], before[before["intensity"] > 105]
    width = before["intensity"].diff().iloc[1]
    numpy.testing.assert_allclose(low["mean"], (width / 100 + width / 200) / 2, rtol=1e-3)
    numpy.testing.assert_allclose(high["mean"], width / 200 / 2, rtol=1e-3)


def test_parameters_that_differ_are_kept_apart(tmp_path):
    rows = []
    for seed in (1, 2, 3):
        path = tmp_path / f"{seed}.nii.gz"
        write_sidecar(path, "Registered", [], ["numpy"], Arguments=["--seed", str(seed)], Threads=1)
        rows.append(step_parameters(path))
    rows[2]["Threads"] = "2"
    common, different = share_parameters([*rows, {}])
    assert common["Arguments"] == "--seed …"
    assert common["Threads"] == "1"
    assert common["SoftwarePackages.numpy"] == numpy.__version__
    assert "Sources" not in common
    assert [row.get("Arguments[1]") for row in different] == ["1", "2", "3", None]
    assert [row.get("Threads") for row in different] == [None, None, "2", None]
    assert different[3] == {}


def test_an_image_without_a_common_parameter_is_told():
    _, different = share_parameters([{"a": "1"}, {"a": "1"}, {"b": "2"}])
    assert different[2] == {"b": "2", "a": None}


def test_of_a_raw_image_only_the_scanner_and_the_converter_are_repeated(tmp_path):
    (tmp_path / "a.json").write_text('{"Manufacturer": "X", "PatientName": "Y", "EchoTime": 1}')
    assert step_parameters(tmp_path / "a.nii.gz", is_raw=True) == {"Manufacturer": "X"}
    (tmp_path / "b.json").write_text("[1]")
    assert step_parameters(tmp_path / "b.nii.gz") == step_parameters(tmp_path / "c.nii.gz") == {}
