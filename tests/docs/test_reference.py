"""The pages of reference say what the code has."""

import re
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from docs import generate
from portal.env import Environment
from tests.docs.samples import ROOT

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", ["options.md", "operations.md"])
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    written = (generate.FOLDER / name).read_text(encoding="utf-8")

    assert written == generate.pages()[name], "run: python -m docs.generate"


def test_each_command_is_explained() -> None:
    told = re.findall(r"^\| `([a-z_]+)", (DOCS / "commands.md").read_text(), re.MULTILINE)

    # Beside our own, two of Django's that every portal needs.
    assert sorted(told) == sorted([*generate.parsers(), "migrate", "check"])


def default(alias: str) -> Any:
    (field,) = (one for one in Environment.model_fields.values() if one.alias == alias)
    return field.default


# Told in words, since they are made or depend on others.
WORDS = {
    "none", "for ever", "made in the state folder", "SQLite in the state folder",
    "the database", "a folder in the state folder",
}  # fmt: skip


def test_the_defaults_of_settings_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)`[^|]*\| ([^|]+?) \|", (DOCS / "settings.md").read_text(), re.MULTILINE
    )
    assert len(rows) == len(Environment.model_fields)
    for name, told in rows:
        value = default(name)
        assert value is not PydanticUndefined
        if told in WORDS:
            assert value in (None, []), name
            continue
        if value is None:
            # What it is then, is said where it is read.
            assert told.startswith("`"), name
            continue
        expected = {
            "SPILLWAY_STATE_DIR": "var/",
            "SPILLWAY_SEGMENT_MEMORY": f"{default('SPILLWAY_SEGMENT_MEMORY') >> 20}MiB",
        }.get(name)
        if expected is None:
            expected = ",".join(value) if isinstance(value, list) else str(value)
            expected = expected.lower() if isinstance(value, bool) else expected
        assert told == f"`{expected}`", name


def test_each_page_is_in_one_of_the_four_kinds() -> None:
    """`make docs` refuses a page that is nowhere; this one that is in two places."""
    index = (DOCS / "index.md").read_text()
    listed = re.findall(r"^(?:.*<)?([\w./-]+)>?$", index.partition("```{toctree}")[2], re.MULTILINE)

    assert len(listed) == len(set(listed))
    kinds = re.findall(r"^:caption: (.*)$", index, re.MULTILINE)
    assert kinds[:4] == ["Tutorial", "How to …", "Reference", "Explanation"]


def test_what_the_threat_model_names_is_there() -> None:
    text = (DOCS / "security.md").read_text()
    paths = set(re.findall(r"`([\w./-]+/[\w./-]+\.(?:py|conf|yaml|txt))`", text))

    assert len(paths) > 50
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []
    # Each threat has something that holds its measure.
    rows = re.findall(r"^\| (?!threat)[^|]+\|[^|]+\|([^|]*)\|$", text.split("## Threats")[1]
                      .split("## What browsers")[0], re.MULTILINE)  # fmt: skip
    assert len(rows) > 35
    assert [row for row in rows if "`" not in row and "---" not in row] == []
