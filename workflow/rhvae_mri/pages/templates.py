"""Pages from templates (`workflow/templates`): one look, and nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

_WORKFLOW = Path(__file__).parents[2]
STYLE_SHEET = _WORKFLOW / "style" / "page.css"

_LATEX = {
    **{letter: f"\\{letter}" for letter in "$&%#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{'"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "–": "--", "…": r"\ldots{}"},
    **{"±": r"\ensuremath{\pm}", "−": r"\ensuremath{-}", "×": r"\ensuremath{\times}"},
    **{"≥": r"\ensuremath{\ge}", "≤": r"\ensuremath{\le}"},
}


def escape_latex(value: Any) -> str:
    r"""Escape what LaTeX would read as a command; keep the text on one line.

    Letters beyond Latin scripts, which the fonts may lack, become question marks.

    Examples
    --------
    >>> escape_latex("50 % of a_b ± 1")
    '50 \\% of a\\_b \\ensuremath{\\pm} 1'
    """
    letters = (_LATEX.get(letter, letter) for letter in " ".join(str(value).split()))
    return "".join(text if text.isascii() or ord(text) < 0x180 else "?" for text in letters)


def escape_markdown(value: Any) -> str:
    """Escape what Markdown or the HTML inside it would read as markup, and keep the text on one line."""
    return re.sub(r"[\\`*_\[\]<>|#]|&(?=[#\w])", r"\\\g<0>", " ".join(str(value).split()))


def _plain(value: Any) -> Any:
    """Write a float without zeros at its end."""
    return f"{value:g}" if isinstance(value, float) else value


@cache
def _environment(kind: str) -> jinja2.Environment:
    """The environment of all templates that write one kind of text."""
    insert: dict[str, Callable[[Any], Any]] = {"md": escape_markdown, "tex": escape_latex, "txt": _plain}
    names = ("block_start_string", "block_end_string", "variable_start_string", "variable_end_string")
    marks: Any = zip(names, ("<%", "%>", "<<", ">>"), strict=True) if kind == "tex" else ()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_WORKFLOW / "templates"),
        autoescape=kind == "html",
        finalize=insert.get(kind),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **dict(marks),
    )
    # of the filter tojson
    environment.policies["json.dumps_kwargs"] = {
        "ensure_ascii": False,
        "allow_nan": False,
        "separators": (",", ":"),
    }
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template, whose name ends in the kind of text and ``.j2``.

    In HTML, Markdown and LaTeX every value is escaped as that language needs it; only in HTML can a template
    call one safe. Templates of LaTeX have ``<< >>`` and ``<% %>`` instead of braces.
    """
    marks = {"simulated_mark": SIMULATED_MARK, "simulated_notice": SIMULATED_NOTICE}
    return _environment(template.split(".")[-2]).get_template(template).render(marks | values)


def html_page(
    template: str, title: str, *, simulated: bool, style: str = "", policy: str | None = None, **values: Any
) -> str:
    """Fill a template that extends the frame of all pages."""
    style = STYLE_SHEET.read_text(encoding="utf-8") + style
    return render(template, title=title, simulated=simulated, style=style, policy=policy, **values)
