"""The report of a conversion: what became of every image that the study tables promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas

from rhvae_mri.cohort.preflight import ADNI_SUBJECT
from rhvae_mri.cohort.series import Series
from rhvae_mri.cohort.staging import ADNI_PHASES
from rhvae_mri.cohort.study_tables import find_table
from rhvae_mri.texts import plain_cell, visible

COLUMNS = ["cohort", "participant_id", "session_id", "status", "source", "reason"]

_NO_IMAGE = "no image in the download"
_NOT_MADE = "the converter made no image of it; its output in the log says why"

#: ADNI scans of these visits are passed over: the screening has them too.
_ADNI_IGNORED_VISIT = "ADNI Baseline"


class Row(NamedTuple):
    """What became of one image, or of a participant: ``session`` is None for the participant as a whole."""

    subject: str
    session: str | None
    status: str
    source: Path | None
    reason: str


def report_table(
    cohort: str, images: Path, rows: Iterable[Row], prefix: str | None = None
) -> pandas.DataFrame:
    """Return the rows as a table, ordered by participant and session.

    Parameters
    ----------
    cohort : str
        The cohort's name.
    images : path
        The folder to which the sources are relative.
    rows : iterable of Row
        The rows.
    prefix : str, optional
        What Clinica puts before the participants' labels, where it is not the cohort's name.
    """
    table = pandas.DataFrame(
        [
            {
                "cohort": cohort,
                "participant_id": visible(participant_label(prefix or cohort, row.subject)),
                "session_id": row.session,
                "status": row.status,
                "source": visible(row.source.relative_to(images).as_posix()) if row.source else None,
                "reason": plain_cell(row.reason) or None,
            }
            for row in rows
        ],
        columns=COLUMNS,
    )
    order = ["participant_id", "session_id", "source", "reason"]
    return table.sort_values(order, na_position="last", ignore_index=True)


def participant_label(cohort: str, subject: str) -> str:
    """Return the BIDS label that Clinica gives to a participant.

    Examples
    --------
    >>> participant_label("ADNI", "002_S_0295"), participant_label("AIBL", "10")
    ('sub-ADNI002S0295', 'sub-AIBL10')
    """
    return f"sub-{cohort}{subject.replace('_', '')}"


def image_path(cohort: str, bids: Path, subject: str, session: str) -> Path:
    """Return where the T1-weighted image of a session is in the BIDS folder."""
    label = participant_label(cohort, subject)
    return bids / label / session / "anat" / f"{label}_{session}_T1w.nii.gz"


def report_adni(
    images: Path, tables: Path, bids: Path, series: Iterable[Series], broken: Mapping[Series, str]
) -> list[Row]:
    """Return what became of each scan that the converter chose, and of each participant without one.

    Parameters
    ----------
    images, tables : path
        The download.
    bids : path
        The converter's output; its list of chosen scans has their paths in the download.
    series : iterable of Series
        The series in the download that the tables know.
    broken : mapping of Series to str
        The series that were left out, with what is wrong with them.
    """
    chosen = pandas.read_csv(bids / "conversion_info" / "v0" / "t1_paths.tsv", sep="\t", dtype=str)
    by_image = {(each.subject, each.image): each for each in series}
    rows, seen = [], set()
    for scan in chosen.itertuples():
        session = "ses-M000" if scan.VISCODE == "bl" else f"ses-M{int(scan.VISCODE[1:]):03d}"
        found = by_image.get((scan.Subject_ID, int(scan.Image_ID)))
        seen.add(found)
        rows.append(_judge("ADNI", bids, scan.Subject_ID, session, found, broken, f"I{scan.Image_ID}"))
    rows += [
        Row(
            each.subject,
            None,
            "unreadable",
            each.folder,
            f"{problem} (the converter had not chosen this scan)",
        )
        for each, problem in broken.items()
        if each not in seen
    ]
    rows += _unchosen_visits(images, tables, chosen)
    return rows + _adni_participants_without_images(images, tables)


def report_aibl(
    images: Path,
    tables: Path,
    bids: Path,
    sessions: Mapping[Series, str | None],
    chosen: Iterable[Series],
    broken: Mapping[Series, str],
    promised: Mapping[tuple[str, str], str],
) -> list[Row]:
    """Return what became of each session that has a series or that the tables promise, as for ADNI.

    Parameters
    ----------
    images, tables, bids
        As in `report_adni`.
    sessions : mapping of Series to str
        The session of each series, None for a series whose date the tables do not have.
    chosen : iterable of Series
        The series that were given to the converter.
    broken : mapping of Series to str
        The series that were left out, with what is wrong with them.
    promised : mapping
        Participant and date to session, of the scans in the tables.
    """
    taken = {(each.subject, session): each for each in chosen if (session := sessions[each])}
    spoiled = {(each.subject, session): each for each in broken if (session := sessions[each])}
    present = {path.name for path in images.iterdir()}
    in_tables = {(subject, session) for (subject, _), session in promised.items() if subject in present}
    rows = []
    for subject, session in sorted(taken.keys() | spoiled.keys() | in_tables):
        found = taken.get((subject, session)) or spoiled.get((subject, session))
        rows.append(_judge("AIBL", bids, subject, session, found, broken, "a scan of this visit"))
    undated = f"{_NO_IMAGE}: the date of this series is in neither aibl_mrimeta nor aibl_mri3meta"
    rows += [
        Row(each.subject, None, "missing", each.folder, undated)
        for each, session in sessions.items()
        if session is None
    ]
    demography = pandas.read_csv(find_table("AIBL", "aibl_ptdemog_*", tables), dtype=str)
    absent = sorted(set(demography["RID"]) - present)
    return rows + [Row(subject, None, "missing", None, _NO_IMAGE) for subject in absent]


def _judge(
    cohort: str,
    bids: Path,
    subject: str,
    session: str,
    found: Series | None,
    broken: Mapping[Series, str],
    name: str,
) -> Row:
    """Return what became of one scan."""
    if found is None:
        reason = f"{_NO_IMAGE}: the tables list {name}, but it is not there"
        return Row(subject, session, "missing", None, reason)
    if found in broken:
        return Row(subject, session, "unreadable", found.folder, broken[found])
    if image_path(cohort, bids, subject, session).is_file():
        return Row(subject, session, "converted", found.folder, "")
    return Row(subject, session, "missing", found.folder, _NOT_MADE)


def _unchosen_visits(images: Path, tables: Path, chosen: pandas.DataFrame) -> list[Row]:
    """Return the visits with scans of which the converter chose none."""
    scans = pandas.read_csv(find_table("ADNI", "MPRAGEMETA", tables), dtype=str)
    scans = scans[scans["Visit"] != _ADNI_IGNORED_VISIT]
    present = {path.name for path in images.iterdir() if ADNI_SUBJECT.fullmatch(path.name)}
    visits = {pair for pair in zip(scans["SubjectID"], scans["Visit"], strict=True) if pair[0] in present}
    visits -= set(zip(chosen["Subject_ID"], chosen["Visit"], strict=True))
    reason = (
        "the converter chose no scan of the visit '{}': the study's quality check rejects all, or ADNIMERGE"
    )
    reason += " lacks the visit"
    return [Row(subject, None, "missing", None, reason.format(visit)) for subject, visit in sorted(visits)]


def _adni_participants_without_images(images: Path, tables: Path) -> list[Row]:
    """Return the participants that are in ADNIMERGE or in the images folder, but not in both."""
    merge = pandas.read_csv(find_table("ADNI", "ADNIMERGE", tables), dtype=str)
    phases = dict(zip(merge["PTID"], merge["ORIGPROT"], strict=True))
    present = {path.name for path in images.iterdir() if ADNI_SUBJECT.fullmatch(path.name)}
    rows = []
    for subject in sorted(present | phases.keys()):
        if subject not in phases:
            rows.append(Row(subject, None, "missing", None, f"{_NO_IMAGE}: ADNIMERGE lacks the participant"))
        elif not ADNI_SUBJECT.fullmatch(subject) or phases[subject] not in ADNI_PHASES:
            rows.append(Row(subject, None, "missing", None, f"{_NO_IMAGE} that Clinica can read: ADNI 4"))
        elif subject not in present:
            rows.append(Row(subject, None, "missing", None, _NO_IMAGE))
    return rows
