"""Texts from elsewhere (names of files, cells of tables) in a form that does no harm where they are shown."""

from __future__ import annotations

import re

#: What spreadsheets take for the beginning of a formula.
_FORMULA = re.compile(r"[=+@-]")


def visible(text: str) -> str:
    r"""Write what cannot be printed as an escape: control characters, marks of direction, undecodable bytes.

    Such characters move a terminal's cursor, break the rows of a table, or show a name as another.

    Examples
    --------
    >>> visible("scan\x1b[2J\n1"), visible("Zoë, 1 mm")
    ('scan\\x1b[2J\\n1', 'Zoë, 1 mm')
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def plain_cell(text: str) -> str:
    r"""Write a cell on one line, and so that no spreadsheet takes it for a formula.

    Examples
    --------
    >>> plain_cell("=cmd|' /C calc'!A0"), plain_cell("-1.5"), plain_cell(" Oslo\n2 ")
    ("'=cmd|' /C calc'!A0", '-1.5', 'Oslo 2')
    """
    line = visible(" ".join(text.split()))
    return f"'{line}" if _FORMULA.match(line) and len(line) > 1 and not _is_number(line) else line


def _escape(letter: str) -> str:
    """Write a character as Python does in its quoted texts."""
    return letter.encode("unicode_escape", errors="surrogatepass").decode("ascii")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
