"""The table of a cohort's images: which one is kept for each participant, and why each other is not.

The rules, in this order (the first one that applies gives the reason):

==============================================  ======================================================
reason                                          when
==============================================  ======================================================
no image in the download                        the conversion found none, or the participant has
                                                none at all; further words are the conversion's
the converter made no image of it; …            the conversion's words
DICOM series unreadable: …                      the conversion failed; its words
the clinical tables lack the participant        passed over by the conversion
no first or later visit in the clinical tables  passed over: the participant was screened only
not in ADNIMERGE                                passed over: other tables have the participant
no visit in the clinical tables within half a   passed over: the tables do not have the scan's visit
year of the scan
the date of the scan is not known               passed over: no list, folder or header has it
no header of it can be read (…)                 passed over: nothing else names or dates the scan
files of an image that is in another folder, …  passed over: they count with that folder's
ADNI4, … or a scan of a visit in ADNI4, …       passed over: Clinica cannot read this phase
not a T1-weighted sequence: …                   passed over
Clinica does not know the sequence as           passed over, in AIBL
T1-weighted: …
Clinica takes no such sequence in this phase,   passed over: Clinica's rules of the phase
or not this scan: …
the study's quality check rejects it            passed over: in MRIPROT or the Mayo Clinic's table
converted, but not in the BIDS dataset          the conversion's report and the folder disagree
a name that BIDS does not allow                 of participant, session or file: it would end in
                                                paths and tables
replaced by hand: …                             the auditor's decision `replace`, see
                                                `rhvae_mri.cohort.exclusions`
no diagnosis                                    none of the participant's visits has one
diagnosis changes between visits (CN, MCI)      the visits' diagnoses, in order
diagnosis MCI is not studied                    neither AD nor CN
unreadable NIfTI: …                             see `rhvae_mri.cohort.headers`
grossly wrong geometry: …                       see `rhvae_mri.cohort.headers`
wrong data type: …, wrong modality: …           see `rhvae_mri.cohort.headers`
a second image of the same session (run-2)      a usable image of the same session comes first
not the first usable visit                      an earlier session has a usable image
==============================================  ======================================================

Visits without a diagnosis are passed over when diagnoses are compared, and an image of such a visit has the
diagnosis of the participant's other visits. A visit that the tables list counts even if it has no image.
Clinica's AIBL tables list the imaged visits only, so there a change at another visit cannot be seen.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from rhvae_mri.cohort.bids_tables import USUAL_TERMS, T1wImage, natural_order, read_field_strength
from rhvae_mri.cohort.clinical_terms import ClinicalTerms
from rhvae_mri.cohort.exclusions import Decisions, read_decisions
from rhvae_mri.cohort.headers import describe_fault
from rhvae_mri.cohort.participants import Participant, read_cohort
from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_tsv, write_tsv
from rhvae_mri.texts import visible

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

#: The study's diagnoses, the positive class first.
STUDIED = ("AD", "CN")

#: Columns of the table, in this order.
COLUMNS = (
    "image_id",
    "participant_id",
    "session_id",
    "cohort",
    "age",
    "sex",
    "site",
    "field_strength",
    "diagnosis",
    "mmse",
    "cdr",
    "path",
    "status",
    "reason",
)
#: Columns that stay text even where every cell looks like a number.
TEXT_COLUMNS = ("image_id", "participant_id", "session_id", "cohort", "sex", "site", "diagnosis", "path")


def list_images(
    cohort: str,
    bids: Path,
    conversion_report: Path | None,
    exclude: Path | None,
    target: Path,
    *,
    require_diagnosis: bool = True,
    terms: ClinicalTerms = USUAL_TERMS,
) -> None:
    """Write the table of a cohort's images, with the one that is kept for each participant.

    Parameters
    ----------
    cohort : str
        The cohort's name.
    bids : pathlib.Path
        The BIDS dataset: Clinica's output or any other. The paths in the table start with it.
    conversion_report : pathlib.Path or None
        The table of the conversion, see `rhvae_mri.cohort.participants.read_cohort`, or None for a dataset
        that was given in BIDS.
    exclude : pathlib.Path or None
        The auditor's decisions, see `rhvae_mri.cohort.exclusions.read_decisions`. Only `replace` counts here:
        `keep` and `exclude` are for the quality check.
    target : pathlib.Path
        The table to write: one row for each image, for each session that the conversion reports without an
        image, and for each participant without any; ordered by participant, session and file name. Missing
        values are ``n/a``; ages in years, field strengths in tesla.
    require_diagnosis : bool
        False: the rules on the diagnosis do not apply (for data that are preprocessed but not classified).
    terms : ClinicalTerms
        What the dataset's tables call the study's variables.

    Raises
    ------
    StudyError
        If a table is missing or contradicts itself, or no image is left.
    """
    import pandas

    report = Path(conversion_report) if conversion_report else None
    participants = read_cohort(Path(bids), cohort, report, terms)
    sessions = {(person.name, session) for person in participants for session in ("", *person.sessions)}
    decisions = read_decisions(Path(exclude) if exclude else None, cohort, sessions)
    rows: list[dict[str, str]] = []
    for person in participants:
        verdicts = _judge(person, decisions, require_diagnosis)
        rows.extend({"cohort": cohort, **row} for row in _rows(person, verdicts))
    _report_attrition(cohort, Path(bids), rows)
    write_tsv(target, pandas.DataFrame(rows, columns=list(COLUMNS)).replace("", None))


def read_images(path: Path) -> pandas.DataFrame:
    """Read a table of images; identifiers, sites and diagnoses are text even where they look like numbers."""
    return read_tsv(path, TEXT_COLUMNS)


def select_usable(images: pandas.DataFrame, quality: pandas.DataFrame) -> pandas.DataFrame:
    """Return the rows of the images that were kept and passed the quality check, ordered by image.

    Parameters
    ----------
    images : pandas.DataFrame
        The table of `list_images`.
    quality : pandas.DataFrame
        The table of the quality check, with the columns image_id and status.

    Raises
    ------
    StudyError
        If a kept image was not checked, or one was checked twice.
    """
    kept = images[images["status"] == "kept"]
    unchecked = sorted(set(kept["image_id"]) - set(quality["image_id"]))
    if unchecked:
        raise StudyError(
            f"Images without a quality check: {', '.join(unchecked)}.",
            cause="The table of images is newer than that of the quality check.",
            remedy="Let the workflow run the quality check again.",
        )
    repeated = sorted(set(quality["image_id"][quality["image_id"].duplicated()]))
    if repeated:
        raise StudyError(f"Images with more than one quality check: {', '.join(repeated)}.")
    passed = quality["image_id"][quality["status"] == "passed"]
    return kept[kept["image_id"].isin(passed)].sort_values("image_id", ignore_index=True)


def _judge(person: Participant, decisions: Decisions, require_diagnosis: bool) -> dict[T1wImage, str]:
    """Give each image of a participant the reason why it is left out; the one that is kept has none ("")."""
    unfit = _unfit(person) if require_diagnosis else None
    verdicts: dict[T1wImage, str] = {}
    kept: T1wImage | None = None
    for image in person.images:
        by_hand = decisions.find(person.name, image.session_id)
        if not image.is_named_as_bids_asks:
            verdicts[image] = "a name that BIDS does not allow"
        elif by_hand and by_hand.decision == "replace":
            verdicts[image] = f"replaced by hand: {by_hand}"
        elif reason := unfit or describe_fault(image.path):
            verdicts[image] = reason
        elif kept is None:
            kept, verdicts[image] = image, ""
        elif image.session_id == kept.session_id:
            verdicts[image] = f"a second image of the same session ({image.entities or image.path.name})"
        else:
            verdicts[image] = "not the first usable visit"
    return verdicts


def _unfit(person: Participant) -> str | None:
    """Say why a participant's diagnosis keeps them out of the study, or return None."""
    diagnoses = person.diagnoses
    if not diagnoses:
        return "no diagnosis"
    if len(diagnoses) > 1:
        return f"diagnosis changes between visits ({', '.join(diagnoses)})"
    return None if diagnoses[0] in STUDIED else f"diagnosis {diagnoses[0]} is not studied"


def _rows(person: Participant, verdicts: dict[T1wImage, str]) -> Iterator[dict[str, str]]:
    """Yield the rows of one participant, in the order of sessions and file names."""
    entries: list[tuple[str, T1wImage | None, str]] = [
        (session, None, reason) for session, reason in person.failures.items()
    ]
    entries += [(image.session_id, image, reason) for image, reason in verdicts.items()]
    entries.sort(key=_session_order)
    for session, group in groupby(entries, itemgetter(0)):
        scans = list(group)
        visit = person.at(session)
        participant, session_id = visible(person.name), visible(session)
        plain = f"{participant}_{session_id}" if session else participant
        # The plain name belongs to the image that the study uses; the others of the session get a number.
        main = next((position for position, (_, _, reason) in enumerate(scans) if not reason), 0)
        for position, (_, image, reason) in enumerate(scans):
            yield {
                "image_id": plain if position == main else f"{plain}_scan-{position + 1}",
                "participant_id": participant,
                "session_id": session_id,
                "age": _text(visit.age),
                "sex": visit.sex or "",
                "site": visit.site or "",
                "field_strength": _text(read_field_strength(image) if image else None),
                "diagnosis": visit.diagnosis or "",
                "mmse": _text(visit.mmse),
                "cdr": _text(visit.cdr),
                "path": visible(image.path.as_posix()) if image else "",
                "status": "excluded" if reason else "kept",
                "reason": reason,
            }


def _report_attrition(cohort: str, bids: Path, rows: list[dict[str, str]]) -> None:
    """Log how many images are left out for which reason; raise StudyError if none is left."""
    reasons = Counter(row["reason"].partition(":")[0] for row in rows if row["reason"])
    summary = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    n_kept = sum(row["status"] == "kept" for row in rows)
    logger.info("%s: %d images kept. Left out: %s", cohort, n_kept, summary or "none")
    if n_kept == 0:
        raise StudyError(
            f"No image of {cohort} can be used.",
            where=bids,
            cause=summary or "The dataset has no participant.",
            remedy=(
                "Mend what the reasons say. Images must be named sub-*/[ses-*/]anat/*_T1w.nii[.gz]; a cohort "
                "that is to be preprocessed only needs no diagnosis with require_diagnosis: false."
            ),
        )


def _session_order(entry: tuple[str, T1wImage | None, str]) -> list[tuple[int, int | str]]:
    """Return the sorting key of an entry; entries of one session stay in the order of their file names."""
    return natural_order(entry[0])


def _text(number: float | None) -> str:
    """Write a number without needless zeros; None becomes empty text."""
    return "" if number is None else f"{number:g}"
