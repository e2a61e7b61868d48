"""The participants of a cohort: their visits, their images, and why a session has none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from rhvae_mri.cohort.bids_tables import (
    USUAL_TERMS,
    T1wImage,
    find_images,
    is_participant,
    natural_order,
    read_participants,
    read_rows,
    read_visits,
)
from rhvae_mri.cohort.clinical_terms import ClinicalTerms, Visit
from rhvae_mri.errors import StudyError

NO_IMAGE = "no image in the download"

#: What a status in the conversion's report says of a session that has no image in the dataset.
_STATUS = {
    "missing": NO_IMAGE,
    "unreadable": "DICOM series unreadable",
    "passed over": "",
    "converted": "converted, but not in the BIDS dataset",
}


@dataclass(frozen=True)
class Participant:
    """A participant as the dataset and the conversion's report know them.

    Attributes
    ----------
    name : str
        The BIDS label, e.g. ``sub-ADNI002S0295``.
    general : Visit
        The participant's row in ``participants.tsv``.
    visits : dict of str to Visit
        By session, in order; imaged or not.
    images : tuple of T1wImage
        In the order of sessions and file names.
    failures : dict
        Session to the reason why it has no image; an empty session stands for the participant as a whole.
    """

    name: str
    general: Visit
    visits: dict[str, Visit]
    images: tuple[T1wImage, ...]
    failures: dict[str, str]

    @property
    def sessions(self) -> set[str]:
        """All sessions that are known of."""
        imaged = {image.session_id for image in self.images}
        return {session for session in imaged | self.visits.keys() | self.failures.keys() if session}

    @property
    def diagnoses(self) -> list[str]:
        """The participant's different diagnoses, in the order of the visits."""
        made = [visit.diagnosis for visit in self.visits.values() if visit.diagnosis]
        return list(dict.fromkeys(made or filter(None, [self.general.diagnosis])))

    def at(self, session: str) -> Visit:
        """Return what is known of the participant at a session, or, if it is empty, in general.

        What the participant's own row says holds where the session's says nothing; age, MMSE and CDR do so
        for the first session only. Without a diagnosis of its own, a session has the one of the others, if
        they agree.
        """
        general = self.general
        if session and session != min(self.sessions, key=natural_order):
            general = replace(general, age=None, mmse=None, cdr=None)
        if len(self.diagnoses) == 1:
            general = replace(general, diagnosis=self.diagnoses[0])
        visit = self.visits.get(session, Visit())
        return replace(general, **{name: value for name, value in vars(visit).items() if value is not None})


def read_cohort(
    bids: Path, cohort: str, conversion_report: Path | None, terms: ClinicalTerms = USUAL_TERMS
) -> list[Participant]:
    """Gather the participants that the dataset or the report of its conversion knows, ordered by name.

    Parameters
    ----------
    bids : pathlib.Path
        The BIDS dataset.
    cohort : str
        The cohort's name; the report's rows of other cohorts are passed over.
    conversion_report : pathlib.Path or None
        The table of the conversion, with the columns cohort, participant_id, session_id (``n/a``: the
        participant as a whole), status (converted, missing, unreadable or passed over), source and reason.
    terms : ClinicalTerms
        What the dataset's tables call the study's variables.

    Raises
    ------
    StudyError
        If a table is missing or cannot be understood, or none has a column that the terms name.
    """
    table = read_participants(bids, terms)
    _check_columns(bids, terms)
    images = {name: tuple(own) for name, own in groupby(find_images(bids), attrgetter("participant_id"))}
    report = _read_report(conversion_report, cohort) if conversion_report else {}
    participants = []
    for name in sorted(table.keys() | images.keys() | report.keys()):
        own = images.get(name, ())
        imaged = {image.session_id for image in own}
        failures = {session: text for session, text in report.get(name, {}).items() if session not in imaged}
        if own or failures.keys() - {""}:
            failures.pop("", None)  # says nothing beside the rows of single sessions
        elif not failures:
            failures = {"": NO_IMAGE}
        # any other name could lead out of the dataset
        visits = read_visits(bids, name, terms) if is_participant(name) else {}
        participants.append(Participant(name, table.get(name, Visit()), visits, own, failures))
    return participants


def _check_columns(bids: Path, terms: ClinicalTerms) -> None:
    """Check that each column that the terms name is in ``participants.tsv`` or a ``sub-*_sessions.tsv``."""
    present: set[str] = set()
    for table in (bids / "participants.tsv", *sorted(bids.glob("sub-*/sub-*_sessions.tsv"))):
        absent = terms.absent_columns(present)
        if not absent:
            return
        present.update(*(row.keys() for row in read_rows(table)[:1]))
    absent = terms.absent_columns(present)
    if absent:
        raise StudyError(
            f"The dataset's tables have no column {', '.join(absent)}.",
            where=bids,
            cause="The cohort's key `columns` in the configuration names a column that is spelt otherwise.",
            remedy=f"The columns are {', '.join(sorted(present))}.",
        )


def _read_report(path: Path, cohort: str) -> dict[str, dict[str, str]]:
    """Read, by participant and session, what the report says of a session that has no image."""
    if not path.is_file():
        raise StudyError("The report of the conversion does not exist.", where=path)
    report: dict[str, dict[str, str]] = {}
    for row in read_rows(path, required=("cohort", "participant_id", "session_id", "status", "reason")):
        if row["cohort"] != cohort or not row["participant_id"]:
            continue
        if row["status"] not in _STATUS:
            raise StudyError(f"Unknown status of a conversion: {row['status'] or '(empty)'}.", where=path)
        reason = _STATUS[row["status"]]
        if row["status"] in ("missing", "passed over"):
            reason = row["reason"] or reason
        elif row["status"] == "unreadable" and row["reason"]:
            reason = f"{reason}: {row['reason']}"
        sessions = report.setdefault(row["participant_id"], {})
        known = sessions.setdefault(row["session_id"], reason)
        if reason not in known:
            sessions[row["session_id"]] = f"{known}; {reason}"
    return report
