"""The page that leads to everything that a study has written; it opens from disk and needs no network."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
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
_START = {
    "tables/classification.html": "The results, laid out as in the paper",
    "tables/published.html": "Does the published result hold?",
    "report/methods.html": "Methods, with versions and citations",
    "tables/assumptions.html": "What had to be assumed",
}
_PROVENANCE = {
    "provenance/configuration.yaml": "Configuration",
    "provenance/software.json": "Versions of all software",
    "provenance/machine.json": "Machine",
    "report/methods.md": "Methods as Markdown",
}
_CONVERSION = {"conversion": "What became of each image folder", "tables": "What was made of each table"}

#: Text and address of a link.
_Link = tuple[str, str]


@dataclass(frozen=True)
class _Section:
    """What stands under a heading of the page."""

    pages: Sequence[_Link] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    figures: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, list[_Link]] = field(default_factory=dict)


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
    # by their place beside the page, as an address
    found = {
        link: Path(file)
        for file in files
        if not (link := quote(Path(os.path.relpath(file, folder)).as_posix())).startswith("../")
    }
    figures = _figures(found)
    if not figures:
        raise StudyError("There is no figure to lead to.", where=target, remedy="Draw the figures first.")
    tables = {
        text: _links(found, [link for kind in KINDS if (link := f"{name}.{kind}") in found])
        for name, text in TABLES.items()
    }
    sections = {
        "Start here": _Section(
            tuple((text, link) for link, text in _START.items() if link in found), _verdicts(found)
        ),
        **figures,
        "Tables": _Section(files={text: links for text, links in tables.items() if links}),
        "Audit of the preprocessing": _Section(
            tuple(
                (f"{cohort[1]}: every image with pictures, measures and fate", f"{link}/index.html")
                for link in found
                if (cohort := re.fullmatch(r"audit/cohort-(\w+)", link))
            )
        ),
        "Provenance": _Section(files=_provenance(found)),
    }
    page = html_page(
        "index.html.j2",
        title,
        simulated=simulated,
        style=STYLE_SHEET.read_text(encoding="utf-8"),
        policy=POLICY,
        sections={heading: section for heading, section in sections.items() if section != _Section()},
    )
    write_text(target, page)


def _verdicts(files: Mapping[str, Path]) -> dict[str, int]:
    """Count the verdicts on the published numbers."""
    table = files.get("tables/published.tsv")
    return read_tsv(table)["verdict"].value_counts().to_dict() if table else {}


def _figures(files: Mapping[str, Path]) -> dict[str, _Section]:
    """Give the figures of each category, in the order of the registry."""
    pictures = [
        (entry_of(path.stem), path)
        for link, path in files.items()
        if link.startswith("figures/") and path.suffix == ".svg"
    ]
    by_category: dict[str, list[dict[str, Any]]] = {}
    for known in [*FIGURES.values(), None]:
        for path in (path for entry, path in pictures if entry is known):
            shown = _figure(path, files, known.caption if known else "")
            by_category.setdefault(known.category if known else _OTHER, []).append(shown)
    return {category: _Section(figures=figures) for category, figures in by_category.items()}


def _figure(picture: Path, files: Mapping[str, Path], caption: str) -> dict[str, Any]:
    """Put one figure into the page itself, with its caption and links to its files."""
    content = picture.read_bytes()
    found = _TITLE_OF_SVG.search(content.decode("utf-8"))
    own = [link for link, path in files.items() if path.with_suffix("") == picture.with_suffix("")]
    own += [link for link, path in files.items() if path.name == f"{picture.stem}_answers.tsv"]
    return {
        "name": picture.stem,
        "title": unescape(found[1]) if found else picture.stem,
        "data": base64.b64encode(content).decode("ascii"),
        "caption": caption,
        "links": _links(files, own),
    }


def _links(files: Mapping[str, Path], links: Iterable[str]) -> list[_Link]:
    """Name each file by its kind."""
    return [
        (
            "answers"
            if files[link].stem.endswith("_answers")
            else KINDS.get(files[link].suffix[1:], files[link].name),
            link,
        )
        for link in links
    ]


def _provenance(files: Mapping[str, Path]) -> dict[str, list[_Link]]:
    names = dict(_PROVENANCE)
    for link in files:
        if found := re.fullmatch(r"conversion/cohort-(\w+)/(conversion|tables)\.tsv", link):
            names[link] = f"{_CONVERSION[found[2]]} of the {found[1]} download"
    return {text: _links(files, [link]) for link, text in names.items() if link in files}
