"""Text and rows of tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

_SPECIAL = "\\`*_[]<>|&#"


def escape_markdown(text: str) -> str:
    """Escape what Markdown or the HTML inside it would read as markup, and keep the text on one line."""
    one_line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in one_line)


def markdown_row(cells: Sequence[str]) -> str:
    """Write a row of a table from cells that are plain text."""
    return join_cells([escape_markdown(cell) for cell in cells])


def join_cells(cells: Sequence[str]) -> str:
    """Write a row of a table from cells that are Markdown."""
    return f"| {' | '.join(cells)} |"
