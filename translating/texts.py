"""Finds every text that is marked for translation, in Python and in templates."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("portal", "streams", "templates")
# What is called to mark a text: at which places its text, plural and context stand.
MARKS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def catalogue() -> Catalog:
    """All of them, each with the files that have it."""
    found = Catalog(charset="utf-8")
    for folder in FOLDERS:
        for path, text, comments, context in in_folder(ROOT / folder):
            # Without the number of the line, which each edit above it would change.
            place = (path.relative_to(ROOT).as_posix(), 0)
            found.add(text, locations=[place], auto_comments=comments, context=context)
    return found


def in_folder(folder: Path) -> Iterator[tuple[Path, Any, list[str], str | None]]:
    """Each text below it: the file, the text (with its plural), what translators are told, context.

    Migrations are left out: nobody reads what they say.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".html", ".txt"} and "migrations" not in path.parts:
            for _, text, comments, context in _of(path):
                yield path, text, comments, context


def _of(path: Path) -> Iterable[tuple[Any, ...]]:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        source = _as_python(source, path)
    return extract(
        "python",
        io.BytesIO(source.encode()),
        keywords=MARKS,
        comment_tags=("Translators:",),
        options={"encoding": "utf-8"},
        strip_comment_tags=True,
    )


def _as_python(template: str, path: Path) -> str:
    """Calls of `gettext` in the place of tags, and X in the place of all else, as Django has it.

    Its lines are indented as those of the template, which Python's own reader would refuse.
    """
    return "\n".join(line.strip() for line in templatize(template, origin=str(path)).split("\n"))
