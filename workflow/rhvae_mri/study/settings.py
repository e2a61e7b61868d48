"""The library's settings, filled from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Settings = TypeVar("Settings")


def fill(settings: type[Settings], section: Mapping[str, Any]) -> Settings:
    """Fill a dataclass from the keys of a section that have the names of its fields; lists become tuples."""
    names = {field.name for field in fields(settings)}  # type: ignore[arg-type]
    given = {name: value for name, value in section.items() if name in names}
    return settings(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    )
