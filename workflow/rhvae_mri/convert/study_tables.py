"""The study tables of ADNI and AIBL: their names in the archive, old and new, and how each is found.

LONI renamed or withdrew most of ADNI's tables in October 2024; both generations are read. A file's name may
have a prefix (``All_Subjects_``), a date (``_28Nov2026``) and any case, and lie in a subfolder.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas

from rhvae_mri.convert.csv_tables import (
    column_key,
    read_header,
    read_table,
)
from rhvae_mri.convert.csv_values import read_participants
from rhvae_mri.convert.ledger import Ledger

_DATED = re.compile(r"[_-](\d{1,2})-?([A-Za-z]{3})-?(\d{4})$|[_-](\d{4})-?(\d\d)-?(\d\d)$")
_COPY = re.compile(r" ?\(\d+\)$")


@dataclass(frozen=True)
class StudyTable:
    """A table of the archive.

    Attributes
    ----------
    name : str
        What messages call it: its name today.
    names : tuple of str
        Regular expressions of the names that files have, without prefix and date, the preferred one first.
    columns : tuple of str
        Columns without which it is of no use; ``A|B`` asks for one of the two.
    place : str
        Where LONI's Image and Data Archive offers it.
    """

    name: str
    names: tuple[str, ...]
    columns: tuple[str, ...]
    place: str

    def lacks(self, header: Sequence[str]) -> list[str]:
        """Return the needed columns that a header does not have; case and punctuation do not matter."""
        present = set(map(column_key, header))
        return [each for each in self.columns if not present & set(map(column_key, each.split("|")))]


def _table(name: str, columns: str, *names: str, place: str) -> StudyTable:
    return StudyTable(name, names or (name,), tuple(columns.split()), f"Study Files > {place}")


_INFO, _ASSESSMENT, _IMAGING = "Study Info", "Assessments", "Imaging"
_ENROLMENT = "Subject Characteristics"

ADNI_TABLES = {
    table.name: table
    for table in (
        _table("ADNIMERGE", "PTID VISCODE EXAMDATE AGE PTGENDER", place=_INFO),
        _table("REGISTRY", "PTID VISCODE2 EXAMDATE", place="Enrollment"),
        _table("PTDEMOG", "PTID PTGENDER PTDOB|PTDOBYY", place=_ENROLMENT),
        _table(
            "DXSUM",
            "PTID|RID VISCODE2 DIAGNOSIS|DXCURREN|DXCHANGE",
            *("DXSUM", "DXSUM_PDXCONV_ADNIALL", "DXSUM_PDXCONV"),
            place=_ASSESSMENT,
        ),
        _table("MMSE", "PTID|RID VISCODE2 MMSCORE", place=_ASSESSMENT),
        _table("CDR", "RID VISCODE2 CDGLOBAL", place=_ASSESSMENT),
        _table("APOERES", "RID APGEN1|GENOTYPE", place="Biospecimen"),
        _table(
            "MPRAGEMETA",
            "Orig/Proc SubjectID Sequence ScanDate ImageUID",
            place="withdrawn in 2024",
        ),
        _table("MRIPROT", "RID LONIUID PASS", "MRIPROT", "MRIQUALITY", "MRIQC", place=_IMAGING),
        _table(
            "MAYOADIRL_MRI_IMAGEQC_05_07_15",
            "RID loni_image series_type series_selected series_quality",
            *("MAYOADIRL_MRI_IMAGEQC_05_07_15", r"MAYOADIRL_MRI_IMAGEQC_\d\d_\d\d_\d\d"),
            place=_IMAGING,
        ),
    )
}

AIBL_TABLES = {
    name: StudyTable(
        f"aibl_{name}", (f"aibl_{name}", f"aibl_{name}_.*"), tuple(columns.split()), "AIBL > Study Data"
    )
    for name, columns in {
        "ptdemog": "RID SITEID PTGENDER PTDOB",
        "pdxconv": "RID VISCODE DXCURREN",
        "mrimeta": "RID VISCODE EXAMDATE",
        "mri3meta": "RID VISCODE EXAMDATE",
        "mmse": "RID VISCODE MMSCORE",
        "cdr": "RID VISCODE CDGLOBAL",
        "neurobat": "RID VISCODE EXAMDATE",
        "apoeres": "RID APGEN1 APGEN2",
    }.items()
}


@dataclass(frozen=True)
class FoundTable:
    """A table that was found: its file and its content as text."""

    path: Path
    content: pandas.DataFrame


class TablesFolder:
    """The study tables of a download.

    Parameters
    ----------
    folder : pathlib.Path
        The folder, with its subfolders.
    ledger : Ledger
        Where it is recorded which file was taken, and why others were not.
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.ledger = ledger
        self.files = list_tables(folder)
        self._unusable: dict[str, str] = {}
        self._taken: dict[str, FoundTable | None] = {}

    def take(
        self, table: StudyTable, columns: Sequence[str] = (), *, needed: bool = True
    ) -> FoundTable | None:
        """Read the best file of a table, or return None if there is none.

        Files that lack a needed column are passed over; those that are no tables are a problem. Of several
        files the preferred name counts, then the newest date in the name; two that differ and have neither
        over the other are a problem.

        Parameters
        ----------
        table : StudyTable
            What to look for.
        columns : sequence of str
            Further columns whose names are to have this upper and lower case.
        needed : bool
            Nothing can be done without it: what stands against reading it is a problem.
        """
        if table.name not in self._taken:
            self._taken[table.name] = self._find(table, columns, self.ledger.problems if needed else [])
        return self._taken[table.name]

    def _find(self, table: StudyTable, columns: Sequence[str], problems: list[str]) -> FoundTable | None:
        wanted = [name for each in table.columns for name in each.split("|")]
        named = [(rank, path) for path in self.files if (rank := _rank(table, path)) is not None]
        usable = []
        for rank, path in sorted(named):
            try:
                missing = table.lacks(read_header(path))
            except (OSError, ValueError) as error:
                self._refuse(table, path, error, problems)
                continue
            if missing:
                names = ", ".join(each.replace("|", " or ") for each in missing)
                self._unusable[table.name] = f"the table {path.name} has no column {names}"
                self._pass_over(table, path, f"not used: it has no column {names}")
            else:
                usable.append((rank, path))
        if not usable:
            return None
        best = usable[0][1]
        for rank, path in usable[1:]:
            if rank == usable[0][0] and not _say_the_same(best, path, wanted):
                problems.append(
                    f"the table {table.name} is there twice with different content ({best.name} in "
                    f"{best.parent.name}, {path.name} in {path.parent.name}): keep one"
                )
            self._pass_over(table, path, f"not used: {best.name} was taken")
        try:
            content = read_table(best, (*wanted, *columns))
        except (OSError, ValueError) as error:
            self._refuse(table, best, error, problems)
            return None
        if "PTID" in content:
            given, content["PTID"] = content["PTID"], read_participants(content["PTID"])
            self.ledger.rewritten(best.name, "PTID", given, content["PTID"], "written as ADNI writes it")
        return FoundTable(best, content)

    def absence(self, table: StudyTable) -> str:
        """Say why there is no file that could be taken for a table, and where to get one."""
        missing = f"the table {table.name}{'_*' * table.name.startswith('aibl')}.csv is missing"
        return f"{self._unusable.get(table.name, missing)} ({table.place})"

    def _refuse(self, table: StudyTable, path: Path, error: Exception, problems: list[str]) -> None:
        self._unusable[table.name] = f"the table {path.name} cannot be read: {error}"
        problems.append(self.absence(table))

    def _pass_over(self, table: StudyTable, path: Path, reason: str) -> None:
        self.ledger.rows.append({"table": table.name, "source": path.name, "reason": reason})


def list_tables(folder: Path) -> list[Path]:
    """Return the CSV files of a folder and its subfolders, sorted; links to folders are followed."""
    found, seen = [], {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        inside = {name: os.path.realpath(Path(place, name)) for name in sorted(folders)}
        folders[:] = [name for name, path in inside.items() if path not in seen]
        seen.update(inside.values())
        found += [Path(place, name) for name in names if name.lower().endswith(".csv") and name[0] != "."]
    return sorted(path for path in found if path.is_file())


def is_study_table(name: str) -> bool:
    """Whether a file's name is that of a table of either study."""
    tables = (*ADNI_TABLES.values(), *AIBL_TABLES.values())
    path = Path(name)
    return path.suffix.lower() == ".csv" and any(_rank(table, path) is not None for table in tables)


def table_name(path: Path) -> str:
    """Return a file's name without suffix, date and the number of a copy.

    Examples
    --------
    >>> [table_name(Path(f"{name}.csv")) for name in ("All_DXSUM_28Nov2026 (1)", "aibl_mmse_01-Jun-2018")]
    ['All_DXSUM', 'aibl_mmse']
    """
    return _DATED.sub("", _COPY.sub("", path.stem))


def _say_the_same(one: Path, other: Path, columns: Sequence[str]) -> bool:
    """Whether two files have the same rows in the needed columns; quoting and other columns do not matter."""
    if one.read_bytes() == other.read_bytes():
        return True
    try:
        tables = [read_table(path, columns) for path in (one, other)]
    except ValueError:
        return False
    rows = [table.reindex(columns=columns).value_counts(dropna=False) for table in tables]
    return rows[0].sort_index().equals(rows[1].sort_index())


def _rank(table: StudyTable, path: Path) -> tuple[int, int] | None:
    """Return a file's place among those of a table: name, then age; None for another table's."""
    if table.name.startswith("aibl") != ("aibl_" in path.name.lower()):
        return None  # tables of both studies may lie in one folder, and have equal names but for this
    for place, name in enumerate(table.names):
        if re.search(rf"(^|_){name}$", table_name(path), re.IGNORECASE):
            return place, -_date(path)
    return None


def _date(path: Path) -> int:
    """Return the date in a file's name as a number, 0 where there is none."""
    match = _DATED.search(_COPY.sub("", path.stem))
    if not match:
        return 0
    text = f"{match[1]}{match[2]}{match[3]}" if match[1] else f"{match[4]}{match[5]}{match[6]}"
    try:
        return datetime.datetime.strptime(text, "%d%b%Y" if match[1] else "%Y%m%d").toordinal()
    except ValueError:
        return 0
