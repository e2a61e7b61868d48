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
from pathlib import Path

import pandas

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
_HEADER_BYTES = 2**16

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
CERTAIN_DATES = "dates of which day and month are certain"


def read_table(path: Path, columns: Iterable[str] = ()) -> pandas.DataFrame:
    """Read a CSV as text, by line of the file, empty where nothing is; ValueError if cells are uncertain."""
    content = path.read_bytes()
    rows = list(_rows(content))
    if not rows:
        return pandas.DataFrame(columns=list(columns), dtype=str)
    known = {column_key(name): name for name in columns}
    (_, names), *body = rows
    body = [(line, row) for line, row in body if row != names]
    _check_rows(names, body, is_whole=content.rstrip(b"\0").endswith((b"\r", b"\n")))
    header = pandas.Index([known.get(column_key(name), name) for name in names])
    cells = [[*map(_read_cell, row), *[""] * len(names)][: len(names)] for _, row in body]
    table = pandas.DataFrame(cells, columns=header, index=[line for line, _ in body], dtype=str)
    for name in {*known.values()} & {*header[header.duplicated()]}:
        if table[name].ne(table[name].iloc[:, 0], axis=0).any(axis=None):
            raise ValueError(f"the column {name} is there more than once, with different cells")
    return table.loc[:, ~header.duplicated()]


def column_key(name: str) -> str:
    """Return what is left of a column's name whatever a program does to it."""
    return re.sub(r"[\W_]", "", name).lower()


def read_header(path: Path) -> list[str]:
    """Return the names in the first line of a table."""
    with open(path, "rb") as file:
        return next(_rows(file.read(_HEADER_BYTES)), (0, []))[1]


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
    # the lines with anything but separators
    filled = (place for place, line in enumerate(lines) if line.strip(f'{_SEPARATORS}" \r\n'))
    head = next(filled, 0)
    if match := _SEPARATOR_LINE.fullmatch(lines[head].strip("\r\n") if lines else ""):
        lines = ["\n"] * (head + 1) + lines[head + 1 :]
        if match[1] in _SEPARATORS:
            return lines, match[1]
        head = next(filled, 0)
    text = lines[head].strip("\r\n ") if lines else ""
    bare = text.rstrip(_SEPARATORS)
    whole = _ONE_CELL.fullmatch(bare)
    header = whole[1].replace('""', '"') if whole else bare
    separator = max(_SEPARATORS, key=lambda mark: len(_part(header, mark)))
    rest = text[len(bare) :].strip(separator)
    if (whole and separator in whole[1]) or rest:
        stripped = (line.rstrip("\r\n ").rstrip(rest) for line in lines)
        lines = [
            (match[1].replace('""', '"') if (match := _ONE_CELL.fullmatch(line)) else line) + "\n"
            for line in stripped
        ]
    return lines, separator


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


def read_dates(values: pandas.Series, *, american: bool = False) -> pandas.Series:
    """Read dates as ``YYYY-MM-DD``, empty where the whole column leaves open which number is the month.

    ``american``: LONI itself writes the month first in this column, so it is, unless a day says otherwise.
    """
    month_first = _is_month_first(list(filter(None, map(_NUMERIC.fullmatch, values.unique()))), american)
    return values.map(lambda text: _read_date(text, month_first))


def month_number(word: str) -> int | None:
    """Return the number of a month by its name or the beginning of it, or None."""
    plain = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()
    found = (number for number, names in enumerate(_MONTHS, start=1) if plain.startswith(names))
    return next(found, None)


def read_integers(values: pandas.Series) -> pandas.Series:
    """Read whole numbers, also as ``I30000`` or ``S123``; empty text where there is none."""
    grouped = values.str.fullmatch(_GROUPED).astype(bool)
    if (grouped & ~values.str.endswith("000")).any():
        values = values.where(~grouped, values.str.replace(r"\D", "", regex=True))
    return values.map(lambda text: match[1] if (match := _INTEGER.fullmatch(text)) else "")


def read_numbers(values: pandas.Series, low: float, high: float) -> pandas.Series:
    """Read numbers within bounds (inclusive); empty text where there is none."""
    numbers = pandas.to_numeric(values, errors="coerce")
    return numbers.where(numbers.between(low, high)).map("{:g}".format, na_action="ignore").fillna("")


def read_participants(values: pandas.Series) -> pandas.Series:
    """Read ADNI's identifiers of participants, also in lower case or with blanks or hyphens."""
    return values.str.replace(r"(?i)^(\d{3})[\s_-]*s[\s_-]*(\d{4,5})$", r"\1_S_\2", regex=True)


def visit_code(text: str) -> str:
    """Return a visit's code in the form that Clinica reads; another text in lower case."""
    code = text.strip().lower()
    month = visit_month(code)
    return code if month is None else f"m{month:02d}" if month else "bl"


def visit_month(code: str) -> int | None:
    """Return the month of a visit's code (``bl``: 0), or None for any other code."""
    match = _MONTH_CODE.fullmatch("m0" if code == "bl" else code)
    return int(match[1]) if match else None


def _is_month_first(matches: Sequence[re.Match[str]], american: bool) -> bool | None:
    """Whether numeric dates of a column have the month first; None where that is not certain."""
    # points have the day first everywhere; beside other marks they come from a program that took some dates
    # for others
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
    month: int | str
    if match := _ISO.fullmatch(text):
        year, month, day = filter(None, match.groups())
    elif (match := _NUMERIC.fullmatch(text)) and month_first is not None:
        month, day, year = match[1 if month_first else 3], match[3 if month_first else 1], match[4]
    elif match := _WORDED.fullmatch(text):
        day, month, year = match[1], month_number(match[2]) or 0, match[3]
    elif match := _WORD_FIRST.fullmatch(text):
        month, day, year = month_number(match[1]) or 0, match[2], match[3]
    else:
        return ""
    century = 0 if int(year) >= 100 else 1900 if int(year) >= _CENTURY_BREAK else 2000
    try:
        return datetime.date(century + int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""
