"""The study tables of a simulated ADNI download, in the form that Clinica reads.

They are named as LONI did until 2024; `rhvae_mri.simulate.adni_today` has the present ones. Columns that the
study does not use hold plausible random numbers, or nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import numpy
import pandas

from rhvae_mri.simulate.records import Participant, Visit
from rhvae_mri.study.seeds import derive_seed

#: How ADNIMERGE writes a diagnosis, and the first one, and how the table of diagnoses does.
_MERGE_DIAGNOSIS = {"CN": "CN", "MCI": "MCI", "AD": "Dementia"}
BASELINE_DIAGNOSIS = {"CN": "CN", "MCI": "LMCI", "AD": "AD"}
_DIAGNOSIS_CODE = {"CN": 1, "MCI": 2, "AD": 3}

#: Mean and standard deviation by diagnosis: ADAS-Cog 11, ADAS-Cog 13, delayed word recall, FAQ, MoCA,
#: RAVLT immediate recall, Trails B in seconds; the usual size of the scores in these groups.
_SCORES = {
    "CN": ((6, 3), (9, 4), (3, 2), (0.5, 1), (26, 2), (45, 9), (85, 35)),
    "MCI": ((10, 4), (17, 6), (6, 2), (3, 3), (23, 3), (34, 10), (120, 60)),
    "AD": ((20, 6), (30, 7), (9, 1), (13, 6), (17, 4), (23, 7), (200, 80)),
}
_SCORE_LIMITS = ((0, 70), (0, 85), (0, 10), (0, 30), (0, 30), (0, 75), (20, 300))
_COMPOSITE = {"CN": 0.0, "MCI": -5.0, "AD": -14.0}

#: Sum of boxes that goes with a global CDR: lowest and highest.
_SUM_OF_BOXES = {0.0: (0, 0), 0.5: (0.5, 4), 1.0: (4.5, 9), 2.0: (9.5, 15.5), 3.0: (16, 18)}

#: What the simulation does not have.
_ABSENT = (
    *("FDG", "PIB", "AV45", "ABETA", "TAU", "PTAU", "Ventricles", "Hippocampus", "WholeBrain"),
    *("Entorhinal", "Fusiform", "MidTemp", "ICV"),
)

#: From this month on, ADNI 1 visits are named after ADNI-GO alone.
_ADNIGO_MONTH = 54

#: What is known of a participant, a visit or a scan, under the names that most tables have for it.
Facts = dict[str, Any]


def study_tables(participants: Sequence[Participant], seed: int) -> dict[str, pandas.DataFrame]:
    """Return the study tables by file name; scores depend on the seed and the participant alone."""
    visits = [facts_of(person, visit) for person in participants for visit in person.visits]
    # the screening has a row of its own, with the diagnosis of the first visit
    diagnoses = [
        facts_of(person, visit) | {"VISCODE": code}
        for person in participants
        for code, visit in [("sc", person.visits[0]), *((visit_code(v.month), v) for v in person.visits)]
    ]
    diagnosis = table_of(diagnoses, "Phase=PHASE RID PTID SITEID VISCODE VISCODE2=VISCODE EXAMDATE DIAGNOSIS")
    # Real tables hold visits twice, at the change from one phase to the next, and Clinica 0.12 relies on it.
    diagnosis = pandas.concat([diagnosis, diagnosis.iloc[[0]].assign(Phase="ADNI2")])
    genotypes = [facts_of(person, person.visits[0]) | {"VISCODE": "sc"} for person in participants]
    scans = scan_facts(participants)
    return {
        "ADNIMERGE.csv": pandas.DataFrame([row for person in participants for row in _merge(person, seed)]),
        "DXSUM_PDXCONV_ADNIALL.csv": diagnosis.sort_values(["PTID", "VISCODE2"], ignore_index=True),
        "CDR.csv": table_of(visits, "Phase=PHASE RID PTID VISCODE VISCODE2=VISCODE EXAMDATE CDGLOBAL"),
        "APOERES.csv": table_of(genotypes, "Phase=PHASE RID VISCODE APTESTDT=EXAMDATE APGEN1 APGEN2"),
        "MPRAGEMETA.csv": table_of(
            scans,
            "Orig/Proc SubjectID=PTID Visit MagStrength=field_strength Sequence ScanDate=EXAMDATE "
            "StudyID=loni_study SeriesID ImageUID",
        ),
        "MRIQUALITY.csv": table_of(low_field(scans), "RID VISCODE EXAMDATE LONIUID PASS"),
        "MAYOADIRL_MRI_IMAGEQC_05_07_15.csv": mayo_table(scans),
    }


def facts_of(person: Participant, visit: Visit) -> Facts:
    """Return what tables say of a participant at a visit."""
    return {
        "PHASE": person.phase,
        "PTID": person.subject,
        "RID": person.roster_number,
        "SITEID": person.site,
        "VISCODE": visit_code(visit.month),
        "EXAMDATE": visit.date,
        "DIAGNOSIS": _DIAGNOSIS_CODE[visit.diagnosis],
        "CDGLOBAL": visit.cdr,
        "MMSCORE": visit.mmse,
        "APGEN1": 4 if person.apoe4_alleles > 1 else 3,
        "APGEN2": 4 if person.apoe4_alleles else 3,
        # any number of a scanning session will do that no other has
        "loni_study": (visit.date - datetime.date(2000, 1, 1)).days * 10_000 + person.roster_number,
    }


def scan_facts(participants: Iterable[Participant]) -> list[Facts]:
    """Return what tables say of each scan."""
    rows = []
    for person in participants:
        for visit, scan in person.scans():
            selected = next((each for each in visit.scans if each.field_strength > 2 and each.usable), None)
            own = {
                "Orig/Proc": "Original",
                "Visit": scan_visit_name(person.phase, visit.month),
                "Sequence": scan.sequence,
                "SeriesID": scan.series_id,
                "ImageUID": scan.image_uid,
                "LONIUID": f"S{scan.series_id}",
                "PASS": int(scan.usable),
                "loni_image": f"I{scan.image_uid}",
                "series_type": "T1",
                "series_quality": 2 if scan.usable else 4,
                "series_selected": int(scan == selected),
                "field_strength": scan.field_strength,
            }
            rows.append(facts_of(person, visit) | own)
    return rows


def table_of(rows: Iterable[Facts], columns: str) -> pandas.DataFrame:
    """Return a table; a column is the name of a fact, or ``NAME=fact``."""
    facts = {name: fact or name for name, _, fact in (column.partition("=") for column in columns.split())}
    return pandas.DataFrame([[row[fact] for fact in facts.values()] for row in rows], columns=list(facts))


def low_field(scans: Iterable[Facts]) -> list[Facts]:
    """Return the scans at 1.5 T, which ADNI 1 checked itself."""
    return [scan for scan in scans if scan["field_strength"] == 1.5]


def mayo_table(scans: Iterable[Facts]) -> pandas.DataFrame:
    """Return the Mayo Clinic's check of the scans at 3 T: 1 is excellent, 4 unusable; one is selected."""
    return table_of(
        [scan for scan in scans if scan["field_strength"] != 1.5],
        "RID loni_study loni_series=LONIUID loni_image series_date=EXAMDATE series_type "
        "series_description=Sequence series_quality series_selected field_strength",
    )


def visit_code(month: int) -> str:
    """Return ADNI's code of a visit, such as ``bl`` or ``m06``."""
    return "bl" if month == 0 else f"m{month:02d}"


def scan_visit_name(phase: str, month: int) -> str:
    """Return the name of a visit in the list of scans, which differs from phase to phase."""
    if month == 0:
        names = {"ADNIGO": "ADNIGO Screening MRI", "ADNI2": "ADNI2 Screening MRI-New Pt"}
        return names.get(phase, "ADNI Screening")
    if phase in ("ADNI1", "ADNIGO"):
        return f"{'ADNI1/GO' if month < _ADNIGO_MONTH else 'ADNIGO'} Month {month}"
    return f"{phase} Month {month}-New Pt" if month % 12 else f"{phase} Year {month // 12} Visit"


def marital_status(person: Participant, seed: int) -> tuple[str, numpy.random.Generator]:
    """Draw the marital status, and return the generator from which ADNIMERGE goes on to draw scores."""
    random = numpy.random.default_rng(derive_seed(seed, "ADNIMERGE", person.subject))
    return str(random.choice(["Married", "Widowed", "Divorced"], p=[0.75, 0.15, 0.10])), random


def _merge(person: Participant, seed: int) -> list[Facts]:
    """Return the rows of ADNIMERGE."""
    married, random = marital_status(person, seed)
    clinical = [_clinical(visit, random) for visit in person.visits]
    first = person.visits[0]
    return [
        {
            "RID": person.roster_number,
            "COLPROT": person.phase,
            "ORIGPROT": person.phase,
            "PTID": person.subject,
            "SITE": person.site,
            "VISCODE": visit_code(visit.month),
            "EXAMDATE": visit.date,
            "DX_bl": BASELINE_DIAGNOSIS[first.diagnosis],
            "AGE": round(person.age, 1),
            "PTGENDER": {"M": "Male", "F": "Female"}[person.sex],
            "PTEDUCAT": person.education_years,
            "PTETHCAT": "Unknown",
            "PTRACCAT": "Unknown",
            "PTMARRY": married,
            "APOE4": person.apoe4_alleles,
            **scores,
            "DX": _MERGE_DIAGNOSIS[visit.diagnosis],
            "EXAMDATE_bl": first.date,
            **{f"{name}_bl": value for name, value in clinical[0].items()},
            "Years_bl": round((visit.date - first.date).days / 365.25, 2),
            "Month": visit.month,
            "M": visit.month,
        }
        for visit, scores in zip(person.visits, clinical, strict=True)
    ]


def _clinical(visit: Visit, random: numpy.random.Generator) -> Facts:
    """Return the scores of a visit; what the simulation does not have stays empty."""
    adas11, adas13, recall, faq, moca, ravlt, trails = (
        int(numpy.clip(round(random.normal(mean, sd)), *limits))
        for (mean, sd), limits in zip(_SCORES[visit.diagnosis], _SCORE_LIMITS, strict=True)
    )
    low, high = _SUM_OF_BOXES[visit.cdr]
    return {
        **dict.fromkeys(_ABSENT),
        "CDRSB": low + 0.5 * random.integers(0, int(2 * (high - low)) + 1),
        "ADAS11": adas11,
        "ADAS13": adas13,
        "ADASQ4": recall,
        "MMSE": visit.mmse,
        "RAVLT_immediate": ravlt,
        "TRABSCOR": trails,
        "FAQ": faq,
        "MOCA": moca,
        "mPACCdigit": round(random.normal(_COMPOSITE[visit.diagnosis], 3), 4),
        "mPACCtrailsB": round(random.normal(_COMPOSITE[visit.diagnosis], 3), 4),
    }
