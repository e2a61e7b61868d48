"""Reading of study tables as they come, from LONI or from the program that saved them since.

What is in a file tells its separator, encoding, quotes, and forms of dates and numbers. What can be read in
two ways is not read.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
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
