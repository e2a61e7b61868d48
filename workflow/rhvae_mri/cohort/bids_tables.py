"""Reading of the tables of a BIDS dataset: what they say of participants and visits.

Three kinds of datasets are understood, without being told which one it is:

- ADNI as Clinica writes it: sex and site in ``participants.tsv``; age, diagnosis, MMSE and, where the
  download has the table ``CDR.csv``, the global CDR in ``sub-*_sessions.tsv``, one row for each clinical
  visit, imaged or not; the field strength in ``*_scans.tsv``.
- AIBL as Clinica writes it: no age in ``participants.tsv``; ``sub-*_sessions.tsv`` has the imaged visits
  only; the field strength is in the image's JSON file; file names in ``*_scans.tsv`` have spaces in them.
- Any other: ``participants.tsv``, with or without sessions, with or without clinical columns, which may have
  names and values of their own (`rhvae_mri.cohort.clinical_terms`).

Tables of BIDS are tab-separated text without quotation: a quotation mark is a letter like any other. The
tables are small and many (two per participant), so they are read with the standard library.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rhvae_mri.cohort.cells import MISSING, Reading
from rhvae_mri.cohort.clinical_terms import ClinicalTerms, Visit
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.io.texts import visible

#: Names that BIDS allows. All others are refused or left out: they end in paths and in tables.
_PARTICIPANT = re.compile(r"sub-[A-Za-z0-9]+")
_SESSION = re.compile(r"ses-[A-Za-z0-9]+")


USUAL_TERMS = ClinicalTerms()
NO_OBJECT = "not understood: no JSON object"


class NotUnicodeError(StudyError):
    """A table that is not text in UTF-8."""


@dataclass(frozen=True)
class SessionRow:
    """What ``sub-*_sessions.tsv`` says of a session; no age where only its lower bound is known."""

    visit: Visit
    day: int | None
    age: float | None


def is_participant(name: str) -> bool:
    """Say whether a text is a participant's name in BIDS: ``sub-`` and then letters and digits.

    >>> is_participant("sub-ADNI002S0295"), is_participant("sub-../../x")
    (True, False)
    """
    return _PARTICIPANT.fullmatch(name) is not None


def is_session(name: str) -> bool:
    """Say whether a text is a session's name in BIDS: ``ses-`` and then letters and digits."""
    return _SESSION.fullmatch(name) is not None


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Return a sorting key that puts ``ses-M6`` before ``ses-M012``."""
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def plain_session(name: str) -> str:
    """Write a session's name so that those that differ in leading zeros or upper case are the same.

    >>> plain_session("ses-M00") == plain_session("ses-M000"), plain_session("ses-M010")
    (True, 'ses-m10')
    """
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.lower())


def read_rows(
    path: Path,
    required: tuple[str, ...] = (),
    *,
    used: Collection[str] | None = None,
    any_encoding: bool = False,
) -> list[dict[str, str]]:
    r"""Read a tab-separated table of BIDS as one dictionary per row; missing values become empty text.

    There is no quotation. Empty rows are passed over, and empty cells behind the last column, if all rows or
    the header have as many: in one row alone a tab too many may have shifted the cells. Columns that are not
    ``used`` (in lower case; None: all are) may occur twice. With ``any_encoding``, bytes that are no UTF-8
    become ``\x…``.
    """
    return [row for _, row in _numbered_rows(path, required, used, any_encoding=any_encoding)]


def read_dictionary(bids: Path, listed: ListedValues) -> Mapping[str, object]:
    """Read ``participants.json``; one that is damaged is listed and counts as empty."""
    path = bids / "participants.json"
    if not path.exists() and not path.is_symlink():
        return {}
    content = read_object(path)
    if content is None:
        listed.note_problem("", path.name, "file", path.name, NO_OBJECT)
    return content or {}


def read_object(path: Path) -> Mapping[str, Any] | None:
    """Read a JSON object; None if it is none: what it describes is good without it."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_participants(bids: Path, terms: ClinicalTerms, listed: ListedValues) -> dict[str, Visit]:
    """Read ``participants.tsv`` in the dataset's terms; age, MMSE and CDR are those of the first visit."""
    if not bids.is_dir():
        raise StudyError("The BIDS dataset does not exist.", where=bids, remedy="Check the path.")
    table = bids / "participants.tsv"
    if not table.is_file():
        raise StudyError(
            "The BIDS dataset has no participants.tsv.",
            where=bids,
            cause="The folder is not the root of a BIDS dataset, or the conversion ended early.",
            remedy="Give the folder that holds participants.tsv, with at least the column participant_id.",
        )
    participants: dict[str, Visit] = {}
    lines = defaultdict(list)
    for number, row in _numbered_rows(table, ("participant_id",), {"participant_id"} | terms.column_names):
        name = row["participant_id"]
        lines[name].append(number)
        participants[name], _ = _read_visit(row, terms, listed, name, "participants.tsv")
    misnamed = [f"{name or '(empty)'} (line {lines[name][0]})" for name in lines if not is_participant(name)]
    repeated = [f"{name} (lines {', '.join(map(str, found))})" for name, found in lines.items() if found[1:]]
    if misnamed:
        raise StudyError(
            f"Participants whose names are not those of BIDS: {', '.join(misnamed)}.",
            where=table,
            remedy="Names are sub- and then letters and digits only, as those of the participants' folders.",
        )
    if repeated:
        raise StudyError(
            f"Participants that occur more than once: {', '.join(repeated)}.",
            where=table,
            remedy="Keep one row for each participant.",
        )
    return participants


def read_sessions(
    bids: Path, participant_id: str, terms: ClinicalTerms, listed: ListedValues
) -> dict[str, SessionRow]:
    """Read a participant's ``sub-*_sessions.tsv``, in the dataset's own terms."""
    table = bids / participant_id / f"{participant_id}_sessions.tsv"
    if not table.exists() and not table.is_symlink():
        return {}
    kind = "sessions.tsv"
    # `group` is a participant's
    columns = terms.column_names - {"group"} | {"session_id", "acq_time"}
    sessions: dict[str, SessionRow] = {}
    for row in read_side_table(table, kind, participant_id, listed, ("session_id",), columns):
        session = row["session_id"]
        session = session if session.startswith("ses-") else f"ses-{session}"
        if not is_session(session):
            problem = "not understood: no session's name in BIDS, so no image has it"
            listed.note_problem(participant_id, kind, "session_id", session, problem)
        cells = {name: cell for name, cell in row.items() if name.lower() in columns}
        visit, age = _read_visit(cells, terms, listed, participant_id, kind)
        read = SessionRow(visit, read_day(row.get("acq_time", ""), participant_id, kind, listed), age)
        known = next((name for name in sessions if plain_session(name) == plain_session(session)), session)
        if sessions.setdefault(known, read) != read:
            raise StudyError(f"Session {session} occurs more than once, with different values.", where=table)
    return sessions


def read_side_table(
    path: Path,
    kind: str,
    participant_id: str,
    listed: ListedValues,
    required: tuple[str, ...],
    used: Collection[str],
) -> list[dict[str, str]]:
    """Read a table of one participant, in any encoding: what counts in it are ASCII letters and digits."""
    try:
        return read_rows(path, required, used=used)
    except NotUnicodeError as error:
        words = f"read, but for what is not in UTF-8: {error.cause}"
        listed.note(participant_id, kind, "file", path.name, Reading(outcome=words))
        return read_rows(path, required, used=used, any_encoding=True)


def read_day(text: str, participant_id: str, kind: str, listed: ListedValues) -> int | None:
    """Read the day of an acq_time, a date or date and time of ISO 8601; days are counted from the year 1."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).toordinal()
    except ValueError:
        listed.note_problem(participant_id, kind, "acq_time", text, "not understood: no date of ISO 8601")
        return None


def _read_visit(
    row: dict[str, str], terms: ClinicalTerms, listed: ListedValues, participant_id: str, kind: str
) -> tuple[Visit, float | None]:
    """Read the study's variables from a row, and the age if it is no bound; list what needs it."""
    visit, readings = terms.read_visit(row)
    listed.note_columns(participant_id, terms.variables(row))
    for variable, (cell, reading) in readings.items():
        listed.note(participant_id, kind, variable, cell, reading)
    return visit, None if readings["age"][1].is_bound else visit.age


def _numbered_rows(
    path: Path, required: tuple[str, ...], used: Collection[str] | None, *, any_encoding: bool = False
) -> list[tuple[int, dict[str, str]]]:
    """Read a table as `read_rows` does, with the number of each row's line."""
    lines = [line.split("\t") for line in _lines(path, _decode(path, any_encoding=any_encoding))]
    columns = [cell.strip() for cell in lines[0]] if lines else []
    while columns and not columns[-1]:
        columns.pop()
    proper = {name.lower(): name for name in required}
    columns = [proper.get(name.lower(), name) for name in columns]
    occurs = Counter(map(str.lower, columns))
    _check_header(
        path,
        columns,
        required,
        {name for name in occurs if occurs[name] > 1 and (used is None or name in used)},
    )
    filled = [(number, row) for number, row in enumerate(lines[1:], start=2) if any(map(str.strip, row))]
    lengths = {len(row) for _, row in filled}
    alike = len(lengths) == 1 and (len(filled) > 1 or lengths == {len(columns)})
    rows = []
    for number, cells in filled:
        beyond = any(map(str.strip, cells[len(columns) :]))
        if len(cells) < len(columns) or beyond or (not alike and len(cells) != len(lines[0])):
            raise StudyError(
                f"Line {number} of the table has {len(cells)} cells, the header has {len(lines[0])}.",
                where=path,
                cause="A tab inside a cell, a cell that is missing, or spaces in the place of tabs.",
                remedy="Mend the line; write n/a for a missing value.",
            )
        named = zip(columns, cells, strict=False)
        rows.append((number, {name: _clean(cell) for name, cell in named if occurs[name.lower()] == 1}))
    return rows


def _decode(path: Path, *, any_encoding: bool) -> str:
    """Read a file as text: UTF-8, or UTF-16 where it has its mark."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StudyError("The table cannot be read.", where=path, cause=error.strerror) from error
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if is_utf16 else "utf-8"
    what = "The table cannot be read: it is not text in UTF-8."
    try:
        text = content.decode(encoding, errors="backslashreplace" if any_encoding else "strict")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        cause = f"Line {line} has the byte {content[error.start]:#04x}."
        command = f"iconv -f WINDOWS-1252 -t UTF-8 '{path}' > new.tsv, and put new.tsv in its place."
        remedy = f"If it is Windows' encoding: {command}"
        raise NotUnicodeError(what, where=path, cause=cause, remedy=remedy) from error
    before, null, _ = text.partition("\0")
    if null:
        line = before.count("\n") + 1
        cause = f"Line {line} has NUL characters, as UTF-16 without its mark and binary files have."
        raise NotUnicodeError(what, where=path, cause=cause, remedy="Save it as tab-separated text in UTF-8.")
    return text.removeprefix("\ufeff")


def _lines(path: Path, text: str) -> list[str]:
    """Part a text into lines: LF, CR LF, or CR where there is no LF at all."""
    if "\n" not in text:
        return text.split("\r")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if broken := next((number for number, line in enumerate(lines, start=1) if "\r" in line), 0):
        raise StudyError(
            f"Line {broken} of the table has a carriage return inside.",
            where=path,
            cause="A cell with a line break, or lines that end differently.",
            remedy="Replace it by a space, or by an end of line.",
        )
    return lines


def _check_header(path: Path, columns: list[str], required: tuple[str, ...], repeated: set[str]) -> None:
    """Refuse a header in which a column is missing, or one that counts occurs twice."""
    if repeated:
        names = sorted({name for name in columns if name.lower() in repeated})
        raise StudyError(
            f"Line 1 of the table has a column twice: {', '.join(map(visible, names))}.",
            where=path,
            cause="Which of them counts cannot be known; capital letters make no difference.",
            remedy="Remove or rename one of them.",
        )
    if absent := [name for name in required if name not in columns]:
        quoted = any(name.startswith('"') for name in columns)
        raise StudyError(
            f"The table has no column {', '.join(absent)}.",
            where=path,
            cause="Its cells are in quotation marks, which tables of BIDS do not have."
            if quoted
            else "It is not tab-separated, or its header has other names.",
            remedy=f"Its columns must include {', '.join(required)}.",
        )


def _clean(cell: str) -> str:
    text = " ".join(cell.split())
    return "" if text.lower() in MISSING else text
