"""What the sidecars say: the parameters and versions that all images share, and what differs."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rhvae_mri.io.files import read_json
from rhvae_mri.preprocess.sidecars import sidecar_path

#: What the page repeats from the sidecar of a raw image; the rest describes the scan, not the preprocessing.
_RAW_KEYS = (
    "ConversionSoftware",
    "ConversionSoftwareVersion",
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "SeriesDescription",
)

#: What the page says in other places.
_SAID_ELSEWHERE = ("Sources", "Fault")

_ELEMENT = re.compile(r"^(.+)\[\d+\]$")


def step_parameters(path: str | os.PathLike[str], *, is_raw: bool = False) -> dict[str, str]:
    """Read the sidecar of an image as plain names and values."""
    try:
        content = read_json(sidecar_path(path))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        return {}
    names = _RAW_KEYS if is_raw else [name for name in content if name not in _SAID_ELSEWHERE]
    return dict(_flatten("", {name: content[name] for name in names if name in content}))


def share_parameters(
    images: Iterable[Mapping[str, str]],
) -> tuple[dict[str, str], list[dict[str, str | None]]]:
    """Part the parameters of one step into those that most images share and those that differ.

    Examples
    --------
    >>> share_parameters([{"a": "1", "seed": "3"}, {"a": "1", "seed": "4"}, {}])
    ({'a': '1'}, [{'seed': '3'}, {'seed': '4'}, {}])
    """
    rows = list(images)
    n_described = sum(bool(row) for row in rows)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for key, value in row.items():
            counts[key][value] += 1
    most = {key: values.most_common(1)[0] for key, values in counts.items()}
    common = {key: value for key, (value, count) in most.items() if 2 * count > n_described}
    different: list[dict[str, str | None]] = []
    for row in rows:
        # an image that is not described at all lacks no single parameter
        lacking = dict.fromkeys(key for key in common if row and key not in row)
        different.append({key: value for key, value in row.items() if common.get(key) != value} | lacking)
    return _join_lists(counts, common), different


def _join_lists(keys: Iterable[str], common: Mapping[str, str]) -> dict[str, str]:
    """Write the elements of each list that is common, wholly or partly, as one text."""
    lists: dict[str, list[str | None]] = defaultdict(list)
    for key in keys:
        element = _ELEMENT.match(key)
        lists[element[1] if element else key].append(common.get(key))
    return {
        name: " ".join("…" if value is None else value for value in values)
        for name, values in lists.items()
        if any(value is not None for value in values)
    }


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flatten(f"{name}[{number}]", inner)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
