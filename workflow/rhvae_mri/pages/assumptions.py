"""What the study had to assume, and where it departs from the published one: from the schema's own marks.

In the configuration's schema a key of which the paper's value could not be read has the mark [D] in its
description and, under ``assumption``, what is known of the paper's value. A key with a published value that
decides whether results can be compared has that value under ``published``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas

from rhvae_mri.pages.sheets import Sheet, write_sheets
from rhvae_mri.provenance.tables import DownloadFacts
from rhvae_mri.study.grid import is_simulated, list_cohorts

#: A mark that names D, such as [D], [C/D] and [D: false].
_ASSUMED = re.compile(r"\[[^\]]*\bD\b[^\]]*\]")

#: Assumptions that the code makes: name, our choice, what is known of the paper's value, and where it is.
FIXED = (
    (
        "image of each participant",
        "the first usable visit, of a participant with the same diagnosis at every visit",
        "[C/D] the public code takes baseline sessions; whether a later one may stand in is not known",
        "rhvae_mri.cohort.images; for single images, the table of `exclude`",
    ),
    (
        "test of the sites' balance",
        "chi-square by permutation, within each diagnosis",
        "[D] not known; the paper says that site distributions do not differ significantly",
        "rhvae_mri.cohort.balance; its level is `split.site_threshold`",
    ),
    (
        "optimizer of the RHVAE",
        "Adam, until the training loss has not improved for `rhvae.patience` epochs",
        "[C/D] Adam in the public code; the study's own settings are not known",
        "rhvae_mri.generators.rhvae.training",
    ),
    (
        "standard deviation over the runs",
        "of a sample (divisor n - 1)",
        "[D] not known; with 20 runs the other one is 2.5 % smaller",
        "rhvae_mri.statistics.tables",
    ),
    (
        "AIBL's participants behind the published numbers",
        "76 AD and 429 CN; the fewer they are, the less certain is a published mean",
        "[C/D] in the same group's public lists; a figure of the study says 100",
        "rhvae_mri.statistics.published",
    ),
)

_NOTES = (
    "[D]: the paper's value could not be read, so this is a documented default of the study's own software, "
    "or a choice of ours. [C/D]: the public code has a value, which the study may have changed.",
    "Every value stands in the configuration under the key that is named, unless the code fixes it.",
)

_IN_CONFIG = "the configuration, under this key"

COLUMNS = ("assumption", "our_choice", "known_of_the_paper", "where_to_change", "meaning")


def list_assumptions(
    schema: Mapping[str, Any], config: Mapping[str, Any], facts: Sequence[DownloadFacts] = ()
) -> pandas.DataFrame:
    """List every value that the paper does not give, with the choice of this study.

    First come the keys of the configuration, then what the code fixes, then what follows from tables that the
    downloads lacked (``facts``). The columns are `COLUMNS`.
    """
    rows = [
        (key, _text(value), f"{mark} {leaf['assumption']}", _IN_CONFIG, _meaning(leaf["description"]))
        for key, leaf, value in walk_configuration(schema, config)
        if (mark := mark_of(leaf["description"]))
    ]
    rows += [(*fixed, "fixed in the code") for fixed in FIXED]
    rows += [(*gap, "a table that the download lacks") for each in facts for gap in _without_tables(each)]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def _without_tables(facts: DownloadFacts) -> Iterator[tuple[str, str, str, str]]:
    """Give, of each gap in the tables of a download, the first four columns."""
    known = "[C/D] Clinica, which the study used, reads {}"
    where = f"the folder `cohorts.{facts.cohort}.tables`, by adding the table"
    if facts.diagnoses_from_dxsum:
        visits = "visits from REGISTRY and DXSUM, " if facts.derived else ""
        choice = f"{visits}diagnoses from DXSUM"
        name = "visits and diagnoses" if facts.derived else "diagnoses"
        yield f"{facts.cohort}: {name}", choice, known.format("them in ADNIMERGE"), where
    for name, consequence in facts.absent:
        yield f"{facts.cohort}: no table {name}", consequence, known.format("it"), where


def list_departures(schema: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Say in what the configuration departs from published values that decide the results.

    Of a simulated study only that it is one; else one text for each key.
    """
    if is_simulated(config):
        return ["the data are simulated"]
    training_cohort = list_cohorts(config)[0]
    trained = f"the networks are trained on {training_cohort}, published are networks trained on ADNI"
    return [trained] * (training_cohort != "ADNI") + [
        f"{key} is {_text(value)}, published is {_text(leaf['published'])}"
        for key, leaf, value in walk_configuration(schema, config)
        if "published" in leaf and value != leaf["published"]
    ]


def walk_configuration(
    schema: Mapping[str, Any], config: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """Give each key that has a value: its dotted name, its part of the schema and the value."""
    for name, node in schema["properties"].items():
        if "properties" in node:
            yield from walk_configuration(node, config[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node, config[name]


def mark_of(description: str) -> str | None:
    """Return the mark of a description that says the value is assumed, if it has one.

    Examples
    --------
    >>> mark_of("Corner convention. [D: false]"), mark_of("Dropout. 0.5 [P]")
    ('[D]', None)
    """
    found = _ASSUMED.search(description)
    return ("[C/D]" if "C" in found.group() else "[D]") if found else None


def write_assumptions(
    assumptions: pandas.DataFrame,
    departures: Sequence[str],
    page: str | os.PathLike[str],
    *,
    title: str,
    simulated: bool,
) -> None:
    """Write assumptions and departures for reading."""
    headings = ("Assumption", "Our choice", "Known of the paper's value", "Where to change it", "Meaning")
    rows = tuple(
        tuple(cell.replace("`", "") for cell in row) for row in assumptions.itertuples(index=False, name=None)
    )
    sheets = [Sheet("Assumptions", "Values that the paper does not give.", headings, rows, headings[1:])]
    if departures:
        departed = tuple((str(place), text) for place, text in enumerate(departures, 1))
        sheets.append(
            Sheet(
                "Departures from published values",
                "While there is one, no result counts as comparable with the published ones.",
                ("Number", "Departure"),
                departed,
                ("Departure",),
            )
        )
    write_sheets(sheets, page, title=f"{title}: assumptions", notes=_NOTES, simulated=simulated)


def _meaning(description: str) -> str:
    """Leave out the mark and the value before it, which have a column of their own.

    Examples
    --------
    >>> _meaning("Dropout, drawn evenly. 0 to 0.9 [D]"), _meaning("Images per step. [D]")
    ('Dropout, drawn evenly.', 'Images per step.')
    """
    text = _ASSUMED.sub("", description).strip()
    return text[: text.rindex(". ") + 1] if ". " in text and not text.endswith(".") else text


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
