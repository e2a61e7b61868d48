"""What the tables of a download lacked and what stands in for it, from the conversion's record of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from rhvae_mri.files import read_tsv

# Words of the record, see `rhvae_mri.convert.csv_tables.Ledger`.
_NOT_THERE, _DERIVED, _DIAGNOSES = "(not there)", "derived:", "its diagnoses come from DXSUM"


@dataclass(frozen=True)
class TableGaps:
    """The gaps in the tables of one cohort.

    Attributes
    ----------
    cohort : str
        The cohort's name.
    derived : bool
        Whether the download had no ADNIMERGE, so that it was put together from other tables.
    diagnoses_from_dxsum : bool
        Whether the diagnoses are those of DXSUM, because ADNIMERGE is not there or has none.
    absent : tuple of tuple
        Name of each further table that was not there, and what follows.
    """

    cohort: str
    derived: bool = False
    diagnoses_from_dxsum: bool = False
    absent: tuple[tuple[str, str], ...] = ()


def read_table_gaps(
    cohorts: Iterable[str], records: Iterable[str | os.PathLike[str]]
) -> tuple[TableGaps, ...]:
    """Read the gaps in the tables of each cohort that was converted.

    Parameters
    ----------
    cohorts : iterable of str
        The names of the cohorts.
    records : iterable of path
        Of each, ``tables.tsv`` of the conversion.
    """
    return tuple(_read(cohort, record) for cohort, record in zip(cohorts, records, strict=True))


def _read(cohort: str, record: str | os.PathLike[str]) -> TableGaps:
    columns = ("table", "source", "column", "reason")
    table = read_tsv(record, columns)
    whole = table[table["column"].isna()].fillna("")
    derived = (whole["table"] == "ADNIMERGE") & whole["reason"].str.startswith(_DERIVED)
    absent = whole[whole["source"] == _NOT_THERE].drop_duplicates("table")
    return TableGaps(
        cohort,
        bool(derived.any()),
        bool((derived | (whole["reason"] == _DIAGNOSES)).any()),
        tuple(absent[["table", "reason"]].itertuples(index=False, name=None)),
    )
