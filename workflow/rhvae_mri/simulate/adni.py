"""The study tables of a simulated ADNI download, in the form that Clinica reads.

Names and columns are those of the tables that LONI offered until 2024; `rhvae_mri.simulate.adni_today` has
the present ones. Columns that the study does not use hold plausible random numbers, or nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

import numpy
import pandas

from rhvae_mri.seeds import derive_seed
from rhvae_mri.simulate.records import Participant, Scan, Visit

#: How ADNIMERGE writes a diagnosis.
_MERGE_DIAGNOSIS = {"CN": "CN", "MCI": "MCI", "AD": "Dementia"}
_BASELINE_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "AD": "AD"}

#: How the table of diagnoses writes them.
DIAGNOSIS_CODE = {"CN": 1, "MCI": 2, "AD": 3}

#: Mean and standard deviation by diagnosis: ADAS-Cog 11, ADAS-Cog 13, delayed word recall, FAQ, MoCA,
#: RAVLT immediate recall, Trails B in seconds; the usual size of the scores in these groups.
_SCORES = {
    "CN": ((6, 3), (9, 4), (3, 2), (0.5, 1), (26, 2), (45, 9), (85, 35)),
    "MCI": ((10, 4), (17, 6), (6, 2), (3, 3), (23, 3), (34, 10), (120, 60)),
    "AD": ((20, 6), (30, 7), (9, 1), (13, 6), (17, 4), (23, 7), (200, 80)),
}
_SCORE_LIMITS = ((0, 70), (0, 85), (0, 10), (0, 30), (0, 30), (0, 75), (20, 300))

#: Sum of boxes that goes with a global CDR: lowest and highest.
_SUM_OF_BOXES = {0.0: (0, 0), 0.5: (0.5, 4), 1.0: (4.5, 9), 2.0: (9.5, 15.5), 3.0: (16, 18)}

# The tables of scans may have no rows.
_SCAN_COLUMNS = (
    *("Orig/Proc", "SubjectID", "Visit", "MagStrength", "Sequence"),
    *("ScanDate", "StudyID", "SeriesID", "ImageUID"),
)
_QUALITY_COLUMNS = ("RID", "VISCODE", "EXAMDATE", "LONIUID", "PASS")
_MAYO_COLUMNS = (
    *("RID", "loni_study", "loni_series", "loni_image", "series_date", "series_type"),
    *("series_description", "series_quality", "series_selected", "field_strength"),
)

Row = dict[str, object]

#: From this month on, ADNI 1 visits are named after ADNI-GO alone.
_ADNIGO_MONTH = 54


def study_tables(participants: Sequence[Participant], seed: int) -> dict[str, pandas.DataFrame]:
    """Return the study tables of a cohort."""
    return {
        "ADNIMERGE.csv": merge_table(participants, seed),
        "DXSUM_PDXCONV_ADNIALL.csv": _diagnosis_table(participants),
        "CDR.csv": table_of(_cdr_rows(person) for person in participants),
        "APOERES.csv": table_of(_genotype_rows(person) for person in participants),
        "MPRAGEMETA.csv": table_of((_scan_rows(person) for person in participants), _SCAN_COLUMNS),
        "MRIQUALITY.csv": table_of((_quality_rows(person) for person in participants), _QUALITY_COLUMNS),
        "MAYOADIRL_MRI_IMAGEQC_05_07_15.csv": mayo_table(participants),
    }


def merge_table(participants: Sequence[Participant], seed: int) -> pandas.DataFrame:
    """Return ADNIMERGE: a row for each visit."""
    return table_of(_merge_rows(person, seed) for person in participants)


def mayo_table(participants: Sequence[Participant]) -> pandas.DataFrame:
    """Return the Mayo Clinic's check of the scans at 3 T: 1 is excellent, 4 unusable; one is selected."""
    return table_of((_mayo_rows(person) for person in participants), _MAYO_COLUMNS)


def visit_code(month: int) -> str:
    """Return ADNI's code of a visit."""
    return "bl" if month == 0 else f"m{month:02d}"


def scan_visit_name(phase: str, month: int) -> str:
    """Return the name of a visit in the list of scans, which differs from phase to phase."""
    if month == 0:
        names = {"ADNIGO": "ADNIGO Screening MRI", "ADNI2": "ADNI2 Screening MRI-New Pt"}
        return names.get(phase, "ADNI Screening")
    if phase in ("ADNI1", "ADNIGO"):
        return f"{'ADNI1/GO' if month < _ADNIGO_MONTH else 'ADNIGO'} Month {month}"
    if month % 12:
        return f"{phase} Month {month}-New Pt"
    return f"{phase} Year {month // 12} Visit"


def table_of(blocks: Iterable[list[Row]], columns: Sequence[str] | None = None) -> pandas.DataFrame:
    """Return a table; ``columns`` is needed where there may be no rows."""
    return pandas.DataFrame([row for block in blocks for row in block], columns=columns)


def roster_number(participant: Participant) -> int:
    """Return the roster number (RID): the last digits of the subject."""
    return int(participant.subject.split("_")[-1])


def _merge_rows(person: Participant, seed: int) -> list[Row]:
    random = numpy.random.default_rng(derive_seed(seed, "ADNIMERGE", person.subject))
    married = _draw_marital_status(random)
    clinical = [_clinical(visit, random) for visit in person.visits]
    first = person.visits[0]
    baseline = {f"{name}_bl": value for name, value in clinical[0].items()}
    return [
        {
            "RID": roster_number(person),
            "COLPROT": person.phase,
            "ORIGPROT": person.phase,
            "PTID": person.subject,
            "SITE": person.site,
            "VISCODE": visit_code(visit.month),
            "EXAMDATE": visit.date,
            "DX_bl": _BASELINE_DIAGNOSIS[first.diagnosis],
            "AGE": round(person.age, 1),
            "PTGENDER": {"M": "Male", "F": "Female"}[person.sex],
            "PTEDUCAT": person.education_years,
            "PTETHCAT": "Unknown",
            "PTRACCAT": "Unknown",
            "PTMARRY": married,
            "APOE4": person.apoe4_alleles,
            **clinical[number],
            "DX": _MERGE_DIAGNOSIS[visit.diagnosis],
            "EXAMDATE_bl": first.date,
            **baseline,
            "Years_bl": round((visit.date - first.date).days / 365.25, 2),
            "Month": visit.month,
            "M": visit.month,
        }
        for number, visit in enumerate(person.visits)
    ]


def marital_status(person: Participant, seed: int) -> str:
    """Return the marital status that ADNIMERGE has: ``Married``, ``Widowed`` or ``Divorced``."""
    return _draw_marital_status(numpy.random.default_rng(derive_seed(seed, "ADNIMERGE", person.subject)))


def _draw_marital_status(random: numpy.random.Generator) -> str:
    return str(random.choice(["Married", "Widowed", "Divorced"], p=[0.75, 0.15, 0.10]))


def _clinical(visit: Visit, random: numpy.random.Generator) -> Row:
    """Return the scores of a visit; what the simulation does not have stays empty."""
    scores = [
        int(numpy.clip(round(random.normal(mean, sd)), *limits))
        for (mean, sd), limits in zip(_SCORES[visit.diagnosis], _SCORE_LIMITS, strict=True)
    ]
    low, high = _SUM_OF_BOXES[visit.cdr]
    boxes = low + 0.5 * random.integers(0, int(2 * (high - low)) + 1)
    composite = {"CN": 0.0, "MCI": -5.0, "AD": -14.0}[visit.diagnosis]
    measured = {
        "CDRSB": boxes,
        "ADAS11": scores[0],
        "ADAS13": scores[1],
        "ADASQ4": scores[2],
        "MMSE": visit.mmse,
        "RAVLT_immediate": scores[5],
        "TRABSCOR": scores[6],
        "FAQ": scores[3],
        "MOCA": scores[4],
        "mPACCdigit": round(random.normal(composite, 3), 4),
        "mPACCtrailsB": round(random.normal(composite, 3), 4),
    }
    absent = (
        *("FDG", "PIB", "AV45", "ABETA", "TAU", "PTAU", "Ventricles", "Hippocampus", "WholeBrain"),
        *("Entorhinal", "Fusiform", "MidTemp", "ICV"),
    )
    return {**dict.fromkeys(absent), **measured}


def _diagnosis_table(participants: Sequence[Participant]) -> pandas.DataFrame:
    table = table_of(_diagnosis_rows(person) for person in participants)
    # Real tables hold visits twice, at the change from one phase to the next, and Clinica 0.12 relies on it.
    twice = table.iloc[[0]].assign(Phase="ADNI2")
    return pandas.concat([table, twice]).sort_values(["PTID", "VISCODE2"], ignore_index=True)


def _diagnosis_rows(person: Participant) -> list[Row]:
    codes = [("sc", person.visits[0]), *((visit_code(visit.month), visit) for visit in person.visits)]
    return [
        {
            "Phase": person.phase,
            "RID": roster_number(person),
            "PTID": person.subject,
            "SITEID": person.site,
            "VISCODE": code,
            "VISCODE2": code,
            "EXAMDATE": visit.date,
            "DIAGNOSIS": DIAGNOSIS_CODE[visit.diagnosis],
        }
        for code, visit in codes
    ]


def _cdr_rows(person: Participant) -> list[Row]:
    return [
        {
            "Phase": person.phase,
            "RID": roster_number(person),
            "PTID": person.subject,
            "VISCODE": visit_code(visit.month),
            "VISCODE2": visit_code(visit.month),
            "EXAMDATE": visit.date,
            "CDGLOBAL": visit.cdr,
        }
        for visit in person.visits
    ]


def alleles(person: Participant) -> tuple[int, int]:
    """Return the two alleles of the gene APOE."""
    return (4 if person.apoe4_alleles > 1 else 3, 4 if person.apoe4_alleles else 3)


def _genotype_rows(person: Participant) -> list[Row]:
    first, second = alleles(person)
    return [
        {
            "Phase": person.phase,
            "RID": roster_number(person),
            "VISCODE": "sc",
            "APTESTDT": person.visits[0].date,
            "APGEN1": first,
            "APGEN2": second,
        }
    ]


def _scans(person: Participant) -> Iterable[tuple[Visit, Scan]]:
    return ((visit, scan) for visit in person.visits for scan in visit.scans)


def study_number(person: Participant, visit: Visit) -> int:
    """Return the number of a scanning session: any number will do that no other session has."""
    days = (visit.date - datetime.date(2000, 1, 1)).days
    return days * 10_000 + roster_number(person)


def _scan_rows(person: Participant) -> list[Row]:
    return [
        {
            "Orig/Proc": "Original",
            "SubjectID": person.subject,
            "Visit": scan_visit_name(person.phase, visit.month),
            "MagStrength": scan.field_strength,
            "Sequence": scan.sequence,
            "ScanDate": visit.date,
            "StudyID": study_number(person, visit),
            "SeriesID": scan.series_id,
            "ImageUID": scan.image_uid,
        }
        for visit, scan in _scans(person)
    ]


def _quality_rows(person: Participant) -> list[Row]:
    """Return ADNI 1's own check of the scans at 1.5 T."""
    return [
        {
            "RID": roster_number(person),
            "VISCODE": visit_code(visit.month),
            "EXAMDATE": visit.date,
            "LONIUID": f"S{scan.series_id}",
            "PASS": int(scan.usable),
        }
        for visit, scan in _scans(person)
        if scan.field_strength < 2
    ]


def _mayo_rows(person: Participant) -> list[Row]:
    rows: list[Row] = []
    for visit in person.visits:
        checked = [scan for scan in visit.scans if scan.field_strength > 2]
        selected = next((scan for scan in checked if scan.usable), None)
        rows += [
            {
                "RID": roster_number(person),
                "loni_study": study_number(person, visit),
                "loni_series": f"S{scan.series_id}",
                "loni_image": f"I{scan.image_uid}",
                "series_date": visit.date,
                "series_type": "T1",
                "series_description": scan.sequence,
                "series_quality": 2 if scan.usable else 4,
                "series_selected": int(scan == selected),
                "field_strength": scan.field_strength,
            }
            for scan in checked
        ]
    return rows
