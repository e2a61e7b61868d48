"""The visits of AIBL's tables of scans, and the visit of each series of a download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas

from rhvae_mri.convert.archive import Series
from rhvae_mri.convert.csv_values import (
    read_dates,
    visit_month,
)

#: Folders that Clinica's AIBL converter takes for T1-weighted series: with a date in the study tables …
AIBL_DATED_FOLDERS = (
    "MPRAGE_ADNI_confirmed",
    "MPRAGE",
    "MPRAGE_ADNI_confirmed_RPT",
    "MPRAGE_ADNI_confirmed_REPEATX2",
    "MPRAGE_ADNI_confirmed_repeat",
    "MPRAGE_ADNI_confirmed_REPEAT",
    "MPRAGE_ADNI_conf_REPEAT",
)
#: … and without, which it takes for baseline scans.
AIBL_UNDATED_FOLDERS = ("MPRAGESAGISOp2ND", "MPRAGE_SAG_ISO_p2_ND", "MPRAGE_SAG_ISO_p2")

_FIELD_STRENGTHS = {"mrimeta": 1.5, "mri3meta": 3.0}

#: The session of series without a date.
_BASELINE = "ses-M000"


def is_dated(series: Series) -> bool:
    """Whether a series is of a kind that the tables date; upper and lower case do not matter."""
    return series.sequence.lower() in map(str.lower, AIBL_DATED_FOLDERS)


def read_scan_dates(tables: Mapping[str, pandas.DataFrame]) -> dict[tuple[str, str], tuple[str, float]]:
    """Read the scans that the tables promise.

    Parameters
    ----------
    tables : mapping
        The tables of `rhvae_mri.convert.aibl_tables.read_aibl_tables`.

    Returns
    -------
    dict
        Participant and date (``YYYY-MM-DD``) to BIDS session and field strength (tesla); visits without a
        scan are left out.
    """
    promised: dict[tuple[str, str], tuple[str, float]] = {}
    for name, strength in _FIELD_STRENGTHS.items():
        table = tables[name]
        for subject, code, date in zip(
            table["RID"], table["VISCODE"], read_dates(table["EXAMDATE"], american=True), strict=True
        ):
            if date:
                promised.setdefault((subject, date), (f"ses-M{visit_month(code):03d}", strength))
    return promised


def assign_sessions(
    series: Iterable[Series], promised: Mapping[tuple[str, str], tuple[str, float]]
) -> dict[Series, str | None]:
    """Return the session of each series: by its date, or else the baseline for the kinds without a date.

    Clinica takes every series of the latter kinds for a baseline scan, even one of a later visit that the
    tables date; `rhvae_mri.convert.staging.stage_aibl_images` gives those another name.

    A series that is no T1-weighted one, or whose date the tables do not have, gets None.
    """
    return {each: _session_of(each, promised) for each in series}


def _session_of(series: Series, promised: Mapping[tuple[str, str], tuple[str, float]]) -> str | None:
    visit = promised.get((series.subject, series.date))
    if series.sequence in AIBL_UNDATED_FOLDERS:
        return visit[0] if visit else _BASELINE
    return visit[0] if visit and is_dated(series) else None
