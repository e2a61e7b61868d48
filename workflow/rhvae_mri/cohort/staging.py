"""The download as the converter is to see it: links to the user's files, without what would stop it.

Nothing of the download is copied or changed, but for a table of which rows have to be left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rhvae_mri.cohort.preflight import ADNI_SUBJECT
from rhvae_mri.cohort.series import AIBL_DATED_FOLDERS, Series
from rhvae_mri.cohort.study_tables import find_table

if TYPE_CHECKING:
    import pandas

#: The phases that Clinica 0.12 knows.
ADNI_PHASES = ("ADNI1", "ADNIGO", "ADNI2", "ADNI3")

#: From this grade on the Mayo Clinic calls a series unusable.
_REJECTED_QUALITY = 4

_REPEATED = re.compile("repeat|rpt", re.IGNORECASE)


def stage_adni_images(images: Path, broken: Collection[Series], target: Path) -> None:
    """Link the participants' folders, and of those with broken series all other files.

    Parameters
    ----------
    images : path
        The images folder of the download.
    broken : collection of Series
        What is to be left out.
    target : path
        A new folder.
    """
    target.mkdir(parents=True)
    left_out = {path for series in broken for path in series.files}
    affected = {series.subject for series in broken}
    for folder in images.iterdir():
        if not (folder.is_dir() and ADNI_SUBJECT.fullmatch(folder.name)):
            continue
        if folder.name in affected:
            _link_files(folder, target / folder.name, left_out)
        else:
            (target / folder.name).symlink_to(folder.resolve(), target_is_directory=True)


def stage_aibl_images(series: Iterable[Series], target: Path) -> None:
    """Link the folders of the series that are to be converted, each in its place in the download's layout."""
    target.mkdir(parents=True)
    for each in series:
        # <subject>/<sequence>/<date>/I<image>
        place = target.joinpath(*each.folder.parts[-4:])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(each.folder.resolve(), target_is_directory=True)


def stage_tables(cohort: str, tables: Path, target: Path) -> None:
    """Link the study tables; write those of ADNI anew in which rows have to be left out.

    Clinica 0.12 stops at participants of ADNI 4 and at a visit whose 3 T scans were all rejected by the
    quality check; both are left out.
    """
    replaced = _filtered_adni_tables(tables) if cohort == "ADNI" else {}
    _link_files(tables, target, replaced)
    for path, table in replaced.items():
        table.to_csv(target / path.relative_to(tables), index=False)


def choose_aibl_series(series: Iterable[Series], sessions: dict[Series, str | None]) -> list[Series]:
    """Choose one series for each session of each participant.

    Where there are several, the converter takes the one that the file system lists first, and may even
    write two images into one file at the same time. Here it is the one with a date in the tables, not
    called a repetition, and with the lowest number, which was acquired first.

    Parameters
    ----------
    series : iterable of Series
        Readable series.
    sessions : dict
        The session of each series; those of which it is None cannot be converted.
    """
    chosen: dict[tuple[str, str | None], Series] = {}
    for each in sorted((each for each in series if sessions[each]), key=_preference):
        chosen.setdefault((each.subject, sessions[each]), each)
    return sorted(chosen.values(), key=lambda each: (int(each.subject), each.image))


def _preference(series: Series) -> tuple[bool, bool, int]:
    sequence = series.folder.parts[-3]
    return sequence not in AIBL_DATED_FOLDERS, bool(_REPEATED.search(sequence)), series.image


def _link_files(source: Path, target: Path, left_out: Collection[Path]) -> None:
    """Make the folders of a tree anew, and link its files but for those that are left out.

    A link to a folder is followed once, so links that lead back into the tree end.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(source, followlinks=True):
        folders[:] = [name for name in folders if os.path.realpath(Path(folder, name)) not in seen]
        seen.update(os.path.realpath(Path(folder, name)) for name in folders)
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = Path(folder, name)
            if path not in left_out:
                (place / name).symlink_to(path.resolve())


def _filtered_adni_tables(tables: Path) -> dict[Path, pandas.DataFrame]:
    """Return the tables of which rows have to be left out, without these rows."""
    import pandas

    merge_path, scan_path, quality_path = (
        find_table("ADNI", name, tables)
        for name in ("ADNIMERGE", "MPRAGEMETA", "MAYOADIRL_MRI_IMAGEQC_05_07_15")
    )
    merge, scans, quality = (
        pandas.read_csv(path, dtype=str) for path in (merge_path, scan_path, quality_path)
    )
    known = merge["PTID"].str.fullmatch(ADNI_SUBJECT, na=False) & merge["ORIGPROT"].isin(ADNI_PHASES)
    rejected = quality[
        (quality["series_type"] == "T1")
        & (pandas.to_numeric(quality["series_quality"]) >= _REJECTED_QUALITY)
        & (pandas.to_numeric(quality["series_selected"]) != 1)
    ]
    usable = ~("I" + scans["ImageUID"]).isin(rejected["loni_image"])
    pairs = ((merge_path, merge, known), (scan_path, scans, usable))
    return {path: table[kept] for path, table, kept in pairs if not kept.all()}
