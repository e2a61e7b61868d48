"""The table of a cohort's images: which one is kept for each participant, and why each other is not.

The first reason that applies is given, in this order; `docs/troubleshooting.md` explains the single ones:

1. a session without an image has the words of the conversion's report;
2. the auditor's decision `replace`, a file that is annexed and not fetched, a name or place that is none of
   BIDS;
3. of the participant: diagnoses that change, are not studied or missing, tables that cannot be used or
   contradict each other, visits whose order is not known;
4. of the file: what `rhvae_mri.cohort.headers` finds, images of no magnitude, ``.nii`` and ``.nii.gz`` of one
   name with different images;
5. a second image of the same session, in the order of `rhvae_mri.cohort.bids_images`;
6. the same voxels as another participant's image (neither of the two is taken) or as an earlier visit's;
7. not the first usable visit.

Visits without a diagnosis are passed over when diagnoses are compared, and an image of such a visit has the
diagnosis of the participant's other visits. A visit that the tables list counts even if it has no image.
Clinica's AIBL tables list the imaged visits only, so there a change at another visit cannot be seen.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from rhvae_mri.cohort.bids_images import GROUPS, PLAIN, T1wImage, read_field_strength
from rhvae_mri.cohort.bids_tables import USUAL_TERMS, natural_order
from rhvae_mri.cohort.clinical_terms import ClinicalTerms
from rhvae_mri.cohort.decisions import Decisions, read_decisions
from rhvae_mri.cohort.headers import describe_fault
from rhvae_mri.cohort.image_content import digest_images
from rhvae_mri.cohort.listed_values import ListedValues
from rhvae_mri.cohort.participants import Participant, read_cohort
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_tsv
from rhvae_mri.io.input_folders import is_unfetched
from rhvae_mri.io.texts import visible
from rhvae_mri.study.names import CLASSES

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)

#: Columns of the table, in this order.
COLUMNS = (
    *("image_id", "participant_id", "session_id", "cohort", "age", "sex", "site", "field_strength"),
    *("diagnosis", "mmse", "cdr", "path", "status", "reason"),
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
    prefer: Sequence[str] = (),
    values: Path | None = None,
    contents: Path | None = None,
    threads: int = 1,
) -> None:
    """Write the table of a cohort's images, with the one that is kept for each participant.

    Parameters
    ----------
    cohort, bids : str, path
        The cohort's name, and its BIDS dataset, Clinica's or any other. The paths in the table start with it.
    conversion_report : path or None
        The table of the conversion; None for a dataset that was given in BIDS.
    exclude : path or None
        The auditor's decisions (`rhvae_mri.cohort.decisions`), of which only `replace` counts here.
    target : path
        The table to write: one row for each image, for each session that the conversion reports without an
        image, and for each participant without any; ordered by participant, session and file name. Missing
        values are ``n/a``; ages in years, field strengths in tesla.
    require_diagnosis : bool
        False: the rules on the diagnosis do not apply (for data that are preprocessed but not classified).
    terms : ClinicalTerms
        What the dataset's tables call the study's variables.
    prefer : sequence of str
        Entities of file names, such as ``acq-mprage``, whose images are taken first, in this order; see
        `rhvae_mri.cohort.bids_images`.
    values : path, optional
        The table to write of the cells that were not used as they stand (`rhvae_mri.cohort.listed_values`).
    contents : path, optional
        The table of the images' digests, which is brought up to date (`rhvae_mri.cohort.image_content`).
    threads : int
        How many images to read at a time.

    Raises
    ------
    StudyError
        If a table is missing or contradicts itself, too many cells are not understood, or no image is left.
    """
    import pandas

    bids, listed = Path(bids), ListedValues()
    report = Path(conversion_report) if conversion_report else None
    participants = read_cohort(bids, cohort, report, terms, listed)
    sessions = {(person.name, session) for person in participants for session in ("", *person.sessions)}
    decisions = read_decisions(Path(exclude) if exclude else None, cohort, sessions)
    if values is not None:
        write_tsv(values, listed.table())
    listed.check(len(participants), bids)  # before the voxels are read, which takes longer
    images = [image for person in participants for image in person.images if not image.misnamed]
    digests = digest_images([image.path for image in images], contents, threads=threads)
    same = defaultdict(list)
    for image in images:
        same[digests[image.path].voxels].append(image)
    same.pop("", None)
    twins = {
        image: [other for other in group if other != image] for group in same.values() for image in group
    }
    rows: list[dict[str, str]] = []
    for person in participants:
        verdicts = _judge(person, decisions, twins, prefer, require_diagnosis=require_diagnosis)
        rows += [{"cohort": cohort, **row} for row in _rows(person, verdicts, listed)]
    write_tsv(target, pandas.DataFrame(rows, columns=list(COLUMNS)).replace("", None))
    if values is not None:
        write_tsv(values, listed.table())
    _report_attrition(cohort, bids, rows)


def read_images(path: Path) -> pandas.DataFrame:
    """Read a table of images; identifiers, sites and diagnoses are text even where they look like numbers."""
    return read_tsv(path, TEXT_COLUMNS)


def select_usable(images: pandas.DataFrame, quality: pandas.DataFrame) -> pandas.DataFrame:
    """Return the rows of the images that were kept and passed the quality check, ordered by image."""
    kept = images[images["status"] == "kept"]
    if unchecked := sorted(set(kept["image_id"]) - set(quality["image_id"])):
        raise StudyError(
            f"Images without a quality check: {', '.join(unchecked)}.",
            cause="The table of images is newer than that of the quality check.",
            remedy="Run the quality check again: snakemake --forcerun measure_quality.",
        )
    if repeated := sorted(set(quality["image_id"][quality["image_id"].duplicated()])):
        raise StudyError(f"Images with more than one quality check: {', '.join(repeated)}.")
    passed = quality["image_id"][quality["status"] == "passed"]
    return kept[kept["image_id"].isin(passed)].sort_values("image_id", ignore_index=True)


def _judge(
    person: Participant,
    decisions: Decisions,
    twins: Mapping[T1wImage, list[T1wImage]],
    prefer: Sequence[str],
    *,
    require_diagnosis: bool,
) -> dict[T1wImage, str]:
    """Give each image of a participant the reason why it is left out; the one that is kept has none ("")."""
    unfit = _unfit(person) if require_diagnosis else person.fault or None
    place = {session: number for number, session in enumerate(person.order)}
    verdicts: dict[T1wImage, str] = {}
    chosen: dict[str, T1wImage] = {}  # of each session
    for image in sorted(person.images, key=lambda one: (place.get(one.session_id, -1), one.rank(prefer))):
        same = twins.get(image, [])
        reason = _fault(person, image, decisions, unfit) or _other_file(image, same)
        if not reason and image.session_id in chosen:
            difference = _difference(image, chosen[image.session_id], prefer)
            reason = f"a second image of the same session ({difference})"
        elif not reason:
            chosen[image.session_id] = image
            reason = _identity(image, same, list(chosen.values()))
        if not reason and "" in verdicts.values():
            reason = "not the first usable visit"
        verdicts[image] = visible(reason)
    return {image: verdicts[image] for image in person.images}


def _fault(person: Participant, image: T1wImage, decisions: Decisions, unfit: str | None) -> str:
    """Say why an image cannot be taken, whatever others there are; empty if it can."""
    by_hand = decisions.find(person.name, image.session_id)
    if by_hand and by_hand.decision == "replace":
        return f"replaced by hand: {by_hand}"
    if is_unfetched(image.path):
        return "not fetched: the file is annexed, and its content is not there"
    return image.misnamed or unfit or describe_fault(image.path) or image.part or ""


def _other_file(image: T1wImage, twins: Sequence[T1wImage]) -> str:
    """Say that there is a file of the same name, compressed or not, with another image; empty if not."""
    other = image.path.with_name(image.name + (".nii" if image.path.suffix == ".gz" else ".nii.gz"))
    if not other.exists() or other in [twin.path for twin in twins]:
        return ""
    return f"two files of one name with different images: {image.path.name}, {other.name}"


def _identity(image: T1wImage, twins: Sequence[T1wImage], chosen: Sequence[T1wImage]) -> str:
    """Say that an image is another participant's too, or that of an earlier visit; empty if it is not."""
    if others := sorted({twin.participant_id for twin in twins} - {image.participant_id}):
        return f"the same image under another name: {', '.join(others[:5])}{' …' if others[5:] else ''}"
    earlier = [twin.path.name for twin in twins if twin in chosen and twin != image]
    return f"the same image as that of an earlier visit: {earlier[0]}" if earlier else ""


def _difference(image: T1wImage, kept: T1wImage, prefer: Sequence[str]) -> str:
    group = image.group(prefer)
    words = visible(image.own_entities or image.path.name)
    return words if group in (PLAIN, kept.group(prefer)) else f"{words}: {GROUPS[group]}"


def _unfit(person: Participant) -> str | None:
    """Say why a participant's diagnosis or visits keep them out of the study, or return None."""
    diagnoses = person.diagnoses
    if len(diagnoses) > 1:
        return f"diagnosis changes between visits ({', '.join(diagnoses)})"
    if diagnoses and diagnoses[0] not in CLASSES:
        return f"diagnosis {diagnoses[0]} is not studied"
    return person.fault or (None if diagnoses else "no diagnosis")


def _rows(
    person: Participant, verdicts: dict[T1wImage, str], listed: ListedValues
) -> Iterator[dict[str, str]]:
    """Yield the rows of one participant, in the order of sessions and file names."""
    failed = ((session, None, reason) for session, reason in person.failures.items())
    entries = [*failed, *((image.session_id, image, reason) for image, reason in verdicts.items())]
    entries.sort(key=lambda entry: natural_order(entry[0]))  # within a session, the order of file names stays
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
                "field_strength": _text(read_field_strength(image, listed) if image else None),
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
    examples = {row["reason"].partition(":")[0]: row["reason"] for row in reversed(rows)}
    summary = "; ".join(
        f"{reason}: {count}" + (f" (such as {examples[reason]})" if examples[reason] != reason else "")
        for reason, count in reasons.most_common()
    )
    n_kept = sum(row["status"] == "kept" for row in rows)
    logger.info("%s: %d images kept. Left out: %s", cohort, n_kept, summary or "none")
    classes = {row["diagnosis"] for row in rows if row["status"] == "kept"} & set(CLASSES)
    if len(classes) == 1:
        logger.warning("%s: all kept images are of %s. Is the other one written otherwise?", cohort, *classes)
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


def _text(number: float | None) -> str:
    """Write a number without needless zeros; None becomes empty text."""
    return "" if number is None else f"{number:g}"
