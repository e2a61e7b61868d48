"""The study tables of a simulated ADNI download of today.

Since 2024 there is no list of scans with the names of visits, the names of other tables have changed, and
most carry the prefix of LONI's "ARC Builder" and the date of the download. ADNIMERGE is rarely to be had.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas

from rhvae_mri.simulate.adni import (
    DIAGNOSIS_CODE,
    Row,
    alleles,
    marital_status,
    mayo_table,
    merge_table,
    roster_number,
    study_number,
    table_of,
    visit_code,
)
from rhvae_mri.simulate.adni_archive import FourthPhase, fourth_phase, listed_images
from rhvae_mri.simulate.records import Participant, Visit

#: The day of the download.
DOWNLOAD_DATE = datetime.date(2026, 11, 28)

_PREFIX = "All_Subjects_"
_DAYS_PER_YEAR = 365.25

#: The parts of a first visit, by VISCODE2; each has a row of its own.
_FIRST_VISIT = {"ADNIGO": ("sc", "scmri", "bl"), "ADNI2": ("sc", "scmri", "bl")}
_ADNI2_CODES = {"sc": "v01", "scmri": "v02", "bl": "v03", "m03": "v04", "m06": "v05"}

#: How the archive writes the phases.
_PHASE_NAMES = {
    "ADNI1": "ADNI 1",
    "ADNIGO": "ADNI GO",
    "ADNI2": "ADNI 2",
    "ADNI3": "ADNI 3",
    "ADNI4": "ADNI 4",
}
_SEX_CODE = {"M": 1, "F": 2}
_MARITAL_CODE = {"Married": 1, "Widowed": 2, "Divorced": 3}
_UNKNOWN_ETHNICITY = 3

#: Odd rows of the registry, by the remainder of the roster number: VISCODE2, and days since the first visit,
#: or None where the visit did not take place.
_ODD_VISITS: dict[int, tuple[str, int | None]] = {
    1: ("uns1", 91),
    2: ("f", -28),
    3: ("", 182),
    4: ("nv", None),
}
_ODD_NUMBERS = 8

# The tables of scans may have no rows.
_QUALITY_COLUMNS = ("PHASE", "PTID", "RID", "VISCODE", "VISCODE2", "EXAMDATE", "LONIUID", "PASS")
_IMAGE_COLUMNS = (
    *("image_id", "subject_id", "phase", "study_id"),
    *("image_type", "image_date", "image_description"),
)


@dataclass(frozen=True)
class _Attendance:
    """A visit, or a part of one, that has a code."""

    person: Participant
    phase: str
    visit: Visit
    code: str
    code2: str

    def identity(self) -> Row:
        return {**_identity(self.person, self.phase), "VISCODE": self.code, "VISCODE2": self.code2}


def study_tables(
    participants: Sequence[Participant], seed: int, *, with_merge: bool = False
) -> dict[str, pandas.DataFrame]:
    """Return the study tables of a cohort."""
    later = fourth_phase(participants)
    everybody = [*participants, later.newcomer] if later else list(participants)
    attendances = [each for person in everybody for each in _attendances(person, later)]
    tables = {
        f"{_PREFIX}REGISTRY": _attendance_table(attendances, _registry_rows),
        f"{_PREFIX}PTDEMOG": table_of(_demography_rows(person, seed) for person in everybody),
        f"{_PREFIX}DXSUM": _attendance_table(attendances, _diagnosis_rows),
        f"{_PREFIX}MMSE": _attendance_table(attendances, _mmse_rows),
        f"{_PREFIX}CDR": _attendance_table(attendances, _cdr_rows),
        "APOERES": table_of(_genotype_rows(person) for person in everybody),
        "MRIPROT": table_of((_quality_rows(person) for person in participants), _QUALITY_COLUMNS),
        "MAYOADIRL_MRI_IMAGEQC_05_07_15": mayo_table(participants),
        f"{_PREFIX}All_Images": _image_table(participants),
        f"{_PREFIX}Manifest": _series_table(participants),
    }
    if with_merge:
        tables["ADNIMERGE"] = merge_table(participants, seed)
    date = DOWNLOAD_DATE.strftime("%d%b%Y")
    return {f"{name}_{date}.csv": table for name, table in tables.items()}


def code_in_phase(phase: str, code: str) -> str:
    """Return a phase's own code (VISCODE) of a visit, from the code that all phases share (VISCODE2)."""
    if phase == "ADNI4":
        return f"4_{code}"
    if not code.startswith("m") or phase in ("ADNI1", "ADNIGO"):
        return _ADNI2_CODES.get(code, code) if phase == "ADNI2" else code
    years, months = divmod(int(code[1:]), 12)
    if phase == "ADNI3":
        return f"y{years}"
    return _ADNI2_CODES.get(code, f"v{years}{1 + months // 6}")


def imaging_codes(person: Participant, phase: str, visit: Visit) -> tuple[str, str]:
    """Return VISCODE and VISCODE2 of the part of a visit at which scans are made."""
    if phase != person.phase:
        return "4_init", visit_code(visit.month)
    code = visit_code(visit.month) if visit.month else _first_visit(phase)[-2]
    return code_in_phase(phase, code), code


def baseline_diagnosis(person: Participant) -> str:
    """Return the diagnosis at the first visit as ADNI names its groups."""
    return {"CN": "CN", "MCI": "LMCI", "AD": "AD"}[person.visits[0].diagnosis]


def _first_visit(phase: str) -> tuple[str, ...]:
    return _FIRST_VISIT.get(phase, ("sc", "bl"))


def _attendances(person: Participant, later: FourthPhase | None) -> list[_Attendance]:
    attendances = []
    for visit in person.visits:
        codes = (visit_code(visit.month),) if visit.month else _first_visit(person.phase)
        attendances += [
            _Attendance(person, person.phase, visit, code_in_phase(person.phase, code), code)
            for code in codes
        ]
    if later is not None and person == later.rollover:
        codes = imaging_codes(person, "ADNI4", later.visit)
        attendances.append(_Attendance(person, "ADNI4", later.visit, *codes))
    return attendances


def _identity(person: Participant, phase: str) -> Row:
    return {"PHASE": phase, "PTID": person.subject, "RID": roster_number(person)}


def _attendance_table(
    attendances: Sequence[_Attendance], rows: Callable[[_Attendance], list[Row]]
) -> pandas.DataFrame:
    return table_of(rows(attendance) for attendance in attendances)


def _registry_rows(attendance: _Attendance) -> list[Row]:
    person = attendance.person
    site = {"SITEID": person.site}
    came = {"VISTYPE": "Standard", "RGCONDCT": 1, "EXAMDATE": attendance.visit.date}
    rows = [{**attendance.identity(), **came, **site}]
    number = roster_number(person) % _ODD_NUMBERS
    if attendance.code2 == "bl" and number in _ODD_VISITS:
        code, days = _ODD_VISITS[number]
        own_code = code_in_phase(attendance.phase, code or "tel")
        odd = {**_identity(person, attendance.phase), "VISCODE": own_code, "VISCODE2": code or None}
        if days is None:
            outcome: Row = {"VISTYPE": "Not done", "RGCONDCT": 0, "EXAMDATE": None}
        else:
            date = attendance.visit.date + datetime.timedelta(days)
            outcome = {"VISTYPE": "Unscheduled", "RGCONDCT": 1, "EXAMDATE": date}
        rows.append({**odd, **outcome, **site})
    return rows


def _demography_rows(person: Participant, seed: int) -> list[Row]:
    first = person.visits[0].date
    birth = first - datetime.timedelta(days=round(person.age * _DAYS_PER_YEAR))
    return [
        {
            **_identity(person, person.phase),
            "VISCODE": code_in_phase(person.phase, "sc"),
            "VISCODE2": "sc",
            "VISDATE": first,
            "PTGENDER": _SEX_CODE[person.sex],
            "PTDOB": birth.strftime("%m/%Y"),
            "PTDOBYY": birth.year,
            "PTEDUCAT": person.education_years,
            "PTMARRY": _MARITAL_CODE[marital_status(person, seed)],
            "PTETHCAT": _UNKNOWN_ETHNICITY,
        }
    ]


def _diagnosis_rows(attendance: _Attendance) -> list[Row]:
    # ADNI 3 gives its first diagnosis at the screening, the earlier phases at both parts of the first visit
    if attendance.code2 == "scmri" or (attendance.phase == "ADNI3" and attendance.code2 == "bl"):
        return []
    return [
        {
            **attendance.identity(),
            "EXAMDATE": attendance.visit.date,
            "DIAGNOSIS": float(DIAGNOSIS_CODE[attendance.visit.diagnosis]),
        }
    ]


def _mmse_rows(attendance: _Attendance) -> list[Row]:
    # the test belongs to the screening; some have it at the baseline too
    twice = roster_number(attendance.person) % 2 == 1
    if attendance.code2 == "scmri" or (attendance.code2 == "bl" and not twice):
        return []
    visit = attendance.visit
    return [{**attendance.identity(), "VISDATE": visit.date, "MMSCORE": visit.mmse}]


def _cdr_rows(attendance: _Attendance) -> list[Row]:
    if attendance.code2 == "scmri":
        return []
    visit = attendance.visit
    rows: list[Row] = [{**attendance.identity(), "VISDATE": visit.date, "CDGLOBAL": visit.cdr}]
    if attendance.code2 == "bl" and roster_number(attendance.person) % 3 == 0:
        not_done = {"VISCODE": "nv", "VISCODE2": "nv", "VISDATE": None, "CDGLOBAL": None}
        rows.append({**attendance.identity(), **not_done})
    return rows


def _genotype_rows(person: Participant) -> list[Row]:
    first, second = alleles(person)
    return [
        {
            **_identity(person, person.phase),
            "VISCODE": code_in_phase(person.phase, "sc"),
            "APTESTDT": person.visits[0].date,
            "GENOTYPE": f"{first}/{second}",
        }
    ]


def _quality_rows(person: Participant) -> list[Row]:
    """Return ADNI 1's own check of the scans at 1.5 T."""
    rows: list[Row] = []
    for visit in person.visits:
        code, code2 = imaging_codes(person, person.phase, visit)
        rows += [
            {
                **_identity(person, person.phase),
                "VISCODE": code,
                "VISCODE2": code2,
                "EXAMDATE": visit.date,
                "LONIUID": f"S{scan.series_id}",
                "PASS": int(scan.usable),
            }
            for scan in visit.scans
            if scan.field_strength < 2
        ]
    return rows


def _image_table(participants: Sequence[Participant]) -> pandas.DataFrame:
    rows: list[Row] = [
        {
            "image_id": image.image_uid,
            "subject_id": image.person.subject,
            "phase": _PHASE_NAMES[image.phase],
            "study_id": study_number(image.person, image.visit),
            "image_type": "Pre-processed" if image.processed else "Original",
            "image_date": image.visit.date,
            "image_description": image.description,
        }
        for image in listed_images(participants)
    ]
    return table_of([rows], _IMAGE_COLUMNS)


def _series_table(participants: Sequence[Participant]) -> pandas.DataFrame:
    rows: list[Row] = [
        {"image_id": image.image_uid, "series_id": image.series_id} for image in listed_images(participants)
    ]
    return table_of([rows], ("image_id", "series_id"))
