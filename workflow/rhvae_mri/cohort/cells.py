"""Reading of single cells: ages, sexes, diagnoses, scores and field strengths as people write them.

A cell is a value, a declared missing value, or it is listed (`rhvae_mri.cohort.listed_values`). What cannot
be understood counts as missing, and never as something near.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rhvae_mri.io.texts import plain_cell

#: How tables write a missing value, in lower case: BIDS n/a, R, numpy and Python the others.
MISSING = frozenset({"", "n/a", "na", "nan", "none"})
#: Other ways, which are listed.
_ALSO_MISSING = frozenset(
    ["null", "<na>", "nil", "#n/a", "n.a.", "unknown", "missing", "not done", "-", "--", ".", "?"]
)

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
#: Three digits after a comma could be thousands.
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d{1,2})(?!\d)")

_YEARS_IN = {"year": 1.0, "month": 1 / 12, "week": 7 / 365.25, "day": 1 / 365.25}
_DICOM_AGE = re.compile(r"(\d{3})([DWMY])")
_DICOM_UNITS = {"D": "day", "W": "week", "M": "month", "Y": "year"}
_ISO_AGE = re.compile(
    r"P(?=\d)(?:(?P<year>\d+(?:\.\d+)?)Y)?(?:(?P<month>\d+(?:\.\d+)?)M)?"
    r"(?:(?P<week>\d+(?:\.\d+)?)W)?(?:(?P<day>\d+(?:\.\d+)?)D)?(?:T[\dHMS.]+)?"
)
_WORDED_AGE = re.compile(
    rf"(?P<number>{_NUMBER})\s*-?\s*(?:(?P<year>years?|yrs?|y|y\.o\.|yo|jahre?|ans|années|años|anni|anos|jaar|år)"
    r"|(?P<month>months?|mos?)|(?P<week>weeks?|wks?)|(?P<day>days?))\.?(?:[\s-]*(?:old|alt))?",
    re.IGNORECASE,
)
_LOWER_BOUND = re.compile(
    rf"[>≥]\s*=?\s*({_NUMBER})|({_NUMBER})\s*(?:\+|plus|(?:and|or) (?:over|above|older|more))", re.IGNORECASE
)

#: Whole words and codes in English, French, German, Spanish, Italian, Portuguese, Dutch, Swedish, Danish.
#: Not among them are 1 and 2, whose meaning differs between datasets, and V, which is a man in one language
#: and a woman in another.
_SEXES = {
    "M": "m male man men boy h homme masculin hombre masculino varón varon mann männlich maennlich herr "
    "uomo maschio maschile homem mannelijk mand",
    "F": "f female woman women girl femme féminin feminin mujer femenino femenina w frau weiblich donna "
    "femmina femminile mulher feminino vrouw vrouwelijk kvinna kvinde",
}

_DIAGNOSES = {
    "AD": (
        *("ad", "dementia", "ad dementia", "alzheimer", "alzheimer's", "alzheimers", "alzheimer disease"),
        *("alzheimer's disease", "alzheimers disease", "alzheimer's dementia"),
    ),
    "CN": (
        *("cn", "nc", "hc", "nl", "cu", "ctl", "ctrl", "control", "controls", "healthy", "normal"),
        *("healthy control", "healthy controls", "normal control", "normal controls", "nondemented"),
        *("healthy volunteer", "healthy volunteers", "cognitively normal", "cognitively unimpaired"),
    ),
    "MCI": ("mci", "mild cognitive impairment"),
}
_WORDS = {
    "sex": {word: sex for sex, words in _SEXES.items() for word in words.split()},
    "diagnosis": {word: diagnosis for diagnosis, words in _DIAGNOSES.items() for word in words},
}

#: A scanner's field in tesla: one tesla is 10,000 gauss.
_FIELD = re.compile(rf"({_NUMBER})\s*(t|tesla|g|gauss)?", re.IGNORECASE)
_GAUSS_PER_TESLA = 10_000
_LEAST_GAUSS = 5_000
_LARGEST_FIELD = 12.0


@dataclass(frozen=True)
class Reading:
    """What became of a cell: its value (None: missing), in words where it was not used as it stands."""

    value: float | str | None = None
    outcome: str = ""
    understood: bool = True
    is_bound: bool = False


@dataclass(frozen=True)
class Legend:
    """What configuration (spellings) and ``participants.json`` (codes, unit) say of a variable's cells."""

    spellings: Mapping[str, Sequence[str | float]]
    levels: Mapping[str, str]
    unit: str = "year"


NO_LEGEND = Legend({}, {})


def read_cell(variable: str, text: str, legend: Legend = NO_LEGEND) -> Reading:
    """Read one cell of a variable: age, sex, site, diagnosis, mmse, cdr or field_strength.

    >>> read_cell("age", "072Y").value, read_cell("age", "999").outcome
    (72.0, 'not understood: 999 years is not between 0 and 120')
    >>> read_cell("sex", "Femme").value, read_cell("sex", "Mixed").value
    ('F', None)
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if plain.lower() in MISSING:
        return Reading()
    spelt = [(_plain(str(text)), value) for value, known in legend.spellings.items() for text in known]
    declared = next((value for text, value in spelt if text == _plain(plain)), None)
    if declared == "n/a" or (declared is None and plain.lower() in _ALSO_MISSING):
        return Reading(None, "read as missing")
    if variable == "site":
        return Reading(plain_cell(text))
    if variable in _WORDS:
        level = next((word for code, word in legend.levels.items() if _plain(code) == _plain(plain)), None)
        word = declared or (level if level and _find_word(variable, level) else plain)
        return _read_word(variable, text, word)
    read = {"age": _read_age, "field_strength": _read_field}.get(variable, _read_score)
    try:
        value = read(plain if declared is None else declared, variable, legend)
    except _NotUnderstoodError as error:
        return Reading(None, f"not understood: {error}", understood=False)
    stands = to_number(text) == value
    is_bound = variable == "age" and _LOWER_BOUND.fullmatch(plain) is not None
    words = f"read as {value:g}{', a lower bound' if is_bound else ''}"
    return Reading(value, "" if stands else words, is_bound=is_bound)


def to_number(text: str) -> float | None:
    """Convert text to a finite number, in ASCII digits with a decimal point; None where it is none."""
    if not re.fullmatch(_NUMBER, text, re.ASCII):
        return None
    return float(text) if math.isfinite(float(text)) else None


class _NotUnderstoodError(ValueError):
    """A cell that has no plausible value; the text says why."""


def _find_word(variable: str, text: str) -> str | None:
    """Return the sex or diagnosis that a text stands for; a sex also where it is one word of several."""
    words = _WORDS[variable]
    spelt = " ".join(text.lower().replace("’", "'").split())
    if spelt in words or variable != "sex":
        return words.get(spelt)
    parts = re.findall(r"[^\W\d_]{2,}", spelt)
    among = {words[part] for part in parts if part in words}
    return among.pop() if len(among) == 1 and not {"not", "no", "non"} & set(parts) else None


def _read_word(variable: str, text: str, word: str) -> Reading:
    if value := _find_word(variable, word):
        return Reading(value, "" if text == value else f"read as {value}")
    # BIDS knows a third sex, which the balance of the study's sets does not
    if variable == "sex" and word.lower() in ("o", "other"):
        return Reading(None, "read as missing: neither M nor F")
    if variable == "sex":
        return Reading(None, "not understood: no word for a sex", understood=False)
    if not any(letter.isalpha() for letter in word):
        return Reading(word, "not understood: a code without a meaning", understood=False)
    return Reading(plain_cell(word), "none of AD, CN and MCI")


def _read_age(text: str, _variable: str, legend: Legend) -> float:
    scale = next((years for unit, years in _YEARS_IN.items() if unit in legend.unit.lower()), 1.0)
    text = _DECIMAL_COMMA.sub(r"\1.\2", text)
    if bound := _LOWER_BOUND.fullmatch(text):
        text = bound[1] or bound[2]
    if (number := to_number(text)) is not None:
        years = number * scale
    elif dicom := _DICOM_AGE.fullmatch(text):
        years = int(dicom[1]) * _YEARS_IN[_DICOM_UNITS[dicom[2]]]
    elif (parts := _ISO_AGE.fullmatch(text)) and any(parts.groups()):
        years = sum(float(count or 0) * _YEARS_IN[unit] for unit, count in parts.groupdict().items())
    elif worded := _WORDED_AGE.fullmatch(text):
        unit = next(unit for unit in _YEARS_IN if worded[unit])
        years = float(worded["number"]) * _YEARS_IN[unit]
    else:
        raise _NotUnderstoodError("no age")
    if not 0 < years <= 120:
        raise _NotUnderstoodError(f"{years:g} years is not between 0 and 120")
    return years


def _read_score(text: str, variable: str, _legend: Legend) -> float:
    """Read a mini-mental state examination (0 to 30) or a global CDR (0, 0.5, 1, 2, 3)."""
    number = to_number(_DECIMAL_COMMA.sub(r"\1.\2", text))
    if number is None:
        raise _NotUnderstoodError("no number")
    if variable == "mmse" and not 0 <= number <= 30:
        raise _NotUnderstoodError(f"{number:g} is not between 0 and 30")
    if variable == "cdr" and number not in {0, 0.5, 1, 2, 3}:
        raise _NotUnderstoodError(f"{number:g} is not 0, 0.5, 1, 2 or 3")
    return number


def _read_field(text: str, _variable: str, _legend: Legend) -> float:
    """Read a field strength in tesla; what is given in gauss is converted."""
    match = _FIELD.fullmatch(_DECIMAL_COMMA.sub(r"\1.\2", text))
    if match is None:
        raise _NotUnderstoodError("no field strength")
    number, unit = float(match[1]), (match[2] or "").lower()[:1]
    if unit == "g" or (not unit and number >= _LEAST_GAUSS):
        number /= _GAUSS_PER_TESLA
    if not 0 < number <= _LARGEST_FIELD:
        raise _NotUnderstoodError(f"{number:g} tesla is not between 0 and {_LARGEST_FIELD:g}")
    return number


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    number = to_number(text.strip())
    return text.strip().lower() if number is None else f"{number:g}"
