"""The page that leads to everything that a study has written; it opens from disk and needs no network."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas

from rhvae_mri.figures.registry import FIGURES, entry_of
from rhvae_mri.io.files import read_tsv, write_text
from rhvae_mri.pages.sheets import interval, number, p_value
from rhvae_mri.pages.templates import html_page
from rhvae_mri.statistics.conditions import CONDITION, METRIC_LABELS, describe, list_doubts
from rhvae_mri.statistics.replication import overall_statement

STYLE_SHEET = Path(__file__).parents[2] / "style" / "index.css"

#: What the browser may load: nothing but the style and the pictures that are in the page itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

#: The tables and pages: their files in the results folder without the ending, and what they are.
_TABLES = {
    "tables/classification": "The paper's table, ours beside the published numbers",
    "tables/comparisons": "Every condition compared with real images alone, generators with each other",
    "tables/published": "Every published number, and whether it is reproduced",
    "tables/assumptions": "What had to be assumed, and where it can be changed",
    "tables/demographics": "Who is in each set, with tests and standardized differences",
    "tables/flags": "Of which generators a gain is doubtful",
    "tables/generation": "Quality of every generator and of its synthetic images",
    "tables/runs": "Every metric of every run",
    "tables/histories": "Training history of every run",
    "tables/layers": "Layers of all networks",
    "statistics/estimates": "Means over the runs with intervals",
    "statistics/roc": "ROC curves with bands",
    "statistics/confusion": "Confusion matrices",
    "statistics/calibration": "Calibration",
    "statistics/reliability": "Reliability curves",
    "split/split": "Participants and the sets that they are in",
    "split/demographics": "Demographics of every set",
    "split/differences": "Standardized differences between the sets",
    "split/balance": "Tests of the balance between sets",
    "split/independent": "Tested participants of the independent cohorts",
    "split/leakage": "Check that no participant is in two sets",
}

#: Endings of files and what they are called.
_KINDS = {
    "html": "page",
    "tsv": "TSV",
    "md": "Markdown",
    "tex": "LaTeX",
    "json": "JSON",
    "yaml": "YAML",
    "svg": "SVG",
    "pdf": "PDF",
}

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
    "provenance/files.tsv": "Checksums of all files from the tensors to the predictions",
    "report/methods.md": "Methods as Markdown",
}
_CONVERSION = {"conversion": "What became of each image folder", "tables": "What was made of each table"}

#: Text and address of a link.
_Link = tuple[str, str]


def write_index(
    target: str | os.PathLike[str],
    files: Iterable[str | os.PathLike[str]],
    *,
    title: str,
    simulated: bool,
) -> None:
    """Write the page, atomically, into the results folder; it leads to those of the files that are there.

    ``title`` is the study's name.
    """
    folder = Path(target).parent
    # by their place beside the page, as an address
    found = {
        link: Path(file)
        for file in files
        if not (link := quote(Path(os.path.relpath(file, folder)).as_posix())).startswith("../")
    }
    tables = {
        text: _links(found, [link for kind in _KINDS if (link := f"{name}.{kind}") in found])
        for name, text in _TABLES.items()
    }
    audits = [
        (f"{cohort[1]}: every image with pictures, measures and fate", f"{link}/index.html")
        for link in found
        if (cohort := re.fullmatch(r"audit/cohort-(\w+)", link))
    ]
    published = read_tsv(found["tables/published.tsv"]) if "tables/published.tsv" in found else None
    compared = "tables/comparisons.tsv"
    comparisons = read_tsv(found[compared]) if compared in found else None
    question, answers = ("", []) if comparisons is None else _answer(comparisons)
    sections: dict[str, dict[str, Any]] = {
        "Start here": {
            "pages": [(text, link) for link, text in _START.items() if link in found],
            "verdicts": {} if published is None else published["verdict"].value_counts().to_dict(),
            "overall": "" if published is None else overall_statement(published),
            "question": question,
            "answers": answers,
            "doubts": [] if comparisons is None else list_doubts(comparisons),
        },
        **{category: {"figures": shown} for category, shown in _figures(found).items()},
        "Tables": {"files": {text: links for text, links in tables.items() if links}},
        "Audit of the preprocessing": {"pages": audits},
        "Provenance": {"files": _provenance(found)},
    }
    nothing: dict[str, Any] = {
        "pages": (),
        "verdicts": {},
        "answers": (),
        "doubts": (),
        "figures": (),
        "files": {},
    }
    page = html_page(
        "index.html.j2",
        title,
        simulated=simulated,
        style=STYLE_SHEET.read_text(encoding="utf-8"),
        policy=POLICY,
        sections={heading: nothing | one for heading, one in sections.items() if any(one.values())},
    )
    write_text(target, page)


def _answer(comparisons: pandas.DataFrame) -> tuple[str, list[str]]:
    """Give the primary test, and what else its condition is compared with on the same test set, in words."""
    primary = comparisons[comparisons["role"] == "primary"]
    if primary.empty:
        return "", []
    first = primary.to_dict("records")[0]
    same = [*CONDITION, "test_cohort", "metric"]
    rows = comparisons[(comparisons[same] == primary.iloc[0][same]).all(axis=1)].sort_values("role")
    question = f"{METRIC_LABELS[first['metric']].capitalize()} on {first['test_cohort']}, {describe(first)}"
    if not pandas.isna(left_out := first["interval_leaves_out"]):
        question += f" (intervals leave out {left_out})"
    answers = []
    for row in rows.itertuples():
        against = "real images alone" if row.reference == "real" else row.reference
        gain = f"{number(row.difference_percent, sign=True)} points"
        gain += f" ({interval(row.low_percent, row.high_percent, sign=True)}), p {p_value(row.p_value)}"
        means = f"{number(row.mean_percent)} % against {number(row.reference_mean_percent)} %"
        answers.append(f"{row.role} test, against {against}: {means}, {gain}")
    return f"{question}:", answers


def _figures(files: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Give the figures of each category, in the order of the registry."""
    pictures = [
        (entry_of(path.stem), path)
        for link, path in files.items()
        if link.startswith("figures/") and path.suffix == ".svg"
    ]
    by_category: dict[str, list[dict[str, Any]]] = {}
    for known in [*FIGURES.values(), None]:
        category, caption = (known.category, known.caption) if known else (_OTHER, "")
        shown = [_figure(path, files, caption) for entry, path in pictures if entry is known]
        if shown:
            by_category.setdefault(category, []).extend(shown)
    return by_category


def _figure(picture: Path, files: Mapping[str, Path], caption: str) -> dict[str, Any]:
    """Put one figure into the page itself, with its caption and links to its files."""
    content = picture.read_bytes()
    found = _TITLE_OF_SVG.search(content.decode("utf-8"))
    own = [link for link, path in files.items() if path.with_suffix("") == picture.with_suffix("")]
    own += [link for link, path in files.items() if path == picture.with_name(f"{picture.stem}_answers.tsv")]
    return {
        "name": picture.stem,
        "title": unescape(found[1]) if found else picture.stem,
        "data": base64.b64encode(content).decode("ascii"),
        "caption": caption,
        "links": _links(files, own),
    }


def _links(files: Mapping[str, Path], links: Iterable[str]) -> list[_Link]:
    """Name each file by its kind."""
    kinds = {link: _KINDS.get(files[link].suffix[1:], files[link].name) for link in links}
    return [
        ("answers" if files[link].stem.endswith("_answers") else kind, link) for link, kind in kinds.items()
    ]


def _provenance(files: Mapping[str, Path]) -> dict[str, list[_Link]]:
    names = dict(_PROVENANCE)
    for link in files:
        if found := re.fullmatch(r"conversion/cohort-(\w+)/(conversion|tables)\.tsv", link):
            names[link] = f"{_CONVERSION[found[2]]} of the {found[1]} download"
    return {text: _links(files, [link]) for link, text in names.items() if link in files}
