"""The check of a raw download before it is converted: folders, study tables and their columns."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

from rhvae_mri.cohort.study_tables import TABLES, StudyTable
from rhvae_mri.errors import StudyError

#: How ADNI names a participant's folder, and how AIBL does.
ADNI_SUBJECT = re.compile(r"[0-9]{3}_S_[0-9]{4}")
AIBL_SUBJECT = re.compile(r"[1-9][0-9]*")

#: This folder of real AIBL downloads is passed over by the converter.
_AIBL_EXCEPTION = "0151083"
_NAMES_SHOWN = 5


def check_download(cohort: str, images: str | os.PathLike[str], tables: str | os.PathLike[str]) -> None:
    """Check that a raw download has the folders, tables and columns that its converter needs.

    Only folder listings and the first line of each table are read.

    Parameters
    ----------
    cohort : str
        ``ADNI`` or ``AIBL``.
    images : path
        Folder of the images, one subfolder for each participant.
    tables : path
        Folder of the study tables (CSV).

    Raises
    ------
    StudyError
        If anything is missing; it lists all that is.
    """
    if cohort not in TABLES:
        raise StudyError(
            f"There is no converter for a cohort named {cohort!r}.",
            remedy=f"Name it {' or '.join(TABLES)}, or give the cohort as a BIDS folder.",
        )
    problems = [*_image_problems(cohort, Path(images)), *_all_table_problems(cohort, Path(tables))]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise StudyError(
            f"The {cohort} download cannot be converted: {len(problems)} problem(s).\n{listed}",
            where=f"images: {images}; tables: {tables}",
            remedy="Download from LONI what is missing, or correct the two paths in the configuration.",
        )


def _image_problems(cohort: str, images: Path) -> Iterator[str]:
    if not images.is_dir():
        yield f"the images folder {images} does not exist"
        return
    names = sorted(path.name for path in images.iterdir() if path.is_dir() and not path.name.startswith("."))
    pattern = {"ADNI": ADNI_SUBJECT, "AIBL": AIBL_SUBJECT}[cohort]
    subjects = [name for name in names if pattern.fullmatch(name)]
    if not subjects:
        example = {"ADNI": "002_S_0295", "AIBL": "10"}[cohort]
        yield (
            f"the images folder {images} has no folder with a participant's name such as {example}; "
            f"it holds {_some(names) or 'no folders'}: perhaps the participants lie one folder deeper"
        )
    elif cohort == "AIBL":
        strange = [name for name in names if name not in subjects and name != _AIBL_EXCEPTION]
        if strange:
            yield (
                f"the images folder {images} has folders that are no participant numbers ({_some(strange)}), "
                "at which Clinica stops: move them elsewhere"
            )


def _all_table_problems(cohort: str, folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"the tables folder {folder} does not exist"
        return
    for table in TABLES[cohort]:
        files = table.find(folder)
        if len(files) == 1:
            yield from _column_problems(table, files[0])
        elif files:
            names = _some([path.name for path in files])
            yield f"the table {table.name} is there {len(files)} times ({names}): keep one"
        else:
            yield _absence(table, folder)


def _absence(table: StudyTable, folder: Path) -> str:
    text = f"the table {table.name}.csv is missing"
    newer = table.find_successors(folder)
    if newer:
        text += f"; LONI renamed tables in October 2024, and {newer[0].name} takes its place: {table.advice}"
    elif table.successors:
        text += "; LONI renamed it in October 2024"
    return text


def _column_problems(table: StudyTable, path: Path) -> Iterator[str]:
    columns = _header(path)
    missing = [each for each in table.columns if not set(each.split("|")) & set(columns)]
    if missing:
        names = ", ".join(each.replace("|", " (or ") + ")" * ("|" in each) for each in missing)
        yield f"the table {path.name} has no column {names}"
    elif len(columns) < table.least_columns:
        yield f"the table {path.name} has {len(columns)} columns; Clinica reads {table.least_columns}"


def _header(path: Path) -> list[str]:
    """Return the names in the first line of a table."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline()
    return next(csv.reader([line], delimiter=";" if line.count(";") > line.count(",") else ","), [])


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
