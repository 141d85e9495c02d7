"""What the settings are, and where each comes from: for people, and without a secret."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from portal.env import SECRETS, Environment


class Source(StrEnum):
    ENVIRONMENT = "environment"
    FILE = "file"
    MADE = "made in the state folder"
    DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """`value` is None where there is none, and for a secret, of which `is_set` alone is told."""

    name: str
    meaning: str
    source: Source
    value: str | None
    is_secret: bool
    is_set: bool


# Without these the portal makes a key and keeps it.
_MADE = {"secret_key", "encryption_keys"}


def settings(env: Environment) -> Iterator[Setting]:
    """Each of them, in the order in which they are defined."""
    for field, info in Environment.model_fields.items():
        name, value = str(info.alias), getattr(env, field)
        source = _source(env, field, name)
        is_secret = name in SECRETS
        yield Setting(
            name=name,
            meaning=info.description or "",
            source=source,
            value=None if is_secret else _written(value),
            is_secret=is_secret,
            is_set=bool(value) or source is Source.MADE,
        )


def _source(env: Environment, field: str, name: str) -> Source:
    if field not in env.model_fields_set:
        return Source.MADE if field in _MADE else Source.DEFAULT
    is_file = name in SECRETS and os.environ.get(f"{name}_FILE")
    return Source.FILE if is_file else Source.ENVIRONMENT


def _written(value: Any) -> str | None:
    """As one would write it into the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value)) or None
    if isinstance(value, float):
        return f"{value:g}"
    return str(value.resolve() if isinstance(value, Path) else value) if value is not None else None
