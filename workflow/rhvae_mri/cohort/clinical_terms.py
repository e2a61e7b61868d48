"""What the tables of a BIDS dataset call age, sex, site and diagnosis, and how they write the values.

The usual names and spellings are known (`rhvae_mri.cohort.cells`); a dataset with others gives its own in the
configuration, or in ``participants.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rhvae_mri.cohort.cells import Legend, Reading, read_cell

#: Of these values a participant has one only.
_EXCLUSIVE: Mapping[str, frozenset[Any]] = {
    "sex": frozenset({"M", "F"}),
    "diagnosis": frozenset({"AD", "CN", "MCI"}),
}

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


@dataclass(frozen=True)
class Visit:
    """What the tables say of one visit, or of a participant (age in years); None where they say nothing."""

    age: float | None = None
    sex: str | None = None
    site: str | None = None
    diagnosis: str | None = None
    mmse: float | None = None
    cdr: float | None = None


@dataclass(frozen=True)
class ClinicalTerms:
    """The names and spellings of one dataset, where they are not the usual ones."""

    #: the column of a variable, e.g. ``{"age": "age_at_scan"}``; upper and lower case do not matter
    columns: Mapping[str, str] = field(default_factory=dict)
    #: what stands for values of a variable, e.g. ``{"diagnosis": {"AD": [1, 2], "CN": [0]}}``; ``1`` and
    #: ``1.0`` are the same, and ``n/a`` declares missing values
    values: Mapping[str, Mapping[str, Sequence[str | float]]] = field(default_factory=dict)
    #: by column in lower case, the entries of ``participants.json``, whose `Levels` and `Units` count
    dictionary: Mapping[str, Any] = field(default_factory=dict)

    def with_dictionary(self, dictionary: Mapping[str, Any]) -> ClinicalTerms:
        """Return the same terms with a data dictionary of BIDS: the content of ``participants.json``."""
        return replace(self, dictionary={name.lower(): entry for name, entry in dictionary.items()})

    def read_visit(self, row: Mapping[str, str]) -> tuple[Visit, dict[str, tuple[str, Reading]]]:
        """Read the study's variables from one row of a table.

        >>> terms = ClinicalTerms({"diagnosis": "Status"}, {"diagnosis": {"AD": [2]}, "sex": {"F": [0]}})
        >>> visit, _ = terms.read_visit({"status": "2.0", "gender": "0", "age": "71.5"})
        >>> visit.diagnosis, visit.sex, visit.age
        ('AD', 'F', 71.5)
        """
        readings = {name: self.read(row, name) for name in Visit.__dataclass_fields__}
        values: dict[str, Any] = {name: reading.value for name, (_, reading) in readings.items()}
        return Visit(**values), readings

    def read(self, row: Mapping[str, str], variable: str) -> tuple[str, Reading]:
        """Read one variable from a row of a table; return the cell and what became of it."""
        lower = {name.lower(): value for name, value in row.items()}
        cells = [(name, lower[name]) for name in self._names(variable) if lower.get(name)]
        if not cells:
            return "", Reading()
        readings = [read_cell(variable, text, self._legend(variable, name)) for name, text in cells]
        known = {reading.value for reading in readings} & _EXCLUSIVE.get(variable, frozenset())
        if len(known) > 1:
            words = " and ".join(f"{name} {text}" for name, text in cells)
            return cells[0][1], Reading(None, f"not understood: {words} contradict", understood=False)
        return cells[0][1], readings[0]

    @property
    def column_names(self) -> set[str]:
        """The names of all columns that are read, in lower case."""
        return {name for variable in _COLUMNS for name in self._names(variable)}

    def variables(self, columns: Iterable[str]) -> set[str]:
        """Return the variables that have a column among these."""
        lower = {name.lower() for name in columns}
        return {name for name in Visit.__dataclass_fields__ if not lower.isdisjoint(self._names(name))}

    def absent_columns(self, present: Iterable[str]) -> list[str]:
        """Return the columns of this dataset's own that are not among those that are present."""
        lower = {name.lower() for name in present}
        return [name for name in self.columns.values() if name.lower() not in lower]

    def _names(self, variable: str) -> tuple[str, ...]:
        own = self.columns.get(variable)
        return (own.lower(),) if own else _COLUMNS[variable]

    def _legend(self, variable: str, column: str) -> Legend:
        """Gather what configuration and data dictionary say of the cells of a column."""
        entry = _mapping(self.dictionary.get(column))
        words = {
            str(code): str(word.get("Description", "") if isinstance(word, Mapping) else word)
            for code, word in _mapping(entry.get("Levels")).items()
        }
        return Legend(self.values.get(variable, {}), words, str(entry.get("Units") or "year"))


def _mapping(content: Any) -> Mapping[Any, Any]:
    return content if isinstance(content, Mapping) else {}


def terms_of_cohort(
    source: str,
    columns: Mapping[str, str] | None,
    values: Mapping[str, Mapping[str, Sequence[str | float]]] | None,
) -> ClinicalTerms:
    """Return the terms of a cohort of the configuration."""
    # Clinica has the diagnosis of OASIS-1 in a column of its own
    known = {"diagnosis": "diagnosis_bl"} if source == "oasis1" else {}
    return ClinicalTerms(known | dict(columns or {}), values or {})
