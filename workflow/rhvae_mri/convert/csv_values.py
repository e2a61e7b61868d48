"""What the cells of study tables say: dates, numbers, identifiers of participants, codes of visits.

What can be read in two ways is not read.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Sequence

import pandas

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
