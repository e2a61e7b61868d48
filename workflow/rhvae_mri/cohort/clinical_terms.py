"""What the tables of a BIDS dataset call age, sex, site and diagnosis, and how they write the values.

The usual names and spellings are known; a dataset with others gives its own in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: Names (in lower case) under which a value is found, first match first.
_COLUMNS = {
    "age": ("age", "age_bl"),
    "sex": ("sex", "gender"),
    "site": ("site",),
    "diagnosis": ("diagnosis", "dx", "group"),
    "mmse": ("mmse", "mms", "mmse_bl"),
    "cdr": ("cdr", "cdr_global", "cdr_bl"),
    "field_strength": ("mri_field", "field_strength", "magneticfieldstrength"),
}

#: Spellings of the three diagnoses, in lower case; any other text is kept as it is.
_DIAGNOSES = {
    "ad": "AD",
    "dementia": "AD",
    "cn": "CN",
    "nc": "CN",
    "hc": "CN",
    "control": "CN",
    "mci": "MCI",
}


@dataclass(frozen=True)
class Visit:
    """What the tables say of one visit, or of a participant; None where they say nothing.

    Attributes
    ----------
    age : float or None
        In years.
    sex : str or None
        ``M`` or ``F``.
    site, diagnosis : str or None
        The diagnosis is AD, CN or MCI, or another text as the dataset has it.
    mmse, cdr : float or None
        Mini-mental state examination, and global clinical dementia rating.
    """

    age: float | None = None
    sex: str | None = None
    site: str | None = None
    diagnosis: str | None = None
    mmse: float | None = None
    cdr: float | None = None


@dataclass(frozen=True)
class ClinicalTerms:
    """The names and spellings of one dataset, where they are not the usual ones.

    Attributes
    ----------
    columns : mapping of str to str
        The column of a variable, e.g. ``{"age": "age_at_scan"}``; upper and lower case do not matter.
    values : mapping of str to mapping
        What a dataset writes for the values of a variable, e.g. ``{"diagnosis": {"AD": [1, 2], "CN": [0]}}``.
        ``1`` and ``1.0`` are the same.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Sequence[str | float]]] = field(default_factory=dict)

    def read_visit(self, row: Mapping[str, str]) -> Visit:
        """Read the study's variables from one row of a table.

        Examples
        --------
        >>> terms = ClinicalTerms({"diagnosis": "Status"}, {"diagnosis": {"AD": [2]}, "sex": {"F": [0]}})
        >>> visit = terms.read_visit({"status": "2.0", "gender": "0", "age": "71.5"})
        >>> visit.diagnosis, visit.sex, visit.age
        ('AD', 'F', 71.5)
        """
        diagnosis = self._translate("diagnosis", self.find(row, "diagnosis"))
        sex = self._translate("sex", self.find(row, "sex"))[:1].upper()
        return Visit(
            age=to_number(self.find(row, "age")),
            sex=sex if sex in {"M", "F"} else None,
            site=self.find(row, "site") or None,
            diagnosis=_DIAGNOSES.get(diagnosis.lower(), diagnosis) or None,
            mmse=to_number(self.find(row, "mmse")),
            cdr=to_number(self.find(row, "cdr")),
        )

    def find(self, row: Mapping[str, str], variable: str) -> str:
        """Return the first value that a row has under one of the variable's names, or empty text."""
        lower = {name.lower(): value for name, value in row.items()}
        return next((lower[name] for name in self._names(variable) if lower.get(name)), "")

    def absent_columns(self, present: Iterable[str]) -> list[str]:
        """Return the columns of this dataset's own that are not among those that are present."""
        lower = {name.lower() for name in present}
        return [name for name in self.columns.values() if name.lower() not in lower]

    def _names(self, variable: str) -> tuple[str, ...]:
        own = self.columns.get(variable)
        return (own.lower(),) if own else _COLUMNS[variable]

    def _translate(self, variable: str, text: str) -> str:
        for value, spellings in self.values.get(variable, {}).items():
            if text and _plain(text) in {_plain(str(spelling)) for spelling in spellings}:
                return value
        return text


def terms_of_cohort(
    source: str,
    columns: Mapping[str, str] | None,
    values: Mapping[str, Mapping[str, Sequence[str | float]]] | None,
) -> ClinicalTerms:
    """Return the terms of a cohort of the configuration.

    Parameters
    ----------
    source : str
        The cohort's key ``source``. Clinica has the diagnosis of OASIS-1 in a column of its own (see
        `rhvae_mri.convert.oasis`).
    columns, values : mapping, optional
        Its keys ``columns`` and ``values``.
    """
    known = {"diagnosis": "diagnosis_bl"} if source == "oasis1" else {}
    return ClinicalTerms(known | dict(columns or {}), values or {})


def to_number(text: str) -> float | None:
    """Convert text to a finite number; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) != float("inf") and number == number else None


def _plain(text: str) -> str:
    """Write a value so that equal ones are equal texts."""
    number = to_number(text)
    return text.strip().lower() if number is None else f"{number:g}"
