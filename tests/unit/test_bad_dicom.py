"""Bad DICOM series: each is set aside, the report has the words, and the others are converted as before."""

import random
import shutil
from functools import partial
from pathlib import Path

import handmade_cohorts as handmade
import nibabel
import numpy
import pydicom
import pytest
from pydicom import uid

from rhvae_mri.convert.archive import Series, list_series
from rhvae_mri.convert.conversion import convert_to_bids
from rhvae_mri.convert.series import find_broken_series
from rhvae_mri.io.files import read_tsv

# pydicom warns of the damage that the tests write
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def edit(path, change):
    image = pydicom.dcmread(path)
    change(image)
    image.save_as(path)


def assign(image, values):
    for name, value in values.items():
        if value is None:
            del image[name]
        else:
            setattr(image, name, value)


def having(where, **values):
    """Set elements of some of the files; None removes them."""
    return lambda files: [edit(path, lambda image: assign(image, values)) for path in files[where]]


one, every, some = (partial(having, slice(*where)) for where in ((3, 4), (None,), (None, None, 4)))


def dangling(files):
    files[3].unlink()
    files[3].symlink_to("nowhere")


def add(name, kind, value):
    return lambda files: edit(files[3], lambda image: image.add_new(name, kind, value))


def one_row_less(files):
    def change(image):
        image.Rows -= 1
        image.PixelData = image.PixelData[: -2 * image.Columns]

    edit(files[3], change)


def without_slices(*numbers):
    return lambda files: [path.unlink() for path in files if pydicom.dcmread(path).InstanceNumber in numbers]


def each(*changes):
    """Change every file by functions of its dataset."""
    return lambda files: [edit(path, lambda image: [change(image) for change in changes]) for path in files]


def deflate(image):
    image.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian


def compress(image):
    image.compress(uid.RLELossless)


def colour(image):
    assign(image, COLOURS | {"PixelData": bytes(3 * image.Rows * image.Columns + 1)})


def with_localizer(files):
    """Three slices of another series, as a scout has them."""
    for number, path in enumerate(files[:3]):
        copy = Path(shutil.copy(path, path.with_name(f"Z_{path.name}")))
        every(SeriesInstanceUID="1.2.3", SOPInstanceUID=f"1.2.{number}")([copy])


def copied(files):
    shutil.copy(files[3], files[3].with_name(f"Z_{files[3].name}"))


def cut_by_one(files):
    files[3].write_bytes(files[3].read_bytes()[:-1])


def unlinked(first):
    return lambda files: [path.unlink() for path in files[first:]]


COLOURS = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
COLOURS |= {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}

OTHERS = "and others do not belong here"
SCREENSHOT = "a screenshot (secondary capture), not an image of the scanner"
UNREADABLE = "{fourth}: not a readable DICOM image"
NO_PIXELS = "it has no pixels: truncated, or not an image"
LINK = "the file that it links to does not exist"
POSITION, ORIENTATION = "ImagePositionPatient", "ImageOrientationPatient"

#: Kind, how to spoil the files, problem; {first}, {second} and {fourth} stand for file names.
BAD_SERIES = [
    ("0-byte file", lambda files: files[3].write_bytes(b""), f"{UNREADABLE} (the file is empty)"),
    ("text", lambda files: files[3].write_text("<html>"), f"{UNREADABLE} (its content is not DICOM)"),
    ("dangling link", dangling, f"{UNREADABLE} ({LINK})"),
    ("one byte less", cut_by_one, "{fourth}: truncated: 509 of 510 bytes of pixels"),
    ("CT", every(Modality="CT", SOPClassUID=uid.CTImageStorage), "{first}: wrong modality: CT instead of MR"),
    ("PET", every(Modality="PT"), "{first}: wrong modality: PT instead of MR"),
    ("report", one(Modality="SR", Rows=None, PixelData=None), "{fourth}: wrong modality: SR instead of MR"),
    ("screenshot", every(SOPClassUID=uid.SecondaryCaptureImageStorage), f"{{first}}: {SCREENSHOT}"),
    ("colours", each(colour), "{first}: colours instead of intensities"),
    *(
        (f"{name} {value}", one(**{name: value}), f"{{fourth}}: its header has no valid {name}")
        for name, values in {
            "Rows": (None, "", 0),
            "Columns": (None,),
            POSITION: (None, [1, 2], ["nan", "0", "0"]),
            ORIENTATION: (None, [0] * 6),
            "PixelSpacing": ([0, 0],),
        }.items()
        for value in values
    ),
    ("two numbers of rows", add("Rows", "US", [17, 17]), "{fourth}: its header has no valid Rows"),
    ("frames", add("NumberOfFrames", "LO", "Jane Doe"), "{fourth}: its header has no valid NumberOfFrames"),
    ("huge", every(Rows=65535, Columns=65535), "{first}: impossible size: 1 x 65535 x 65535 pixels"),
    ("far too many rows", one(Rows=4000), "{fourth}: impossible size: 1 x 4000 x 17 pixels"),
    ("many frames", every(NumberOfFrames=99_999_999), "{first}: impossible size: 99999999 x 15 x 17 pixels"),
    ("no pixels", one(PixelData=None), f"{{fourth}}: {NO_PIXELS}"),
    ("no compressed pixels", each(compress, lambda image: image.pop("PixelData")), f"{{first}}: {NO_PIXELS}"),
    ("deflated", each(deflate), "{first}: its header is compressed (deflated), which dcm2niix does not read"),
    ("localizer", with_localizer, f"2 series are mixed (14, 3 files), Z_{{first}} {OTHERS}"),
    ("two series", some(SeriesInstanceUID="1.2.3"), f"2 series are mixed (10, 4 files), {{first}} {OTHERS}"),
    ("two sizes", one_row_less, "slices of 2 different sizes"),
    ("three planes", some(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "slices of different directions"),
    ("two pixel sizes", some(PixelSpacing=[2, 2]), "slices of different pixel sizes"),
    ("one position", every(ImagePositionPatient=[0, 0, 0]), "13 slices lie where another one lies"),
    ("copied slice", copied, "1 slices lie where another one lies"),
    ("a gap", without_slices(5, 6), "2 slices are missing among 12"),
    ("one identifier", every(SOPInstanceUID="1.2.3"), "{second} and {first} have the same SOPInstanceUID"),
    ("two slices", unlinked(2), "only 2 slices: a localizer, or files are missing"),
    ("nothing", unlinked(0), "the folder has no image file"),
]

ACCEPTED = [
    ("as it is", lambda files: None),
    # that cannot be seen
    ("no slice at the end", without_slices(1)),
    ("no modality", every(Modality=None)),
    ("inverted grey", every(PhotometricInterpretation="MONOCHROME1")),
    ("compressed", each(compress)),
    ("other times of echo and repetition", every(EchoTime=90, RepetitionTime=5000)),
]


def expected(problem, files):
    names = [path.name for path in files]
    return problem.format(first=names[0], second=names[1], fourth=names[3])


def participant(cohort, number, *scans):
    subject, phase, sequence = {
        "ADNI": (f"{number:03d}_S_{number:04d}", "ADNI2", "MPRAGE"),
        "AIBL": (str(number), "AIBL", "MPRAGE_ADNI_confirmed"),
    }[cohort]
    scans = [handmade.make_scan(scan, sequence=sequence) for scan in scans or [number]]
    return handmade.make_participant(subject, phase, handmade.make_visit(0, "CN", *scans))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return handmade.write_cohort([participant("ADNI", 1)], tmp_path_factory.mktemp("original"))[0]


@pytest.fixture
def series(original, tmp_path):
    shutil.copytree(original, tmp_path / "images")
    return list_series(tmp_path / "images", "ADNI")[0]


def series_problem(series):
    return find_broken_series([series]).get(series)


def relisted(series):
    """The same series, with the files that are there now."""
    return Series(series.subject, series.image, series.folder, tuple(sorted(series.folder.iterdir())))


@pytest.mark.parametrize(("kind", "spoil", "problem"), BAD_SERIES)
def test_a_bad_series_is_described(series, kind, spoil, problem):
    spoil(series.files)
    assert series_problem(relisted(series)) == expected(problem, series.files)


@pytest.mark.parametrize(("kind", "spoil"), ACCEPTED)
def test_what_is_unusual_but_right_is_accepted(series, kind, spoil):
    spoil(series.files)
    assert series_problem(relisted(series)) is None


@pytest.mark.parametrize("length", [100, 700, 1900])
def test_a_file_cut_anywhere(series, length):
    content = series.files[3].read_bytes()
    assert len(content) > 2000
    series.files[3].write_bytes(content[:length])
    problem = series_problem(series)
    assert problem.startswith(f"{series.files[3].name}: ")
    assert "truncated" in problem or "not a readable DICOM image" in problem


@pytest.mark.parametrize(
    ("voxel", "cut", "problem"),
    [
        ("float32", 0, None),
        ("float32", 8, "x.nii: unreadable NIfTI: the file is shorter than its header says"),
        ([(name, "u1") for name in "RGB"], 0, "x.nii: wrong data type: colours (RGB) instead of intensities"),
    ],
)
def test_nifti_images(tmp_path, voxel, cut, problem):
    path = tmp_path / "x.nii"
    nibabel.save(nibabel.Nifti1Image(numpy.ones((9, 9, 9)).astype(voxel), numpy.eye(4)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
    assert series_problem(Series("002_S_0001", 2, tmp_path, (path,))) == problem


def test_an_enhanced_file_with_all_slices_as_frames(series):
    """Where each frame lies is then said elsewhere in the header, and is left to dcm2niix."""
    frames = [pydicom.dcmread(path) for path in series.files]
    whole = frames[0]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = uid.EnhancedMRImageStorage
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(frame.PixelData for frame in frames)
    assign(whole, dict.fromkeys(["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]))
    path = series.folder / "enhanced_I10001.dcm"
    whole.save_as(path)
    alone = Series("002_S_0001", 10_001, series.folder, (path,))
    assert series_problem(alone) is None
    path.write_bytes(path.read_bytes()[:-2])
    assert series_problem(alone) == f"{path.name}: truncated: 7138 of 7140 bytes of pixels"


def test_free_text_of_a_header_is_never_repeated(series):
    content = series.files[3].read_bytes()
    for element in ("Modality", "PhotometricInterpretation", "NumberOfFrames", "Rows", "PixelSpacing"):
        add(element, "LO", "DOE^JANE")(series.files)
        problem = series_problem(series)
        assert problem is not None
        assert "DOE" not in problem
        series.files[3].write_bytes(content)
    assert series_problem(series) is None


def test_no_random_damage_stops_the_check(series):
    random_numbers, found = random.Random(0), 0
    content = series.files[3].read_bytes()
    alone = Series(series.subject, series.image, series.folder, series.files[3:4])
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(random_numbers.choice([1, 4])):
            damaged[random_numbers.randrange(128, len(damaged))] = random_numbers.randrange(256)
        series.files[3].write_bytes(damaged)
        problem = series_problem(alone)
        assert "DICOM standard" not in problem
        found += "only 1 slices" not in problem
    assert found > 50


def test_one_scan_under_two_names(tmp_path):
    """Nobody can tell whose head it is; under one name the copy does no harm."""
    people = [participant("ADNI", 2, 0, 1), participant("ADNI", 3, 2), participant("ADNI", 4, 3)]
    images = handmade.write_cohort(people, tmp_path)[0]
    first, second, third, fourth = list_series(images, "ADNI")
    for copy in (second, third):
        for source, target in zip(first.files, copy.files, strict=True):
            shutil.copy(source, target)
    broken = find_broken_series([first, second, third, fourth], processes=2)
    same = "the same scan as {} of another participant (equal SOPInstanceUIDs)"
    assert broken == {
        first: same.format("I10002"),
        second: same.format("I10002"),
        third: same.format("I10000, I10001"),
    }


@pytest.mark.parametrize("cohort", ["ADNI", "AIBL"])
def test_bad_series_leave_the_rest_of_a_conversion_as_it_is(tmp_path, cohort):
    cases = [case for case in BAD_SERIES if case[0] != "nothing"]
    people = [participant(cohort, number) for number in range(1, 3 + len(cases))]
    images, tables, _ = handmade.write_cohort(people, tmp_path)
    problems = {}
    for person, (_, spoil, problem) in zip(people[2:], cases, strict=True):
        files = sorted((images / person.subject).rglob("*.dcm"))
        spoil(files)
        problems[person.participant_id] = ("unreadable", expected(problem, files))
    places = (tmp_path / name for name in ("bids", "report.tsv", "tables.tsv"))
    convert_to_bids(cohort, images, tables, *places, processes=2)
    rows = read_tsv(tmp_path / "report.tsv").set_index("participant_id")
    good = [person.participant_id for person in people[:2]]
    assert rows.loc[good, "status"].tolist() == ["converted", "converted"]
    assert {name: (row.status, row.reason) for name, row in rows.drop(good).iterrows()} == problems
    assert {path.name for path in (tmp_path / "bids").glob("sub-*")} == set(good)
