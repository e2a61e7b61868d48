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
from nifti_files import AFFINE, SHAPE, encode_nifti, noise, write_nifti

from rhvae_mri.cohort.headers import describe_fault
from rhvae_mri.cohort.images import list_images, read_images
from rhvae_mri.preprocess.ants_library import write_for_ants
from rhvae_mri.preprocess.bias_field import correct_bias
from rhvae_mri.preprocess.images import ImageError, read_image, record_faults, recorded_fault
from rhvae_mri.preprocess.nifti import UNREADABLE

GOOD = encode_nifti()
COMPRESSED = gzip.compress(GOOD)
FLIPPED = AFFINE @ numpy.diag([-1.0, 1, 1, 1])


def dimensions(*counts):
    return encode_nifti(change=lambda header: header["dim"].__setitem__(slice(len(counts)), counts))


def sizes_without_sform(size):
    return encode_nifti(sform=None, change=lambda header: header["pixdim"].__setitem__(slice(1, 4), size))


def colours(names):
    return encode_nifti(numpy.zeros(SHAPE, [(name, "u1") for name in names]))


def turned(degrees):
    angle = numpy.deg2rad(degrees)
    turn = numpy.eye(4)
    turn[1:3, 1:3] = [[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]]
    return turn @ AFFINE


def sheared():
    affine = AFFINE.copy()
    affine[0, 1] = 0.5
    return affine


def spoiled(value, dtype=numpy.float32):
    voxels = noise(dtype=dtype)
    voxels[3, 4, 5] = value
    return encode_nifti(voxels)


def extended(length, stated=None, code=4):
    """A file with an extension of a length, which may state another one."""
    content = encode_nifti(vox_offset=352 + length)
    extension = struct.pack("<ii", length if stated is None else stated, code)
    return content[:348] + b"\1\0\0\0" + extension.ljust(length, b"\xff") + content[352:]


def rounded(square, **cells):
    """An image turned by 180 degrees whose quaternion has another square than 1."""
    half_turn = turned(180)
    return encode_nifti(sform=half_turn, qform=half_turn, quatern_b=numpy.sqrt(square), **cells)


def size_of(value):
    return encode_nifti(change=lambda header: header["pixdim"].__setitem__(1, value))


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
    ("unknown type", encode_nifti(datatype=77), "its header is damaged (data code 77 not recognized)"),
    ("bits", encode_nifti(datatype=1), "its header is damaged (data code 1 not supported)"),
    (
        "intercept",
        encode_nifti(scl_inter=numpy.nan),
        "its header is damaged (Valid slope but invalid intercept nan)",
    ),
    (
        "offset",
        encode_nifti(vox_offset=-5),
        "its header is damaged (vox offset -5 too low for single file nifti1)",
    ),
    ("no offset", encode_nifti(vox_offset=0), "its voxels begin at byte 0, inside the header"),
    ("far offset", encode_nifti(vox_offset=1e30), "the file is shorter than its header says"),
]

NOT_INVERTIBLE = "the affine matrix of the header is not invertible"
CONTRADICTION = "sform and qform of the header contradict each other"

WRONG_GEOMETRY = [
    ("2-D", encode_nifti(noise()[:, :, 0]), "2 dimensions (45 x 54) instead of 3"),
    ("4-D", encode_nifti(numpy.stack([noise()] * 2, -1)), "4 dimensions (45 x 54 x 45 x 2) instead of 3"),
    (
        "5-D",
        encode_nifti(numpy.stack([noise()] * 2, -1)[..., None, :]),
        "5 dimensions (45 x 54 x 45 x 1 x 2) instead of 3",
    ),
    ("localizer", encode_nifti(noise()[:, :, :3]), "only 45 x 54 x 3 voxels"),
    ("negative number", dimensions(3, -45, 54, 45), "only -45 x 54 x 45 voxels"),
    ("huge", dimensions(3, 32767, 32767, 32767), "32767 x 32767 x 32767 voxels are too many for a head"),
    (
        "huge.gz",
        gzip.compress(dimensions(3, 32767, 32767, 32767)),
        "32767 x 32767 x 32767 voxels are too many for a head",
    ),
    ("zero sform", encode_nifti(srow_x=0, srow_y=0, srow_z=0), NOT_INVERTIBLE),
    ("singular sform", encode_nifti(srow_y=[4, 0, 0, 0]), NOT_INVERTIBLE),
    ("NaN in the sform", encode_nifti(srow_x=numpy.nan), NOT_INVERTIBLE),
    ("NaN in the qform alone", encode_nifti(sform_code=0, quatern_b=numpy.nan), NOT_INVERTIBLE),
    ("NaN in the other qform", encode_nifti(quatern_b=numpy.nan), "the qform of the header is no rotation"),
    ("quaternion of 1.2", rounded(1.44), "the qform of the header is no rotation"),
    ("zero size", sizes_without_sform(0), "voxels of 0 x 0 x 0 mm"),
    ("negative size", sizes_without_sform(-4), "voxels of -4 x -4 x -4 mm"),
    ("tiny voxels", encode_nifti(sform=AFFINE / 40, qform=AFFINE / 40), "voxels of 0.1 x 0.1 x 0.1 mm"),
    ("large voxels", encode_nifti(sform=AFFINE * 3, qform=AFFINE * 3), "voxels of 12 x 12 x 12 mm"),
    ("metres", encode_nifti(xyzt_units=1), "voxels of 4 x 4 x 4 in the unit metre, not mm"),
    ("micrometres", encode_nifti(xyzt_units=3 + 8), "voxels of 4 x 4 x 4 in the unit micrometre, not mm"),
    (
        "sheared",
        encode_nifti(sform=sheared(), qform=None),
        "the axes of the image are not at right angles to each other",
    ),
    (
        "neither form",
        encode_nifti(sform=None, qform=None),
        "the header does not say which way is left: neither sform nor qform is set",
    ),
    ("flipped qform", encode_nifti(qform=FLIPPED), f"{CONTRADICTION} in what is left and right"),
    ("flipped sform", encode_nifti(sform=FLIPPED), f"{CONTRADICTION} in what is left and right"),
    ("turned qform", encode_nifti(qform=turned(90)), f"{CONTRADICTION} by a rotation of 90 degrees"),
    (
        "smaller voxels in the qform",
        encode_nifti(qform=AFFINE / 2),
        f"{CONTRADICTION}: voxels of 4 x 4 x 4 and 2 x 2 x 2 mm",
    ),
    (
        "larger voxels in the qform",
        encode_nifti(qform=AFFINE * 2),
        f"{CONTRADICTION}: voxels of 4 x 4 x 4 and 8 x 8 x 8 mm",
    ),
]

WRONG_DATA_TYPE = [
    (
        "complex",
        encode_nifti(noise(dtype=numpy.complex64)),
        "complex numbers (complex64) instead of a magnitude",
    ),
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
        "The image cannot be read: the compressed file is damaged: its checksum is wrong.",
    ),
    ("NaN", spoiled(numpy.nan), "The image has 1 voxels that are NaN or infinite (0.00091 %)."),
    ("infinite", spoiled(numpy.inf), "The image has 1 voxels that are NaN or infinite (0.00091 %)."),
    ("beyond float32", spoiled(1e300, float), "The image has 1 voxels that are NaN or infinite (0.00091 %)."),
    ("overflow of the scaling", encode_nifti(scl_slope=3e38), "voxels that are NaN or infinite (98 %)."),
    ("all zeros", encode_nifti(0 * noise()), "All voxels of the image have the value 0."),
    (
        "int8 overflow of one voxel",
        spoiled(160 - 256, numpy.int8),
        "The image has a wrong data type: its intensities run from -96 to 119, beyond the range of int8.",
    ),
    (
        "int16 overflow",
        encode_nifti(noise(0, 50_000, numpy.int32).astype(numpy.int16)),
        "beyond the range of int16.",
    ),
]

ACCEPTED = [
    ("plain", GOOD),
    ("compressed.gz", COMPRESSED),
    ("blocks.gz", gzip.compress(GOOD[:5000]) + gzip.compress(GOOD[5000:])),
    ("one volume", encode_nifti(noise()[..., None])),
    ("one volume of one", encode_nifti(noise()[..., None, None])),
    ("qform only", encode_nifti(sform=None)),
    ("sform only, as Clinica writes it", encode_nifti(qform=None)),
    ("unknown unit", encode_nifti(xyzt_units=0)),
    ("slope zero", encode_nifti(scl_slope=0)),
    ("slope NaN", encode_nifti(scl_slope=numpy.nan)),
    ("radiological", encode_nifti(sform=FLIPPED, qform=FLIPPED)),
    ("aligned to a template", encode_nifti(sform=turned(30) * 1.2)),
    ("int8", encode_nifti(noise(0, 120, numpy.int8))),
    ("uint8", encode_nifti(noise(0, 255, numpy.uint8))),
    ("scaled int8", encode_nifti(noise(-120, 120, numpy.int8), scl_slope=2, scl_inter=100)),
    ("quaternion off by 1e-6", rounded(1 + 1e-6)),
    ("quaternion off by 1e-4", rounded(1 + 1e-4)),
    ("quaternion off by 5e-3", rounded(1.005)),
    ("quaternion off, without sform", rounded(1 + 1e-4, sform_code=0)),
    ("size zero beside a good sform", size_of(0)),
    ("negative size beside a good sform", size_of(-4)),
    ("handedness 0", encode_nifti(change=lambda header: header["pixdim"].__setitem__(0, 0))),
    ("extension of 1 MB", extended(1_000_000)),
    ("extension of 1 MB.gz", gzip.compress(extended(1_000_000))),
    ("extension of 20 MB.gz", gzip.compress(extended(20_000_000), 1)),
    ("extension that states too much", extended(32, 3200)),
    ("extension that states nothing", extended(32, 0)),
    ("extension that states less than nothing", extended(32, -16)),
    ("unknown extension", extended(64, code=99)),
    ("extension that is no XML", extended(64, code=6)),
    ("texts of any bytes", encode_nifti(descrip=b"\xff\x80" * 40, aux_file=b"\xff" * 24)),
    ("unknown intent", encode_nifti(intent_code=9999, intent_p1=numpy.nan, cal_max=numpy.nan)),
    ("unknown units", encode_nifti(xyzt_units=255)),
    ("int16 with negative noise", encode_nifti(noise(-50, 3000))),
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


@pytest.mark.parametrize(("kind", "content", "words"), table(BY_VOXELS))
def test_bad_voxels_are_refused_when_they_are_read(tmp_path, kind, content, words):
    path = save(tmp_path, kind, content)
    assert describe_fault(path) is None
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert words in error.value.what
    assert "another visit" in error.value.remedy


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


def test_what_is_no_file(tmp_path):
    folder, link, pipe = (tmp_path / f"{name}.nii.gz" for name in ("folder", "link", "pipe"))
    folder.mkdir()
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe)
    assert describe_fault(folder) == "unreadable NIfTI: it is a folder"
    assert describe_fault(link) == "unreadable NIfTI: the file that it links to does not exist"
    assert describe_fault(pipe) == "unreadable NIfTI: it is no regular file"
    assert describe_fault(tmp_path / "no.nii") == "unreadable NIfTI: the file does not exist"
    with pytest.raises(ImageError, match="cannot be read: it is a folder"):
        read_image(folder)
    with pytest.raises(ImageError, match="does not exist"):
        read_image(link)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path):
    path = write_nifti(tmp_path / "image.nii.gz")
    path.chmod(0)
    assert describe_fault(path) == "unreadable NIfTI: there is no permission to read the file"
    with pytest.raises(ImageError, match="no permission"):
        read_image(path)


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


def dataset(root, images):
    """A BIDS dataset with one image for each participant, whose names are the keys."""
    (root / "bids").mkdir(parents=True)
    rows = [{"participant_id": name, "diagnosis": "CN"} for name in images]
    pandas.DataFrame(rows).to_csv(root / "bids" / "participants.tsv", sep="\t", index=False)
    for name, (kind, content) in images.items():
        path = root / "bids" / name / "anat" / f"{name}_T1w.nii{'.gz' * kind.endswith('.gz')}"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    list_images("X", root / "bids", None, None, root / "images.tsv")
    return read_images(root / "images.tsv").assign(path=lambda rows: rows["path"].str.rpartition("/")[2])


def test_bad_headers_leave_the_rest_of_the_table_as_it_is(tmp_path):
    good = {f"sub-good{number}": ("plain", encode_nifti(noise(high=100 + number))) for number in (1, 2)}
    bad = {f"sub-bad{number:02d}": case[:2] for number, case in enumerate(BY_HEADER)}
    alone, together = dataset(tmp_path / "alone", good), dataset(tmp_path / "together", good | bad)
    assert together["reason"].tolist()[: len(bad)] == [reason for *_, reason in BY_HEADER]
    assert set(together["status"][: len(bad)]) == {"excluded"}
    pandas.testing.assert_frame_equal(together[len(bad) :].reset_index(drop=True), alone, check_dtype=False)
    assert alone["status"].tolist() == ["kept", "kept"]


def correct(root, kind, content, name):
    source = root / "raw" / f"{name}_T1w.nii{'.gz' * kind.endswith('.gz')}"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(content)
    target = root / "derivatives" / f"{name}_desc-N4_T1w.nii.gz"
    with record_faults(target):
        correct_bias(source, target, spline_distance_mm=100, iterations=(2,))
    return target


def test_bad_voxels_become_the_fault_of_their_image_alone(tmp_path):
    before = correct(tmp_path, "plain", GOOD, "before").read_bytes()
    for kind, content, words in BY_VOXELS:
        target = correct(tmp_path, kind, content, "bad")
        assert target.read_bytes() == b""
        assert words in recorded_fault(target).what
        with pytest.raises(ImageError, match="image"):
            read_image(target)
    after = correct(tmp_path, "plain", GOOD, "after")
    assert recorded_fault(after) is None
    assert after.read_bytes() == before


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
