"""The page that leads to everything that a study has written; it opens from disk and needs no network."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Sequence
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from rhvae_mri.figures.registry import FIGURES, entry_of
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_tsv, write_text
from rhvae_mri.pages.contents import KINDS, TABLES
from rhvae_mri.pages.templates import html_page

STYLE_SHEET = Path(__file__).parents[2] / "style" / "index.css"

#: What the browser may load: nothing but the style and the pictures that are in the page itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_TITLE_OF_SVG = re.compile(r"<dc:title>(.*?)</dc:title>", re.DOTALL)
_OTHER = "Other figures"


class _File(NamedTuple):
    """A file of the study."""

    path: Path
    link: str  #: its place beside the page, as an address


def write_index(
    target: str | os.PathLike[str],
    files: Iterable[str | os.PathLike[str]],
    *,
    title: str,
    simulated: bool,
) -> None:
    """Write the page, atomically.

    Parameters
    ----------
    target : path
        The page, in the results folder.
    files : iterable of path
        All files and folders to lead to; those outside the results folder are left out.
    title : str
        The study's name.
    simulated : bool
        Whether the page says that the study's data are simulated.

    Raises
    ------
    StudyError
        If there is no figure among the files.
    """
    folder = Path(target).parent
    found = [
        _File(Path(file), quote(Path(os.path.relpath(file, folder)).as_posix()))
        for file in dict.fromkeys(os.fspath(each) for each in files)
    ]
    found = [file for file in found if not file.link.startswith("../")]
    figures = _figures(found)
    if not figures:
        raise StudyError("There is no figure to lead to.", where=target, remedy="Draw the figures first.")
    sections = [
        ("Start here", _start(found)),
        *figures,
        ("Tables", _tables(found)),
        ("Audit of the preprocessing", _audits(found)),
        ("Provenance", _provenance(found)),
    ]
    shown = [(heading, body) for heading, body in sections if body]
    links = "".join(f'<li><a href="#{_anchor(heading)}">{escape(heading)}</a></li>\n' for heading, _ in shown)
    parts = [f'<nav aria-label="Contents"><ul>\n{links}</ul></nav>\n']
    parts += [
        f'<section id="{_anchor(heading)}">\n<h2>{escape(heading)}</h2>\n{body}</section>\n'
        for heading, body in shown
    ]
    style = STYLE_SHEET.read_text(encoding="utf-8")
    write_text(target, html_page(title, "".join(parts), simulated=simulated, style=style, policy=POLICY))


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _start(files: Sequence[_File]) -> str:
    """What to read first, and the verdicts on the published numbers."""
    wanted = {
        "tables/classification.html": "the results, laid out as in the paper",
        "tables/published.html": "does the published result hold?",
        "report/methods.html": "methods, with versions and citations",
        "tables/assumptions.html": "what had to be assumed",
    }
    by_link = {file.link: file for file in files}
    items = [
        f'<li><a href="{link}">{escape(text.capitalize())}</a></li>\n'
        for link, text in wanted.items()
        if link in by_link
    ]
    verdicts = ""
    if published := by_link.get("tables/published.tsv"):
        counts = read_tsv(published.path)["verdict"].value_counts()
        rows = "".join(f"<dt>{escape(str(name))}</dt><dd>{count}</dd>\n" for name, count in counts.items())
        verdicts = f"<p>Verdicts on the published numbers:</p>\n<dl>\n{rows}</dl>\n"
    return (f"<ul>\n{''.join(items)}</ul>\n" if items else "") + verdicts


def _figures(files: Sequence[_File]) -> list[tuple[str, str]]:
    """Give the figures of each category, in the order of the registry."""
    pictures = {
        file.path.stem: file
        for file in files
        if file.link.startswith("figures/") and file.path.suffix == ".svg"
    }
    entries = {name: entry_of(name) for name in pictures}
    bodies: dict[str, str] = {}
    for known in [*FIGURES.values(), None]:
        for name in (name for name, entry in entries.items() if entry is known):
            category = known.category if known else _OTHER
            drawn = _figure(pictures[name], files, known.caption if known else "")
            bodies[category] = bodies.get(category, "") + drawn
    return list(bodies.items())


def _figure(picture: _File, files: Sequence[_File], caption: str) -> str:
    """Put one figure into the page itself, with its caption and links to its files."""
    content = picture.path.read_bytes()
    found = _TITLE_OF_SVG.search(content.decode("utf-8"))
    title = unescape(found[1]) if found else picture.path.stem
    name = picture.path.stem
    own = [file for file in files if file.path.parent == picture.path.parent and file.path.stem == name]
    own += [file for file in files if file.path.name == f"{name}_answers.tsv"]
    data = base64.b64encode(content).decode("ascii")
    legend = f"<p>{escape(caption)}</p>\n" if caption else ""
    return (
        f'<figure id="{escape(name)}">\n'
        f'<div class="scroll" role="region" aria-label="{escape(title)}" tabindex="0">\n'
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(title)}" loading="lazy">\n</div>\n'
        f"<figcaption>\n<h3>{escape(title)}</h3>\n{legend}<p>{_links(own)}</p>\n</figcaption>\n"
        "</figure>\n"
    )


def _links(files: Sequence[_File]) -> str:
    kinds = [
        (
            "answers"
            if file.path.stem.endswith("_answers")
            else KINDS.get(file.path.suffix[1:], file.path.name),
            file.link,
        )
        for file in files
    ]
    return " ".join(f'<a href="{link}">{escape(name)}</a>' for name, link in kinds)


def _tables(files: Sequence[_File]) -> str:
    """List the tables, each with its formats."""
    by_link = {file.link: file for file in files}
    rows = []
    for name, text in TABLES.items():
        formats = [by_link[link] for kind in KINDS if (link := f"{name}.{kind}") in by_link]
        if formats:
            rows.append(f"<dt>{escape(text)}</dt><dd>{_links(formats)}</dd>\n")
    return f'<dl class="files">\n{"".join(rows)}</dl>\n' if rows else ""


def _audits(files: Sequence[_File]) -> str:
    pages = [file for file in files if re.fullmatch(r"audit/cohort-\w+", file.link)]
    items = "".join(
        f'<li><a href="{file.link}/index.html">'
        f"{escape(file.path.name.removeprefix('cohort-'))}: every image with "
        "pictures, measures and fate</a></li>\n"
        for file in pages
    )
    return f"<ul>\n{items}</ul>\n" if items else ""


def _provenance(files: Sequence[_File]) -> str:
    names = {
        "provenance/configuration.yaml": "Configuration",
        "provenance/software.json": "Versions of all software",
        "provenance/machine.json": "Machine",
        "report/methods.md": "Methods as Markdown",
    }
    conversion = {"conversion": "What became of each image folder", "tables": "What was made of each table"}
    for file in files:
        if found := re.fullmatch(r"conversion/cohort-(\w+)/(conversion|tables)\.tsv", file.link):
            names[file.link] = f"{conversion[found[2]]} of the {found[1]} download"
    by_link = {file.link: file for file in files}
    rows = "".join(
        f"<dt>{escape(text)}</dt><dd>{_links([by_link[link]])}</dd>\n"
        for link, text in names.items()
        if link in by_link
    )
    return f'<dl class="files">\n{rows}</dl>\n' if rows else ""
