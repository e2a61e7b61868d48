"""The study tables of ADNI and AIBL: their names in the archive, old and new, and how each is found.

LONI renamed or withdrew most of ADNI's tables in October 2024; both generations are read. A file's name may
have a prefix (``All_Subjects_``), a date (``_28Nov2026``) and any case, and lie in a subfolder. What is read
of them is recorded: files, rows, and every value changed or left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pandas

from rhvae_mri.convert.csv_tables import column_key, read_header, read_participants, read_table
from rhvae_mri.io.downloads import sha256_of
from rhvae_mri.io.texts import plain_cell

#: Where more than this part of a needed column is not understood, it is in a form of its own; a single cell
#: of a small table is not, unless it is most of it.
_TOLERATED, _MOST = 0.1, 0.5
_EXAMPLE_LENGTH, _EXAMPLES = 40, 3

#: What is recorded in the place of a cell that must not be repeated (dates of birth).
HIDDEN = "(not shown)"
NOT_THERE = "(not there)"

#: Columns of the record's table.
COLUMNS = [
    *("table", "source", "sha256", "rows_in", "rows_out"),
    *("column", "value", "became", "count", "reason"),
]


@dataclass
class Ledger:
    """What a download's tables were made into (``rows``, by `COLUMNS`), and what stands against it."""

    rows: list[dict[str, object]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, table: str, reason: str, **cells: object) -> None:
        """Record something of a table; ``source=NOT_THERE`` and what follows, of one that is not there."""
        self.rows.append({"table": table, **cells, "reason": reason})

    def made(self, table: str, sources: Sequence[Path], rows_in: int, rows_out: int, how: str) -> None:
        """Record of what a table was made, with the digest of each file."""
        names, digests = ", ".join(path.name for path in sources), ", ".join(map(sha256_of, sources))
        source, digest = names or None, digests or None
        self.note(table, how, source=source, sha256=digest, rows_in=rows_in, rows_out=rows_out)

    def changed(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series | str, reason: str
    ) -> None:
        """Record the values of a column that were changed, each with how often it occurs."""
        pairs = pandas.DataFrame({"value": before, "became": after})
        for cells, count in pairs.value_counts(sort=False).items():
            value, became = (plain_cell(str(cell)) or "(empty)" for cell in cells)
            self.note(table, reason, column=column, value=value, became=became, count=count)

    def rewritten(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series, reason: str
    ) -> pandas.Series:
        """Record the values of a column that are written in another way, and return the new ones."""
        other = (before != "") & (after != "") & (before != after)
        self.changed(table, column, before[other], after[other], reason)
        return after

    def left_out(self, table: str, column: str, values: pandas.Series, reason: str) -> None:
        """Record the values of a column because of which rows were left out."""
        self.changed(table, column, values, "(row left out)", reason)

    def understood(
        self,
        table: str,
        column: str,
        before: pandas.Series,
        after: pandas.Series,
        needed: str = "",
        private: bool = False,
    ) -> pandas.Series:
        """Record cells that were not understood (empty in ``after``), and return ``after``.

        If the study cannot do without what the column has to hold (``needed``, such as ``dates``), more than
        a few of them are a problem. ``private`` cells are not repeated.
        """
        strange = before[(before != "") & (after == "")]
        filled = (before != "").sum()
        if needed and len(strange) > min(max(1, _TOLERATED * filled), _MOST * filled):
            examples = ", ".join(
                f"line {line}" + ("" if private else f": {plain_cell(text)[:_EXAMPLE_LENGTH]}")
                for line, text in strange.drop_duplicates()[:_EXAMPLES].items()
            )
            self.problems.append(
                f"{len(strange)} of {filled} cells in the column {column} of {table} are no {needed} "
                f"({examples})"
            )
        else:
            shown = strange.map(lambda text: HIDDEN if private else text)
            self.changed(table, column, shown, "", "not understood, taken as missing")
        return after

    def table(self) -> pandas.DataFrame:
        """Return the record as a table; names of files are in it as texts that do no harm."""
        kinds = dict.fromkeys(("rows_in", "rows_out", "count"), "Int64")
        table = pandas.DataFrame(self.rows, columns=COLUMNS).astype(kinds)
        names = ["table", "source"]
        return table.assign(**{name: table[name].map(plain_cell, na_action="ignore") for name in names})


_DATED = re.compile(r"[_-](\d{1,2})-?([A-Za-z]{3})-?(\d{4})$|[_-](\d{4})-?(\d\d)-?(\d\d)$")
_COPY = re.compile(r" ?\(\d+\)$")


class StudyTable(NamedTuple):
    """A table of the archive: what messages call it, its needed columns (``A|B``: either), where it is.

    ``names`` are regular expressions of files' names without prefix and date, the preferred one first.
    ``further`` columns are used where they are there.
    """

    name: str
    columns: list[str]
    further: list[str]
    place: str
    names: tuple[str, ...]


#: Columns of ADNIMERGE that Clinica 0.12 reads and whose upper and lower case it minds.
MERGE_COLUMNS = [
    *("RID", "COLPROT", "ORIGPROT", "PTID", "SITE", "VISCODE", "EXAMDATE", "DX_bl", "AGE", "PTGENDER"),
    *("PTEDUCAT", "PTETHCAT", "PTMARRY", "APOE4", "PIB", "AV45", "ABETA", "PTAU", "EXAMDATE_bl", "ADAS11_bl"),
    *("ADAS13_bl", "ADASQ4_bl", "MMSE_bl", "RAVLT_immediate_bl", "TRABSCOR_bl", "mPACCdigit_bl"),
    *("mPACCtrailsB_bl", "MOCA_bl", "DX", "MMSE"),
]
MAYO = "MAYOADIRL_MRI_IMAGEQC_05_07_15"

_MERGE, _DIAGNOSES = "PTID VISCODE EXAMDATE AGE PTGENDER", "PTID|RID VISCODE2 DIAGNOSIS|DXCURREN|DXCHANGE"
_VERDICTS = "RID loni_image series_type series_selected series_quality"
#: Name: needed columns, further ones, place, and names of files where there are others.
_ADNI: dict[str, tuple[str, ...]] = {
    "ADNIMERGE": (_MERGE, " ".join(MERGE_COLUMNS), "Study Info"),
    "REGISTRY": ("PTID VISCODE2 EXAMDATE", "RID PHASE VISCODE", "Enrollment"),
    "PTDEMOG": ("PTID PTGENDER PTDOB|PTDOBYY", "RID PTDOBYY PTEDUCAT", "Subject Characteristics"),
    "DXSUM": (
        *(_DIAGNOSES, "PHASE PTID RID VISCODE EXAMDATE", "Assessments"),
        *("DXSUM", "DXSUM_PDXCONV_ADNIALL", "DXSUM_PDXCONV"),
    ),
    "MMSE": ("PTID|RID VISCODE2 MMSCORE", "PTID RID VISDATE", "Assessments"),
    "CDR": ("RID VISCODE2 CDGLOBAL", "", "Assessments"),
    "APOERES": ("RID APGEN1|GENOTYPE", "APGEN2", "Biospecimen"),
    "MPRAGEMETA": ("Orig/Proc SubjectID Sequence ScanDate ImageUID", "", "withdrawn in 2024"),
    "MRIPROT": ("RID LONIUID PASS", "", "Imaging", "MRIPROT", "MRIQUALITY", "MRIQC"),
    MAYO: (_VERDICTS, "", "Imaging", MAYO, r"MAYOADIRL_MRI_IMAGEQC_\d\d_\d\d_\d\d"),
}
ADNI_TABLES = {
    name: StudyTable(
        name, columns.split(), further.split(), f"Study Files > {place}", tuple(names) or (name,)
    )
    for name, (columns, further, place, *names) in _ADNI.items()
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

    def left_out(self, column: str, values: pandas.Series, reason: str) -> None:
        """Record the values of a column because of which rows were left out."""
        self.ledger.left_out(self.name, column, values, reason)

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
                present = set(map(column_key, read_header(path)))
            except (OSError, ValueError) as error:
                refuse(path, error)
                continue
            missing = [each for each in table.columns if not present & set(map(column_key, each.split("|")))]
            if missing:
                lack = f"has no column {', '.join(missing).replace('|', ' or ')}"
                self._unusable[table.name] = f"the table {path.name} {lack}"
                self.ledger.note(table.name, f"not used: it {lack}", source=path.name)
            else:
                usable.append((rank, path))
        if not usable:
            return None
        (highest, best), *others = usable
        for rank, path in others:
            if rank == highest and not _say_the_same(best, path, wanted):
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
    return name.lower().endswith(".csv") and any(_rank(table, Path(name)) is not None for table in tables)


def table_name(path: Path) -> str:
    """Return a file's name without suffix, date and the number of a copy."""
    return _DATED.sub("", _COPY.sub("", path.stem))


def _say_the_same(one: Path, other: Path, columns: Sequence[str]) -> bool:
    """Whether two files have the same rows in the needed columns; quoting and other columns do not matter."""
    if one.read_bytes() == other.read_bytes():
        return True
    try:
        tables = [read_table(path, columns).reindex(columns=columns) for path in (one, other)]
    except ValueError:
        return False
    rows = [table.value_counts(dropna=False).sort_index() for table in tables]
    return rows[0].equals(rows[1])


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
    if not (match := _DATED.search(_COPY.sub("", path.stem))):
        return 0
    text, form = "".join(filter(None, match.groups())), "%d%b%Y" if match[1] else "%Y%m%d"
    try:
        return datetime.strptime(text, form).toordinal()
    except ValueError:
        return 0
