"""How ADNI's tables write who somebody is: identifiers, phases, sex, birth, diagnosis and genotype."""

from __future__ import annotations

import re

import pandas

from rhvae_mri.convert.csv_tables import month_number, read_dates, read_integers, read_numbers
from rhvae_mri.convert.ledger import Ledger

#: The phases that Clinica 0.12 knows, and the first roster number (RID) of each.
ADNI_PHASES = {"ADNI1": 0, "ADNIGO": 2000, "ADNI2": 3000, "ADNI3": 6000}
ADNI4 = "ADNI4"
NOT_READ = "ADNI4, which Clinica cannot read"
_FIRST_ADNI4 = 10_000

PARTICIPANT = re.compile(r"\d{3}_S_(\d{4,5})", re.ASCII)
#: Identifiers before ADNI4 are as long as this; Clinica 0.12 stops at longer ones.
IDENTIFIER_LENGTH = len("002_S_0295")

_SEXES = {"male": "Male", "m": "Male", "1": "Male", "female": "Female", "f": "Female", "2": "Female"}
_DIAGNOSIS = {
    **dict.fromkeys(("cn", "nl", "normal", "cognitively normal", "smc", "1"), "CN"),
    **dict.fromkeys(("mci", "emci", "lmci", "2"), "MCI"),
    **dict.fromkeys(("dementia", "dem", "ad", "alzheimer's disease", "3"), "Dementia"),
}
#: How ADNIGO and ADNI2 wrote the change of a diagnosis (DXCHANGE): what it is now.
_CHANGED = {"4": "2", "5": "3", "6": "3", "7": "1", "8": "2", "9": "1"}

#: Bounds of ages in years, and of the MMSE.
AGES, MMSE_SCORES = (18, 110), (0, 30)
_DAYS_PER_YEAR = 365.25
_BIRTH = re.compile(r"(?:(\d{1,2})[-/.])?/?((?:18|19)\d\d)")
#: What spreadsheets make of ``12/1934``.
_SPREADSHEET_BIRTH = re.compile(r"([^\W\d_]{3,})\.?[- /](?:19)?(\d\d)")
_ALLELES = r"^[eE\u03b5]?([234])\s*[/,.-]?\s*[eE\u03b5]?([234])$"


def roster_number(subject: str) -> int:
    """Return the roster number (RID) of a participant."""
    return int(subject.rpartition("_")[2])


def roster_numbers(table: pandas.DataFrame) -> pandas.Series:
    """Return the roster number of each row, from PTID or else from RID; empty text where both are missing."""
    numbers = pandas.Series("", index=table.index)
    if "PTID" in table:
        numbers = table["PTID"].str.extract(r"^\d{3}_S_0*(\d{1,15})$", flags=re.ASCII)[0].fillna("")
    return numbers.where(numbers != "", read_integers(table["RID"])) if "RID" in table else numbers


def original_phase(number: int) -> str:
    """Return the phase in which a participant enrolled, by the roster number."""
    if number >= _FIRST_ADNI4:
        return ADNI4
    return max((first, name) for name, first in ADNI_PHASES.items() if first <= number)[1]


def phase_name(text: str) -> str:
    """Return a phase as ADNIMERGE writes it, such as ``ADNI1`` of ``ADNI 1``."""
    return re.sub(r"[\s_-]", "", text).upper()


def read_sexes(values: pandas.Series) -> pandas.Series:
    """Read sexes as ADNIMERGE writes them."""
    return values.map(lambda text: _SEXES.get(text.lower(), ""))


def read_diagnosis(text: str) -> str:
    """Read a diagnosis; of a change, such as ``MCI to Dementia``, the last one counts."""
    return _DIAGNOSIS.get(re.split(r"\bto\b", text.lower())[-1].strip(), "")


def read_diagnoses(table: pandas.DataFrame) -> pandas.Series:
    """Read the diagnosis of each row of DXSUM as ADNIMERGE writes it."""
    return diagnosis_codes(table).map(read_diagnosis)


def diagnosis_codes(table: pandas.DataFrame) -> pandas.Series:
    """Return the code of each row of DXSUM's diagnosis, in either generation's columns."""
    codes = pandas.Series("", index=table.index)
    for column in ("DIAGNOSIS", "DXCURREN", "DXCHANGE"):
        if column in table:
            own = table[column].replace(_CHANGED) if column == "DXCHANGE" else table[column]
            codes = codes.where(codes != "", own)
    return codes


def read_births(values: pandas.Series) -> pandas.Series:
    """Read dates of birth of which the day, or day and month, may be missing; the middle stands for them."""
    whole = read_dates(values)
    # of two digits, such as 34, a year of birth is of the century before
    return whole.where(whole != "", read_dates(values.map(_middle))).str.replace(r"^20", "19", regex=True)


def _middle(text: str) -> str:
    if (match := _SPREADSHEET_BIRTH.fullmatch(text)) and (number := month_number(match[1])):
        return f"19{match[2]}-{number}-15"
    match = _BIRTH.fullmatch(re.sub(r"^(\d{4})-(\d\d)$", r"\2/\1", text))
    if not match:
        return ""
    return f"{match[2]}-{match[1]}-15" if match[1] else f"{match[2]}-07-01"


def count_years(moments: pandas.Series, births: pandas.Series) -> pandas.Series:
    """Return ages in years, to a tenth."""
    begin, birth = (pandas.to_datetime(dates, errors="coerce") for dates in (moments, births))
    return ((begin - birth).dt.days / _DAYS_PER_YEAR).round(1)


def read_alleles(table: pandas.DataFrame, ledger: Ledger) -> pandas.DataFrame:
    """Read RID and the two alleles of each row of APOERES; empty text where they are not given."""
    names = ["APGEN1", "APGEN2"]
    if "GENOTYPE" in table and "APGEN1" not in table:
        pairs = table["GENOTYPE"].str.extract(_ALLELES).fillna("").set_axis(names, axis=1)
        ledger.understood("APOERES", "GENOTYPE", table["GENOTYPE"], pairs["APGEN1"])
    else:
        read = {name: read_numbers(table[name], 2, 4) if name in table else "" for name in names}
        pairs = pandas.DataFrame(read, index=table.index)
    return pairs.assign(RID=read_integers(table["RID"]))[["RID", *names]]
