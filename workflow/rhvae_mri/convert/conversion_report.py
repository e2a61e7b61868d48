"""The report of a conversion: what became of every image of the download, and of every participant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas

from rhvae_mri.convert.adni_tables import AdniTables
from rhvae_mri.convert.archive import Series, name_some
from rhvae_mri.convert.staging import Promised, is_dated
from rhvae_mri.io.texts import plain_cell, visible

COLUMNS = ["cohort", "participant_id", "session_id", "status", "source", "reason"]

NO_IMAGE = "no image in the download"
_NOT_IN_TABLES = "the clinical tables lack the participant"
_STRAY = "in no participant's folder"


class Row(NamedTuple):
    """What became of one image, or of a participant: ``session`` is None for the participant as a whole."""

    subject: str
    session: str | None
    status: str
    source: Path | None
    reason: str


class Choice(NamedTuple):
    """Which scans Clinica chose: image by participant and session, session by participant and visit."""

    images: dict[tuple[str, str], str]
    visits: dict[tuple[str, str], str]


def read_choice(bids: Path) -> Choice:
    """Read which scans Clinica's ADNI converter chose; FileNotFoundError if it did not come that far."""
    chosen = Choice({}, {})
    for scan in pandas.read_csv(bids / "conversion_info/v0/t1_paths.tsv", sep="\t", dtype=str).itertuples():
        session = f"ses-M{int(scan.VISCODE.replace('bl', 'm0')[1:]):03d}"
        chosen.images[scan.Subject_ID, session] = scan.Image_ID
        chosen.visits[scan.Subject_ID, scan.Visit] = session
    return chosen


def report_table(cohort: str, images: Path, rows: Iterable[Row], prefix: str) -> pandas.DataFrame:
    """Return the rows, ordered; ``prefix`` is what Clinica puts before labels, mostly the cohort's name."""
    cells = [
        (
            cohort,
            visible(participant_label(prefix, row.subject)) if row.subject else None,
            row.session,
            row.status,
            visible(row.source.relative_to(images).as_posix()) if row.source else None,
            plain_cell(row.reason) or None,
        )
        for row in rows
    ]
    order = ["participant_id", "session_id", "source", "reason"]
    return pandas.DataFrame(cells, columns=COLUMNS).sort_values(order, na_position="last", ignore_index=True)


def participant_label(cohort: str, subject: str) -> str:
    """Return the BIDS label that Clinica gives to a participant, such as ``sub-ADNI002S0295``."""
    return f"sub-{cohort}{subject.replace('_', '')}"


def image_path(cohort: str, bids: Path, subject: str, session: str) -> Path:
    """Return where the T1-weighted image of a session is in the BIDS folder."""
    label = participant_label(cohort, subject)
    return bids / label / session / "anat" / f"{label}_{session}_T1w.nii.gz"


def report_adni(
    tables: AdniTables,
    scans: pandas.DataFrame,
    series: Collection[Series],
    broken: Mapping[Series, str],
    chosen: Choice,
    preferred: Choice,
    bids: Path,
) -> list[Row]:
    """Return what became of each image of the download, and of each participant without one.

    ``preferred`` is what Clinica would have chosen if everything that is listed were there.
    """
    known, left_out = set(tables.visits.merge["PTID"]), tables.visits.left_out
    present = {each.subject for each in series}
    names = preferred.visits | chosen.visits
    quality = tables.clinical["MRIQUALITY"]
    rejected = tables.rejected() | set(quality["LONIUID"][quality["PASS"] != "1"])
    rows = _other_folders(series)
    promised: dict[tuple[str, str], list[str]] = {}
    for scan in scans[scans["subject"].isin(present)].itertuples():
        session: str = names.get((scan.subject, scan.visit)) or scan.session
        taken = chosen.images.get((scan.subject, session))
        if scan.found is None:
            if session and taken is None:
                promised.setdefault((scan.subject, session), []).append(f"I{scan.Index}")
            continue
        if scan.found in broken:
            status, reason = "unreadable", broken[scan.found]
        elif scan.Index == taken:
            status, reason = _converted("ADNI", bids, scan.subject, session)
            better = preferred.images.get((scan.subject, session), scan.Index)
            if status == "converted" and better != scan.Index:
                fate = "unreadable" if scans.loc[better, "found"] in broken else "not in the download"
                reason = f"I{better} ({scans.loc[better, 'sequence']}) is preferred, but it is {fate}"
        else:
            status, reason = "passed over", scan.reason or _passed_over(scan, taken, rejected)
        rows.append(Row(scan.subject, session or None, status, scan.found.folder, reason))
    for (subject, session), numbers in promised.items():
        reason = f"{NO_IMAGE}: the tables list {name_some(numbers)}"
        rows.append(Row(subject, session, "missing", None, reason))
    for each in series:
        if each.subject not in known:
            reason = left_out.get(each.subject, _NOT_IN_TABLES) if each.subject else _STRAY
            rows.append(Row(each.subject, None, "passed over", each.folder, reason))
    listed = known | left_out.keys() | set(scans["subject"]) | set(tables.scans["subject"])
    awaited = scans[scans["reason"] == ""].groupby("subject").groups
    for subject in sorted(listed - present - {""}):
        reason = left_out.get(subject, "" if subject in known else _NOT_IN_TABLES)
        if not reason and subject in awaited:
            reason = f"the tables list {name_some([f'I{number}' for number in awaited[subject]])}"
        rows.append(Row(subject, None, "missing", None, f"{NO_IMAGE}: {reason}" if reason else NO_IMAGE))
    return rows


def report_aibl(
    bids: Path,
    participants: set[str],
    sessions: Mapping[Series, str | None],
    chosen: Iterable[Series],
    broken: Mapping[Series, str],
    promised: Promised,
) -> list[Row]:
    """Return what became of each image and of each session that the tables promise, as for ADNI."""
    taken = {(each.subject, sessions[each]): each for each in chosen}
    rows = _other_folders(sessions)
    for each, session in sessions.items():
        status = "passed over"
        if each in broken:
            status, reason = "unreadable", broken[each]
        elif session and taken.get((each.subject, session)) == each:
            status, reason = _converted("AIBL", bids, each.subject, session)
        elif session:
            reason = f"I{taken[each.subject, session].image} of the same visit was taken"
        elif not each.subject:
            reason = _STRAY
        elif each.subject not in participants:
            reason = _NOT_IN_TABLES
        elif is_dated(each):
            status = "missing"
            reason = f"{NO_IMAGE}: the date of this series is in neither aibl_mrimeta nor aibl_mri3meta"
        else:
            reason = f"Clinica does not know the sequence as T1-weighted: {each.sequence or '(no name)'}"
        rows.append(Row(each.subject, session, status, each.folder, reason))
    present, awaited = {each.subject for each in sessions}, {subject for subject, _ in promised}
    seen = {(each.subject, session) for each, session in sessions.items()}
    listed = {(subject, session) for (subject, _), (session, _) in promised.items() if subject in present}
    reason = f"{NO_IMAGE}: the tables list a scan of this visit"
    rows += [Row(subject, session, "missing", None, reason) for subject, session in listed - seen]
    for subject in participants - present:
        reason = f"{NO_IMAGE}: the tables list scans" if subject in awaited else NO_IMAGE
        rows.append(Row(subject, None, "missing", None, reason))
    return rows


def _converted(cohort: str, bids: Path, subject: str, session: str) -> tuple[str, str]:
    if image_path(cohort, bids, subject, session).is_file():
        return "converted", ""
    return "missing", "the converter made no image of it; its output in the log says why"


def _other_folders(series: Iterable[Series]) -> list[Row]:
    reason = "files of an image that is in another folder, too; they count as one"
    return [
        Row(each.subject, None, "passed over", folder, reason) for each in series for folder in each.others
    ]


def _passed_over(scan: Any, taken: str | None, rejected: Collection[str]) -> str:
    """Say why Clinica did not take a scan that it was given."""
    if scan.Index in rejected or f"S{scan.series}" in rejected:
        return "the study's quality check rejects it"
    if taken is not None:
        return f"I{taken} of the same visit was taken"
    return f"Clinica takes no such sequence in this phase, or not this scan: {scan.sequence}"
