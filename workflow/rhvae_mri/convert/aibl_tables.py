"""From the tables of an AIBL download to those that Clinica reads, in the one form that it understands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas

from rhvae_mri.convert.csv_tables import (
    CERTAIN_DATES,
    read_dates,
    read_integers,
    read_numbers,
    visit_code,
    visit_month,
)
from rhvae_mri.convert.study_tables import AIBL_TABLES, NOT_THERE, FoundTable, Ledger, TablesFolder

#: AIBL's code of what is missing, which Clinica knows.
_MISSING = "-4"

#: What is lost without a table. Without the others there are no participants, no diagnoses or no visits of
#: scans; of the tables of scans, one for each field strength (tesla), one may be empty.
_LOST = {
    "mmse": "the MMSE is not known",
    "cdr": "the clinical dementia rating is not known",
    "neurobat": "a visit that only this table dates has no age",
    "apoeres": "the genotype is not known",
}
_NEVER_EMPTY = ("ptdemog", "pdxconv")
_FIELD_STRENGTHS = {"mrimeta": 1.5, "mri3meta": 3.0}

#: Clinica looks for PET scans too, and reads this many columns of their tables.
_PET_TABLES, _PET_COLUMNS = ("av45meta", "pibmeta", "flutemeta"), 36

_COMMON = ["RID", "SITEID", "VISCODE", "EXAMDATE"]
_BIRTH = re.compile(r"(?:.*\D)?((?:18|19)\d\d)(?:\D.*)?")
_SEX = {"1": "1", "2": "2", "m": "1", "male": "1", "f": "2", "female": "2"}


def read_aibl_tables(folder: Path, ledger: Ledger) -> dict[str, pandas.DataFrame]:
    """Read the tables of an AIBL download, by the names (``ptdemog``, …) that Clinica reads."""
    tables = TablesFolder(folder, ledger)
    staged = {}
    for name, table in AIBL_TABLES.items():
        found = tables.take(table)
        if found:
            rows = staged[name] = _read_rows(found)
            if rows.empty and (name in _NEVER_EMPTY or len(found.content)):
                ledger.problems.append(f"the table {found.name} has no row that can be read: {table.place}")
            found.made(table.name, len(rows), "one row for each visit")
            continue
        staged[name] = pandas.DataFrame(columns=list(dict.fromkeys([*_COMMON, *table.columns])))
        if name in _LOST:
            ledger.note(table.name, _LOST[name], source=NOT_THERE)
        else:
            ledger.problems.append(tables.absence(table))
    # in the order of ptdemog: Clinica takes both for one table, row by row
    genotypes = staged["apoeres"][["RID", "APGEN1", "APGEN2"]].drop_duplicates("RID")
    staged["apoeres"] = staged["ptdemog"][["RID"]].merge(genotypes, on="RID", how="left").fillna(_MISSING)
    columns = [*_COMMON, *(f"FIELD{number}" for number in range(len(_COMMON), _PET_COLUMNS))]
    return staged | {name: pandas.DataFrame(columns=columns) for name in _PET_TABLES}


def stage_aibl_tables(tables: Mapping[str, pandas.DataFrame]) -> dict[str, pandas.DataFrame]:
    """Return the tables under the names of files that Clinica knows."""
    staged = {}
    for name, table in tables.items():
        # Clinica 0.12 stops at a table of scans in which every date is missing
        undated = name in _FIELD_STRENGTHS and (table["EXAMDATE"] == _MISSING).all()
        staged[f"aibl_{name}_staged"] = table[:0] if undated else table
    return staged


def read_scan_dates(tables: Mapping[str, pandas.DataFrame]) -> dict[tuple[str, str], tuple[str, float]]:
    """Return session and field strength (tesla) by participant and date (``YYYY-MM-DD``) of each scan."""
    promised: dict[tuple[str, str], tuple[str, float]] = {}
    for name, strength in _FIELD_STRENGTHS.items():
        dates = read_dates(tables[name]["EXAMDATE"], american=True)
        for subject, code, date in zip(tables[name]["RID"], tables[name]["VISCODE"], dates, strict=True):
            if date:
                promised.setdefault((subject, date), (f"ses-M{visit_month(code):03d}", strength))
    return promised


def _read_rows(found: FoundTable) -> pandas.DataFrame:
    """Bring the rows of a table into Clinica's form; one row for each participant and visit."""
    rows = found.content.copy()
    rows["RID"] = found.understood("RID", read_integers(rows["RID"]), "numbers")
    kept = rows["RID"] != ""
    found.left_out("RID", found["RID"][~kept], "a row of no participant")
    if "VISCODE" in rows:
        rows["VISCODE"] = rows["VISCODE"].map(visit_code)
        usual = rows["VISCODE"].map(visit_month).notna()
        found.left_out("VISCODE", rows["VISCODE"][kept & ~usual], "no visit with a month of its own")
        kept &= usual
    for column, (read, needed) in _READERS.items():
        if column in rows:
            values = found.understood(column, read(rows[column]), needed, private=column == "PTDOB")
            rows[column] = values.where(values != "", _MISSING)
    # a visit may have several scans; a participant has one birth and one genotype, whatever the visit
    key = ["RID"] if {"PTDOB", "APGEN1"} & set(rows) else ["RID", "VISCODE", "EXAMDATE"]
    key = [column for column in key if column in rows and (column != "EXAMDATE" or "meta" in found.name)]
    repeated = rows[kept].duplicated(key)
    what = "visit" if len(key) > 1 else "participant"
    found.left_out("RID", rows.loc[kept, "RID"][repeated], f"a second row of the {what}")
    return rows[kept].loc[~repeated].reset_index(drop=True)


def _american(values: pandas.Series) -> pandas.Series:
    return read_dates(values, american=True).str.replace(r"(\d{4})-(\d\d)-(\d\d)", r"\2/\3/\1", regex=True)


def _birth_years(values: pandas.Series) -> pandas.Series:
    """Write dates of birth as ``/YYYY``: Clinica counts whole years."""
    return values.map(lambda text: f"/{match[1]}" if (match := _BIRTH.fullmatch(text)) else "")


#: How a column is read, and what it has to hold where the study cannot do without it.
_READERS: dict[str, tuple[Callable[[pandas.Series], pandas.Series], str]] = {
    "EXAMDATE": (_american, CERTAIN_DATES),
    "PTDOB": (_birth_years, "years of birth"),
    "PTGENDER": (lambda values: values.map(lambda text: _SEX.get(text.lower(), "")), "sexes"),
    "DXCURREN": (partial(read_numbers, low=1, high=9), "diagnoses"),
    "MMSCORE": (partial(read_numbers, low=0, high=30), ""),
    "CDGLOBAL": (partial(read_numbers, low=0, high=3), ""),
    "APGEN1": (partial(read_numbers, low=2, high=4), ""),
    "APGEN2": (partial(read_numbers, low=2, high=4), ""),
    "SITEID": (read_integers, ""),
}
