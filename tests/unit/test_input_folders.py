"""A change inside a folder that users give is noticed; DataLad's unfetched files are."""

import os
import shutil
from contextlib import contextmanager

import pytest
from bids_folders import fates, plain_bids, table, write_bids

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.input_folders import (
    bids_digest,
    check_fetched,
    digest_of_cohort,
    download_digest,
    is_unfetched,
)

IMAGE = "sub-02/anat/sub-02_T1w.nii.gz"


def in_place(path, old, new):
    """Change text of a file and leave size and time as they were."""
    status = path.stat()
    with open(path, "r+") as file:
        text = file.read().replace(old, new)
        file.seek(0)
        file.write(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced_by_an_older_file(folder):
    shutil.copy(folder / IMAGE, folder.parent / "new.nii.gz")
    os.utime(folder.parent / "new.nii.gz", (1e9, 1e9))
    os.replace(folder.parent / "new.nii.gz", folder / IMAGE)


def same_size_and_time(folder):
    path = folder / IMAGE
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def new(name, content):
    return lambda folder: write_bids(folder, {name: content})


CHANGES = {
    "a diagnosis in place": lambda folder: in_place(folder / "participants.tsv", "AD", "CN"),
    "a new table of sessions": new("sub-01/sub-01_sessions.tsv", "session_id\n"),
    "a new table of scans, deep": new("sub-01/ses-1/sub-01_ses-1_scans.tsv", "x"),
    "a new sidecar": new("sub-01/anat/sub-01_T1w.json", "{}"),
    "a sidecar of all": new("T1w.json", "{}"),
    "a new image": new("sub-04/ses-1/anat/sub-04_ses-1_T1w.nii.gz", 9),
    "a removed image": lambda folder: (folder / IMAGE).unlink(),
    "a renamed image": lambda folder: (folder / IMAGE).rename(folder / IMAGE.replace("_T1w", "_run-1_T1w")),
    "an image with other voxels": new(IMAGE, 9),
    "an image replaced by an older file": replaced_by_an_older_file,
    "an image of the same size and time": same_size_and_time,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_inside_a_dataset_are_noticed(tmp_path, change):
    folder = plain_bids(tmp_path / "bids")
    before = bids_digest(folder)
    assert bids_digest(folder) == before
    change(folder)
    assert bids_digest(folder) != before


def test_the_order_in_which_a_file_system_lists_files_makes_no_difference(tmp_path, monkeypatch):
    folder = plain_bids(tmp_path / "bids")
    before, scandir = bids_digest(folder), os.scandir

    @contextmanager
    def backwards(place):
        with scandir(place) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=True)

    monkeypatch.setattr(os, "scandir", backwards)
    assert bids_digest(folder) == before


@pytest.mark.parametrize(
    "name", ["derivatives/x/sub-01_T1w.nii.gz", ".git/HEAD", ".bidsignore", "code/run.sh"]
)
def test_what_the_study_does_not_read_makes_no_difference(tmp_path, name):
    folder = plain_bids(tmp_path / "bids")
    before = bids_digest(folder)
    write_bids(folder, {name: "x"})
    assert bids_digest(folder) == before


def test_changes_of_a_download_are_noticed_and_one_that_is_gone_keeps_its_digest(tmp_path):
    images = write_bids(
        tmp_path / "images", {"002_S_0295/MPRAGE/I1/1.dcm": "1", "002_S_0295/MPRAGE/I1/2.dcm": "2"}
    )
    tables = write_bids(tmp_path / "tables", {"DXSUM.csv": "RID,DX\n1,AD\n"})
    found = {download_digest(images, tables)}
    in_place(tables / "DXSUM.csv", "AD", "CN")
    found.add(download_digest(images, tables))
    write_bids(images, {"002_S_0295/MPRAGE/I1/3.dcm": "3"})
    found.add(download_digest(images, tables))
    (images / "002_S_0295/MPRAGE/I1/1.dcm").unlink()
    found.add(last := download_digest(images, tables))
    assert len(found) == 4
    (images / "002_S_0295/MPRAGE/I1/2.dcm").chmod(0o600)
    cohort = {"source": "download", "images": str(images), "tables": str(tables)}
    assert digest_of_cohort(cohort, tmp_path / "none.json") == last
    shutil.rmtree(images)
    assert digest_of_cohort(cohort, tmp_path / "none.json") is None
    (tmp_path / "folders.json").write_text('{"digest": "recorded"}')
    assert digest_of_cohort(cohort, tmp_path / "folders.json") == "recorded"
    assert digest_of_cohort({"source": "simulated"}, tmp_path / "folders.json") is None


def annexed(folder, name, *, locked):
    """Put what git-annex has in place of a file whose content is elsewhere."""
    key = "annex/objects/ab/cd/SHA256E-s1--0/SHA256E-s1--0"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if locked:
        path.symlink_to(os.path.relpath(folder / ".git" / key, path.parent))
    else:
        path.write_text(f"/{key}\n")
    return path


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("name", [IMAGE, "participants.tsv", "sub-01/sub-01_sessions.tsv", "T1w.json"])
def test_files_of_datalad_that_were_not_fetched_stop_the_study(tmp_path, name, locked):
    folder = plain_bids(tmp_path / "bids")
    check_fetched("X", folder)
    assert is_unfetched(annexed(folder, name, locked=locked))
    with pytest.raises(StudyError, match="1 files of the BIDS dataset of X are annexed") as raised:
        check_fetched("X", folder)
    assert "git annex get" in raised.value.remedy
    assert "allow_missing: true" in raised.value.remedy
    assert name in raised.value.cause


def test_only_images_may_be_missing(tmp_path):
    folder = plain_bids(tmp_path / "bids")
    annexed(folder, IMAGE, locked=True)
    check_fetched("X", folder, allow_missing=True)
    annexed(folder, "participants.tsv", locked=True)
    with pytest.raises(StudyError, match="1 files") as raised:
        check_fetched("X", folder, allow_missing=True)
    assert "allow_missing" not in raised.value.remedy


def test_parts_that_are_not_installed_stop_the_study(tmp_path):
    folder = plain_bids(tmp_path / "bids", **{".gitmodules": '[submodule "sub-04"]\n\tpath = sub-04\n'})
    (folder / "sub-04").mkdir()
    with pytest.raises(StudyError, match="the first is sub-04") as raised:
        check_fetched("X", folder)
    assert "git -C" in raised.value.remedy
    write_bids(folder, {"sub-04/README": "here"})
    check_fetched("X", folder)


@pytest.mark.parametrize("locked", [True, False])
def test_a_study_may_go_on_without_them(tmp_path, locked):
    folder = plain_bids(
        tmp_path / "bids", **{"participants.tsv": table("participant_id diagnosis", "sub-01 AD")}
    )
    annexed(folder, IMAGE, locked=locked)
    found = fates(folder)
    assert found["sub-02_T1w.nii.gz"] == "not fetched: the file is annexed, and its content is not there"
    assert found["sub-01_T1w.nii.gz"] == "kept"


def test_an_annexed_file_that_was_fetched_is_a_file(tmp_path):
    folder = plain_bids(tmp_path / "bids")
    path = annexed(folder, IMAGE, locked=True)
    write_bids(folder, {str(path.readlink()).replace("../", ""): 8})
    check_fetched("X", folder)
    assert fates(folder)["sub-02_T1w.nii.gz"] == "kept"


def test_a_link_to_itself_is_a_file_that_cannot_be_read(tmp_path):
    folder = plain_bids(tmp_path / "bids")
    (folder / IMAGE).unlink()
    (folder / IMAGE).symlink_to("sub-02_T1w.nii.gz")
    bids_digest(folder)
    check_fetched("X", folder)
    reason = "unreadable NIfTI: the file that it links to does not exist"
    assert fates(folder)["sub-02_T1w.nii.gz"] == reason
