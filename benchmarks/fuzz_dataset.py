"""A good BIDS dataset of 12 participants with simulated heads, and the table of images that it has to give.

Four participants have two sessions, two of them with ages and diagnoses of their own; one has two images of a
session. A dataset is a dictionary: by path its bytes, a `pathlib.Path` for a link, or None for a folder.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
from reporting import REPOSITORY  # noqa: F401  (finds the library)

from rhvae_mri.simulate.heads import render_scan
from rhvae_mri.simulate.participants import draw_cohort

Files = dict[str, bytes | Path | None]
Row = dict[str, object]

COLUMNS = ("participant_id", "age", "sex", "site", "diagnosis", "mmse", "comment")
PEOPLE = [
    ("sub-01", "72.5", "F", "Oslo", "AD", "21", "moved a little"),
    ("sub-02", "68", "M", "Oslo", "CN", "29", ""),
    ("sub-03", "75.25", "F", "Lyon", "AD", "19", "claustrophobic, müde"),
    ("sub-04", "80", "M", "Lyon", "CN", "30", ""),
    ("sub-05", "66", "F", "Rome", "CN", "28", "two scans"),
    ("sub-06", "71", "M", "Rome", "AD", "23", ""),
    ("sub-07", "77.5", "M", "Oslo", "AD", "18", "Zoë's brother"),
    ("sub-08", "64", "F", "Lyon", "CN", "30", ""),
    ("sub-09", "83", "F", "Rome", "AD", "22", "hearing aid"),
    ("sub-10", "70", "M", "Oslo", "CN", "27", "tired"),
    ("sub-11", "69.5", "F", "Lyon", "AD", "24", ""),
    ("sub-12", "79", "M", "Rome", "CN", "29", "came late"),
]
TABLE = "participants.tsv"
#: By participant, the sessions: label, age, diagnosis, mmse, acq_time. The last one of sub-02 has no image.
SESSIONS = {
    "sub-01": [
        ("ses-M000", "72.5", "AD", "21", "2010-03-01"),
        ("ses-M012", "73.5", "AD", "20", "2011-03-02"),
    ],
    "sub-02": [
        ("ses-M000", "68", "CN", "29", "2012-05-01"),
        ("ses-M012", "69", "CN", "28", "2013-05-03"),
        ("ses-M024", "70", "CN", "29", "2014-05-02"),
    ],
    "sub-03": [("ses-M000", "2009-01-10"), ("ses-M012", "2010-01-12")],
    "sub-04": [("ses-M000", "2009-06-10"), ("ses-M012", "2010-06-14")],
}
#: What stands in *_scans.tsv (filled in below) and in JSON files of single images, in tesla.
FIELDS_OF_SCANS = {"sub-01": "1.5", "sub-05": "3", "sub-06": "1.5"}
FIELDS_OF_JSON = {"sub-03": 3, "sub-07": 3, "sub-08": 1.5}
IMAGED_SESSIONS = ("ses-M000", "ses-M012")


def images_of(who: str) -> list[str]:
    """Give the paths of a participant's images, the one that the study takes first."""
    if who in SESSIONS:
        return [f"{who}/{one}/anat/{who}_{one}_T1w.nii.gz" for one in IMAGED_SESSIONS]
    runs = ("run-1_", "run-2_") if who == "sub-05" else ("",)
    return [f"{who}/anat/{who}_{run}T1w.nii.gz" for run in runs]


def scans_table(path: str) -> str:
    """Give the path of the table of scans that an image is in."""
    folder, _, _ = path.partition("/anat/")
    return f"{folder}/{folder.replace('/', '_')}_scans.tsv"


def write_table(rows: list[list[str]] | list[tuple[str, ...]]) -> bytes:
    """Write cells as tab-separated text."""
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def read_table(content: bytes | Path | None) -> list[list[str]]:
    """Part the text of `write_table` into cells."""
    return [line.split("\t") for line in content.decode().splitlines()]


def tables() -> Files:
    """Write all tables and JSON files of the good dataset."""
    files: Files = {
        TABLE: write_table([COLUMNS, *PEOPLE]),
        "dataset_description.json": json.dumps({"Name": "fuzzed", "BIDSVersion": "1.8.0"}).encode(),
        "participants.json": json.dumps({"age": {"Units": "years"}}).encode(),
    }
    for who, sessions in SESSIONS.items():
        columns = ("session_id", "age", "diagnosis", "mmse", "acq_time", "note")
        columns = columns if len(sessions[0]) > 2 else ("session_id", "acq_time", "note")
        rows = [(*row, "naïve") for row in sessions]
        files[f"{who}/{who}_sessions.tsv"] = write_table([columns, *rows])
    for who, tesla in FIELDS_OF_SCANS.items():
        for place, path in enumerate(images_of(who)):
            date = SESSIONS[who][place][-1] if who in SESSIONS else "2015-02-03"
            row = ("anat/" + Path(path).name, f"{date}T10:00:00", tesla, "naïve")
            header = ("filename", "acq_time", "mri_field", "note")
            old = read_table(files[scans_table(path)]) if scans_table(path) in files else [header]
            files[scans_table(path)] = write_table([*old, row])
    for who, tesla in FIELDS_OF_JSON.items():
        for path in images_of(who):
            text = json.dumps(
                {"EchoTime": 0.003, "MagneticFieldStrength": tesla, "Note": "müde"}, ensure_ascii=False
            )
            files[path.replace(".nii.gz", ".json")] = text.encode()
    return files


def render_heads(count: int, seed: int = 11) -> list[nibabel.Nifti1Image]:
    """Render simulated heads of different persons on voxels of about 4 mm."""
    people = draw_cohort("AIBL", {"AD": (count + 1) // 2, "CN": count // 2}, 4.0, seed)
    scans = [render_scan(one, one.visits[0], one.visits[0].scans[0]) for one in people]
    return [nibabel.Nifti1Image(scan.volume, scan.affine) for scan in scans]


def encode(image: nibabel.Nifti1Image) -> bytes:
    """Write an image as a compressed file, always with the same bytes."""
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def decode(content: bytes | Path | None) -> nibabel.Nifti1Image:
    """Read the bytes of `encode`."""
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(content))


def good_dataset() -> Files:
    """Make the dataset: tables, and an own head for each image."""
    paths = [path for who, *_ in PEOPLE for path in images_of(who)]
    heads = render_heads(len(paths))
    return tables() | {path: encode(head) for path, head in zip(paths, heads, strict=True)}


def good_rows() -> dict[str, Row]:
    """Say what the table of images has to have for each image of the good dataset, by path."""
    rows: dict[str, Row] = {}
    for who, age, sex, site, diagnosis, mmse, _ in PEOPLE:
        tesla = FIELDS_OF_SCANS.get(who) or FIELDS_OF_JSON.get(who)
        for place, path in enumerate(images_of(who)):
            visit = SESSIONS.get(who, [()] * 2)[place]
            own = {"age": age, "mmse": mmse} if place == 0 or not visit else {"age": None, "mmse": None}
            own |= dict(zip(("age", "diagnosis", "mmse"), visit[1:4], strict=True)) if len(visit) > 2 else {}
            second = (
                "not the first usable visit" if visit else r"a second image of the same session \(run-2\)"
            )
            row = {"participant_id": who, "session_id": visit[0] if visit else None, "sex": sex, "site": site}
            row |= {
                "diagnosis": diagnosis,
                "field_strength": tesla,
                "status": "excluded" if place else "kept",
            }
            rows[path] = row | {"reason": second if place else None} | own
    return rows


@dataclass(frozen=True)
class Outcome:
    """What a change may lead to.

    Attributes
    ----------
    rows : mapping of str to mapping or None
        By path (or ``participant session`` for a row without one) the cells that differ from the good table;
        None: there is no such row. Reasons are regular expressions. A row that is excluded may have lost
        cells.
    listed, maybe_listed : set of (str, str)
        Variable and participant of the cells that values.tsv has to list, or may.
    refused : str
        Regular expression that the refusal's text has to match; empty: there is a table.
    """

    rows: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)
    listed: frozenset[tuple[str, str]] = frozenset()
    maybe_listed: frozenset[tuple[str, str]] = frozenset()
    refused: str = ""


@dataclass(frozen=True)
class Change:
    """One change of the good dataset.

    Attributes
    ----------
    what : str
        The change, in words.
    files : dict
        The changed dataset.
    outcomes : tuple of Outcome
        What it may lead to: any of these.
    image : str
        Path of an image that has to go through the preprocessing, if it is kept.
    verdicts : tuple of str
        What the quality check may say of it: ``passed`` (and the registered image is about the good one's),
        ``failed``.
    twin : str
        Participant whose image is nearly the same, to be found among the packed tensors.
    """

    what: str
    files: Files
    outcomes: tuple[Outcome, ...]
    image: str = ""
    verdicts: tuple[str, ...] = ()
    twin: str = ""


SAME = Outcome()


def excluded(who: str, reason: str) -> dict[str, Row]:
    """Say that all images of a participant are left out for a reason."""
    return {path: {"status": "excluded", "reason": reason} for path in images_of(who)}


def without(path: str, reason: str | None, name: str | None = None) -> dict[str, Row | None]:
    """Say that an image is left out for a reason, or is gone (None), and another one counts, if there is one.

    Parameters
    ----------
    path, name : str
        The image in the good dataset, and, if it is called otherwise now, its path.
    reason : str or None
        Regular expression.
    """
    who = path.split("/")[0]
    rows: dict[str, Row | None] = {path: None} if name or reason is None else {}
    if reason is not None:
        rows[name or path] = {"participant_id": who, "status": "excluded", "reason": reason}
    first, *others = images_of(who)
    if path == first and others:
        rows[others[0]] = {"status": "kept", "reason": None}
    elif reason is None and not others:
        rows[f"{who} "] = {"participant_id": who, "status": "excluded", "reason": "no image in the download"}
    return rows


def without_row(who: str) -> Outcome:
    """Say what comes where participants.tsv has no row of a participant who has images."""
    listed = frozenset({("file", who)})
    if len(SESSIONS.get(who, [()])[0]) > 2:  # the sessions have the diagnosis
        return Outcome({path: {"sex": None, "site": None} for path in images_of(who)}, listed)
    return Outcome(excluded(who, "no diagnosis"), listed)


def merge(outcomes: list[Outcome]) -> Outcome:
    """Put outcomes of different participants together."""
    rows = {path: row for one in outcomes for path, row in one.rows.items()}
    return Outcome(rows, frozenset().union(*(one.listed for one in outcomes)))
