"""The page that explains the configuration, written from its schema.

make docs
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rhvae_mri.files import read_json, write_text

_HEAD = """# Configuration

`config.yaml` is the simulated study, `paper.yaml` the published one; both set every key.

Marks: [P] published, [C] read from the study's public code, [D] not readable and therefore assumed, [ours] no
counterpart in the study. This page is written from `workflow/schemas/config.schema.json` (`make docs`).
"""


def describe_configuration(schema: Mapping[str, Any]) -> str:
    """Write the page, in Markdown.

    Parameters
    ----------
    schema : mapping
        The JSON schema of the configuration.

    Returns
    -------
    str
        One table for each section: key, default of the simulated study, bounds, meaning.
    """
    lines = [_HEAD]
    for name, section in schema["properties"].items():
        lines += [f"## {name}", "", section["description"], ""]
        lines += ["| key | default | values | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{key}` | {_code(leaf['default'])} | {_values(leaf)} | {leaf['description']} |"
            for key, leaf in _leaves(name, section)
        ]
        lines.append("")
    return "\n".join(lines)


def _leaves(name: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The keys below a section that have a value, with their dotted names."""
    if "properties" in node:
        for key, child in node["properties"].items():
            yield from _leaves(f"{name}.{key}", child)
        for child in node.get("patternProperties", {}).values():
            yield from _leaves(f"{name}.<name>", child)
    else:
        yield name, node


def _code(value: Any) -> str:
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
    kinds = [leaf["type"]] if isinstance(leaf["type"], str) else leaf["type"]
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {leaf[bound]:g}" for bound, sign in signs.items() if bound in leaf]
    return ", ".join([" or ".join(kinds), *bounds])


if __name__ == "__main__":
    write_text(sys.argv[2], describe_configuration(read_json(sys.argv[1])))
