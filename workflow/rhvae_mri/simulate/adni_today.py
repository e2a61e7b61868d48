"""A simulated ADNI download of today: its study tables, its images, and what lies beside its original series.

Since 2024 there is no list of scans with the names of visits, the names of other tables have changed, and
most carry the prefix of LONI's "ARC Builder" and the date of the download. ADNIMERGE is rarely to be had.
Sequences of ADNI 3 have several names, scans of earlier phases have a pre-processed copy as NIfTI, and ADNI 4
has begun. What a participant has of all this depends on the participant alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import nibabel
import pandas

from rhvae_mri.io.files import write_text
from rhvae_mri.simulate.adni import (
    BASELINE_DIAGNOSIS,
    Facts,
    facts_of,
    low_field,
    marital_status,
    mayo_table,
    scan_facts,
    table_of,
    visit_code,
)
from rhvae_mri.simulate.dicom import SIMULATED_MARK
from rhvae_mri.simulate.records import (
    Participant,
    Scan,
    SeriesPlace,
    SimulatedScan,
    Visit,
    folder_name,
    series_place,
)
from rhvae_mri.simulate.truth import age_at, chosen_scan
from rhvae_mri.study.seeds import derive_seed

#: The day of the download.
DOWNLOAD_DATE = datetime.date(2026, 11, 28)

#: Name of the list that comes with a collection of images.
COLLECTION = f"T1_collection_{DOWNLOAD_DATE:%m_%d_%Y}.csv"

_COLLECTION_COLUMNS = (
    *("Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality"),
    *("Description", "Type", "Acq Date", "Format", "Downloaded"),
)

#: Tables without the prefix of the "ARC Builder".
_PLAIN = ("APOERES", "MRIPROT", "MAYOADIRL_MRI_IMAGEQC_05_07_15")

_DAYS_PER_YEAR = 365.25

#: The parts of a first visit, by VISCODE2; each has a row of its own.
_FIRST_VISIT = {"ADNIGO": ("sc", "scmri", "bl"), "ADNI2": ("sc", "scmri", "bl")}
_ADNI2_CODES = {"sc": "v01", "scmri": "v02", "bl": "v03", "m03": "v04", "m06": "v05"}

_SEX_CODE = {"M": 1, "F": 2}
_MARITAL_CODE = {"Married": 1, "Widowed": 2, "Divorced": 3}

#: Odd rows of the registry, by the remainder of the roster number over 8: VISCODE2, and days since the first
#: visit, or None where the visit did not take place.
_ODD_VISITS: dict[int, tuple[str, int | None]]
_ODD_VISITS = {1: ("uns1", 91), 2: ("f", -28), 3: ("", 182), 4: ("nv", None)}

#: Name of the images that the study's own pipeline has made of scans.
PROCESSED_DESCRIPTION = "MPR; GradWarp; B1 Correction; N3; Scaled"

_PROCESSED_PHASES = ("ADNI1", "ADNIGO", "ADNI2")
_ACCELERATED = "Accelerated Sagittal MPRAGE"
_ACCELERATED_TODAY = ("CS/HS Sagittal MPRAGE (MSV22)", _ACCELERATED, "Accelerated Sag IR-FSPGR")

#: What is added to the numbers of a scan for those of its processed copy, and of its copies in ADNI 4; larger
#: than every number of a simulated ADNI cohort.
_PROCESSED_NUMBERS, _ROLLOVER_NUMBERS, _NEWCOMER_NUMBERS = 200_000, 400_000, 600_000

_ADNI4_SUBJECT, _ADNI4_SITE, _ADNI4_YEAR = "033_S_10123", 33, 2023


_METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<idaxs>
  <project>
    <projectIdentifier>ADNI</projectIdentifier>
    <subject>
      <subjectIdentifier>{subject}</subjectIdentifier>
      <study>
        <series>
          <seriesIdentifier>{series}</seriesIdentifier>
          <dateAcquired>{date}</dateAcquired>
          <imagingProtocol>
            <imageUID>{image}</imageUID>
            <description>{description}</description>
          </imagingProtocol>
        </series>
      </study>
    </subject>
  </project>
  <!-- {mark} -->
</idaxs>
"""


class FourthPhase(NamedTuple):
    """Who has come to ADNI 4: a person with a scan that is copied, at a further visit, and somebody new."""

    copied: int
    rollover: Participant
    visit: Visit
    newcomer: Participant


def rename_sequences(participants: Sequence[Participant]) -> list[Participant]:
    """Return the same participants, with the names that sequences of ADNI 3 have in today's archive."""
    people = []
    for person in participants:
        if person.phase == "ADNI3":
            today = _ACCELERATED_TODAY[person.roster_number % len(_ACCELERATED_TODAY)]
            visits = tuple(
                replace(
                    visit,
                    scans=tuple(
                        replace(scan, sequence=scan.sequence.replace(_ACCELERATED, today))
                        for scan in visit.scans
                    ),
                )
                for visit in person.visits
            )
            person = replace(person, visits=visits)
        people.append(person)
    return people


def processed_number(person: Participant, visit: Visit, scan: Scan) -> int | None:
    """Return the image number of a scan's pre-processed copy, or None: every second good scan has one."""
    is_processed = (
        person.phase in _PROCESSED_PHASES
        and scan.fault == "none"
        and scan == chosen_scan(person, visit)
        and scan.seed % 2 == 0
    )
    return _PROCESSED_NUMBERS + scan.image_uid if is_processed else None


def has_processed_file(person: Participant, visit: Visit, scan: Scan) -> bool:
    """Whether the download holds a scan's pre-processed copy: a third of them; the rest is only listed."""
    return processed_number(person, visit, scan) is not None and scan.on_disk and scan.seed % 6 == 4


def converted_numbers(participants: Sequence[Participant]) -> dict[int, int]:
    """Return the image number of each scan whose pre-processed copy is converted, and that of the copy."""
    return {
        scan.image_uid: _PROCESSED_NUMBERS + scan.image_uid
        for person in participants
        for visit, scan in person.scans()
        if has_processed_file(person, visit, scan)
    }


def fourth_phase(participants: Sequence[Participant]) -> FourthPhase | None:
    """Return who has come to ADNI 4, or None where the cohort has no good scan.

    The first participant of ADNI 3 with a good scan goes on (of any phase, if none of ADNI 3 has one).
    """
    good = [
        (person, scan)
        for person in participants
        if (scan := chosen_scan(person, person.visits[0])) and scan.on_disk and scan.fault == "none"
    ]
    if not good:
        return None
    rollover, scan = min(good, key=lambda each: each[0].phase != "ADNI3")
    first, last = rollover.visits[0], rollover.visits[-1]
    years = max(_ADNI4_YEAR - first.date.year, last.month // 12 + 1)
    # whole weeks: a working day stays one
    date = first.date + datetime.timedelta(weeks=round(years * 365.25 / 7))
    visit = replace(last, month=12 * years, date=date, scans=(_copy(scan, _ROLLOVER_NUMBERS),))
    arrival = replace(first, date=date + datetime.timedelta(weeks=4), scans=(_copy(scan, _NEWCOMER_NUMBERS),))
    newcomer = replace(
        rollover,
        subject=_ADNI4_SUBJECT,
        participant_id=f"sub-ADNI{_ADNI4_SUBJECT.replace('_', '')}",
        site=_ADNI4_SITE,
        phase="ADNI4",
        visits=(arrival,),
    )
    return FourthPhase(scan.image_uid, rollover, visit, newcomer)


def _copy(scan: Scan, numbers: int) -> Scan:
    return replace(
        scan,
        image_uid=numbers + scan.image_uid,
        series_id=numbers + scan.series_id,
        seed=derive_seed(scan.seed, "ADNI 4", numbers),
    )


def listed_images(participants: Sequence[Participant]) -> list[Facts]:
    """Return what lists say of the images of the archive, those that the download does not hold included."""
    visits = [(person, person.phase, visit) for person in participants for visit in person.visits]
    later = fourth_phase(participants)
    if later is not None:
        new = ((later.rollover, later.visit), (later.newcomer, later.newcomer.visits[0]))
        visits += [(person, "ADNI4", visit) for person, visit in new]
    images = []
    for person, phase, visit in visits:
        own = facts_of(person, visit) | {
            "phase": phase.replace("ADNI", "ADNI "),
            "Subject": person.subject,
            "Group": BASELINE_DIAGNOSIS[person.visits[0].diagnosis],
            "Sex": person.sex,
            "Age": int(age_at(person, visit)),
            "Visit": imaging_codes(person, phase, visit)["VISCODE"],
            "Modality": "MRI",
            "Acq Date": f"{visit.date:%m/%d/%Y}".lstrip("0").replace("/0", "/"),
            "Downloaded": f"{DOWNLOAD_DATE:%m/%d/%Y}",
        }
        for scan in visit.scans:
            made = [("Original", "Original", "DCM", scan.image_uid, scan.sequence, scan.on_disk)]
            # the visits of ADNI 4 are not among the person's own
            number = processed_number(person, visit, scan) if phase in _PROCESSED_PHASES else None
            if number is not None:
                there = has_processed_file(person, visit, scan)
                made.append(("Pre-processed", "Processed", "NiFTI", number, PROCESSED_DESCRIPTION, there))
            for image_type, short, form, number, description, on_disk in made:
                images.append(
                    own
                    | {"image_id": number, "Image Data ID": f"I{number}", "series_id": scan.series_id}
                    | {"image_type": image_type, "Type": short, "Format": form, "on_disk": on_disk}
                    | {"image_description": description, "Description": description}
                )
    return images


def study_tables(participants: Sequence[Participant], seed: int) -> dict[str, pandas.DataFrame]:
    """Return the study tables by file name; the participants have today's names of sequences."""
    later = fourth_phase(participants)
    everybody = [*participants, later.newcomer] if later else list(participants)
    visits = [row for person in everybody for row in _attendances(person, later)]
    clinical = [row for row in visits if row["VISCODE2"] != "scmri"]
    people = [_demography(person, seed) for person in everybody]
    scans = scan_facts(participants)
    scanned = ((person, visit) for person in participants for visit, _ in person.scans())
    codes = (imaging_codes(person, person.phase, visit) for person, visit in scanned)
    checked = [scan | own for scan, own in zip(scans, codes, strict=True)]
    images = listed_images(participants)
    visit = "PHASE PTID RID VISCODE VISCODE2"
    tables = {
        "REGISTRY": table_of(_registry(visits), f"{visit} VISTYPE RGCONDCT EXAMDATE SITEID"),
        "PTDEMOG": table_of(
            people, f"{visit} VISDATE=EXAMDATE PTGENDER PTDOB PTDOBYY PTEDUCAT PTMARRY PTETHCAT"
        ),
        # ADNI 3 gives its first diagnosis at the screening, earlier phases at both parts of the first visit
        "DXSUM": table_of(
            (row for row in clinical if row["PHASE"] != "ADNI3" or row["VISCODE2"] != "bl"),
            f"{visit} EXAMDATE DIAGNOSIS",
        ).astype({"DIAGNOSIS": float}),
        # the test belongs to the screening; some have it at the baseline too
        "MMSE": table_of(
            (row for row in clinical if row["RID"] % 2 or row["VISCODE2"] != "bl"),
            f"{visit} VISDATE=EXAMDATE MMSCORE",
        ),
        "CDR": table_of(_ratings(clinical), f"{visit} VISDATE=EXAMDATE CDGLOBAL"),
        "APOERES": table_of(people, "PHASE PTID RID VISCODE APTESTDT=EXAMDATE GENOTYPE"),
        "MRIPROT": table_of(low_field(checked), f"{visit} EXAMDATE LONIUID PASS"),
        "MAYOADIRL_MRI_IMAGEQC_05_07_15": mayo_table(scans),
        "All_Images": table_of(
            images,
            "image_id subject_id=PTID phase study_id=loni_study image_type image_date=EXAMDATE "
            "image_description",
        ),
        "Manifest": table_of(images, "image_id series_id"),
    }
    return {
        f"{'' if name in _PLAIN else 'All_Subjects_'}{name}_{DOWNLOAD_DATE:%d%b%Y}.csv": table
        for name, table in tables.items()
    }


def code_in_phase(phase: str, code: str) -> str:
    """Return a phase's own code (VISCODE) of a visit, such as ``y2``, from the shared one (VISCODE2)."""
    if phase == "ADNI4":
        return f"4_{code}"
    if not code.startswith("m") or phase in ("ADNI1", "ADNIGO"):
        return _ADNI2_CODES.get(code, code) if phase == "ADNI2" else code
    years, months = divmod(int(code[1:]), 12)
    if phase == "ADNI3":
        return f"y{years}"
    return _ADNI2_CODES.get(code, f"v{years}{1 + months // 6}")


def imaging_codes(person: Participant, phase: str, visit: Visit) -> Facts:
    """Return VISCODE and VISCODE2 of the part of a visit at which scans are made."""
    if phase != person.phase:
        return {"VISCODE": "4_init", "VISCODE2": visit_code(visit.month)}
    code = visit_code(visit.month) if visit.month else _first_visit(phase)[-2]
    return {"VISCODE": code_in_phase(phase, code), "VISCODE2": code}


def _first_visit(phase: str) -> tuple[str, ...]:
    return _FIRST_VISIT.get(phase, ("sc", "bl"))


def _attendances(person: Participant, later: FourthPhase | None) -> Iterator[Facts]:
    """Yield what is known of each visit, or part of one, that has a code."""
    for visit in person.visits:
        for code in (visit_code(visit.month),) if visit.month else _first_visit(person.phase):
            codes = {"VISCODE": code_in_phase(person.phase, code), "VISCODE2": code}
            yield facts_of(person, visit) | codes
    if later is not None and person == later.rollover:
        yield facts_of(person, later.visit) | {"PHASE": "ADNI4"} | imaging_codes(person, "ADNI4", later.visit)


def _registry(visits: Iterable[Facts]) -> Iterator[Facts]:
    for visit in visits:
        yield visit | {"VISTYPE": "Standard", "RGCONDCT": 1}
        odd = _ODD_VISITS.get(visit["RID"] % 8)
        if visit["VISCODE2"] == "bl" and odd:
            code, days = odd
            row = visit | {"VISCODE": code_in_phase(visit["PHASE"], code or "tel"), "VISCODE2": code or None}
            date = None if days is None else visit["EXAMDATE"] + datetime.timedelta(days)
            kind = ("Unscheduled", 1) if date else ("Not done", 0)
            yield row | dict(zip(("VISTYPE", "RGCONDCT"), kind, strict=True)) | {"EXAMDATE": date}


def _demography(person: Participant, seed: int) -> Facts:
    """Return what the tables of persons say, at the screening."""
    facts = facts_of(person, person.visits[0])
    birth = person.visits[0].date - datetime.timedelta(days=round(person.age * _DAYS_PER_YEAR))
    return facts | {
        "VISCODE": code_in_phase(person.phase, "sc"),
        "VISCODE2": "sc",
        "PTGENDER": _SEX_CODE[person.sex],
        "PTDOB": birth.strftime("%m/%Y"),
        "PTDOBYY": birth.year,
        "PTEDUCAT": person.education_years,
        "PTMARRY": _MARITAL_CODE[marital_status(person, seed)[0]],
        "PTETHCAT": 3,  # unknown
        "GENOTYPE": f"{facts['APGEN1']}/{facts['APGEN2']}",
    }


def _ratings(visits: Iterable[Facts]) -> Iterator[Facts]:
    for visit in visits:
        yield visit
        if visit["VISCODE2"] == "bl" and visit["RID"] % 3 == 0:
            yield visit | {"VISCODE": "nv", "VISCODE2": "nv", "EXAMDATE": None, "CDGLOBAL": None}


def place_of_today(person: Participant, visit: Visit, scan: Scan) -> SeriesPlace:
    """Return where a scan's series lies; every fifth folder is named after the series, not the image."""
    place = series_place(person, visit, scan)
    if scan.seed % 5 == 1:
        return replace(place, folder=place.folder.with_name(f"S{scan.series_id}"))
    return place


def write_companions(
    images: Path, person: Participant, visit: Visit, scan: Scan, rendered: SimulatedScan
) -> None:
    """Write what comes with some series: the pre-processed copy, which is the same volume, and metadata."""
    place = place_of_today(person, visit, scan)
    if has_processed_file(person, visit, scan):
        number, sequence = processed_number(person, visit, scan), folder_name(PROCESSED_DESCRIPTION)
        folder = images / person.subject / sequence / place.folder.parent.name / f"I{number}"
        folder.mkdir(parents=True)
        stamp = f"{place.time:%Y%m%d%H%M%S000}_S{scan.series_id}_I{number}"
        image = nibabel.Nifti1Image(rendered.volume, rendered.affine)
        image.header["descrip"] = SIMULATED_MARK.encode()
        nibabel.save(image, folder / f"{person.cohort}_{person.subject}_MR_{sequence}_Br_{stamp}.nii")
    # archives of metadata hold them in the folders of the series or all in one
    target = {1: images, 2: images / place.folder}.get(scan.seed % 3)
    if target is not None:
        sequence = folder_name(scan.sequence)
        words = {"series": scan.series_id, "image": scan.image_uid, "description": escape(scan.sequence)}
        words |= {"subject": person.subject, "date": visit.date.isoformat(), "mark": SIMULATED_MARK}
        text = _METADATA.format(**words)
        write_text(target / f"{person.cohort}_{person.subject}_{sequence}_{place.image_id}.xml", text)


def write_collection(images: Path, participants: Sequence[Participant]) -> None:
    """Write the list of a collection at the root of the images folder: what the download holds."""
    there = [image for image in listed_images(participants) if image["on_disk"]]
    table = pandas.DataFrame(there, columns=_COLLECTION_COLUMNS)
    table.to_csv(images / COLLECTION, index=False, lineterminator="\n")
