"""The download as the converter is to see it: links to the user's files, in one layout, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import pandas

from rhvae_mri.convert.aibl_visits import AIBL_DATED_FOLDERS, is_dated
from rhvae_mri.convert.archive import Series, is_nifti

_REPEATED = re.compile("repeat|rpt", re.IGNORECASE)
_DATED = AIBL_DATED_FOLDERS[0]
_NO_STAMP = "0000-00-00_00_00_00.0"


def stage_adni_images(series: Mapping[str, Series], subjects: Iterable[str], target: Path) -> dict[str, Path]:
    """Link the files of scans under names in which Clinica finds the number of the image.

    Parameters
    ----------
    series : mapping of str to Series
        By the number of the image.
    subjects : iterable of str
        Participants that get a folder, if only an empty one: Clinica chooses scans for them.
    target : path
        A new folder.

    Returns
    -------
    dict
        What Clinica will call the source of an image to what it is in the download.
    """
    sources: dict[str, Path] = {}
    for subject in subjects:
        (target / subject).mkdir(parents=True, exist_ok=True)
    for number, each in series.items():
        sources |= _link(each, target / each.subject / f"I{number}", f"_I{number}")
    return sources


def stage_aibl_images(
    series: Iterable[Series], promised: Container[tuple[str, str]], target: Path
) -> dict[str, Path]:
    """Link the files of the series that are to be converted in the layout of the archive, as for ADNI.

    A series whose date is in the tables gets the name of a kind that Clinica dates.
    """
    sources: dict[str, Path] = {}
    for each in series:
        stamp = f"{each.date}_00_00_00.0" if each.date else _NO_STAMP
        sequence = _DATED if (each.subject, each.date) in promised else each.sequence
        place = target / each.subject / sequence / stamp / f"I{each.image}"
        sources |= _link(each, place, "")
    return sources


def write_adni_tables(tables: Mapping[str, pandas.DataFrame], target: Path) -> None:
    """Write the tables under the names that Clinica knows."""
    target.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(target / f"{name}.csv", index=False)


def choose_aibl_series(series: Iterable[Series], sessions: Mapping[Series, str | None]) -> list[Series]:
    """Choose one series for each session of each participant.

    Where there are several, the converter takes the one that the file system lists first, and may even
    write two images into one file at the same time. Here it is the one with a date in the tables, not
    called a repetition, and with the lowest number, which was acquired first.

    Parameters
    ----------
    series : iterable of Series
        Readable series.
    sessions : mapping
        The session of each series; those of which it is None cannot be converted.
    """
    chosen: dict[tuple[str, str | None], Series] = {}
    for each in sorted((each for each in series if sessions[each]), key=_preference):
        chosen.setdefault((each.subject, sessions[each]), each)
    return sorted(chosen.values(), key=lambda each: (int(each.subject), each.image))


def _preference(series: Series) -> tuple[bool, bool, int]:
    return not is_dated(series), bool(_REPEATED.search(series.sequence)), series.image


def _link(series: Series, folder: Path, ending: str) -> dict[str, Path]:
    """Link the files of a series, numbered, with the suffixes that the converter knows."""
    folder.mkdir(parents=True)
    sources = {str(folder): series.folder}
    for number, path in enumerate(series.files):
        suffix = ".dcm"
        if is_nifti(path):
            suffix = ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"
        link = folder / f"{number:05d}{ending}{suffix}"
        link.symlink_to(path.resolve())
        if is_nifti(path):
            sources[str(link)] = path
    return sources
