"""What `make docs` writes from the keys of the configuration and the registry of figures."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rhvae_mri.figures.registry import FIGURES, short_name
from rhvae_mri.io.files import write_json, write_text
from rhvae_mri.study.configuration import Configuration, build_schema, plain

SCHEMA, DEFAULTS, PAGE = "workflow/schemas/config.schema.json", "config/config.yaml", "config/README.md"
RESULTS = "docs/results.md"

#: For editors: the first line of each configuration, with the schema's place.
MODELINE = "# yaml-language-server: $schema=../workflow/schemas/config.schema.json\n"

_PAGE = """# Configuration

`config.yaml` is the simulated study with every key. `paper.yaml`, the published study, and `medium.yaml` have
only what differs from it; a configuration of your own needs no more either.

Marks: [P] published, [C] read from the study's public code, [D] not readable and therefore assumed, [ours] no
counterpart in the study. This page is written from `workflow/rhvae_mri/study/*_keys.py` (`make docs`).
"""

_DEFAULTS = f"""{MODELINE}\
# The simulated study: runs anywhere, without data. config/paper.yaml is the published study.
# config/README.md explains every key. Written by `make docs`: give your own values in a file of your own.
# Marks: [P] published, [C] from the study's public code, [D] assumed, [ours] no counterpart in the study;
# "study:" says what the published study has where the simulated one differs.
"""


#: Between which lines of docs/results.md the figures are listed.
_BEGIN, _END = "<!-- figures, by `make docs` -->\n\n", "\n<!-- end of the figures -->"


def write_documents(folder: Path) -> None:
    """Write all of them into a checkout."""
    write_json(folder / SCHEMA, build_schema())
    write_text(folder / DEFAULTS, describe_defaults())
    write_text(folder / PAGE, describe_keys())
    write_text(folder / RESULTS, describe_figures((folder / RESULTS).read_text(encoding="utf-8")))


def describe_figures(text: str) -> str:
    """Put the list of the figures, with the columns of their tables, into the dictionary of the results."""
    before, _, rest = text.partition(_BEGIN)
    lines = []
    for pattern, entry in FIGURES.items():
        if entry.needs != "search":
            name = short_name(pattern) + ("_*" if "{" in pattern else "")
            columns = ", ".join(f"`{column}`" for column in entry.columns.split())
            columns = columns.replace("`*condition*`", "*condition*").replace("?`", "`?")
            for paragraph, indent in (
                (f"- `figures/{name}.tsv`: {entry.contents}", ""),
                (f"({columns})", "  "),
            ):
                lines += textwrap.wrap(paragraph, 118, initial_indent=indent, subsequent_indent="  ")
    return before + _BEGIN + "\n".join(lines) + "\n" + _END + rest.partition(_END)[2]


def describe_defaults() -> str:
    """Write the configuration with the defaults of all keys, the marks beside them, as YAML."""
    lines = [_DEFAULTS]
    defaults = Configuration().model_dump()
    for name, section in build_schema()["properties"].items():
        if "properties" in section:
            lines += textwrap.wrap(section["description"], 110, initial_indent="# ", subsequent_indent="# ")
        lines += [*_yaml_lines(name, section, defaults[name], ""), ""]
    return "\n".join(lines)


def _yaml_lines(name: str, node: Mapping[str, Any], value: Any, indent: str) -> Iterator[str]:
    """A key with its value and what is remarkable about it, or a section."""
    if isinstance(value, dict) and value:
        yield f"{indent}{name}:"
        for key, each in value.items():
            child = node.get("properties", {}).get(key) or next(_further(node), {})
            yield from _yaml_lines(key, child, each, f"{indent}  ")
        return
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    differs = "study" in node and node["study"] != value
    remarks = [node["unit"]] if "unit" in node else []
    remarks += [f"study: {plain(node['study'])}"] if differs else []
    marks = [f"[{node['mark']}]"] if "mark" in node else []
    comment = " ".join(["; ".join(remarks), *marks]).strip()
    line = f"{indent}{name}: {text}"
    yield f"{line:<32}  # {comment}" if comment else line


def describe_keys() -> str:
    """Write the page, in Markdown: a table for each section with keys, defaults, bounds and meanings."""
    lines = [_PAGE]
    for name, section in build_schema()["properties"].items():
        leaves = list(list_keys(name, section))
        lines += [f"## {name}", ""]
        lines += [section["description"], ""] if len(leaves) > 1 else []
        lines += ["| key | default | values | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_code(leaf)} | {_values(leaf)} | {leaf['description']} |" for key, leaf in leaves
        ]
        lines.append("")
    return "\n".join(lines)


def list_keys(name: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the keys below a section that have a value: their dotted names and their parts of the schema."""
    children = [*node.get("properties", {}).items(), *(("<name>", child) for child in _further(node))]
    for key, child in children:
        yield from list_keys(f"{name}.{key}", child)
    if not children:
        yield name, node


def _further(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The part of the schema of what a section has under names of the user's choice, if that is a section."""
    further = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    yield from (child for child in further if isinstance(child, dict) and "properties" in child)


def _code(leaf: Mapping[str, Any]) -> str:
    if "default" not in leaf:
        return ""
    value = leaf["default"]
    return "`null`" if value is None else f"`{value}`".replace("True", "true").replace("False", "false")


def _values(leaf: Mapping[str, Any]) -> str:
    """What values a key takes, in words."""
    if "enum" in leaf:
        return ", ".join(f"`{value}`" for value in leaf["enum"])
    if "anyOf" in leaf:
        return " or ".join(_values(option) for option in leaf["anyOf"])
    if "const" in leaf:
        return f"`{leaf['const']}`"
    if leaf["type"] == "array":
        return f"list of {_values(leaf['items'])}"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {leaf[bound]:g}" for bound, sign in signs.items() if bound in leaf]
    return ", ".join([leaf["type"], *bounds])


if __name__ == "__main__":
    write_documents(Path(sys.argv[1]))
