"""Changes of the names, places and copies of images of a BIDS dataset, each with what has to come of it."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy
from fuzz_dataset import (
    FIELDS_OF_SCANS,
    PEOPLE,
    SAME,
    SESSIONS,
    Change,
    Files,
    Outcome,
    Row,
    decode,
    encode,
    excluded,
    good_rows,
    images_of,
    without,
    without_row,
)
from fuzz_images import near_duplicate

Maker = Callable[[Files, random.Random], Change]
NOT_ALLOWED = "a name that BIDS does not allow"
PLAIN = [who for who, *_ in PEOPLE if who not in SESSIONS and who != "sub-05"]


def other_head(files: Files) -> bytes:
    """Make the image of another person: the last head, with other voxels."""
    image = decode(files[images_of("sub-12")[0]])
    voxels = numpy.roll(numpy.asarray(image.dataobj)[:, :, ::-1], 3, axis=1)
    return encode(nibabel.Nifti1Image(voxels, image.affine))


def _any_image(dice: random.Random) -> str:
    return dice.choice([path for who, *_ in PEOPLE for path in images_of(who)])


def _move(files: Files, old: str, new: str) -> Files:
    """Rename an image and nothing else."""
    return {name if name != old else new: content for name, content in files.items()}


def _lost_row(who: str) -> frozenset[tuple[str, str]]:
    """Say what is listed where the table of scans does not have an image's new name."""
    return frozenset({("file", who)} if who in FIELDS_OF_SCANS else set())


def rename_folder(files: Files, dice: random.Random) -> Change:
    """A participant's folder with another label; the files keep theirs."""
    who = dice.choice([name for name, *_ in PEOPLE])
    new = dice.choice(
        [f"sub-0{who[4:]}", f"sub-{who[4:]}a", f"sub-{int(who[4:]) + 50}", f"sub-{int(who[4:])}"]
    )
    moved = {
        f"{new}{name[len(who) :]}" if name.startswith(f"{who}/") else name: content
        for name, content in files.items()
    }
    rows: dict[str, Row | None] = dict.fromkeys(images_of(who))
    rows |= {
        new + path[len(who) :]: {
            "participant_id": new,
            "status": "excluded",
            "reason": f"the file's name says {who}|no diagnosis",
        }
        for path in images_of(who)
    }
    rows[f"{who} "] = {"participant_id": who, "status": "excluded", "reason": "no image in the download"}
    listed = frozenset({("file", new)})
    return Change(f"folder {new} for {who}", moved, (Outcome(rows, listed),))


def rename_participant(files: Files, dice: random.Random) -> Change:
    """A participant's folder and files with another label."""
    who = dice.choice([name for name, *_ in PEOPLE])
    new = dice.choice(
        [f"sub-0{who[4:]}", f"sub-{who[4:]}a", f"sub-{int(who[4:]) + 50}", f"sub-{int(who[4:])}"]
    )
    moved = {name.replace(who, new): content for name, content in files.items()}
    lost = without_row(who)
    rows: dict[str, Row | None] = dict.fromkeys(images_of(who))
    good = good_rows()
    for path in images_of(who):
        rows[path.replace(who, new)] = {**good[path], "participant_id": new, **(lost.rows[path] or {})}
        if who in FIELDS_OF_SCANS:  # the table has the old name
            rows[path.replace(who, new)] |= {"field_strength": None}
    rows[f"{who} "] = {"participant_id": who, "status": "excluded", "reason": "no image in the download"}
    return Change(f"{new} for {who} in all names", moved, (Outcome(rows, frozenset({("file", new)})),))


def rename_file(files: Files, dice: random.Random) -> Change:
    """A file's name that BIDS does not allow, or that its folder contradicts."""
    path = _any_image(dice)
    who = path.split("/")[0]
    folder, _, name = path.rpartition("/")
    other = dice.choice([one for one, *_ in PEOPLE if one != who])
    names = {
        **dict.fromkeys(
            [name.replace("T1w", "t1w"), name.replace("T1w", "T1W"), name.replace("T1w", "T1")], NOT_ALLOWED
        ),
        **dict.fromkeys(
            [name.replace(".nii.gz", ".NII.GZ"), name.replace(".nii.gz", ".nii.GZ")], NOT_ALLOWED
        ),
        **dict.fromkeys(
            [name.replace("_T1w", " _T1w"), name.replace("_T1w", "__T1w"), name.replace("_T1w", "_é_T1w")],
            NOT_ALLOWED,
        ),
        **dict.fromkeys(
            [
                name.replace("_T1w", "\n_T1w"),
                name.replace("_T1w", "\x1b[2J_T1w"),
                name.replace("_T1w", "_copy_T1w"),
            ],
            NOT_ALLOWED,
        ),
        **dict.fromkeys(
            [
                name.replace("_T1w", "-T1w"),
                name.replace("_T1w", "_T1w (1)"),
                name.replace("_T1w", "_T1w_copy"),
            ],
            NOT_ALLOWED,
        ),
        name.replace(who, other): f"the file's name says {other}",
        name.replace(who, who.upper()): NOT_ALLOWED,
        name.replace(who, who + "0"): "the file's name says",
    }
    if who in SESSIONS:
        names[name.replace("ses-M0", "ses-M1")] = "the file's name says"
        names[name.replace("ses-M0", "ses-M")] = "the file's name says"
    elif who != "sub-05":
        names[name.replace("_T1w", "_ses-M000_T1w")] = "the file's name says"
    new = dice.choice(sorted(names))
    shown = f"{folder}/{new}".encode("unicode_escape").decode("ascii").replace("\\xe9", "é")
    rows = without(path, names[new], shown)
    return Change(
        f"{new!r} for {name}",
        _move(files, path, f"{folder}/{new}"),
        (Outcome(rows, maybe_listed=_lost_row(who)),),
    )


def lose_suffix(files: Files, dice: random.Random) -> Change:
    """A name that says nothing of T1-weighting: of any other image."""
    path = _any_image(dice)
    new = path.replace("_T1w", dice.choice(["", "_T2w", "_bold", "_FLAIR"])).replace(
        ".nii.gz", dice.choice([".nii.gz", ".mgz", ".nii.gz.bak"])
    )
    return Change(f"{new} for {path}", _move(files, path, new), (Outcome(without(path, None)),))


def add_entity(files: Files, dice: random.Random) -> Change:
    """A further entity in the name of a participant's only image."""
    who = dice.choice(PLAIN)
    (path,) = images_of(who)
    entity = dice.choice(
        [
            "acq-fast",
            "ce-gad",
            "echo-1",
            "run-1",
            "run-02",
            "desc-brain",
            "rec-norm",
            "part-mag",
            "part-phase",
            "part-imag",
            "inv-1",
            "acq-hippocampus",
            "space-MNI",
        ]
    )
    new = path.replace("_T1w", f"_{entity}_T1w")
    row: Row = dict(good_rows()[path])
    if entity in ("part-phase", "part-imag"):
        row |= {"status": "excluded", "reason": f"{entity} is no image of the magnitude"}
    if who in FIELDS_OF_SCANS:
        row["field_strength"] = None
    return Change(
        f"{new} for {path}", _move(files, path, new), (Outcome({path: None, new: row}, _lost_row(who)),)
    )


def second_image(files: Files, dice: random.Random) -> Change:
    """A second image of the session, that the first is preferred to, or that is preferred."""
    who = dice.choice(PLAIN)
    (path,) = images_of(who)
    entity = dice.choice(
        ["ce-gad", "echo-1", "run-2", "desc-brain", "part-phase", "inv-1", "acq-hippocampus", "acq-fast"]
    )
    new = path.replace("_T1w", f"_{entity}_T1w")
    reason = "a second image of the same session|no image of the magnitude"
    rows: dict[str, Row] = {new: {"participant_id": who, "status": "excluded", "reason": reason}}
    if entity in (
        "run-2",
        "acq-fast",
    ):  # comes before T1w in the order of names, and nothing speaks against it
        swapped = {
            path: {"status": "excluded", "reason": reason},
            new: {"participant_id": who, "status": "kept", "reason": None},
        }
        outcomes = (Outcome(rows, _lost_row(who)), Outcome(swapped, _lost_row(who)))
    else:
        outcomes = (Outcome(rows, _lost_row(who)),)
    return Change(f"{new} beside {path}", files | {new: other_head(files)}, outcomes)


def second_session_folder(files: Files, dice: random.Random) -> Change:
    """A session's folder that differs from another in zeros or capital letters only."""
    who, session = dice.choice(sorted(SESSIONS)), dice.choice(["ses-M000", "ses-M012"])
    new = dice.choice(
        ["ses-M00", "ses-M0", "ses-m000", "ses-M0000"] if session == "ses-M000" else ["ses-M12", "ses-m012"]
    )
    path = f"{who}/{session}/anat/{who}_{session}_T1w.nii.gz"
    copy = path.replace(session, new)
    rows: dict[str, Row] = excluded(who, "cannot be told apart")
    rows[copy] = {
        "participant_id": who,
        "session_id": new,
        "status": "excluded",
        "reason": "cannot be told apart",
    }
    content = files[path] if dice.random() < 0.5 else other_head(files)
    return Change(
        f"{copy} beside {session}", files | {copy: content}, (Outcome(rows, frozenset({("file", who)})),)
    )


def rename_session(files: Files, dice: random.Random) -> Change:
    """A session's folder and files with another number of zeros than the table's."""
    who, session, new = dice.choice(
        [
            (who, *names)
            for who in SESSIONS
            for names in (("ses-M000", "ses-M0"), ("ses-M012", "ses-M12"), ("ses-M012", "ses-m012"))
        ]
    )
    moved = {name.replace(session, new): content for name, content in files.items()}
    rows: dict[str, Row | None] = {}
    good = good_rows()
    for path in images_of(who):
        if session in path:
            rows = {path: None, path.replace(session, new): {**good[path], "session_id": new}}
            if who in FIELDS_OF_SCANS:
                rows[path.replace(session, new)]["field_strength"] = None
    others = {path: content for path, content in files.items() if not path.startswith(f"{who}/")}
    moved = {path: content for path, content in moved.items() if path.startswith(f"{who}/")} | others
    return Change(f"{new} for {session} of {who}", moved, (Outcome(rows, _lost_row(who)),))


def plain_and_compressed(files: Files, dice: random.Random) -> Change:
    """An image compressed and not, equal or different."""
    who = dice.choice(PLAIN)
    (path,) = images_of(who)
    new = path.removesuffix(".gz")
    good = good_rows()[path]
    if dice.random() < 0.5:
        second = {"participant_id": who, "status": "excluded", "reason": "a second image of the same session"}
        tesla = None if who in FIELDS_OF_SCANS else good["field_strength"]
        rows = {path: second, new: {**good, "field_strength": tesla}}
        content = gzip.decompress(files[path])
    else:
        reason = "two files of one name with different images"
        rows = {name: {"participant_id": who, "status": "excluded", "reason": reason} for name in (path, new)}
        content = gzip.decompress(other_head(files))
    return Change(f"{new} beside {path}", files | {new: content}, (Outcome(rows, _lost_row(who)),))


def move_file(files: Files, dice: random.Random) -> Change:
    """An image outside of its folder."""
    path = _any_image(dice)
    who, name = path.split("/")[0], Path(path).name
    new = dice.choice(
        [
            f"{who}/{name}",
            path.replace("/anat/", "/Anat/"),
            path.replace("/anat/", "/anat/new/"),
            path.replace("/anat/", "/func/"),
            name,
        ]
    )
    rows = without(path, "not in the folder anat", new)
    return Change(f"{new} for {path}", _move(files, path, new), (Outcome(rows, maybe_listed=_lost_row(who)),))


def beside(files: Files, dice: random.Random) -> Change:
    """Files that are no images of the dataset: hidden ones, other data, folders that lead back."""
    path = _any_image(dice)
    who, (folder, _, name) = path.split("/")[0], path.rpartition("/")
    added: Files = dice.choice(
        [
            {f"{folder}/._{name}": b"junk"},
            {f"{folder}/.{name}": files[path]},
            {f"derivatives/x/{path}": files[path]},
            {f"sourcedata/{path}": files[path]},
            {f".git/{path}": files[path]},
            {f"{folder}/loop": Path("..")},
            {f"{folder}/loop": Path("loop")},
            {f"{who}/all": Path("..")},
            {f"{folder}/nowhere": Path("no such file")},
            {f"{folder}/{name}.tmp": files[path]},
            {f"{who}/anat/{who}_T2w.nii.gz": other_head(files)},
            {"stimuli/x_T1w.nii.gz": files[path]},
            {"README": b"\xff\xfe"},
            {"empty": None},
        ]
    )
    return Change(f"{next(iter(added))} beside", files | added, (SAME,))


def no_image_file(files: Files, dice: random.Random) -> Change:
    """In the place of an image a link, a folder, or another content."""
    path = _any_image(dice)
    content, reason = dice.choice(
        [
            (Path("nowhere.nii.gz"), "the file that it links to does not exist"),
            (Path(Path(path).name), "unreadable NIfTI"),  # itself
            (Path("../../.git/annex/objects/x"), ""),
            (b"/annex/objects/MD5E-s1--x.nii.gz\n", ""),
            (None, None),
            (Path(), None),
            (b"", "the file is empty"),
            (b"\x1f\x8b", "unreadable NIfTI"),
            (b"hello", "not compressed with gzip"),
            (gzip.decompress(files[path]), "not compressed with gzip"),
            (gzip.compress(b"hello"), "unreadable NIfTI"),
            (files[path][: dice.randrange(20, len(files[path]) - 20)], "unreadable NIfTI"),
            (
                gzip.compress(gzip.decompress(files[path])[: -dice.randrange(1, 1000)]),
                "shorter than its header",
            ),
            (gzip.compress(bytes(348)), "unreadable NIfTI"),
        ]
    )
    outcomes = (Outcome(without(path, reason)),)
    if reason is None:
        outcomes = (*outcomes, Outcome(without(path, "it is a folder")))
    if reason == "":
        outcomes = (Outcome(refused="annexed and were not fetched"),)
    return Change(f"{str(content)[:40]} in the place of {path}", files | {path: content}, outcomes)


def _same_image(content: bytes, dice: random.Random) -> tuple[bytes, str]:
    """Write the same image in other words."""
    image = decode(content)
    voxels, affine = numpy.asarray(image.dataobj), image.affine
    how = dice.choice(
        [
            "bytes",
            "compression",
            "float32",
            "float64",
            "int32",
            "flipped",
            "turned",
            "description",
            "another place",
            "big-endian",
        ]
    )
    if how == "bytes":
        return content, how
    if how == "compression":
        return gzip.compress(gzip.decompress(content), 9), how
    if how in ("float32", "float64", "int32"):
        return encode(nibabel.Nifti1Image(voxels.astype(how), affine)), how
    if how == "flipped":
        axis = dice.randrange(3)
        matrix = numpy.eye(4)
        matrix[axis, axis], matrix[axis, 3] = -1, voxels.shape[axis] - 1
        return encode(nibabel.Nifti1Image(numpy.flip(voxels, axis), affine @ matrix)), how
    if how == "turned":
        order = dice.sample(range(3), 3)
        matrix = numpy.eye(4)[:, [*order, 3]]
        return encode(nibabel.Nifti1Image(voxels.transpose(order), affine @ matrix)), how
    if how == "another place":
        return encode(nibabel.Nifti1Image(voxels, affine + numpy.eye(4, k=3) * 7)), how
    header = nibabel.Nifti1Header(endianness=">" if how == "big-endian" else "<")
    changed = nibabel.Nifti1Image(voxels, affine, header)
    changed.header["descrip"] = b"exported again"
    return encode(changed), how


def copy_image(files: Files, dice: random.Random) -> Change:
    """An image of one participant in the place of another's."""
    source, target = dice.sample([path for who, *_ in PEOPLE for path in images_of(who)], 2)
    one, other = source.split("/")[0], target.split("/")[0]
    content, how = _same_image(files[source], dice)
    if one == other == "sub-05":
        outcomes = (SAME,)
    elif one == other:
        reason = "the same image as that of an earlier visit"
        outcomes = (Outcome({images_of(one)[1]: {"status": "excluded", "reason": reason}}),)
    else:
        rows = {}
        for path, twin in ((source, other), (target, one)):
            rows |= _without_twin(path, f"the same image under another name: {twin}")
        outcomes = (Outcome(rows),)
    return Change(f"{source} in the place of {target} ({how})", files | {target: content}, outcomes)


def _without_twin(path: str, reason: str) -> dict[str, Row | None]:
    """Say that an image is no evidence; another visit counts, another image of the session does not."""
    who = path.split("/")[0]
    if path != images_of(who)[0]:  # it was left out before
        return {
            path: {
                "status": "excluded",
                "reason": f"{reason}|a second image of the same session|not the first usable visit",
            }
        }
    if who == "sub-05":
        return {path: {"status": "excluded", "reason": reason}}
    return without(path, reason)


NAME: list[Maker] = [
    rename_folder,
    rename_participant,
    rename_file,
    rename_file,
    rename_file,
    lose_suffix,
    add_entity,
    add_entity,
    second_image,
    second_session_folder,
    rename_session,
    plain_and_compressed,
    move_file,
    beside,
    beside,
    no_image_file,
    no_image_file,
]
DUPLICATE: list[Maker] = [copy_image, copy_image, near_duplicate]
