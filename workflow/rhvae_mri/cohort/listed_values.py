"""The list of the cells of a cohort that were not used as they stand (``values.tsv``), and its bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rhvae_mri.cohort.cells import Reading
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.texts import plain_cell

if TYPE_CHECKING:
    import pandas

#: Columns that stay text even where every cell looks like a number.
TEXT_COLUMNS = ("value", "outcome", "participants")
COLUMNS = ("table", "variable", "value", "status", "outcome", "n_cells", "n_participants", "participants")

#: Variables whose cells the configuration can explain (`values`).
DECLARABLE = ("age", "sex", "site", "diagnosis", "mmse", "cdr")

#: Where more participants than this, and a larger part of the cohort than this, have a cell of one variable
#: that was not understood, it is the cohort's way of writing and not a slip of the pen.
MOST_PARTICIPANTS = 3
LARGEST_PART = 0.05

#: Variables that are listed as missing where no table has a column of them.
EXPECTED = ("age", "sex", "site", "diagnosis", "mmse")


@dataclass
class ListedValues:
    """Distinct cells and files that were not used as they stand, with the participants that have them."""

    _found: dict[tuple[str, str, str, bool, str], list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _columns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def note_columns(self, participant: str, variables: Collection[str]) -> None:
        """Remember of which variables a table of a participant has a column."""
        self._columns[participant].update(variables)

    def note_absent(self, participants: Collection[str]) -> None:
        """List the variables of which no table of these participants has a column."""
        for variable in EXPECTED:
            names = [name for name in participants if variable not in self._columns[name]]
            for name in [""] if len(names) == len(participants) else names:
                self.note(name, "participants.tsv", variable, "", Reading(outcome="no column of it"))

    def note(self, participant: str, table: str, variable: str, value: str, reading: Reading) -> None:
        """List a cell, if it was not used as it stands."""
        if reading.outcome:
            key = (table, variable, plain_cell(value), reading.understood, reading.outcome)
            self._found[key].append(participant)

    def note_problem(self, participant: str, table: str, variable: str, value: str, problem: str) -> None:
        """List what was not understood, with the reason."""
        self.note(participant, table, variable, value, Reading(None, problem, understood=False))

    def table(self) -> pandas.DataFrame:
        """Return the list, ordered by table, variable and value; `participants` are separated by spaces."""
        import pandas

        rows = []
        for (table, variable, value, understood, outcome), participants in sorted(self._found.items()):
            names = sorted(set(participants) - {""})
            status = "read" if understood else "not understood"
            cell = (table, variable, value, status, outcome)
            rows.append((*cell, len(participants), len(names), " ".join(names)))
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def check(self, n_participants: int, where: Path) -> None:
        """Refuse a cohort of which a variable is written in a way that is not understood."""
        concerned: dict[str, set[str]] = defaultdict(set)
        texts: dict[str, set[str]] = defaultdict(set)
        for (_, variable, value, understood, _), participants in self._found.items():
            if not understood:
                concerned[variable].update(participants)
                texts[variable].add(repr(value))
        bound = max(MOST_PARTICIPANTS, LARGEST_PART * n_participants)
        lines = [
            f"{variable}: {len(names)} of {n_participants} participants "
            f"({', '.join(sorted(texts[variable])[:8])}{' …' * (len(texts[variable]) > 8)})"
            for variable, names in sorted(concerned.items())
            if len(names) > bound and variable in DECLARABLE
        ]
        if lines:
            raise StudyError(
                "Cells that are not understood: " + "; ".join(lines) + ".",
                where=where,
                cause="The tables have codes or spellings of their own, or a column has other contents.",
                remedy="Say in the cohort's key `values` of the configuration what they mean, e.g. "
                "`values: {sex: {M: [1], F: [2]}, age: {n/a: [999]}}`; n/a declares missing values. Another "
                "column is named in the key `columns`.",
            )
