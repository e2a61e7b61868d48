"""The study tables of ADNI and AIBL: their names in the archive, old and new, and how each is found.

LONI renamed or withdrew most of ADNI's tables in October 2024; both generations are read. A file's name may
have a prefix (``All_Subjects_``), a date (``_28Nov2026``) and any case, and lie in a subfolder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas

from rhvae_mri.convert.csv_tables import column_key, read_header, read_participants, read_table
from rhvae_mri.convert.ledger import Ledger

_DATED = re.compile(r"[_-](\d{1,2})-?([A-Za-z]{3})-?(\d{4})$|[_-](\d{4})-?(\d\d)-?(\d\d)$")
_COPY = re.compile(r" ?\(\d+\)$")


@dataclass(frozen=True)
class StudyTable:
    """A table of the archive: what messages call it, its needed columns (``A|B``: either), where it is.

    ``names`` are regular expressions of files' names without prefix and date, the preferred one first.
    ``further`` columns are used where they are there.
    """

    name: str
    columns: list[str]
    further: list[str]
    place: str
    names: tuple[str, ...]

    def lacks(self, header: Sequence[str]) -> list[str]:
        """Return the needed columns that a header does not have; case and punctuation do not matter."""
        present = set(map(column_key, header))
        return [each for each in self.columns if not present & set(map(column_key, each.split("|")))]


#: Columns of ADNIMERGE that Clinica 0.12 reads and whose upper and lower case it minds.
MERGE_COLUMNS = [
    *("RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl", "AGE", "PTGENDER"),
    *("PTEDUCAT", "PTETHCAT", "PTMARRY", "APOE4", "PIB", "AV45", "ABETA", "PTAU", "EXAMDATE_bl", "ADAS11_bl"),
    *("ADAS13_bl", "ADASQ4_bl", "MMSE_bl", "RAVLT_immediate_bl", "TRABSCOR_bl", "mPACCdigit_bl"),
    *("mPACCtrailsB_bl", "MOCA_bl", "DX", "MMSE"),
]
MAYO = "MAYOADIRL_MRI_IMAGEQC_05_07_15"


def _adni(name: str, columns: str, further: str, place: str, *names: str) -> StudyTable:
    return StudyTable(name, columns.split(), further.split(), f"Study Files > {place}", names or (name,))


ADNI_TABLES = {
    table.name: table
    for table in (
        _adni("ADNIMERGE", "PTID VISCODE EXAMDATE AGE PTGENDER", " ".join(MERGE_COLUMNS), "Study Info"),
        _adni("REGISTRY", "PTID VISCODE2 EXAMDATE", "RID PHASE VISCODE", "Enrollment"),
        _adni("PTDEMOG", "PTID PTGENDER PTDOB|PTDOBYY", "RID PTDOBYY PTEDUCAT", "Subject Characteristics"),
        _adni(
            "DXSUM",
            "PTID|RID VISCODE2 DIAGNOSIS|DXCURREN|DXCHANGE",
            "PHASE PTID RID VISCODE EXAMDATE",
            "Assessments",
            *("DXSUM", "DXSUM_PDXCONV_ADNIALL", "DXSUM_PDXCONV"),
        ),
        _adni("MMSE", "PTID|RID VISCODE2 MMSCORE", "PTID RID VISDATE", "Assessments"),
        _adni("CDR", "RID VISCODE2 CDGLOBAL", "", "Assessments"),
        _adni("APOERES", "RID APGEN1|GENOTYPE", "APGEN2", "Biospecimen"),
        _adni("MPRAGEMETA", "Orig/Proc SubjectID Sequence ScanDate ImageUID", "", "withdrawn in 2024"),
        _adni("MRIPROT", "RID LONIUID PASS", "", "Imaging", "MRIPROT", "MRIQUALITY", "MRIQC"),
        _adni(
            MAYO,
            "RID loni_image series_type series_selected series_quality",
            "",
            "Imaging",
            *(MAYO, r"MAYOADIRL_MRI_IMAGEQC_\d\d_\d\d_\d\d"),
        ),
    )
}

AIBL_TABLES = {
    name: StudyTable(
        f"aibl_{name}",
        columns.split(),
        ["VISCODE", "EXAMDATE", "SITEID"],
        "AIBL > Study Data",
        (f"aibl_{name}", f"aibl_{name}_.*"),
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
    """A table that was found: its file, its content as text, and the record of what is made of it."""

    path: Path
    content: pandas.DataFrame
    ledger: Ledger

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    def __getitem__(self, column: str) -> pandas.Series:
        return self.content[column]

    def understood(
        self, column: str, after: pandas.Series, needed: str = "", private: bool = False
    ) -> pandas.Series:
        """Record which cells of a column were not understood, and return what was."""
        return self.ledger.understood(self.name, column, self.content[column], after, needed, private)

    def made(self, table: str, rows_out: int, how: str) -> None:
        """Record that a table was made of this one alone."""
        self.ledger.made(table, [self.path], len(self.content), rows_out, how)


class TablesFolder:
    """The study tables of a folder and its subfolders; the ledger says which files were taken, which not."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.ledger = ledger
        self.files = list_tables(folder)
        self._unusable: dict[str, str] = {}
        self._taken: dict[str, FoundTable | None] = {}

    def take(self, table: StudyTable, *, needed: bool = True) -> FoundTable | None:
        """Read the best file of a table, or return None if there is none.

        The preferred name counts, then the newest date; two files of equal rank that differ are a problem,
        and so is what stands against reading a ``needed`` table.
        """
        if table.name not in self._taken:
            self._taken[table.name] = self._find(table, self.ledger.problems if needed else [])
        return self._taken[table.name]

    def _find(self, table: StudyTable, problems: list[str]) -> FoundTable | None:
        def refuse(path: Path, error: Exception) -> None:
            self._unusable[table.name] = f"the table {path.name} cannot be read: {error}"
            problems.append(self.absence(table))

        wanted = [name for each in table.columns for name in each.split("|")]
        named = [(rank, path) for path in self.files if (rank := _rank(table, path)) is not None]
        usable = []
        for rank, path in sorted(named):
            try:
                missing = table.lacks(read_header(path))
            except (OSError, ValueError) as error:
                refuse(path, error)
                continue
            if missing:
                names = ", ".join(each.replace("|", " or ") for each in missing)
                self._unusable[table.name] = f"the table {path.name} has no column {names}"
                self.ledger.note(table.name, f"not used: it has no column {names}", source=path.name)
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
            self.ledger.note(table.name, f"not used: {best.name} was taken", source=path.name)
        try:
            content = read_table(best, (*wanted, *table.further))
        except (OSError, ValueError) as error:
            refuse(best, error)
            return None
        if "PTID" in content:
            given, content["PTID"] = content["PTID"], read_participants(content["PTID"])
            self.ledger.rewritten(best.name, "PTID", given, content["PTID"], "written as ADNI writes it")
        return FoundTable(best, content, self.ledger)

    def absence(self, table: StudyTable) -> str:
        """Say why there is no file that could be taken for a table, and where to get one."""
        missing = f"the table {table.name}{'_*' * table.name.startswith('aibl')}.csv is missing"
        return f"{self._unusable.get(table.name, missing)} ({table.place})"


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
    """Return a file's name without suffix, date and the number of a copy."""
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
    text, form = "".join(part for part in match.groups() if part), "%d%b%Y" if match[1] else "%Y%m%d"
    try:
        return datetime.strptime(text, form).toordinal()
    except ValueError:
        return 0
