"""The download as the converter is to see it: links to the user's files, in one layout, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas

from rhvae_mri.convert.archive import Series, is_nifti

#: Folders that Clinica's AIBL converter takes for T1-weighted series: with a date in the study tables …
_DATED = (
    *("MPRAGE_ADNI_confirmed", "MPRAGE", "MPRAGE_ADNI_confirmed_RPT", "MPRAGE_ADNI_confirmed_REPEATX2"),
    *("MPRAGE_ADNI_confirmed_repeat", "MPRAGE_ADNI_confirmed_REPEAT", "MPRAGE_ADNI_conf_REPEAT"),
)
#: … and without, which it takes for baseline scans.
_UNDATED = ("MPRAGESAGISOp2ND", "MPRAGE_SAG_ISO_p2_ND", "MPRAGE_SAG_ISO_p2")

#: Participant and date (``YYYY-MM-DD``) of a scan in AIBL's tables to its session and field strength (tesla).
Promised = Mapping[tuple[str, str], tuple[str, float]]


def is_dated(series: Series) -> bool:
    """Whether a series of AIBL is of a kind that the tables date; upper and lower case do not matter."""
    return series.sequence.lower() in map(str.lower, _DATED)


def assign_sessions(series: Iterable[Series], promised: Promised) -> dict[Series, str | None]:
    """Return the session of each series of AIBL; None if it is not T1-weighted, or of no known visit.

    Clinica takes every series of the kinds without a date for a baseline scan, even one of a later visit that
    the tables date; `stage_aibl_images` gives those another name.
    """
    sessions: dict[Series, str | None] = {}
    for each in series:
        undated = each.sequence in _UNDATED
        session, _ = promised.get((each.subject, each.date), ("ses-M000" if undated else None, 0.0))
        sessions[each] = session if undated or is_dated(each) else None
    return sessions


def choose_aibl_series(series: Iterable[Series], sessions: Mapping[Series, str | None]) -> list[Series]:
    """Choose one series for each session of each participant, of those that have one.

    Where there are several, the converter takes the one that the file system lists first, and may even
    write two images into one file at the same time. Here it is the one with a date in the tables, not
    called a repetition, and with the lowest number, which was acquired first.
    """

    def rank(one: Series) -> tuple[bool, bool, int]:
        return not is_dated(one), bool(re.search("repeat|rpt", one.sequence, re.IGNORECASE)), one.image

    chosen: dict[tuple[str, str | None], Series] = {}
    for each in sorted(filter(sessions.get, series), key=rank):
        chosen.setdefault((each.subject, sessions[each]), each)
    return sorted(chosen.values(), key=lambda each: (int(each.subject), each.image))


def stage_adni_images(series: Mapping[str, Series], subjects: Iterable[str], target: Path) -> dict[str, Path]:
    """Link scans under names with their numbers; return what Clinica will call sources, with the true paths.

    All subjects get a folder, if only an empty one: Clinica chooses scans for them.
    """
    for subject in subjects:
        (target / subject).mkdir(parents=True, exist_ok=True)
    sources: dict[str, Path] = {}
    for number, each in series.items():
        sources |= _link(each, target / each.subject / f"I{number}", f"_I{number}")
    return sources


def stage_aibl_images(series: Iterable[Series], promised: Promised, target: Path) -> dict[str, Path]:
    """Link series in the archive's layout; one that the tables date gets the name of a kind with dates."""
    sources: dict[str, Path] = {}
    for each in series:
        stamp = f"{each.date or '0000-00-00'}_00_00_00.0"
        sequence = _DATED[0] if (each.subject, each.date) in promised else each.sequence
        sources |= _link(each, target / each.subject / sequence / stamp / f"I{each.image}", "")
    return sources


def write_tables(tables: Mapping[str, pandas.DataFrame], target: Path) -> None:
    """Write the tables under the names that Clinica knows."""
    target.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(target / f"{name}.csv", index=False)


def _link(series: Series, folder: Path, ending: str) -> dict[str, Path]:
    """Link the files of a series, numbered, with the suffixes that the converter knows."""
    folder.mkdir(parents=True)
    sources = {str(folder): series.folder}
    for number, path in enumerate(series.files):
        packed = ".gz" if path.name.lower().endswith(".gz") else ""
        link = folder / f"{number:05d}{ending}{f'.nii{packed}' if is_nifti(path) else '.dcm'}"
        link.symlink_to(path.resolve())
        if is_nifti(path):
            sources[str(link)] = path
    return sources
