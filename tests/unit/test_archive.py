"""The images of a download, however its archives were unpacked."""

import zipfile

import pytest

from rhvae_mri.convert.archive import is_image_name, list_series, packed_archives, participant_folders

DICOM = bytes(128) + b"DICM"
PERSON, STAMP = "002_S_0001", "2006-04-18_08_12_00.0"
FILE = "ADNI_002_S_0001_MR_MPRAGE_br_raw_1_S5_I17.dcm"


@pytest.fixture
def images(tmp_path):
    """Write files, given by their paths."""

    def write(*places):
        for place in places:
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(DICOM)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("place", "image", "sequence", "date"),
    [
        (f"{PERSON}/MPRAGE/{STAMP}/I17/{FILE}", 17, "MPRAGE", "2006-04-18"),
        (f"{PERSON}/MPRAGE/{STAMP}/S5/{FILE}", 17, "MPRAGE", "2006-04-18"),
        (f"{PERSON}/MPRAGE/{STAMP}/S5/1.IMA", 5, "MPRAGE", "2006-04-18"),
        (f"{PERSON}/MPRAGE/{STAMP}/I17/no suffix", 17, "MPRAGE", "2006-04-18"),
        (f"ADNI/{PERSON}/MPRAGE/{STAMP}/I17/1.DCM", 17, "MPRAGE", "2006-04-18"),
        (f"T1 part 2/ADNI/{PERSON}/MPRAGE/{STAMP}/I17/1.nii.gz", 17, "MPRAGE", "2006-04-18"),
        (f"{PERSON}/MPRAGE/I17/1.dcm", 17, "MPRAGE", ""),
        (f"{PERSON}/{STAMP}/I17/1.dcm", 17, "", "2006-04-18"),
        (f"{PERSON}/I17/1.dcm", 17, "", ""),
        (f"{PERSON}/{FILE}", 17, "", ""),
    ],
)
def test_layouts(images, place, image, sequence, date):
    (each,) = list_series(images(place), "ADNI")
    assert (each.subject, each.image, each.sequence, each.date) == (PERSON, image, sequence, date)
    assert [path.name for path in each.files] == [place.split("/")[-1]]


def test_what_is_no_image_is_passed_over(images):
    folder = f"{PERSON}/MPRAGE/{STAMP}/I17"
    clutter = ["x.xml", "Thumbs.db", "._1.dcm", "report.pdf", "1.json", "all.zip"]
    root = images(*(f"{folder}/{name}" for name in clutter), ".trash/1.dcm")
    (root / folder / "LICENCE").write_text("text")
    assert list_series(root, "ADNI") == []


def test_images_in_nobody_s_folder_belong_to_nobody(images):
    found = list_series(images("new/1.dcm", "٠٠٢_S_٠٠٠١/MPRAGE/I3/1.dcm"), "ADNI")
    assert [each.subject for each in found] == ["", ""]
    assert len({each.image for each in found}) == 2


def test_parts_of_an_image_in_several_archives_are_put_together_once(images):
    place = f"{PERSON}/MPRAGE/{STAMP}/I17"
    root = images(
        f"a/{place}/1.dcm", f"a/{place}/2.dcm", f"b/{place}/2.DCM", f"b/{place}/3.dcm", f"c/{place}/x.nii"
    )
    (each,) = list_series(root, "ADNI")
    assert [path.relative_to(root).parts[::5] for path in each.files] == [
        ("a", "1.dcm"),
        ("a", "2.dcm"),
        ("b", "3.dcm"),
    ]
    assert not each.is_nifti


def test_a_folder_may_hold_several_images_and_links_in_circles(images):
    place = f"{PERSON}/MPRAGE/{STAMP}/S5"
    root = images(f"{place}/a_S5_I17.dcm", f"{place}/b_S5_I17.dcm", f"{place}/a_S5_I18.dcm")
    (root / PERSON / "again").symlink_to(root / PERSON, target_is_directory=True)
    assert [(each.image, len(each.files)) for each in list_series(root, "ADNI")] == [(17, 2), (18, 1)]


def test_participants_of_aibl_are_told_from_other_numbers(images):
    root = images(f"AIBL/10/MPRAGE/{STAMP}/I3/1.dcm", f"2018/31/MPRAGE/{STAMP}/I4/1.dcm", "0151083/x.dcm")
    assert sorted(path.name for path in participant_folders(root, "AIBL")) == ["10", "31"]
    found = {each.image: each.subject for each in list_series(root, "AIBL")}
    assert (found[3], found[4]) == ("10", "31")


def test_archives_that_were_not_unpacked_are_named_with_the_command(images):
    root = images(f"{PERSON}/MPRAGE/{STAMP}/I17/1.dcm")
    for name, members in {
        "done.zip": ["ADNI/1.dcm", "ADNI/readme.txt"],
        "T1 'x'.ZIP": ["ADNI/1.dcm", "ADNI/2.dcm", "ADNI/3.DCM"],
        "sub/metadata.zip": ["x.xml"],
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(root / name, "w") as archive:
            for member in members:
                archive.writestr(member, "")
    (root / "cut.zip").write_bytes(b"PK\3\4")
    cut, packed = sorted(packed_archives(root, is_image_name), key=len)
    assert cut == f"the archive {root / 'cut.zip'} cannot be read: download it again"
    assert packed.startswith("2 of 3 files of the archive")
    assert packed.endswith(f"""were not unpacked: unzip -n -q '{root}/T1 '"'"'x'"'"'.ZIP' -d {root}""")
