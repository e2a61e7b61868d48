"""Reading of a BIDS dataset: its T1-weighted images and what its tables say of participants and visits.

Three kinds of datasets are understood, without being told which one it is:

- ADNI as Clinica writes it: sex and site in ``participants.tsv``; age, diagnosis, MMSE and, where the
  download has the table ``CDR.csv``, the global CDR in ``sub-*_sessions.tsv``, one row for each clinical
  visit, imaged or not; the field strength in ``*_scans.tsv``.
- AIBL as Clinica writes it: no age in ``participants.tsv``; ``sub-*_sessions.tsv`` has the imaged visits
  only; the field strength is in the image's JSON file; file names in ``*_scans.tsv`` have spaces in them.
- Any other: ``participants.tsv``, with or without sessions, with or without clinical columns, which may have
  names and values of their own (`rhvae_mri.cohort.clinical_terms`).

The tables are small and many (two per participant), so they are read with the standard library.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from rhvae_mri.cohort.clinical_terms import ClinicalTerms, Visit, to_number
from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json
from rhvae_mri.texts import plain_cell

#: Names that BIDS allows. All others are refused or left out: they end in paths and in tables.
_PARTICIPANT = re.compile(r"sub-[A-Za-z0-9]+")
_SESSION = re.compile(r"ses-[A-Za-z0-9]+")
_IMAGE = re.compile(r"sub-[A-Za-z0-9]+(_[A-Za-z]+-[A-Za-z0-9+]+)*_T1w\.nii(\.gz)?")

#: How tables write a missing value.
_MISSING = frozenset({"", "n/a", "na", "nan", "none"})

USUAL_TERMS = ClinicalTerms()


@dataclass(frozen=True)
class T1wImage:
    """One T1-weighted NIfTI file of a BIDS dataset; ``session_id`` is empty in a dataset without sessions."""

    participant_id: str
    session_id: str
    path: Path

    @property
    def name(self) -> str:
        """The file's name without its suffixes."""
        return self.path.name.split(".")[0]

    @property
    def is_named_as_bids_asks(self) -> bool:
        """Whether the names of participant, session and file consist of letters and digits, as in BIDS."""
        return bool(
            is_participant(self.participant_id)
            and (not self.session_id or _SESSION.fullmatch(self.session_id))
            and _IMAGE.fullmatch(self.path.name)
        )

    @property
    def entities(self) -> str:
        """What the file's name says beyond participant and session, e.g. ``acq-fast_run-2``."""
        parts = self.name.split("_")[:-1]
        return "_".join(part for part in parts if not part.startswith(("sub-", "ses-")))


def is_participant(name: str) -> bool:
    """Say whether a text is a participant's name in BIDS: ``sub-`` and then letters and digits.

    Examples
    --------
    >>> is_participant("sub-ADNI002S0295"), is_participant("sub-../../x")
    (True, False)
    """
    return _PARTICIPANT.fullmatch(name) is not None


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Return a sorting key that puts ``ses-M6`` before ``ses-M012``."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]


def read_rows(path: Path, required: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a tab-separated table as one dictionary per row; missing values become empty text.

    Cells come as `rhvae_mri.texts.plain_cell` writes them.

    Parameters
    ----------
    path : pathlib.Path
        The table.
    required : tuple of str
        Columns that must be there.

    Raises
    ------
    StudyError
        If the file is not readable text or a required column is missing.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            columns = reader.fieldnames or []
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(
            "The table cannot be read.",
            where=path,
            cause=str(error),
            remedy="Save it as tab-separated text in UTF-8.",
        ) from error
    absent = [name for name in required if name not in columns]
    if absent:
        raise StudyError(
            f"The table has no column {', '.join(absent)}.",
            where=path,
            cause="It is not tab-separated, or its header has other names.",
            remedy=f"Its columns must include {', '.join(required)}.",
        )
    return [{name: _clean(row[name]) for name in columns} for row in rows]


def read_participants(bids: Path, terms: ClinicalTerms = USUAL_TERMS) -> dict[str, Visit]:
    """Read ``participants.tsv``, in the dataset's own terms.

    Returns
    -------
    dict of str to Visit
        By participant; age, MMSE and CDR are those of the participant's first visit.

    Raises
    ------
    StudyError
        If the dataset or its table is missing, a name is not one of BIDS (`is_participant`) or occurs twice.
    """
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
    repeated, misnamed = set(), set()
    for row in read_rows(table, required=("participant_id",)):
        name = row["participant_id"]
        if not is_participant(name):
            misnamed.add(name or "(empty)")
        if name in participants:
            repeated.add(name)
        participants[name] = terms.read_visit(row)
    if misnamed:
        raise StudyError(
            f"Participants whose names are not those of BIDS: {', '.join(sorted(misnamed))}.",
            where=table,
            remedy="Names are sub- and then letters and digits only, as those of the participants' folders.",
        )
    if repeated:
        raise StudyError(
            f"Participants that occur more than once: {', '.join(sorted(repeated))}.",
            where=table,
            remedy="Keep one row for each participant.",
        )
    return participants


def read_visits(bids: Path, participant_id: str, terms: ClinicalTerms = USUAL_TERMS) -> dict[str, Visit]:
    """Read a participant's ``sub-*_sessions.tsv``, in the dataset's own terms.

    Returns
    -------
    dict of str to Visit
        By session, in the order of the sessions' labels; empty where there is no such table.

    Raises
    ------
    StudyError
        If a session occurs twice, or its name is not one of BIDS.
    """
    table = bids / participant_id / f"{participant_id}_sessions.tsv"
    if not table.is_file():
        return {}
    visits: dict[str, Visit] = {}
    for row in read_rows(table, required=("session_id",)):
        session = row["session_id"]
        session = session if session.startswith("ses-") else f"ses-{session}"
        if not _SESSION.fullmatch(session):
            raise StudyError(
                f"The session {session} has no name of BIDS.",
                where=table,
                remedy="Names are ses- and then letters and digits only.",
            )
        if session in visits:
            raise StudyError(f"Session {session} occurs more than once.", where=table)
        visits[session] = terms.read_visit(row)
    return {session: visits[session] for session in sorted(visits, key=natural_order)}


def find_images(bids: Path) -> list[T1wImage]:
    """Find the T1-weighted images, ordered by participant, session and file name."""
    images = []
    for pattern in ("sub-*/anat/*_T1w.nii*", "sub-*/ses-*/anat/*_T1w.nii*"):
        for path in bids.glob(pattern):
            participant, *session, _, name = path.relative_to(bids).parts
            if name.startswith(f"{participant}_") and name.endswith((".nii", ".nii.gz")):
                images.append(T1wImage(participant, session[0] if session else "", path))
    return sorted(
        images,
        key=lambda image: (image.participant_id, natural_order(image.session_id), natural_order(image.name)),
    )


def read_field_strength(image: T1wImage) -> float | None:
    """Read the field strength of an image, in tesla, from its JSON file or its row in ``*_scans.tsv``."""
    sidecar = image.path.with_name(f"{image.name}.json")
    if sidecar.is_file():
        try:
            strength = to_number(str(read_json(sidecar).get("MagneticFieldStrength", "")))
        except (AttributeError, UnicodeDecodeError, ValueError):
            strength = None  # damaged, or no JSON object: the image is good without it
        if strength is not None:
            return strength
    for table in sorted(image.path.parent.parent.glob("*_scans.tsv")):
        for row in read_rows(table):
            if Path(row.get("filename", "").strip()).name.strip() == image.path.name:
                return to_number(USUAL_TERMS.find(row, "field_strength"))
    return None


def _clean(cell: str | None) -> str:
    """Strip a cell; a missing value becomes empty text."""
    text = plain_cell(cell or "")
    return "" if text.lower() in _MISSING else text
