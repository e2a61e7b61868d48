"""Reading of study tables as they come: any separator, byte-order mark, date form or spelling of a number."""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas

from rhvae_mri.downloads import sha256_of
from rhvae_mri.texts import plain_cell

#: What tables write where they have nothing; -4 is ADNI's and AIBL's code.
_MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", ".", "-4", "-4.0"])

#: As worded dates abbreviate them.
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO = re.compile(r"(\d{4})(?:[-/](\d{1,2})[-/](\d{1,2})(?:[T ].*)?|(\d\d)(\d\d))")
_SLASHED = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d\d)(?:[T ].*)?")
_WORDED = re.compile(r"(\d{1,2})[- ]?([A-Za-z]{3})[a-z]*[- ]?(\d{4}|\d\d)")
_INTEGER = re.compile(r"[IS]?0*(\d+)(?:\.0*)?", re.IGNORECASE | re.ASCII)
_MONTH_CODE = re.compile(r"m0*(\d+)")

#: Two-digit years of examinations: none is earlier than this one.
_CENTURY_BREAK = 70

#: A column of which more than this part is not understood is in a form of its own.
_TOLERATED = 0.5
_EXAMPLES = 3
_HEADER_BYTES = 2**16

COLUMNS = [
    *("table", "source", "sha256", "rows_in", "rows_out"),
    *("column", "value", "became", "count", "reason"),
]


@dataclass
class Ledger:
    """What the tables of a download were made into, value by value, and what stands against that.

    Attributes
    ----------
    rows : list of dict
        The rows of ``tables.tsv``, by column of `COLUMNS`; a row without ``column`` is about a whole table.
    problems : list of str
        Why the download cannot be converted.
    """

    rows: list[dict[str, object]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def made(self, table: str, sources: Iterable[Path], rows_in: int, rows_out: int, how: str) -> None:
        """Record of what a table was made, with the digest of each file."""
        files = list(sources)
        self.rows.append(
            {
                "table": table,
                "source": ", ".join(path.name for path in files) or None,
                "sha256": ", ".join(map(sha256_of, files)) or None,
                "rows_in": rows_in,
                "rows_out": rows_out,
                "reason": how,
            }
        )

    def changed(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series | str, reason: str
    ) -> None:
        """Record the values of a column that were changed, each with how often it occurs."""
        pairs = pandas.DataFrame({"value": before, "became": after})
        for (value, became), count in pairs.value_counts(sort=False).items():
            self.rows.append(
                {
                    "table": table,
                    "column": column,
                    "value": plain_cell(str(value)) or "(empty)",
                    "became": plain_cell(str(became)) or "(empty)",
                    "count": count,
                    "reason": reason,
                }
            )

    def rewritten(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series, reason: str
    ) -> None:
        """Record the values of a column that are written in another way."""
        other = (before != "") & (after != "") & (before != after)
        self.changed(table, column, before[other], after[other], reason)

    def left_out(self, table: str, column: str, values: pandas.Series, reason: str) -> None:
        """Record the values of a column because of which rows were left out."""
        self.changed(table, column, values, "(row left out)", reason)

    def table(self) -> pandas.DataFrame:
        """Return the record as a table; names of files are in it as texts that do no harm."""
        table = pandas.DataFrame(self.rows, columns=COLUMNS).astype(
            dict.fromkeys(("rows_in", "rows_out", "count"), "Int64")
        )
        names = ["table", "source"]
        return table.assign(**{name: table[name].map(plain_cell, na_action="ignore") for name in names})


def read_table(path: Path, columns: Iterable[str] = ()) -> pandas.DataFrame:
    """Read a study table as text, with empty text for whatever is missing.

    Parameters
    ----------
    path : pathlib.Path
        A CSV file with commas or semicolons, with or without a byte-order mark.
    columns : iterable of str
        Names that columns get where only upper and lower case differ.

    Raises
    ------
    ValueError
        If it is no table.
    """
    lines = _split(path.read_bytes())
    if not lines:
        return pandas.DataFrame(columns=list(columns), dtype=str)
    known = {name.lower(): name for name in columns}
    header = [known.get(name.lower(), name) for name in lines[0]]
    for number, row in enumerate(lines[1:], start=2):
        if any(row[len(header) :]):
            raise ValueError(f"row {number} has {len(row)} cells, its header {len(header)}")
    rows = [_cells(row, len(header)) for row in lines[1:]]
    table = pandas.DataFrame(rows, columns=pandas.Index(header), dtype=str)
    return table.loc[:, ~table.columns.duplicated()]


def read_header(path: Path) -> list[str]:
    """Return the names in the first line of a table; none where it is no table."""
    with open(path, "rb") as file:
        try:
            return next(iter(_split(file.read(_HEADER_BYTES))), [])
        except ValueError:
            return []


def read_dates(values: pandas.Series) -> pandas.Series:
    """Read dates of any usual form; month and day are in the American order unless one value forbids it.

    Dates with points (``9.4.2006``) have the day first everywhere.

    Returns
    -------
    pandas.Series of str
        ``YYYY-MM-DD``, or empty text where there is no date.

    Examples
    --------
    >>> list(read_dates(pandas.Series(["4/9/2006", "2006-04-09 00:00", "9Apr2006", "13/13/2006", ""])))
    ['2006-04-09', '2006-04-09', '2006-04-09', '', '']
    >>> list(read_dates(pandas.Series(["4/9/2006", "30/9/2006"])))
    ['2006-09-04', '2006-09-30']
    >>> list(read_dates(pandas.Series(["9.4.2006"])))
    ['2006-04-09']
    """
    slashed = [match for match in map(_SLASHED.fullmatch, values) if match]
    first, second = (any(int(match[place]) > 12 for match in slashed) for place in (1, 2))
    day_first = first and not second
    return values.map(lambda text: _read_date(text, day_first))


def read_integers(values: pandas.Series) -> pandas.Series:
    """Read whole numbers, also as ``I30000``, ``S123`` or ``123.0``; empty text where there is none.

    Examples
    --------
    >>> list(read_integers(pandas.Series(["I30000", "17.0", "0042", "x", ""])))
    ['30000', '17', '42', '', '']
    """
    return values.map(lambda text: match[1] if (match := _INTEGER.fullmatch(text)) else "")


def read_numbers(values: pandas.Series, low: float, high: float) -> pandas.Series:
    """Read numbers within bounds (inclusive), also with a decimal comma; empty text where there is none.

    Examples
    --------
    >>> list(read_numbers(pandas.Series(["71.3", "71,3", "0.50", "-1", "?"]), 0, 100))
    ['71.3', '71.3', '0.5', '', '']
    """
    pointed = values.str.replace(r"^(-?\d*),(\d+)$", r"\1.\2", regex=True)
    numbers = pandas.to_numeric(pointed, errors="coerce")
    return (
        numbers.where(numbers.between(low, high))
        .map(lambda number: f"{number:g}", na_action="ignore")
        .fillna("")
    )


def read_participants(values: pandas.Series) -> pandas.Series:
    """Read ADNI's identifiers of participants, also in lower case or with blanks or hyphens.

    Examples
    --------
    >>> list(read_participants(pandas.Series(["002_S_0295", "002_s_0295", "002 S 0295", "phantom"])))
    ['002_S_0295', '002_S_0295', '002_S_0295', 'phantom']
    """
    return values.str.replace(r"(?i)^(\d{3})[\s_-]*s[\s_-]*(\d{4,5})$", r"\1_S_\2", regex=True)


def visit_code(text: str) -> str:
    """Return a visit's code in the form that Clinica reads; another text in lower case.

    Examples
    --------
    >>> [visit_code(text) for text in ("BL", "m0", "M6", "m120", "scmri")]
    ['bl', 'bl', 'm06', 'm120', 'scmri']
    """
    code = text.strip().lower()
    match = _MONTH_CODE.fullmatch(code)
    if match:
        return "bl" if int(match[1]) == 0 else f"m{int(match[1]):02d}"
    return code


def visit_month(code: str) -> int | None:
    """Return the month of a visit's code (``bl``: 0), or None for any other code."""
    if code == "bl":
        return 0
    match = _MONTH_CODE.fullmatch(code)
    return int(match[1]) if match else None


def understood(
    ledger: Ledger,
    table: str,
    column: str,
    before: pandas.Series,
    after: pandas.Series,
    *,
    needed: str = "",
    private: bool = False,
) -> pandas.Series:
    """Record the cells that were not understood, and return what was.

    Parameters
    ----------
    ledger : Ledger
        Where to record.
    table, column : str
        What was read.
    before, after : pandas.Series
        The cells, and what they were read as; empty text where they were not understood.
    needed : str
        What the column has to hold, such as ``dates``, where the study cannot do without it: then it is a
        problem if most cells are something else.
    private : bool
        The cells must not be repeated (dates of birth).
    """
    strange = (before != "") & (after == "")
    if needed and strange.sum() > _TOLERATED * (before != "").sum():
        examples = [] if private else [plain_cell(text) for text in before[strange].unique()[:_EXAMPLES]]
        ledger.problems.append(
            f"the column {column} of {table} holds no {needed}"
            + (f": {', '.join(examples)}" if examples else "")
        )
    elif strange.any():
        shown = before[strange].map(lambda text: "(not shown)" if private else text)
        ledger.changed(table, column, shown, "", "not understood, taken as missing")
    return after


def _split(content: bytes) -> list[list[str]]:
    """Part a table into its cells, without spaces around them and without empty lines."""
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise ValueError(f"row {reader.line_num}: {error}") from error
    return [row for row in rows if any(row)]


def _cells(row: list[str], count: int) -> list[str]:
    cells = ["" if cell.lower() in _MISSING else cell for cell in row[:count]]
    return cells + [""] * (count - len(cells))


def _read_date(text: str, day_first: bool) -> str:
    if match := _ISO.fullmatch(text):
        year, month, day = (int(part) for part in match.groups() if part)
    elif match := _SLASHED.fullmatch(text):
        one, other, year = (int(part) for part in match.groups())
        day, month = (one, other) if day_first or "." in text[:3] else (other, one)
    elif (match := _WORDED.fullmatch(text)) and match[2].lower() in MONTHS:
        day, month, year = int(match[1]), 1 + MONTHS.index(match[2].lower()), int(match[3])
    else:
        return ""
    if year < 100:
        year += 1900 if year >= _CENTURY_BREAK else 2000
    try:
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return ""
