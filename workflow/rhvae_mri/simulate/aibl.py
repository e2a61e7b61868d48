"""The study tables of a simulated AIBL download.

Names and columns are those of the tables that LONI offers and that Clinica reads. AIBL writes -4 for
what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas

from rhvae_mri.simulate.records import Participant, Visit

#: The release whose name the tables carry.
_RELEASE = "01-Jun-2018"
_MISSING = "-4"
_DIAGNOSIS_CODE = {"CN": 1, "MCI": 2, "AD": 3}

#: The PET tables hold no rows here; their readers expect this many columns.
_PET_COLUMNS = 36

Row = dict[str, object]


def study_tables(participants: Sequence[Participant]) -> dict[str, pandas.DataFrame]:
    """Return the study tables of a cohort."""
    tables = {
        "ptdemog": pandas.DataFrame([_demography(person) for person in participants]),
        "apoeres": pandas.DataFrame([_genotype(person) for person in participants]),
        "pdxconv": _visit_table(participants, _diagnosis),
        "mmse": _visit_table(participants, _mmse),
        "cdr": _visit_table(participants, _cdr),
        "neurobat": _visit_table(participants, _examination),
        "mrimeta": _scan_table(participants, high_field=False),
        "mri3meta": _scan_table(participants, high_field=True),
        **dict.fromkeys(("av45meta", "pibmeta", "flutemeta"), _empty_pet_table()),
    }
    return {f"aibl_{name}_{_RELEASE}.csv": table for name, table in tables.items()}


def visit_code(month: int) -> str:
    """Return AIBL's code of a visit."""
    return "bl" if month == 0 else f"m{month}"


def _date(visit: Visit) -> str:
    return visit.date.strftime("%m/%d/%Y")


def _demography(person: Participant) -> Row:
    first = person.visits[0].date
    return {
        **_identity(person, person.visits[0]),
        "PTGENDER": {"M": 1, "F": 2}[person.sex],
        # AIBL gives the year alone, and Clinica subtracts it from the year of the examination.
        "PTDOB": f"/{first.year - round(person.age)}",
    }


def _genotype(person: Participant) -> Row:
    alleles = [3] * (2 - person.apoe4_alleles) + [4] * person.apoe4_alleles
    return {**_identity(person, person.visits[0]), "APGEN1": alleles[0], "APGEN2": alleles[1]}


def _identity(person: Participant, visit: Visit) -> Row:
    return {"RID": int(person.subject), "SITEID": person.site, "VISCODE": visit_code(visit.month)}


def _visit_table(participants: Sequence[Participant], values: Callable[[Visit], Row]) -> pandas.DataFrame:
    return pandas.DataFrame(
        [{**_identity(person, visit), **values(visit)} for person in participants for visit in person.visits]
    )


def _diagnosis(visit: Visit) -> Row:
    return {"DXCURREN": _DIAGNOSIS_CODE[visit.diagnosis]}


def _mmse(visit: Visit) -> Row:
    return {"EXAMDATE": _date(visit), "MMSCORE": visit.mmse}


def _cdr(visit: Visit) -> Row:
    return {"EXAMDATE": _date(visit), "CDGLOBAL": visit.cdr}


def _examination(visit: Visit) -> Row:
    return {"EXAMDATE": _date(visit), "LIMMTOTAL": _MISSING, "LDELTOTAL": _MISSING}


def _scan_table(participants: Sequence[Participant], *, high_field: bool) -> pandas.DataFrame:
    """Return the dates of the scans at 3 T or at 1.5 T; other visits have a row without a date."""
    rows = []
    for person in participants:
        for visit in person.visits:
            scanned = any((scan.field_strength > 2) == high_field for scan in visit.scans)
            rows.append({**_identity(person, visit), "EXAMDATE": _date(visit) if scanned else _MISSING})
    table = pandas.DataFrame(rows)
    # Clinica 0.12 stops at a table in which every date is missing.
    return table if (table["EXAMDATE"] != _MISSING).any() else table[:0]


def _empty_pet_table() -> pandas.DataFrame:
    columns = ["RID", "SITEID", "VISCODE", "EXAMDATE"]
    columns += [f"FIELD{number}" for number in range(len(columns), _PET_COLUMNS)]
    return pandas.DataFrame(columns=columns)
