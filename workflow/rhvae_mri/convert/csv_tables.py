"""Reading of study tables as they come, from LONI or from the program that saved them since.

What is in a file tells its separator, encoding, quotes, and forms of dates and numbers. What can be read in
two ways is not read.
"""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas

from rhvae_mri.downloads import sha256_of
from rhvae_mri.texts import plain_cell

#: What tables write where they have nothing; -4 is ADNI's and AIBL's code.
_MISSING = frozenset(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", ".", "-4"])

_SEPARATORS = ",;\t|"
#: What spreadsheet programs are told of the separator in a line of its own.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)[,;\t|"]*', re.IGNORECASE)
#: A whole line as one cell, with the separators of further, empty ones.
_ONE_CELL = re.compile(r'"((?:[^"]|"")*)"')
#: Blanks that do not break, and marks that nobody sees.
_UNSEEN = {0xA0: " ", 0x202F: " ", 0x200B: None, 0xFEFF: None}
_NO_TABLES = {
    b"PK\x03\x04": "a workbook or an archive",
    b"\xd0\xcf\x11\xe0": "a workbook",
    b"<": "a web page",
}
_DECIMAL_COMMA = re.compile(r"^(-?\d*),(\d+)\Z", re.ASCII)
_WHOLE = re.compile(r"^(-?\d+)\.0{1,2}\Z", re.ASCII)

#: How the names of the months begin in English, German and French, without accents.
_MONTHS = [
    tuple(names.split())
    for names in (
        *("jan", "feb fev", "mar mrz", "apr avr", "may mai", "jun juin", "jul juil"),
        *("aug aou", "sep", "oct okt", "nov", "dec dez"),
    )
]
_WORD = r"([^\W\d_]{3,})\.?"
_YEAR = r"(\d{4}|\d\d)(?:[T ,].*)?"
_ISO = re.compile(r"(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?|(\d\d)(\d\d))")
_NUMERIC = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2{_YEAR}")
_WORDED = re.compile(rf"(\d{{1,2}})[-./ ]*{_WORD}[-./ ]*{_YEAR}")
_WORD_FIRST = re.compile(rf"{_WORD} (\d{{1,2}}), {_YEAR}")
_INTEGER = re.compile(r"[IS]?0*(\d{1,15})", re.IGNORECASE | re.ASCII)
#: Digits in groups of three; such a number that ends in 000 may have three decimals instead.
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:[.,' ]\d{3})+", re.ASCII)
_MONTH_CODE = re.compile(r"m0*(\d{1,5})", re.ASCII)

#: Two-digit years of examinations: none is earlier than this one.
_CENTURY_BREAK = 70
_FIRST_FUTURE = 27
_MONTHS_IN_YEAR = 12

#: Where more than this part of a needed column is not understood, it is in a form of its own; a single cell
#: of a small table is not, unless it is most of it.
_TOLERATED, _MOST = 0.1, 0.5
_EXAMPLE_LENGTH = 40

CERTAIN_DATES = "dates of which day and month are certain"
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
        A CSV file with any usual separator and encoding.
    columns : iterable of str
        Names that columns get where only case, blanks and punctuation differ.

    Returns
    -------
    pandas.DataFrame of str
        Indexed by the number of the line in the file.

    Raises
    ------
    ValueError
        If it is no table, or one whose cells cannot be told apart; it says in which line.
    """
    content = path.read_bytes()
    rows = list(_rows(content))
    if not rows:
        return pandas.DataFrame(columns=list(columns), dtype=str)
    known = {column_key(name): name for name in columns}
    (_, names), *body = rows
    body = [(line, row) for line, row in body if row != names]
    _check_rows(names, body, is_whole=content.rstrip(b"\0").endswith((b"\r", b"\n")))
    header = [known.get(column_key(name), name) for name in names]
    cells = [[*map(_read_cell, row), *[""] * len(names)][: len(names)] for _, row in body]
    table = pandas.DataFrame(cells, columns=pandas.Index(header), index=[line for line, _ in body], dtype=str)
    for name in {*known.values()} & {*table.columns[table.columns.duplicated()]}:
        if table[name].ne(table[name].iloc[:, 0], axis=0).any(axis=None):
            raise ValueError(f"the column {name} is there more than once, with different cells")
    return table.loc[:, ~table.columns.duplicated()]


def column_key(name: str) -> str:
    """Return what is left of a column's name whatever a program does to it.

    Examples
    --------
    >>> column_key("Orig/Proc"), column_key("Orig.Proc"), column_key(" image_ID")
    ('origproc', 'origproc', 'imageid')
    """
    return re.sub(r"[\W_]", "", name).lower()


def read_header(path: Path) -> list[str]:
    """Return the names in the first line of a table.

    Raises
    ------
    ValueError
        If it is no table.
    """
    with open(path, "rb") as file:
        return next(_rows(file.read(_HEADER_BYTES)), (0, []))[1]


def read_dates(values: pandas.Series, *, american: bool = False) -> pandas.Series:
    """Read dates of any usual form, if the column shows which of two numbers is the day and which the month.

    Where no day is above 12 that is not known, unless there are points, which have the day first everywhere.
    Points beside other marks come from a program that took some dates for others: none is read.

    Parameters
    ----------
    values : pandas.Series of str
        All cells of a column.
    american : bool
        LONI itself writes the month first in this column: so it is, unless a day says otherwise.

    Returns
    -------
    pandas.Series of str
        ``YYYY-MM-DD``, or empty text where there is no certain date.

    Examples
    --------
    >>> list(read_dates(pandas.Series(["4/9/2006", "4/30/2006", "2006-04-09 00:00", "9Apr2006", "x"])))
    ['2006-04-09', '2006-04-30', '2006-04-09', '2006-04-09', '']
    >>> list(read_dates(pandas.Series(["4/9/2006", "30/9/2006"])))
    ['2006-09-04', '2006-09-30']
    >>> list(read_dates(pandas.Series(["4/9/2006"]))), list(read_dates(pandas.Series(["9.4.2006"])))
    ([''], ['2006-04-09'])
    """
    matches = [match for match in map(_NUMERIC.fullmatch, values.unique()) if match]
    month_first = _is_month_first(matches, american)
    return values.map(lambda text: _read_date(text, month_first))


def month_number(word: str) -> int | None:
    """Return the number of a month by its name or the beginning of it, or None.

    Examples
    --------
    >>> [month_number(word) for word in ("Sep", "Mrz", "févr", "maggio")]
    [9, 3, 2, None]
    """
    plain = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()
    found = (number for number, names in enumerate(_MONTHS, start=1) if plain.startswith(names))
    return next(found, None)


def read_integers(values: pandas.Series) -> pandas.Series:
    """Read whole numbers, also as ``I30000`` or ``S123``; empty text where there is none.

    Examples
    --------
    >>> list(read_integers(pandas.Series(["I30000", "0042", "4.002", "4.000", "1.2E+11", ""])))
    ['30000', '42', '4002', '4000', '', '']
    >>> list(read_integers(pandas.Series(["4.000"])))
    ['']
    """
    grouped = values.str.fullmatch(_GROUPED).astype(bool)
    if (grouped & ~values.str.endswith("000")).any():
        values = values.where(~grouped, values.str.replace(r"\D", "", regex=True))
    return values.map(lambda text: match[1] if (match := _INTEGER.fullmatch(text)) else "")


def read_numbers(values: pandas.Series, low: float, high: float) -> pandas.Series:
    """Read numbers within bounds (inclusive); empty text where there is none.

    Examples
    --------
    >>> list(read_numbers(pandas.Series(["71.3", "0.50", "-1", "?"]), 0, 100))
    ['71.3', '0.5', '', '']
    """
    numbers = pandas.to_numeric(values, errors="coerce")
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
        problem if more than a few cells are something else.
    private : bool
        The cells must not be repeated (dates of birth).
    """
    strange = (before != "") & (after == "")
    filled = (before != "").sum()
    if needed and strange.sum() > min(max(1, _TOLERATED * filled), _MOST * filled):
        examples = [
            f"line {line}" + ("" if private else f": {plain_cell(text)[:_EXAMPLE_LENGTH]}")
            for line, text in before[strange].drop_duplicates()[:_EXAMPLES].items()
        ]
        ledger.problems.append(
            f"{strange.sum()} of {filled} cells in the column {column} of {table} are no {needed} "
            f"({', '.join(examples)})"
        )
    elif strange.any():
        shown = before[strange].map(lambda text: "(not shown)" if private else text)
        ledger.changed(table, column, shown, "", "not understood, taken as missing")
    return after


def _decode(content: bytes) -> str:
    """Return the text of a table in whatever encoding it was saved."""
    for mark, what in _NO_TABLES.items():
        if content.lstrip().startswith(mark):
            raise ValueError(f"it is {what}, not a CSV table")
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            line = 1 + content[: error.start].decode(encoding, errors="ignore").count("\n")
            raise ValueError(f"line {line}: it is cut short or damaged") from error
        text = content.removeprefix(codecs.BOM_UTF8).decode("cp1252", errors="replace")
    before, null, _ = text.partition("\0")
    if null:
        raise ValueError(f"line {1 + before.count(chr(10))}: it is damaged: it has null bytes")
    return text.translate(_UNSEEN)


def _rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the cells of each row that has any, without spaces around them."""
    lines, separator = _prepare(list(io.StringIO(_decode(content), newline="")))
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    names = 0
    while (start := reader.line_num) < len(lines):
        loose = False
        try:
            row = next(reader, [])
        except csv.Error as error:
            # quotation marks inside a cell that were not doubled
            loose = True
            if reader.line_num > start + 1 or "end of data" in str(error):
                raise ValueError(f"line {start + 1}: a quotation mark is not closed") from error
            row = _part(lines[start], separator)
        row = [cell.strip() for cell in row]
        if not any(row):
            continue
        if separator in row[0] and not any(row[1:]):
            inner = [cell.strip() for cell in _part(row[0], separator)]
            row = inner if len(inner) == names else row
        names = names or len(row)
        if loose and len(row) != names:
            raise ValueError(f"line {start + 1} has {len(row)} cells, the header {names}")
        yield start + 1, row


def _prepare(lines: list[str]) -> tuple[list[str], str]:
    """Find the separator, and free lines of what a program put around them that took each for one cell."""
    head = _first(lines)
    if match := _SEPARATOR_LINE.fullmatch(lines[head].strip("\r\n") if lines else ""):
        lines = ["\n"] * (head + 1) + lines[head + 1 :]
        head = _first(lines)
        if match[1] in _SEPARATORS:
            return lines, match[1]
    text = lines[head].strip("\r\n ") if lines else ""
    bare = text.rstrip(_SEPARATORS)
    whole = _ONE_CELL.fullmatch(bare)
    separator = _separator(whole[1].replace('""', '"') if whole else bare)
    rest = text[len(bare) :].strip(separator)
    if (whole and separator in whole[1]) or rest:
        stripped = (line.rstrip("\r\n ").rstrip(rest) for line in lines)
        lines = [
            (match[1].replace('""', '"') if (match := _ONE_CELL.fullmatch(line)) else line) + "\n"
            for line in stripped
        ]
    return lines, separator


def _first(lines: Sequence[str]) -> int:
    """Return the place of the first line with anything but separators."""
    return next((place for place, line in enumerate(lines) if line.strip(f'{_SEPARATORS}" \r\n')), 0)


def _separator(line: str) -> str:
    """Return the separator that parts a line into most cells."""
    return max(_SEPARATORS, key=lambda mark: len(_part(line, mark)))


def _part(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _check_rows(names: list[str], body: list[tuple[int, list[str]]], *, is_whole: bool) -> None:
    """Refuse rows of which it is not certain which cell belongs to which column."""
    named = len(names) - next((place for place, name in enumerate(reversed(names)) if name), 0)
    columns = {*names}
    surplus = {len(row) - len(names) for _, row in body}
    numbered = [row[0] for _, row in body] == [str(number) for number in range(1, len(body) + 1)]
    for line, row in body:
        filled = [cell for cell in row if cell]
        # empty cells after the last column are no harm if all rows have them, and no name is missing before
        if any(row[named:]) or (len(row) > len(names) and (len(surplus) > 1 or numbered)):
            raise ValueError(f"line {line} has {len(row)} cells, the header {named}")
        if len(known := columns.intersection(filled)) > 1 and len(known) > len(filled) / 2:
            raise ValueError(f"line {line} is the header of another table")
    if body and not is_whole and len(body[-1][1]) < len(names):
        raise ValueError(f"line {body[-1][0]} is cut short: it has no end")


def _read_cell(text: str) -> str:
    """Return a cell with numbers as the study's own tables write them; empty text for what is missing."""
    text = _DECIMAL_COMMA.sub(r"\1.\2", text) if "," in text else text
    text = _WHOLE.sub(r"\1", text) if text.endswith((".0", ".00")) else text
    return "" if text.lower() in _MISSING else text


def _is_month_first(matches: Sequence[re.Match[str]], american: bool) -> bool | None:
    """Whether numeric dates of a column have the month first; None where that is not certain."""
    marks = {match[2] for match in matches}
    pairs = [(int(match[1]), int(match[3])) for match in matches]
    month_first = any(first <= _MONTHS_IN_YEAR < second for first, second in pairs)
    day_first = any(second <= _MONTHS_IN_YEAR < first for first, second in pairs)
    if (month_first and day_first) or ("." in marks and len(marks) > 1):
        return None
    if month_first or day_first:
        # 18/04/06 may begin with the year, but no examination is of 2027 to 2031
        short = day_first and "." not in marks and any(len(match[4]) == 2 for match in matches)
        return None if short and max(first for first, _ in pairs) < _FIRST_FUTURE else month_first
    if "." in marks:
        return False
    if american and all(len(match[4]) == 4 for match in matches):
        return True
    return True if all(first == second for first, second in pairs) else None


def _read_date(text: str, month_first: bool | None) -> str:
    month: int | None
    if match := _ISO.fullmatch(text):
        year, month, day = (int(part) for part in match.groups() if part)
    elif (match := _NUMERIC.fullmatch(text)) and month_first is not None:
        one, other, year = int(match[1]), int(match[3]), int(match[4])
        day, month = (other, one) if month_first else (one, other)
    elif match := _WORDED.fullmatch(text):
        day, month, year = int(match[1]), month_number(match[2]), int(match[3])
    elif match := _WORD_FIRST.fullmatch(text):
        month, day, year = month_number(match[1]), int(match[2]), int(match[3])
    else:
        return ""
    if year < 100:
        year += 1900 if year >= _CENTURY_BREAK else 2000
    try:
        return datetime.date(year, month or 0, day).isoformat()
    except ValueError:
        return ""
