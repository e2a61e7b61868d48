"""The visits of AIBL's tables of scans, and the visit of each series of a download."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rhvae_mri.cohort.series import AIBL_DATED_FOLDERS, Series
from rhvae_mri.cohort.study_tables import find_table

_FOLDER_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)_[^_]*_[^_]*_")
_TABLE_DATE = re.compile(r"(\d\d)/(\d\d)/(\d{4})")
_MONTH = re.compile(r"[mM](\d+)")

#: The session of series without a date.
_BASELINE = "ses-M000"


def read_scan_dates(tables: Path) -> dict[tuple[str, str], str]:
    """Read the scans that the tables promise.

    Returns
    -------
    dict
        Participant and date (``YYYY-MM-DD``) to BIDS session; visits without a scan (date -4) are left out.
    """
    import pandas

    promised: dict[tuple[str, str], str] = {}
    for name in ("aibl_mrimeta_*", "aibl_mri3meta_*"):
        table = pandas.read_csv(find_table("AIBL", name, tables), dtype=str)
        for subject, code, text in table[["RID", "VISCODE", "EXAMDATE"]].itertuples(index=False):
            date = _TABLE_DATE.fullmatch(str(text))
            session = _session(str(code))
            if date and session:
                promised.setdefault((subject, f"{date[3]}-{date[1]}-{date[2]}"), session)
    return promised


def assign_sessions(
    series: Iterable[Series], promised: dict[tuple[str, str], str]
) -> dict[Series, str | None]:
    """Return the session of each series: by its date, or the baseline for the kinds without a date.

    A series whose date the tables do not have gets None.
    """
    return {each: _session_of(each, promised) for each in series}


def _session_of(series: Series, promised: dict[tuple[str, str], str]) -> str | None:
    sequence, stamp = series.folder.parts[-3:-1]
    if sequence not in AIBL_DATED_FOLDERS:
        return _BASELINE
    date = _FOLDER_DATE.match(stamp)
    return promised.get((series.subject, "-".join(date.groups()))) if date else None


def _session(code: str) -> str | None:
    """Return the BIDS session of a visit's code, as Clinica does."""
    if code == "bl":
        return _BASELINE
    month = _MONTH.fullmatch(code)
    return f"ses-M{int(month[1]):03d}" if month else None
