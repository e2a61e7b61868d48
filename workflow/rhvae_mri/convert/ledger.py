"""The record of what was read of study tables: files, rows, and every value changed or left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas

from rhvae_mri.downloads import sha256_of
from rhvae_mri.texts import plain_cell

#: Where more than this part of a needed column is not understood, it is in a form of its own; a single cell
#: of a small table is not, unless it is most of it.
_TOLERATED, _MOST = 0.1, 0.5
_EXAMPLE_LENGTH = 40
_EXAMPLES = 3

#: Columns of the record's table.
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
