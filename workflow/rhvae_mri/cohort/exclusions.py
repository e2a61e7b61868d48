"""The hand-written list of images that are to be left out of the study."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rhvae_mri.cohort.bids_tables import read_rows
from rhvae_mri.errors import StudyError

COLUMNS = ("cohort", "participant_id", "session_id", "reason")
COHORTS = ("ADNI", "AIBL")


@dataclass(frozen=True)
class Exclusions:
    """What is to be left out of one cohort.

    Attributes
    ----------
    reasons : dict
        (participant, session) to reason; an empty session stands for all of the participant's sessions.
    """

    reasons: dict[tuple[str, str], str]

    def reason(self, participant_id: str, session_id: str) -> str | None:
        """Return why an image of this session is left out, or None."""
        return self.reasons.get((participant_id, session_id)) or self.reasons.get((participant_id, ""))


def read_exclusions(path: Path | None, cohort: str, sessions: Collection[tuple[str, str]]) -> Exclusions:
    """Read ``exclude.tsv``.

    Parameters
    ----------
    path : pathlib.Path or None
        The table, with the columns cohort, participant_id, session_id (``n/a``: all of them) and reason.
    cohort : str
        The rows of other cohorts are passed over.
    sessions : collection of (str, str)
        The cohort's participants and sessions, and (participant, "") for each participant.

    Raises
    ------
    StudyError
        If a row names a cohort, participant or session that does not exist: a slip of the pen would
        otherwise let in the very image that was to be left out.
    """
    if path is None:
        return Exclusions({})
    if not path.is_file():
        raise StudyError("The list of exclusions does not exist.", where=path, remedy="Check the path.")
    rows = read_rows(path, required=COLUMNS)
    foreign = sorted({row["cohort"] for row in rows} - {*COHORTS, cohort})
    if foreign:
        raise StudyError(
            f"Unknown cohorts: {', '.join(name or '(empty)' for name in foreign)}.",
            where=path,
            remedy=f"The cohorts are {', '.join(dict.fromkeys((*COHORTS, cohort)))}.",
        )
    reasons = {
        (row["participant_id"], row["session_id"]): row["reason"] or "no reason given"
        for row in rows
        if row["cohort"] == cohort
    }
    unknown = [f"{participant} {session}".strip() for participant, session in reasons.keys() - sessions]
    if unknown:
        raise StudyError(
            f"{cohort} has no such participants or sessions: {', '.join(sorted(unknown))}.",
            where=path,
            cause="A spelling mistake, or the download has changed.",
            remedy="Use the BIDS names, e.g. sub-ADNI002S0295 and ses-M000; write n/a for all sessions.",
        )
    return Exclusions(reasons)
