"""The images of a simulated ADNI archive of today: those of the cohort's visits, and what came to lie beside.

Sequences of ADNI 3 have several names, scans of earlier phases have a pre-processed copy as NIfTI, and ADNI 4
has begun. What a participant has of all this depends on the participant alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rhvae_mri.simulate.records import Participant, Scan, Visit
from rhvae_mri.simulate.truth import chosen_scan
from rhvae_mri.study.seeds import derive_seed

#: Name of the images that the study's own pipeline has made of scans.
PROCESSED_DESCRIPTION = "MPR; GradWarp; B1 Correction; N3; Scaled"

_PROCESSED_PHASES = ("ADNI1", "ADNIGO", "ADNI2")
_ACCELERATED = "Accelerated Sagittal MPRAGE"
_ACCELERATED_TODAY = ("CS/HS Sagittal MPRAGE (MSV22)", _ACCELERATED, "Accelerated Sag IR-FSPGR")

#: What is added to the numbers of a scan for those of its processed copy, and of its copies in ADNI 4; larger
#: than every number of a simulated ADNI cohort.
_PROCESSED_NUMBERS, _ROLLOVER_NUMBERS, _NEWCOMER_NUMBERS = 200_000, 400_000, 600_000

_ADNI4_SUBJECT, _ADNI4_SITE = "033_S_10123", 33
_ADNI4_YEAR = 2023


@dataclass(frozen=True)
class FourthPhase:
    """Who has come to ADNI 4: a person with a scan that is copied, at a further visit, and somebody new."""

    copied: int
    rollover: Participant
    visit: Visit
    newcomer: Participant


@dataclass(frozen=True)
class ListedImage:
    """One row of the archive's list of images."""

    person: Participant
    phase: str
    visit: Visit
    image_uid: int
    series_id: int
    description: str
    processed: bool
    on_disk: bool


def rename_sequences(participants: Sequence[Participant]) -> list[Participant]:
    """Return the same participants, with the names that sequences of ADNI 3 have in today's archive."""
    return [_rename_sequences(person) if person.phase == "ADNI3" else person for person in participants]


def _rename_sequences(person: Participant) -> Participant:
    today = _ACCELERATED_TODAY[person.roster_number % len(_ACCELERATED_TODAY)]

    def rename(scan: Scan) -> Scan:
        return replace(scan, sequence=scan.sequence.replace(_ACCELERATED, today))

    visits = (replace(visit, scans=tuple(map(rename, visit.scans))) for visit in person.visits)
    return replace(person, visits=tuple(visits))


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


def listed_images(participants: Sequence[Participant]) -> list[ListedImage]:
    """Return the images of the archive, those that the download does not hold included."""
    visits = [(person, person.phase, visit) for person in participants for visit in person.visits]
    later = fourth_phase(participants)
    if later is not None:
        new = ((later.rollover, later.visit), (later.newcomer, later.newcomer.visits[0]))
        visits += [(person, "ADNI4", visit) for person, visit in new]
    images = []
    for person, phase, visit in visits:
        for scan in visit.scans:
            names = (scan.image_uid, scan.series_id, scan.sequence)
            images.append(ListedImage(person, phase, visit, *names, processed=False, on_disk=scan.on_disk))
            # the visits of ADNI 4 are not among the person's own
            number = processed_number(person, visit, scan) if phase in _PROCESSED_PHASES else None
            if number is not None:
                names = (number, scan.series_id, PROCESSED_DESCRIPTION)
                there = has_processed_file(person, visit, scan)
                images.append(ListedImage(person, phase, visit, *names, processed=True, on_disk=there))
    return images
