"""The methods as a web page and as Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape

from rhvae_mri.io.files import write_text
from rhvae_mri.pages.methods import Section
from rhvae_mri.pages.templates import html_page
from rhvae_mri.study.names import SIMULATED_MARK, SIMULATED_NOTICE

_TITLE = "Methods"
_NOTE = (
    "Written from the study's configuration, split and software. The values that had to be assumed are in "
    "the "
    "table of assumptions."
)


def write_methods(
    sections: Sequence[Section],
    references: Sequence[str],
    *,
    html: str | os.PathLike[str],
    markdown: str | os.PathLike[str],
    simulated: bool,
) -> None:
    """Write the methods as a stand-alone web page and as Markdown, atomically.

    Parameters
    ----------
    sections, references
        From `rhvae_mri.pages.methods.describe_methods`.
    html, markdown : path
        The files to write.
    simulated : bool
        Whether both files say that the study's data are simulated.
    """
    parts = [f"<p>{escape(_NOTE)}</p>\n"]
    for section in sections:
        parts.append(f"<h2>{escape(section.heading)}</h2>\n")
        parts += [f"<p>{escape(text)}</p>\n" for text in section.paragraphs]
    items = "".join(f"<li>{escape(reference)}</li>\n" for reference in references)
    parts.append(f"<h2>References</h2>\n<ol>\n{items}</ol>\n")
    write_text(html, html_page(_TITLE, "".join(parts), simulated=simulated))

    lines = [f"# {_TITLE}", ""]
    if simulated:
        lines += [f"> **{SIMULATED_MARK}:** {SIMULATED_NOTICE}", ""]
    lines += [_NOTE, ""]
    for section in sections:
        lines += [f"## {section.heading}", ""]
        for text in section.paragraphs:
            lines += [_plain(text), ""]
    lines += ["## References", ""]
    lines += [f"{number}. {_plain(reference)}" for number, reference in enumerate(references, start=1)]
    write_text(markdown, "\n".join(lines) + "\n")


def _plain(text: str) -> str:
    """Escape what Markdown would take for emphasis, links or markup; all of it is plain text."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)
