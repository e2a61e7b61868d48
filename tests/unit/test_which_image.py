"""Where the data say which image of a session and which visit counts, the alphabet does not."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bids_folders import fates, image_bytes, listing, people, table, write_bids

ROOT = Path(__file__).parents[2]
SECOND = "a second image of the same session"

#: What distinguishes the images of a session, the one that is taken first, and the key `prefer`.
SESSIONS = [
    ("run-1 ce-gadolinium", ()),
    ("rec-norm ce-gadolinium", ()),
    ("part-mag part-imag part-phase part-real", ()),
    ("rec-rms echo-1 echo-2", ()),
    ("acq-mprage_rec-rms acq-mprage_echo-1", ()),
    ("acq-mprage acq-hippocampus", ()),
    ("rec-uni inv-1 inv-2", ()),
    ("acq-space acq-mprage_ce-gad", ()),
    ("acq-mprage acq-gadpost", ()),
    ("run-2 run-10", ()),
    (" desc-brain", ()),
    ("echo-1 echo-2 ce-gad", ()),
    ("acq-mp2rageuni acq-mp2rageinv1 acq-mp2rageinv2", ()),
    ("acq-highcontrast ce-gad", ()),
    ("ce-none inv-1", ()),
    ("acq-spinecho acq-spine", ()),
    ("acq-mprage acq-fast", ("acq-mprage",)),
    ("acq-mprage_rec-rms acq-mprage_echo-1 acq-fast", ("acq-mprage",)),
    ("ce-gad acq-mprage", ("ce-gad",)),
]
SESSIONS = [([f"{name}_T1w".strip("_") for name in names.split(" ")], prefer) for names, prefer in SESSIONS]


def session(folder, names):
    files = {f"sub-01/anat/sub-01_{name}.nii.gz": number for number, name in enumerate(names)}
    return write_bids(folder, {"participants.tsv": people("sub-01"), **files})


@pytest.mark.parametrize(("names", "prefer"), SESSIONS)
def test_the_plain_or_combined_image_is_taken(tmp_path, names, prefer):
    found = fates(session(tmp_path / "bids", names), prefer=prefer)
    assert found.pop(f"sub-01_{names[0]}.nii.gz") == "kept"
    assert len(found) == len(names) - 1
    for name, reason in found.items():
        assert reason.startswith(SECOND) or reason == f"{name.split('_')[1]} is no image of the magnitude"


def test_a_sidecar_tells_of_a_contrast_agent(tmp_path):
    folder = session(tmp_path / "bids", ["acq-a_T1w", "acq-b_T1w"])
    write_bids(folder, {"sub-01/anat/sub-01_acq-a_T1w.json": '{"ContrastBolusIngredient": "GADOLINIUM"}'})
    assert fates(folder)["sub-01_acq-b_T1w.nii.gz"] == "kept"


def test_what_is_no_image_of_the_magnitude_is_taken_by_nobody(tmp_path):
    folder = session(tmp_path / "bids", ["part-phase_T1w"])
    write_bids(folder, {"sub-02/anat/sub-02_T1w.nii.gz": 7, "participants.tsv": people("sub-01", "sub-02")})
    assert fates(folder)["sub-01_part-phase_T1w.nii.gz"] == "part-phase is no image of the magnitude"


def visits(*labels, header="", rows=()):
    """The images of visits, and where there is one the table of the sessions: its columns and rows."""
    files = {f"sub-01/{one}/anat/sub-01_{one}_T1w.nii.gz": number for number, one in enumerate(labels)}
    if header or rows:
        files["sub-01/sub-01_sessions.tsv"] = table(f"session_id {header}", *rows)
    return {"participants.tsv": people("sub-01"), **files}


def scanned(**times):
    """Two visits whose tables of scans give a time."""
    files = visits(*(f"ses-{label}" for label in times))
    for label, time in times.items():
        text = table("filename acq_time", f"anat/sub-01_ses-{label}_T1w.nii.gz {time}")
        files[f"sub-01/ses-{label}/sub-01_ses-{label}_scans.tsv"] = text
    return files


def two(first, second, header="", of_first="", of_second=""):
    """Two visits, with a table of the sessions in this order."""
    rows = f"ses-{first} {of_first}", f"ses-{second} {of_second}"
    return visits(f"ses-{first}", f"ses-{second}", header=header, rows=rows)


#: What is known of two visits, and the one that is the first (None: it cannot be known).
VISITS = {
    "acq_time of the scans": (scanned(post="2010-05-01T10:00:00", pre="2010-01-01T10:00:00"), "ses-pre"),
    "acq_time against the alphabet": (scanned(b="2010-01-01", a="2010-05-01"), "ses-b"),
    "acq_time of the sessions": (two("a", "b", "acq_time", "2011-01-01", "2010-01-01"), "ses-b"),
    "age": (two("a", "b", "age", "72", "71"), "ses-b"),
    "rows of the table": (two("b", "a"), "ses-b"),
    "acq_time with one date": (scanned(**{"1": "1900-01-01T15:00", "2": "1900-01-01T09:00"}), "ses-1"),
    "acq_time against numbers": (scanned(**{"1": "2012-01-01", "2": "2011-01-01"}), None),
    "rows by the alphabet": (two("post", "pre"), "ses-pre"),
    "rows by the alphabet, numbers": (two("10", "9"), "ses-9"),
    "rows against numbers": (two("2", "1"), None),
    "rows against months": (two("M6", "M0"), "ses-M0"),
    "an age that is a bound": (two("1", "2", "age", "90", "89+"), "ses-1"),
    "dates": (visits("ses-20190201", "ses-20180131"), "ses-20180131"),
    "dates from the day on": (visits("ses-31012018", "ses-01022019"), None),
    "words": (visits("ses-post", "ses-pre"), "ses-pre"),
    "months": (visits("ses-M6", "ses-M012", "ses-M0"), "ses-M0"),
    "numbers": (visits("ses-2", "ses-10"), "ses-2"),
    "no word": (visits("ses-blue", "ses-red"), None),
    "age against acq_time": (two("a", "b", "age acq_time", "71 2011-01-01", "72 2010-01-01"), None),
    "months against acq_time": (scanned(M00="2011-01-01", M12="2010-01-01"), None),
    "folders that differ in zeros": (visits("ses-M0", "ses-M000"), None),
}


@pytest.mark.parametrize(("files", "first"), VISITS.values(), ids=VISITS)
def test_visits_come_in_the_order_of_time(tmp_path, files, first):
    others = {"participants.tsv": people("sub-01", "sub-02"), "sub-02/anat/sub-02_T1w.nii.gz": 99}
    found = fates(write_bids(tmp_path / "bids", files | others))
    assert found.pop("sub-02_T1w.nii.gz") == "kept"
    kept = [name for name, reason in found.items() if reason == "kept"]
    assert kept == ([] if first is None else [f"sub-01_{first}_T1w.nii.gz"])
    if first is None:
        assert len(set(found.values())) == 1, "one reason for all visits"


def test_a_session_has_the_row_that_differs_in_zeros_only(tmp_path):
    files = visits("ses-M000", header="age diagnosis", rows=("M00 71 AD", "M12 72 AD"))
    images, _ = listing(write_bids(tmp_path / "bids", files))
    assert images.loc["sub-01_ses-M000", ["age", "status"]].tolist() == [71, "kept"]


OUTSIDE = "not in the folder anat of a participant or session: sub-01_T1w.nii.gz"
SESSIONS_DIFFER = "the file's name says sub-01 ses-M012, its folder sub-01 ses-M000"
#: Files beside a good image of sub-02, and the reason why they are not taken.
MISNAMED = {
    "sub-01/ses-M000/anat/sub-01_ses-M012_T1w.nii.gz": SESSIONS_DIFFER,
    "sub-01/anat/sub-03_T1w.nii.gz": "the file's name says sub-03, its folder sub-01",
    "sub-01/anat/sub-01_t1w.nii.gz": "a name that BIDS does not allow",
    "sub-01/anat/sub-01_T1.nii.gz": "a name that BIDS does not allow",
    "sub-01/anat/sub-01_T1w.NII.GZ": "a name that BIDS does not allow",
    "sub-01/sub-01_T1w.nii.gz": OUTSIDE,
    "sub-01/anat/new/sub-01_T1w.nii.gz": OUTSIDE,
    "sub-01_T1w.nii.gz": OUTSIDE,
}


@pytest.mark.parametrize(("name", "reason"), MISNAMED.items())
def test_misnamed_files_are_listed_with_the_participant_they_belong_to(tmp_path, name, reason):
    files = {"participants.tsv": people("sub-01", "sub-02"), "sub-02/anat/sub-02_T1w.nii.gz": 1, name: 2}
    images, _ = listing(write_bids(tmp_path / "bids", files))
    (row,) = images[images["participant_id"] == "sub-01"].to_dict("records")
    assert row["reason"] == reason
    assert row["path"].endswith(name)


#: Files that are no raw T1-weighted image of a participant; nothing is said of them.
OTHERS = [
    *("freesurfer/sub-01/mri/T1.nii.gz", "old/sub-01/anat/sub-01_T1w.nii.gz", "T1_example.nii.gz"),
    *("sub-01/func/sub-01_task-T1_bold.nii.gz", "sub-01/anat/sub-01_space-T1w_dseg.nii.gz"),
    *("sub-01/anat/sub-01_mod-T1w_defacemask.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz"),
    "sub-01/anat/sub-01_T1map.nii.gz",
]


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_make_no_difference(tmp_path, name):
    files = {"participants.tsv": people("sub-01"), "sub-01/anat/sub-01_T1w.nii.gz": 1, name: 1}
    assert fates(write_bids(tmp_path / "bids", files)) == {"sub-01_T1w.nii.gz": "kept"}


def test_a_stray_file_beside_the_sessions_makes_no_difference_to_them(tmp_path):
    folder = write_bids(tmp_path / "bids", visits("ses-1", "ses-2") | {"sub-01/mri/T1.nii.gz": 0})
    found = fates(folder)
    assert found.pop("T1.nii.gz").startswith("not in the folder anat")
    assert found == {
        "sub-01_ses-1_T1w.nii.gz": "kept",
        "sub-01_ses-2_T1w.nii.gz": "not the first usable visit",
    }


def test_linked_folders_of_two_participants_are_one_image(tmp_path):
    files = {"participants.tsv": people("sub-01", "sub-02", "sub-03")}
    files |= {f"sub-0{number}/anat/sub-0{number}_T1w.nii.gz": number for number in (1, 3)}
    folder = write_bids(tmp_path / "bids", files)
    (folder / "sub-02" / "anat").mkdir(parents=True)
    (folder / "sub-02/anat/sub-02_T1w.nii.gz").symlink_to(folder / "sub-01/anat/sub-01_T1w.nii.gz")
    (folder / "sub-03" / "more").symlink_to(folder / "sub-01")
    found = fates(folder)
    assert found["sub-02_T1w.nii.gz"] == "the same image under another name: sub-01"
    assert found["sub-03_T1w.nii.gz"] == "kept"


def test_the_age_and_score_of_the_participant_are_those_of_the_baseline(tmp_path):
    found = {}
    for first in ("ses-sc", "ses-bl"):
        labels = ["ses-bl" if first == "ses-sc" else "ses-m06", "ses-m12"]
        images, _ = listing(write_bids(tmp_path / first / "bids", visits(*labels, rows=[first, *labels])))
        found[first] = images[["age", "mmse"]].fillna(0).to_numpy().tolist()
        assert set(images["site"]) == {"Oslo"}
    assert found == {"ses-sc": [[70, 25], [0, 0]], "ses-bl": [[0, 0], [0, 0]]}


@pytest.mark.parametrize("same", [True, False])
def test_a_compressed_and_a_plain_file_of_one_name(tmp_path, same):
    names = {f"sub-02/anat/sub-02_T1w.nii{end}": end for end in ("", ".gz")}
    plain = gzip.decompress(image_bytes(1))
    files = dict(zip(names, (plain, image_bytes(1 if same else 2)), strict=True))
    files |= {"participants.tsv": people("sub-01", "sub-02"), "sub-01/anat/sub-01_T1w.nii.gz": 3}
    found = fates(write_bids(tmp_path / "bids", files))
    reasons = {found[Path(name).name] for name in names}
    if same:
        assert reasons == {"kept", f"{SECOND} (sub-02_T1w.nii.gz)"}
    else:
        assert all(reason.startswith("two files of one name with different images") for reason in reasons)


LIST = """
import os, sys
sys.path[:0] = [{library!r}]
real = os.scandir
class Shuffled:
    def __init__(self, place): self.entries = list(real(place))
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def __iter__(self): return iter(sorted(self.entries, key=lambda entry: hash((entry.name, {order}))))
    def __next__(self): raise StopIteration
os.scandir = Shuffled
from pathlib import Path
from rhvae_mri.cohort.images import list_images
list_images("X", Path("bids"), None, None, Path("images-{order}.tsv"), values=Path("values-{order}.tsv"))
"""


def test_the_listing_is_the_same_under_any_hash_seed_order_of_files_and_locale(tmp_path):
    files = visits("ses-M000", header="age mmse", rows=("M00 71 22", "M12 72 21"))
    for number, names in enumerate((case for case, prefer in SESSIONS if not prefer), start=2):
        who = f"sub-{number:02d}"
        files |= {f"{who}/anat/{who}_{name}.nii.gz": 100 * number + place for place, name in enumerate(names)}
    files["participants.tsv"] = people(
        "sub-01", *(f"sub-{number:02d}" for number in range(2, 14)), cells="70 f AD Oslo 25"
    )
    write_bids(tmp_path / "bids", files)
    found = set()
    for order, (seed, locale) in enumerate([("1", "C"), ("2", "C.UTF-8"), ("3", "POSIX")]):
        library = str(ROOT / "workflow")
        settings = {"PYTHONHASHSEED": seed, "LC_ALL": locale, "PATH": os.environ["PATH"]}
        code = LIST.format(library=library, order=order)
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=settings, check=True)
        found.add(tuple((tmp_path / f"{name}-{order}.tsv").read_text() for name in ("images", "values")))
    assert len(found) == 1
