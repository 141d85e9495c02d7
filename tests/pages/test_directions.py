"""Styles and templates say start and end, so that a page can be read from right to left."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What is always at the left or at the right, whichever way a page is read.
SIDES = re.compile(
    r"(?:margin|padding|border|inset)-(?:left|right)|(?<![-\w])(?:left|right|float)\s*:"
    r"|text-align:\s*(?:left|right)"
)
FOUR = re.compile(r"(?:margin|padding|inset): ([^\s;]+) ([^\s;]+) ([^\s;]+) ([^\s;]+);")
# Unfold's classes of that kind.
CLASSES = re.compile(r"[\s\"](-?[mp][lr]-\d+|text-(?:left|right)|-?(?:left|right)-\d+)[\s\"]")
STYLES = sorted((ROOT / "static" / "spillway").glob("*.css"))


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_our_styles_say_start_and_end(path: Path) -> None:
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", path.read_text())

    # Code alone runs from left to right everywhere.
    found = {name.strip(): SIDES.findall(rule) for name, rule in rules if "code" not in name}
    uneven = [one for one in FOUR.findall(path.read_text()) if one[1] != one[3]]

    assert {name: sides for name, sides in found.items() if sides} == {}
    assert uneven == []


def test_our_templates_say_start_and_end() -> None:
    texts = {path: path.read_text() for path in (ROOT / "templates").rglob("*.html")}

    found = {str(path): CLASSES.findall(text) for path, text in texts.items()}

    assert {path: classes for path, classes in found.items() if classes} == {}
