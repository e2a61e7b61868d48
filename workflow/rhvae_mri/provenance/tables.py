"""What the methods have to say of a download: what its tables lacked, and which kind of scans it gave."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from rhvae_mri.io.files import read_tsv

# Words of the record, see `rhvae_mri.convert.study_tables.Ledger`.
_NOT_THERE, _DERIVED, _DIAGNOSES = "(not there)", "derived:", "its diagnoses come from DXSUM"
_PROCESSED = "chosen scans that ADNI pre-processed"


@dataclass(frozen=True)
class DownloadFacts:
    """What the methods say of one cohort's download."""

    cohort: str
    derived: bool = False  # put together from other tables, because it had no ADNIMERGE
    diagnoses_from_dxsum: bool = False  # because ADNIMERGE is not there or has none
    absent: tuple[tuple[str, str], ...] = ()  # further tables that were not there, and what follows
    processed: tuple[int, int] | None = None  # scans converted, and how many of them ADNI had pre-processed


def read_download_facts(
    cohorts: Iterable[str], records: Iterable[str | os.PathLike[str]]
) -> tuple[DownloadFacts, ...]:
    """Read what the methods say of each converted cohort's download, from its ``tables.tsv``."""
    return tuple(_read(cohort, record) for cohort, record in zip(cohorts, records, strict=True))


def _read(cohort: str, record: str | os.PathLike[str]) -> DownloadFacts:
    columns = ("table", "source", "column", "reason")
    table = read_tsv(record, columns)
    whole = table[table["column"].isna()].fillna("")
    derived = (whole["table"] == "ADNIMERGE") & whole["reason"].str.startswith(_DERIVED)
    absent = whole[whole["source"] == _NOT_THERE].drop_duplicates("table")
    counts = whole.loc[whole["reason"] == _PROCESSED, ["rows_in", "rows_out"]].astype(int)
    return DownloadFacts(
        cohort,
        bool(derived.any()),
        bool((derived | (whole["reason"] == _DIAGNOSES)).any()),
        tuple(absent[["table", "reason"]].itertuples(index=False, name=None)),
        next(counts.itertuples(index=False, name=None), None),
    )
