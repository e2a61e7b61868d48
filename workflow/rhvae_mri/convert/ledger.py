"""The record of what was read of study tables: files, rows, and every value changed or left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas

from rhvae_mri.io.downloads import sha256_of
from rhvae_mri.io.texts import plain_cell

#: Where more than this part of a needed column is not understood, it is in a form of its own; a single cell
#: of a small table is not, unless it is most of it.
_TOLERATED, _MOST = 0.1, 0.5
_EXAMPLE_LENGTH, _EXAMPLES = 40, 3

#: What is recorded in the place of a cell that must not be repeated (dates of birth).
HIDDEN = "(not shown)"
NOT_THERE = "(not there)"

#: Columns of the record's table.
COLUMNS = [
    *("table", "source", "sha256", "rows_in", "rows_out"),
    *("column", "value", "became", "count", "reason"),
]


@dataclass
class Ledger:
    """What a download's tables were made into (``rows``, by `COLUMNS`), and what stands against it."""

    rows: list[dict[str, object]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note(self, table: str, reason: str, **cells: object) -> None:
        """Record something of a table."""
        self.rows.append({"table": table, **cells, "reason": reason})

    def absent(self, table: str, consequence: str) -> None:
        """Record that a table is not there."""
        self.note(table, consequence, source=NOT_THERE)

    def made(self, table: str, sources: Iterable[Path], rows_in: int, rows_out: int, how: str) -> None:
        """Record of what a table was made, with the digest of each file."""
        files = list(sources)
        names, digests = ", ".join(path.name for path in files), ", ".join(map(sha256_of, files))
        self.note(
            table, how, source=names or None, sha256=digests or None, rows_in=rows_in, rows_out=rows_out
        )

    def changed(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series | str, reason: str
    ) -> None:
        """Record the values of a column that were changed, each with how often it occurs."""
        pairs = pandas.DataFrame({"value": before, "became": after})
        for cells, count in pairs.value_counts(sort=False).items():
            value, became = (plain_cell(str(cell)) or "(empty)" for cell in cells)
            self.note(table, reason, column=column, value=value, became=became, count=count)

    def rewritten(
        self, table: str, column: str, before: pandas.Series, after: pandas.Series, reason: str
    ) -> pandas.Series:
        """Record the values of a column that are written in another way, and return the new ones."""
        other = (before != "") & (after != "") & (before != after)
        self.changed(table, column, before[other], after[other], reason)
        return after

    def left_out(self, table: str, column: str, values: pandas.Series, reason: str) -> None:
        """Record the values of a column because of which rows were left out."""
        self.changed(table, column, values, "(row left out)", reason)

    def understood(
        self,
        table: str,
        column: str,
        before: pandas.Series,
        after: pandas.Series,
        needed: str = "",
        private: bool = False,
    ) -> pandas.Series:
        """Record cells that were not understood (empty in ``after``), and return ``after``.

        If the study cannot do without what the column has to hold (``needed``, such as ``dates``), more than
        a few of them are a problem. ``private`` cells are not repeated.
        """
        strange = (before != "") & (after == "")
        filled = (before != "").sum()
        if needed and strange.sum() > min(max(1, _TOLERATED * filled), _MOST * filled):
            examples = [
                f"line {line}" + ("" if private else f": {plain_cell(text)[:_EXAMPLE_LENGTH]}")
                for line, text in before[strange].drop_duplicates()[:_EXAMPLES].items()
            ]
            self.problems.append(
                f"{strange.sum()} of {filled} cells in the column {column} of {table} are no {needed} "
                f"({', '.join(examples)})"
            )
        elif strange.any():
            shown = before[strange].map(lambda text: HIDDEN if private else text)
            self.changed(table, column, shown, "", "not understood, taken as missing")
        return after

    def table(self) -> pandas.DataFrame:
        """Return the record as a table; names of files are in it as texts that do no harm."""
        table = pandas.DataFrame(self.rows, columns=COLUMNS).astype(
            dict.fromkeys(("rows_in", "rows_out", "count"), "Int64")
        )
        names = ["table", "source"]
        return table.assign(**{name: table[name].map(plain_cell, na_action="ignore") for name in names})
