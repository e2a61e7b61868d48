"""The participants of a cohort: their visits, their images, and why a session has none."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations, groupby, pairwise
from operator import attrgetter
from pathlib import Path

from rhvae_mri.cohort.bids_images import T1wImage, find_images, read_scan_day
from rhvae_mri.cohort.bids_tables import (
    SessionRow,
    is_participant,
    natural_order,
    plain_session,
    read_dictionary,
    read_participants,
    read_rows,
    read_sessions,
)
from rhvae_mri.cohort.clinical_terms import ClinicalTerms, Visit
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.texts import plain_cell

NO_IMAGE = "no image in the download"

#: What a status in the conversion's report says of a session that has no image in the dataset.
_STATUS = {
    "missing": NO_IMAGE,
    "unreadable": "DICOM series unreadable",
    "passed over": "",
    "converted": "converted, but not in the BIDS dataset",
}


#: Labels of sessions that say when they were, in lower case: a month, or that they come before all others. A
#: screening has no values of the baseline.
_MONTH = re.compile(r"ses-m([0-9]+)")
_SCREENING = frozenset({"ses-sc", "ses-screening"})
_FIRST_LABELS = frozenset({"ses-bl", "ses-baseline", "ses-pre"}) | _SCREENING


@dataclass(frozen=True)
class Participant:
    """A participant as the dataset and the conversion's report know them."""

    name: str  # the BIDS label
    general: Visit  # the row in ``participants.tsv``
    visits: dict[str, Visit]  # by session; imaged or not
    images: tuple[T1wImage, ...]  # in the order of sessions and file names
    failures: dict[str, str]  # session to the reason why it has no image; "": the participant as a whole
    order: tuple[str, ...] = ()  # the sessions in the order of time, or the imaged ones; empty if not known
    fault: str = ""  # why nothing can be used: tables that cannot be read, or contradict themselves

    @property
    def sessions(self) -> list[str]:
        """All sessions that are known of, in the order of their labels."""
        imaged = [image.session_id for image in self.images]
        return _ordered({session for session in (*imaged, *self.visits, *self.failures) if session})

    @property
    def diagnoses(self) -> list[str]:
        """The participant's different diagnoses: that of ``participants.tsv``, then those of the visits."""
        order = [*self.order, *(session for session in self.sessions if session not in self.order)]
        visits = [self.visits[session] for session in order if session in self.visits]
        return list(dict.fromkeys(filter(None, (visit.diagnosis for visit in (self.general, *visits)))))

    @property
    def baseline(self) -> str:
        """The session whose age and scores ``participants.tsv`` has: the first; empty if unknown."""
        if set(self.order) != set(self.sessions):
            return ""
        return next((session for session in self.order if session.lower() not in _SCREENING), "")

    def at(self, session: str) -> Visit:
        """Return what is known of the participant at a session, or, if it is empty, in general.

        What the participant's own row says holds where the session's says nothing; age, MMSE and CDR do so
        for the first session only, and for none where the order of the sessions is not known. Without a
        diagnosis of its own, a session has the one of the others, if they agree.
        """
        general = self.general
        if session and session != self.baseline:
            general = replace(general, age=None, mmse=None, cdr=None)
        if len(self.diagnoses) == 1:
            general = replace(general, diagnosis=self.diagnoses[0])
        visit = self.visits.get(session, Visit())
        return replace(general, **{name: value for name, value in vars(visit).items() if value is not None})


def read_cohort(
    bids: Path,
    cohort: str,
    conversion_report: Path | None,
    terms: ClinicalTerms,
    listed: ListedValues,
) -> list[Participant]:
    """Gather the participants that the dataset or the report of its conversion knows, ordered by name.

    A fault in the tables of one participant is that participant's `fault`; others raise StudyError.
    """
    if bids.is_dir():
        terms = terms.with_dictionary(read_dictionary(bids, listed))
    table = read_participants(bids, terms, listed)
    _check_columns(bids, terms)
    images = {name: tuple(own) for name, own in groupby(find_images(bids), attrgetter("participant_id"))}
    report = _read_report(conversion_report, cohort) if conversion_report else {}
    participants = []
    for name in sorted(table.keys() | images.keys() | report.keys()):
        own = images.get(name, ())
        if own and name not in table:
            file = "participants.tsv"
            listed.note_problem(name, file, "file", file, "no row of the participant")
        imaged = {image.session_id for image in own}
        failures = {session: text for session, text in report.get(name, {}).items() if session not in imaged}
        if own or failures.keys() - {""}:
            failures.pop("", None)  # says nothing beside the rows of single sessions
        elif not failures:
            failures = {"": NO_IMAGE}
        person = Participant(name, table.get(name, Visit()), {}, own, failures)
        # any other name could lead out of the dataset
        participants.append(_add_visits(person, bids, terms, listed) if is_participant(name) else person)
    listed.note_absent([person.name for person in participants if person.images and person.name in table])
    return participants


def _add_visits(person: Participant, bids: Path, terms: ClinicalTerms, listed: ListedValues) -> Participant:
    """Add what the participant's own tables say, and the order of the sessions, or what is wrong."""
    folders = sorted(_ordered({image.session_id for image in person.images}), key=plain_session)
    try:
        rows = read_sessions(bids, person.name, terms, listed)
        for first, second in pairwise(folders):
            if plain_session(first) == plain_session(second):
                raise StudyError(f"the folders {first} and {second} cannot be told apart")
    except StudyError as error:
        fault = f"the table of the sessions cannot be used: {error.what}"
        listed.note_problem(person.name, "sessions.tsv", "file", f"{person.name}_sessions.tsv", error.what)
        return replace(person, fault=fault)
    # the labels of folders and rows may differ in leading zeros and capital letters
    label = {plain_session(folder): folder for folder in folders}
    rows = {label.get(plain_session(session), session): row for session, row in rows.items()}
    person = replace(person, visits={session: row.visit for session, row in rows.items()})
    if {"F", "M"} <= {visit.sex for visit in (person.general, *person.visits.values())}:
        return replace(person, fault="the tables give two sexes")
    try:
        return replace(person, order=_order(person, rows, listed))
    except StudyError as error:
        return replace(person, fault=error.what)


def _order(person: Participant, rows: Mapping[str, SessionRow], listed: ListedValues) -> tuple[str, ...]:
    """Give the sessions in the order of time: by acq_time, age, labels, or the rows of their table."""
    sessions = person.sessions
    images = [image for image in person.images if not image.misnamed]
    imaged = _ordered({image.session_id for image in images} - {""})
    if imaged and any(not image.session_id for image in images):
        raise StudyError("there are images with and without a session: which visit is the first?")
    if len(sessions) < 2:
        return tuple(sessions)
    scanned: dict[str, float] = {}
    for image in images:
        if day := read_scan_day(image, listed):
            scanned[image.session_id] = min(day, scanned.get(image.session_id, day))
    sources: dict[str, Mapping[str, float]] = {
        "acq_time": {session: row.day for session, row in rows.items() if row.day},
        "acq_time of the scans": scanned,
        "age": {session: row.age for session, row in rows.items() if row.age is not None},
    }
    table = {session: place for place, session in enumerate(rows)}
    says_when = any(sources.values()) or all(_MONTH.match(session.lower()) for session in rows)
    sources["label"] = _label_order(sessions)
    if not says_when and list(rows) != sorted(rows):
        sources["the sessions table"] = table
    _check_agreement(sessions, sources)
    for known in (*sources.values(), table):
        for among in (sessions, imaged):
            if among and set(among) <= known.keys() and len({known[one] for one in among}) == len(among):
                return tuple(sorted(among, key=lambda session: known[session]))
    if len(imaged) > 1:
        raise StudyError(
            f"nothing tells in which order the sessions were: {', '.join(imaged)}; give their acq_time"
        )
    return ()


def _check_agreement(sessions: Collection[str], sources: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse sessions of which one source says that they were in one order, and another in the other."""
    for (first, ones), (second, others) in combinations(sources.items(), 2):
        both = [session for session in sessions if session in ones and session in others]
        both.sort(key=lambda session: (ones[session], others[session]))
        for earlier, later in pairwise(both):
            if others[later] < others[earlier]:
                raise StudyError(
                    f"{first} puts {earlier} before {later}, {second} after it: which visit is the first?"
                )


def _label_order(sessions: Collection[str]) -> dict[str, float]:
    """Give the order that labels tell: by months, or one number of equal form, after one called the first."""
    months = {one: float(month[1]) for one in sessions if (month := _MONTH.fullmatch(one.lower()))}
    rest = [session for session in sessions if session.lower() not in _FIRST_LABELS]
    first = [session for session in sessions if session not in rest]
    if len(first) > 1:
        return months
    numbers = [re.findall(r"[0-9]+", session) for session in rest]
    shapes = {re.sub(r"[0-9]+", "#", session.lower()) for session in rest}
    one_each = len(shapes) == 1 and all(len(each) == 1 for each in numbers)
    if (one_each and all(_tells_order(each[0]) for each in numbers)) or (first and len(rest) == 1):
        return {session: float(place) for place, session in enumerate([*first, *_ordered(rest)])}
    return months


def _tells_order(number: str) -> bool:
    """Say whether numbers like this one count visits or days, or are dates."""
    if len(number) != 8:
        return len(number) <= 4
    try:
        return 1900 <= datetime.strptime(number, "%Y%m%d").year <= 2100
    except ValueError:
        return False


def _ordered(sessions: Collection[str]) -> list[str]:
    return sorted(sessions, key=lambda session: (natural_order(session), session))


def _check_columns(bids: Path, terms: ClinicalTerms) -> None:
    """Check that each column that the terms name is in ``participants.tsv`` or a ``sub-*_sessions.tsv``."""
    present: set[str] = set()
    for table in (bids / "participants.tsv", *sorted(bids.glob("sub-*/sub-*_sessions.tsv"))):
        if not terms.absent_columns(present):
            return
        with suppress(StudyError):  # of one participant; it is reported where the table is read
            present.update(*(row.keys() for row in read_rows(table, used=(), any_encoding=True)[:1]))
    if absent := terms.absent_columns(present):
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
        reason, words = _STATUS[row["status"]], plain_cell(row["reason"])
        if words and row["status"] != "converted":
            reason = f"{reason}: {words}" if row["status"] == "unreadable" else words
        sessions = report.setdefault(row["participant_id"], {})
        known = sessions.setdefault(row["session_id"], reason)
        if reason not in known:
            sessions[row["session_id"]] = f"{known}; {reason}"
    return report
