"""From the tables of an AIBL download to those that Clinica reads, in the one form that it understands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas

from rhvae_mri.convert.csv_values import (
    CERTAIN_DATES,
    read_dates,
    read_integers,
    read_numbers,
    visit_code,
    visit_month,
)
from rhvae_mri.convert.ledger import (
    Ledger,
    understood,
)
from rhvae_mri.convert.study_tables import AIBL_TABLES, TablesFolder

#: AIBL's code of what is missing, which Clinica knows.
_MISSING = "-4"

#: Without these there are no participants, no diagnoses or no visits of scans.
_NEEDED = ("ptdemog", "pdxconv", "mrimeta", "mri3meta")
#: … of these one of the two field strengths may have had no scan
_NEVER_EMPTY = ("ptdemog", "pdxconv")
_LOST = {
    "mmse": "the MMSE is not known",
    "cdr": "the clinical dementia rating is not known",
    "neurobat": "a visit that only this table dates has no age",
    "apoeres": "the genotype is not known",
}

#: Clinica looks for PET scans too, and reads this many columns of their tables.
_PET_TABLES, _PET_COLUMNS = ("av45meta", "pibmeta", "flutemeta"), 36

_BIRTH = re.compile(r"(?:.*\D)?((?:18|19)\d\d)(?:\D.*)?")
_SEX = {"1": "1", "2": "2", "m": "1", "male": "1", "f": "2", "female": "2"}


def read_aibl_tables(folder: Path, ledger: Ledger) -> dict[str, pandas.DataFrame]:
    """Read the tables of an AIBL download.

    Parameters
    ----------
    folder : pathlib.Path
        The tables, in any subfolder.
    ledger : Ledger
        Where every change is recorded, and what stands against a conversion.

    Returns
    -------
    dict
        ``ptdemog`` and the other names of the tables that Clinica reads, to their rows.
    """
    tables = TablesFolder(folder, ledger)
    staged = {}
    for name, table in AIBL_TABLES.items():
        found = tables.take(table, ("VISCODE", "EXAMDATE", "SITEID"))
        if found is None:
            if name in _NEEDED:
                ledger.problems.append(tables.absence(table))
            else:
                ledger.rows.append({"table": table.name, "source": "(not there)", "reason": _LOST[name]})
            staged[name] = pandas.DataFrame(
                columns=["RID", "SITEID", "VISCODE", "EXAMDATE", *table.columns[1:]]
            )
            staged[name] = staged[name].loc[:, ~staged[name].columns.duplicated()]
            continue
        rows = _read_rows(found.path.name, found.content, ledger)
        if rows.empty and (name in _NEVER_EMPTY or len(found.content)):
            ledger.problems.append(f"the table {found.path.name} has no row that can be read: {table.place}")
        ledger.made(table.name, [found.path], len(found.content), len(rows), "one row for each visit")
        staged[name] = rows
    staged["apoeres"] = _in_order(staged["apoeres"], staged["ptdemog"])
    for name in _PET_TABLES:
        columns = ["RID", "SITEID", "VISCODE", "EXAMDATE"]
        columns += [f"FIELD{number}" for number in range(len(columns), _PET_COLUMNS)]
        staged[name] = pandas.DataFrame(columns=columns)
    return staged


def write_aibl_tables(staged: dict[str, pandas.DataFrame], target: Path) -> None:
    """Write the tables under the names that Clinica knows."""
    target.mkdir(parents=True)
    for name, table in staged.items():
        if name in ("mrimeta", "mri3meta") and (table["EXAMDATE"] == _MISSING).all():
            table = table[:0]  # Clinica 0.12 stops at a table in which every date is missing
        table.to_csv(target / f"aibl_{name}_staged.csv", index=False)


def _read_rows(name: str, table: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Bring the rows of a table into Clinica's form; one row for each participant and visit."""
    rows = table.copy()
    rows["RID"] = understood(ledger, name, "RID", table["RID"], read_integers(table["RID"]), needed="numbers")
    kept = rows["RID"] != ""
    ledger.left_out(name, "RID", table["RID"][~kept], "a row of no participant")
    if "VISCODE" in rows:
        rows["VISCODE"] = rows["VISCODE"].map(visit_code)
        usual = rows["VISCODE"].map(visit_month).notna()
        ledger.left_out(name, "VISCODE", rows["VISCODE"][kept & ~usual], "no visit with a month of its own")
        kept &= usual
    for column, read in _READERS.items():
        if column in rows:
            values = read(table[column])
            private = column == "PTDOB"
            understood(
                ledger, name, column, table[column], values, needed=_KINDS.get(column, ""), private=private
            )
            rows[column] = values.where(values != "", _MISSING)
    # a visit may have several scans; a participant has one birth and one genotype, whatever the visit
    key = ["RID"] if {"PTDOB", "APGEN1"} & set(rows) else ["RID", "VISCODE", "EXAMDATE"]
    key = key if "meta" in name else [column for column in key if column != "EXAMDATE"]
    repeated = rows[kept].duplicated([column for column in key if column in rows])
    what = "visit" if "VISCODE" in key else "participant"
    ledger.left_out(name, "RID", rows["RID"][repeated[repeated].index], f"a second row of the {what}")
    return rows[kept].loc[~repeated].reset_index(drop=True)


def _in_order(genotypes: pandas.DataFrame, demography: pandas.DataFrame) -> pandas.DataFrame:
    """Return the genotypes in the order of ptdemog: Clinica takes both for one table, row by row."""
    own = genotypes[["RID", "APGEN1", "APGEN2"]].drop_duplicates("RID")
    return demography[["RID"]].merge(own, on="RID", how="left").fillna(_MISSING)


def _american(values: pandas.Series) -> pandas.Series:
    """Write dates as ``MM/DD/YYYY``, as LONI does."""
    return read_dates(values, american=True).str.replace(r"(\d{4})-(\d\d)-(\d\d)", r"\2/\3/\1", regex=True)


def _birth_years(values: pandas.Series) -> pandas.Series:
    """Write dates of birth as ``/YYYY``: Clinica counts whole years."""
    return values.map(lambda text: f"/{match[1]}" if (match := _BIRTH.fullmatch(text)) else "")


_READERS: dict[str, Callable[[pandas.Series], pandas.Series]] = {
    "EXAMDATE": _american,
    "PTDOB": _birth_years,
    "PTGENDER": lambda values: values.map(lambda text: _SEX.get(text.lower(), "")),
    "DXCURREN": lambda values: read_numbers(values, 1, 9),
    "MMSCORE": lambda values: read_numbers(values, 0, 30),
    "CDGLOBAL": lambda values: read_numbers(values, 0, 3),
    "APGEN1": lambda values: read_numbers(values, 2, 4),
    "APGEN2": lambda values: read_numbers(values, 2, 4),
    "SITEID": read_integers,
}
_KINDS = {"EXAMDATE": CERTAIN_DATES, "PTDOB": "years of birth", "PTGENDER": "sexes", "DXCURREN": "diagnoses"}
