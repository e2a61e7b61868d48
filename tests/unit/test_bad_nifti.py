"""Bad NIfTI files: at which stage each kind is refused, with which words, and that the others stay unchanged.

The table of images goes by headers, so a participant's next visit can take the place of what it refuses. What
only the voxels show is refused at the first step of the preprocessing, and recorded as that image's fault.
"""

import gzip
import json
import os
import random
import struct

import nibabel
import numpy
import pandas
import pytest
from bids_folders import listing, people, write_bids
from nifti_files import AFFINE, SHAPE, noise, write_nifti
from nifti_files import encode_nifti as nifti

from rhvae_mri.cohort.headers import describe_fault
from rhvae_mri.preprocess.ants_library import write_for_ants
from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.images import ImageError, read_image, record_faults, recorded_fault
from rhvae_mri.preprocess.nifti import UNREADABLE

GOOD = nifti()
COMPRESSED = gzip.compress(GOOD)
TWO = numpy.stack([noise()] * 2, -1)
SHEARED = AFFINE + numpy.eye(4, k=1) / 2
FLIPPED = AFFINE @ numpy.diag([-1.0, 1, 1, 1])


def element(name, place, value, **forms):
    """A file with another value in one place of an array of its header."""
    return nifti(change=lambda header: header[name].__setitem__(place, value), **forms)


def colours(names):
    return nifti(numpy.zeros(SHAPE, [(name, "u1") for name in names]))


def turned(degrees):
    angle = numpy.deg2rad(degrees)
    turn = numpy.eye(4)
    turn[1:3, 1:3] = [[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]]
    return turn @ AFFINE


def spoiled(value, dtype=numpy.float32):
    voxels = noise(dtype=dtype)
    voxels[3, 4, 5] = value
    return nifti(voxels)


def extended(length, stated=None, code=4):
    """A file with an extension of a length, which may state another one."""
    content = nifti(vox_offset=352 + length)
    extension = struct.pack("<ii", length if stated is None else stated, code)
    return content[:348] + b"\1\0\0\0" + extension.ljust(length, b"\xff") + content[352:]


def rounded(square, **cells):
    """An image turned by 180 degrees whose quaternion has another square than 1."""
    half_turn = turned(180)
    return nifti(sform=half_turn, qform=half_turn, quatern_b=numpy.sqrt(square), **cells)


UNREADABLE_FILES = [
    ("empty", b"", "the file is empty"),
    ("text", b"<html>login</html>", "its content is not NIfTI"),
    ("cut short", GOOD[:-1], "the file is shorter than its header says"),
    ("cut in the header", GOOD[:200], "its content is not NIfTI"),
    ("text.gz", b"<html>login</html>", "it is not compressed with gzip, as its name says"),
    ("half.gz", COMPRESSED[: len(COMPRESSED) // 2], "the compressed file is cut short"),
    ("without its end.gz", COMPRESSED[:-3], "the compressed file is cut short"),
    ("start only.gz", COMPRESSED[:2], "its content is not NIfTI"),
    (
        "more behind.gz",
        COMPRESSED + b"<html>",
        "the compressed file is damaged: there is something else behind its end",
    ),
    ("too little.gz", gzip.compress(GOOD[:-1]), "the file is shorter than its header says"),
    ("unknown type", nifti(datatype=77), "its header is damaged (data code 77 not recognized)"),
    ("bits", nifti(datatype=1), "its header is damaged (data code 1 not supported)"),
    (
        "intercept",
        nifti(scl_inter=numpy.nan),
        "its header is damaged (Valid slope but invalid intercept nan)",
    ),
    ("offset", nifti(vox_offset=-5), "its header is damaged (vox offset -5 too low for single file nifti1)"),
    ("no offset", nifti(vox_offset=0), "its voxels begin at byte 0, inside the header"),
    ("far offset", nifti(vox_offset=1e30), "the file is shorter than its header says"),
]

NOT_INVERTIBLE = "the affine matrix of the header is not invertible"
NO_ROTATION = "the qform of the header is no rotation"
NO_RIGHT_ANGLES = "the axes of the image are not at right angles to each other"
NO_SIDES = "the header does not say which way is left: neither sform nor qform is set"
TOO_MANY = "32767 x 32767 x 32767 voxels are too many for a head"
CONTRADICTION = "sform and qform of the header contradict each other"

WRONG_GEOMETRY = [
    ("2-D", nifti(noise()[:, :, 0]), "2 dimensions (45 x 54) instead of 3"),
    ("4-D", nifti(TWO), "4 dimensions (45 x 54 x 45 x 2) instead of 3"),
    ("5-D", nifti(TWO[..., None, :]), "5 dimensions (45 x 54 x 45 x 1 x 2) instead of 3"),
    ("localizer", nifti(noise()[:, :, :3]), "only 45 x 54 x 3 voxels"),
    ("negative number", element("dim", 1, -45), "only -45 x 54 x 45 voxels"),
    ("huge", element("dim", slice(1, 4), 32767), TOO_MANY),
    ("huge.gz", gzip.compress(element("dim", slice(1, 4), 32767)), TOO_MANY),
    ("singular sform", nifti(srow_y=[4, 0, 0, 0]), NOT_INVERTIBLE),
    ("NaN in the sform", nifti(srow_x=numpy.nan), NOT_INVERTIBLE),
    ("NaN in the qform alone", nifti(sform_code=0, quatern_b=numpy.nan), NOT_INVERTIBLE),
    ("NaN in the other qform", nifti(quatern_b=numpy.nan), NO_ROTATION),
    ("quaternion of 1.2", rounded(1.44), NO_ROTATION),
    ("zero size", element("pixdim", slice(1, 4), 0, sform=None), "voxels of 0 x 0 x 0 mm"),
    ("negative size", element("pixdim", slice(1, 4), -4, sform=None), "voxels of -4 x -4 x -4 mm"),
    ("tiny voxels", nifti(sform=AFFINE / 40, qform=AFFINE / 40), "voxels of 0.1 x 0.1 x 0.1 mm"),
    ("large voxels", nifti(sform=AFFINE * 3, qform=AFFINE * 3), "voxels of 12 x 12 x 12 mm"),
    ("metres", nifti(xyzt_units=1), "voxels of 4 x 4 x 4 in the unit metre, not mm"),
    ("micrometres", nifti(xyzt_units=3 + 8), "voxels of 4 x 4 x 4 in the unit micrometre, not mm"),
    ("sheared", nifti(sform=SHEARED, qform=None), NO_RIGHT_ANGLES),
    ("neither form", nifti(sform=None, qform=None), NO_SIDES),
    ("flipped qform", nifti(qform=FLIPPED), f"{CONTRADICTION} in what is left and right"),
    ("flipped sform", nifti(sform=FLIPPED), f"{CONTRADICTION} in what is left and right"),
    ("turned qform", nifti(qform=turned(90)), f"{CONTRADICTION} by a rotation of 90 degrees"),
    (
        "smaller voxels in the qform",
        nifti(qform=AFFINE / 2),
        f"{CONTRADICTION}: voxels of 4 x 4 x 4 and 2 x 2 x 2 mm",
    ),
    (
        "larger voxels in the qform",
        nifti(qform=AFFINE * 2),
        f"{CONTRADICTION}: voxels of 4 x 4 x 4 and 8 x 8 x 8 mm",
    ),
]

WRONG_DATA_TYPE = [
    ("complex", nifti(noise(dtype=numpy.complex64)), "complex numbers (complex64) instead of a magnitude"),
    ("RGB", colours("RGB"), "colours (RGB) instead of intensities"),
    ("RGBA", colours("RGBA"), "colours (RGBA) instead of intensities"),
]

#: Refused by the table of images: kind, content, reason.
BY_HEADER = [
    (kind, content, f"{category}: {words}")
    for category, cases in [
        (UNREADABLE, UNREADABLE_FILES),
        ("grossly wrong geometry", WRONG_GEOMETRY),
        ("wrong data type", WRONG_DATA_TYPE),
    ]
    for kind, content, words in cases
]

#: Refused when the voxels are read: kind, content, words of the fault.
BY_VOXELS = [
    (
        "checksum.gz",
        COMPRESSED[:-8] + b"0000" + COMPRESSED[-4:],
        "the compressed file is damaged: its checksum is wrong.",
    ),
    ("NaN", spoiled(numpy.nan), "1 voxels that are NaN or infinite (0.00091 %)."),
    ("infinite", spoiled(numpy.inf), "1 voxels that are NaN or infinite (0.00091 %)."),
    ("beyond float32", spoiled(1e300, float), "1 voxels that are NaN or infinite (0.00091 %)."),
    ("overflow of the scaling", nifti(scl_slope=3e38), "voxels that are NaN or infinite (98 %)."),
    ("all zeros", nifti(0 * noise()), "All voxels of the image have the value 0."),
    (
        "int8 overflow of one voxel",
        spoiled(160 - 256, numpy.int8),
        "intensities run from -96 to 119, beyond the range of int8.",
    ),
    (
        "int16 overflow",
        nifti(noise(0, 50_000, numpy.int32).astype(numpy.int16)),
        "beyond the range of int16.",
    ),
]

ACCEPTED = [
    ("plain", GOOD),
    ("compressed.gz", COMPRESSED),
    ("blocks.gz", gzip.compress(GOOD[:5000]) + gzip.compress(GOOD[5000:])),
    ("one volume", nifti(noise()[..., None])),
    ("one volume of one", nifti(noise()[..., None, None])),
    ("qform only", nifti(sform=None)),
    ("sform only, as Clinica writes it", nifti(qform=None)),
    ("unknown unit", nifti(xyzt_units=0)),
    ("slope zero", nifti(scl_slope=0)),
    ("slope NaN", nifti(scl_slope=numpy.nan)),
    ("radiological", nifti(sform=FLIPPED, qform=FLIPPED)),
    ("aligned to a template", nifti(sform=turned(30) * 1.2)),
    ("int8", nifti(noise(0, 120, numpy.int8))),
    ("uint8", nifti(noise(0, 255, numpy.uint8))),
    ("scaled int8", nifti(noise(-120, 120, numpy.int8), scl_slope=2, scl_inter=100)),
    ("quaternion off by 1e-4", rounded(1 + 1e-4)),
    ("quaternion off by 5e-3", rounded(1.005)),
    ("quaternion off, without sform", rounded(1 + 1e-4, sform_code=0)),
    ("size zero beside a good sform", element("pixdim", 1, 0)),
    ("negative size beside a good sform", element("pixdim", 1, -4)),
    ("handedness 0", element("pixdim", 0, 0)),
    ("extension of 1 MB", extended(1_000_000)),
    ("extension of 1 MB.gz", gzip.compress(extended(1_000_000))),
    ("extension of 20 MB.gz", gzip.compress(extended(20_000_000), 1)),
    ("extension that states too much", extended(32, 3200)),
    ("extension that states nothing", extended(32, 0)),
    ("extension that states less than nothing", extended(32, -16)),
    ("unknown extension", extended(64, code=99)),
    ("extension that is no XML", extended(64, code=6)),
    ("texts of any bytes", nifti(descrip=b"\xff\x80" * 40, aux_file=b"\xff" * 24)),
    ("unknown intent", nifti(intent_code=9999, intent_p1=numpy.nan, cal_max=numpy.nan)),
    ("unknown units", nifti(xyzt_units=255)),
    ("int16 with negative noise", nifti(noise(-50, 3000))),
]


def table(cases):
    """Parameters of a test, named by the kind of input."""
    return [pytest.param(*case, id=case[0]) for case in cases]


def save(folder, kind, content):
    path = folder / ("image.nii.gz" if kind.endswith(".gz") else "image.nii")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("kind", "content", "reason"), table(BY_HEADER))
def test_a_bad_header_is_refused_in_both_places_with_the_same_words(tmp_path, kind, content, reason):
    path = save(tmp_path, kind, content)
    assert describe_fault(path) == reason
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert reason.split(": ", 1)[1] in error.value.what
    assert error.value.where == path
    assert error.value.remedy
    assert str(tmp_path) not in error.value.what


@pytest.mark.parametrize(("kind", "content"), table(ACCEPTED))
def test_what_is_unusual_but_right_is_accepted(tmp_path, kind, content):
    path = save(tmp_path, kind, content)
    assert describe_fault(path) is None
    voxels, affine = read_image(path)
    assert voxels.shape == SHAPE
    if kind.startswith(("quaternion", "extension that states")):  # nibabel itself refuses them
        numpy.testing.assert_array_equal(voxels, noise())
        numpy.testing.assert_allclose(affine, turned(180) if "quaternion" in kind else AFFINE, atol=1e-6)
        return
    stored = nibabel.load(path)
    numpy.testing.assert_array_equal(voxels, stored.get_fdata().reshape(SHAPE))
    numpy.testing.assert_array_equal(affine, stored.affine)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: path.symlink_to("nowhere"), "the file that it links to does not exist"),
        (os.mkfifo, "it is no regular file"),
        (lambda path: None, "the file does not exist"),
        pytest.param(
            lambda path: write_nifti(path).chmod(0),
            "there is no permission to read the file",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file"),
        ),
    ],
)
def test_what_is_no_file_is_named(tmp_path, make, words):
    path = tmp_path / "image.nii.gz"
    make(path)
    assert describe_fault(path) == f"unreadable NIfTI: {words}"
    with pytest.raises(
        ImageError, match="does not exist" if "exist" in words else f"cannot be read: {words}"
    ):
        read_image(path)


@pytest.mark.parametrize(
    ("shape", "voxel_size", "size"),
    [
        ((20, 54, 45), 4.0, "80 x 216 x 180"),
        ((45, 54, 45, 1), 2.0, "90 x 108 x 90"),
        ((45, 70, 45), 9.0, "405 x 630 x 405"),
    ],
)
def test_a_field_of_view_of_no_head_is_refused_by_the_table_of_images(tmp_path, shape, voxel_size, size):
    path = write_nifti(tmp_path / "image.nii.gz", shape, voxel_size)
    assert describe_fault(path) == f"grossly wrong geometry: field of view of {size} mm"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"Modality": "PT"}, "wrong modality: PT instead of MR"),
        ({"Modality": "Jane Doe"}, "wrong modality: another one than MR"),
        ({"Modality": "MR"}, None),
        ({}, None),
        ([1], None),
    ],
)
def test_the_modality_in_the_json_file(tmp_path, content, fault):
    path = write_nifti(tmp_path / "image.nii.gz")
    path.with_name("image.json").write_text(json.dumps(content))
    assert describe_fault(path) == fault


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # nibabel's, of numbers that are far too large
def test_no_random_damage_stops_a_check(tmp_path):
    random_numbers = random.Random(0)
    path, faults = tmp_path / "image.nii", 0
    for _ in range(400):
        content = bytearray(GOOD)
        for _ in range(random_numbers.choice([1, 4])):
            content[random_numbers.randrange(352)] = random_numbers.randrange(256)
        path.write_bytes(content)
        faults += describe_fault(path) is not None
        try:
            read_image(path)
        except ImageError as error:
            assert "\n" not in error.what
    assert faults > 50


def listed(folder, images):
    """The table of a dataset with one image for each participant, whose names are the keys."""
    files = {
        f"{name}/anat/{name}_T1w.nii{'.gz' * kind.endswith('.gz')}": content
        for name, (kind, content) in images.items()
    }
    return listing(write_bids(folder / "bids", {"participants.tsv": people(*images), **files}))[0].drop(
        columns="path"
    )


def test_bad_headers_leave_the_rest_of_the_table_as_it_is(tmp_path):
    good = {f"sub-good{number}": ("plain", nifti(noise(high=100 + number))) for number in (1, 2)}
    bad = {f"sub-bad{number:02d}": case[:2] for number, case in enumerate(BY_HEADER)}
    alone, together = listed(tmp_path / "alone", good), listed(tmp_path / "together", good | bad)
    assert together["reason"].loc[list(bad)].tolist() == [reason for *_, reason in BY_HEADER]
    assert set(together["status"].loc[list(bad)]) == {"excluded"}
    pandas.testing.assert_frame_equal(together.loc[list(good)], alone, check_dtype=False)
    assert alone["status"].tolist() == ["kept", "kept"]


@pytest.mark.parametrize(("kind", "content", "words"), [*table(BY_VOXELS), ("plain", GOOD, "")])
def test_bad_voxels_become_the_fault_of_their_image_when_they_are_read(tmp_path, kind, content, words):
    source, target = save(tmp_path, kind, content), tmp_path / "derivatives" / "image.nii.gz"
    assert describe_fault(source) is None
    with record_faults(target):
        correct_bias(source, target, spline_distance_mm=100, iterations=(2,))
    fault = recorded_fault(target)
    assert (fault is None) == (words == "") == (target.stat().st_size > 0)
    if fault:
        assert words in fault.what
        assert "another visit" in fault.remedy
        with pytest.raises(ImageError, match="image"):
            read_image(target)


def test_a_radiological_image_and_its_twin_are_the_same_head(tmp_path):
    """The same voxels from right to left, with a header that says so, at two stages of the preprocessing."""
    shape = (33, 41, 37)  # N4 looks at every fourth voxel: from both ends at the same ones
    x, y, z = numpy.meshgrid(*(numpy.linspace(-1, 1, count) for count in shape), indexing="ij")
    head = 100 * ((x - 0.2) ** 2 + y**2 + z**2 < 0.6) * (1 + 0.3 * x) + noise(0, 9, float, shape)
    affine = AFFINE.copy()
    affine[:3, 3] = -60
    mirror = numpy.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = shape[0] - 1
    corrected, given = [], []
    for name, voxels, own in (("right", head, affine), ("left", head[::-1], affine @ mirror)):
        source = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels.astype(numpy.float32), own), source)
        write_for_ants(tmp_path / f"{name}.nii", *read_image(source))
        given.append(nibabel.as_closest_canonical(nibabel.load(tmp_path / f"{name}.nii")))
        correct_bias(source, tmp_path / f"{name}_N4.nii.gz", spline_distance_mm=100, iterations=(10,))
        corrected.append(nibabel.as_closest_canonical(nibabel.load(tmp_path / f"{name}_N4.nii.gz")))
    for first, second in (given, corrected):
        numpy.testing.assert_allclose(first.affine, second.affine, atol=1e-4)
    numpy.testing.assert_array_equal(given[0].dataobj, given[1].dataobj)
    first, second = (image.get_fdata() for image in corrected)
    assert abs(first - second).max() < 1e-3
    assert abs(first - head).max() > 1  # there was a field to be corrected
