"""The study tables that Clinica's converters read: their names, and the columns without which they fail.

Source: Clinica 0.12.0, each column tried by deletion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: The suffix that LONI adds on the day of the download.
_DATE = r"(_\d{1,2}[A-Za-z]{3}\d{4})?"


@dataclass(frozen=True)
class StudyTable:
    """One table that a converter reads.

    Attributes
    ----------
    name : str
        Its usual name, for messages.
    patterns : tuple of str
        Regular expressions of the file's name, the preferred one first; one of them must be found in the
        name of exactly one file.
    columns : tuple of str
        Columns that must be there; ``A|B`` asks for one of the two.
    nested : bool
        Whether the file may lie in a subfolder of the tables folder.
    least_columns : int
        How many columns there must be at least.
    successors : tuple of str
        Regular expressions of the files that replaced the table in LONI's archive.
    advice : str
        What to do where only a successor is there.
    """

    name: str
    patterns: tuple[str, ...]
    columns: tuple[str, ...]
    nested: bool = False
    least_columns: int = 0
    successors: tuple[str, ...] = ()
    advice: str = ""

    def find(self, folder: Path) -> list[Path]:
        """Return the files that the converter would take for this table; one is right."""
        matches = [self._matching(folder, pattern) for pattern in self.patterns]
        return min(matches, key=lambda files: abs(len(files) - 1))

    def find_successors(self, folder: Path) -> list[Path]:
        """Return the files that replaced this table in the archive, where they are there."""
        return [path for pattern in self.successors for path in self._matching(folder, pattern)]

    def _matching(self, folder: Path, pattern: str) -> list[Path]:
        files = folder.rglob("[!.]*.csv") if self.nested else folder.glob("[!.]*.csv")
        return sorted(path for path in files if re.search(pattern, path.name))


def _adni(
    name: str, columns: str, *other_names: str, successors: tuple[str, ...] = (), advice: str = ""
) -> StudyTable:
    patterns = tuple(f"{each}{_DATE}.csv" for each in (name, *other_names))
    return StudyTable(
        name, patterns, tuple(columns.split()), nested=True, successors=successors, advice=advice
    )


def _aibl(name: str, columns: str, least_columns: int = 0) -> StudyTable:
    pattern = rf"^aibl_{name}_.*\.csv$"
    return StudyTable(f"aibl_{name}_*", (pattern,), tuple(columns.split()), least_columns=least_columns)


ADNI_TABLES = (
    _adni(
        "ADNIMERGE",
        "RID COLPROT ORIGPROT PTID SITE VISCODE EXAMDATE DX_bl AGE PTGENDER PTEDUCAT PTETHCAT PTMARRY APOE4 "
        "PIB AV45 ABETA PTAU EXAMDATE_bl ADAS11_bl ADAS13_bl ADASQ4_bl MMSE_bl RAVLT_immediate_bl "
        "TRABSCOR_bl mPACCdigit_bl mPACCtrailsB_bl MOCA_bl",
    ),
    _adni(
        "MPRAGEMETA",
        "Orig/Proc SubjectID Visit MagStrength Sequence ScanDate StudyID SeriesID ImageUID",
        successors=("All_Images",),
        advice="its columns have other names: use the table of an earlier download, or write one from it",
    ),
    _adni(
        "MRIQUALITY",
        "RID LONIUID PASS",
        successors=("^MRIPROT", "^MRIQC"),
        advice="use the table of an earlier download, or write one with the columns RID, LONIUID ('S' "
        "and the series number) and PASS (0 or 1)",
    ),
    _adni(
        "MAYOADIRL_MRI_IMAGEQC_05_07_15",
        "RID loni_image series_type series_selected series_quality",
        successors=("MAYOADIRL_MRI_IMAGEQC_12_08_15",),
        advice="Clinica 0.12 knows the table of 05_07_15 only: download it, or copy this file under its name",
    ),
    _adni(
        "DXSUM_PDXCONV_ADNIALL",
        "PTID VISCODE2 DIAGNOSIS",
        "DXSUM_PDXCONV",
        successors=(rf"^DXSUM{_DATE}\.csv$",),
        advice="copy it under the name DXSUM_PDXCONV_ADNIALL.csv",
    ),
    _adni("APOERES", "APGEN1|GENOTYPE APGEN2|GENOTYPE"),
)

AIBL_TABLES = (
    _aibl("ptdemog", "RID SITEID VISCODE PTGENDER PTDOB"),
    _aibl("apoeres", "APGEN1 APGEN2"),
    _aibl("pdxconv", "RID VISCODE DXCURREN"),
    _aibl("mmse", "RID VISCODE MMSCORE"),
    _aibl("cdr", "RID VISCODE CDGLOBAL"),
    *(_aibl(name, "RID VISCODE EXAMDATE") for name in ("neurobat", "mrimeta", "mri3meta")),
    *(
        _aibl(f"{tracer}meta", "RID VISCODE EXAMDATE", least_columns=36)
        for tracer in ("av45", "pib", "flute")
    ),
)

TABLES = {"ADNI": ADNI_TABLES, "AIBL": AIBL_TABLES}


def find_table(cohort: str, name: str, folder: Path) -> Path:
    """Return the file of a table that a preflight has found to be there.

    Parameters
    ----------
    cohort : str
        ``ADNI`` or ``AIBL``.
    name : str
        The table's `StudyTable.name`.
    folder : path
        The tables folder.
    """
    table = next(each for each in TABLES[cohort] if each.name == name)
    return table.find(folder)[0]
