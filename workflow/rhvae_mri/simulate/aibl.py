"""The study tables of a simulated AIBL download, with LONI's names and columns that Clinica reads."""

from __future__ import annotations

from collections.abc import Sequence

import pandas

from rhvae_mri.simulate.records import Participant

#: The release whose name the tables carry, and AIBL's code of what is missing.
_RELEASE, _MISSING = "01-Jun-2018", "-4"
_DIAGNOSIS_CODE = {"CN": 1, "MCI": 2, "AD": 3}

#: The PET tables hold no rows here; their readers expect this many columns.
_PET_COLUMNS = 36


def study_tables(participants: Sequence[Participant]) -> dict[str, pandas.DataFrame]:
    """Return the study tables of a cohort, by file name."""
    visits = pandas.DataFrame(
        [
            {
                "RID": int(person.subject),
                "SITEID": person.site,
                "VISCODE": f"m{visit.month}" if visit.month else "bl",
                "PTGENDER": {"M": 1, "F": 2}[person.sex],
                # AIBL gives the year alone, and Clinica subtracts it from the year of the examination.
                "PTDOB": f"/{visit.date.year - round(person.age)}",
                "APGEN1": 3 if person.apoe4_alleles < 2 else 4,
                "APGEN2": 4 if person.apoe4_alleles else 3,
                "DXCURREN": _DIAGNOSIS_CODE[visit.diagnosis],
                "EXAMDATE": visit.date.strftime("%m/%d/%Y"),
                "MMSCORE": visit.mmse,
                "CDGLOBAL": visit.cdr,
                **dict.fromkeys(("LIMMTOTAL", "LDELTOTAL"), _MISSING),
                "mrimeta": any(scan.field_strength < 2 for scan in visit.scans),
                "mri3meta": any(scan.field_strength > 2 for scan in visit.scans),
            }
            for person in participants
            for visit in person.visits
        ]
    )
    first, key = visits.drop_duplicates("RID"), ["RID", "SITEID", "VISCODE"]
    tables = {
        "ptdemog": first[[*key, "PTGENDER", "PTDOB"]],
        "apoeres": first[[*key, "APGEN1", "APGEN2"]],
        "pdxconv": visits[[*key, "DXCURREN"]],
        "mmse": visits[[*key, "EXAMDATE", "MMSCORE"]],
        "cdr": visits[[*key, "EXAMDATE", "CDGLOBAL"]],
        "neurobat": visits[[*key, "EXAMDATE", "LIMMTOTAL", "LDELTOTAL"]],
    }
    for name in ("mrimeta", "mri3meta"):
        # a row without a date for a visit without such a scan; Clinica 0.12 stops at a table without any date
        dates = visits["EXAMDATE"].where(visits[name], _MISSING)
        tables[name] = visits[key].assign(EXAMDATE=dates)[: len(visits) * visits[name].any()]
    columns = [*key, "EXAMDATE", *(f"FIELD{number}" for number in range(len(key) + 1, _PET_COLUMNS))]
    tables |= dict.fromkeys(("av45meta", "pibmeta", "flutemeta"), pandas.DataFrame(columns=columns))
    return {f"aibl_{name}_{_RELEASE}.csv": table for name, table in tables.items()}
