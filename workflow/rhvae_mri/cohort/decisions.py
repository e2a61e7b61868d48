"""The hand-written list of an auditor's decisions on single images (``exclude.tsv``).

========  ==============================================================================================
decision  meaning
========  ==============================================================================================
replace   the image is left out before the preprocessing, so the participant's next usable visit takes
          its place
exclude   the image is left out after the quality check, and stays visible in the audit
keep      the image stays although the quality check found fault with it
========  ==============================================================================================
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.texts import plain_cell

COLUMNS = ("cohort", "participant_id", "session_id", "decision", "reason", "who", "date")
DECISIONS = ("keep", "exclude", "replace")

#: Columns of the table before there were decisions; every row meant what ``replace`` means.
_FORMER_COLUMNS = ("cohort", "participant_id", "session_id", "reason")


@dataclass(frozen=True)
class Decision:
    """What an auditor decided on an image, see the module; the date is of the form 2026-03-31."""

    decision: str
    reason: str
    who: str
    date: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.who}, {self.date})"


@dataclass(frozen=True)
class Decisions:
    """The decisions on one cohort by participant and session; the session "" stands for all of theirs."""

    entries: dict[tuple[str, str], Decision]

    def find(self, participant_id: str, session_id: str) -> Decision | None:
        """Return the decision on the image of a session, or None."""
        return self.entries.get((participant_id, session_id)) or self.entries.get((participant_id, ""))


def read_decisions(
    path: Path | None, cohort: str, sessions: Collection[tuple[str, str]] | None = None
) -> Decisions:
    """Read the decisions of ``exclude.tsv`` on a cohort; those on others are checked in form.

    ``sessions`` has the cohort's participants and sessions, and (participant, "") for each participant: a
    slip of the pen would otherwise let in the very image that was to be left out.
    """
    if path is None:
        return Decisions({})
    if not path.is_file():
        raise StudyError("The list of decisions does not exist.", where=path, remedy="Check the path.")
    entries: dict[tuple[str, str], Decision] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, row in enumerate(_read_table(path), start=2):  # the header is the first line
        decision = _check_row(path, line, row)
        if row["cohort"] != cohort:
            continue
        participant, session = name = (row["participant_id"], row["session_id"])
        for (who, when), other in entries.items():
            same_image = who == participant and (when == session or "" in (when, session))
            if same_image and other.decision != decision.decision:
                raise StudyError(
                    f"Lines {lines[who, when]} ({other.decision}) and {line} ({decision.decision}) "
                    f"contradict each other on {' '.join(name).strip()}.",
                    where=path,
                    remedy="Leave one of them in the table.",
                )
        entries[name], lines[name] = decision, line
    unknown = [] if sessions is None else [" ".join(name).strip() for name in entries.keys() - sessions]
    if unknown:
        raise StudyError(
            f"{cohort} has no such participants or sessions: {', '.join(sorted(unknown))}.",
            where=path,
            cause="A spelling mistake, or the download has changed.",
            remedy="Use the BIDS names, e.g. sub-ADNI002S0295 and ses-M000; write n/a for all sessions.",
        )
    return Decisions(entries)


def check_cohorts(path: Path, cohorts: Collection[str]) -> None:
    """Check that every decision is on one of the study's cohorts."""
    if foreign := sorted({row["cohort"] for row in _read_table(path)} - set(cohorts)):
        raise StudyError(
            f"Unknown cohorts: {', '.join(name or '(empty)' for name in foreign)}.",
            where=path,
            remedy=f"The cohorts are {', '.join(cohorts)}.",
        )


def _read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of the table; say what a table of the former kind lacks."""
    try:
        return read_rows(path, required=COLUMNS)
    except StudyError as error:
        read_rows(path, required=_FORMER_COLUMNS)
        raise StudyError(
            error.what,
            where=path,
            cause="It was written for an earlier version, in which every row meant what `replace` means now.",
            remedy="Add the columns decision (replace, or one of keep and exclude), who, and date "
            f"(YYYY-MM-DD), so that they are {', '.join(COLUMNS)}.",
        ) from error


def _check_row(path: Path, line: int, row: dict[str, str]) -> Decision:
    """Turn a row into a decision; refuse one that is unknown or incomplete."""
    problems = []
    if row["decision"] not in DECISIONS:
        known = ", ".join(DECISIONS)
        problems.append(f"the decision is {row['decision'] or 'empty'}, and not one of {known}")
    problems += [
        f"the column {name} is empty" for name in ("participant_id", "reason", "who") if not row[name]
    ]
    try:
        plain = datetime.date.fromisoformat(row["date"]).isoformat() == row["date"]
    except ValueError:
        plain = False
    if not plain:
        problems.append(f"the date is {row['date'] or 'empty'}, not of the form YYYY-MM-DD")
    if problems:
        raise StudyError(
            f"Line {line} ({row['participant_id']} {row['session_id']}): {problems[0]}.",
            where=path,
            remedy="Each row needs a decision, a reason, who decided, and the date.",
        )
    return Decision(row["decision"], plain_cell(row["reason"]), plain_cell(row["who"]), row["date"])
