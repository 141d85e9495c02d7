"""The catalogues of each language: brought up to date, compiled, and judged."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation import to_locale

from portal.env import LANGUAGES
from translating.texts import ROOT

FOLDER = ROOT / "locale"
# What the texts are written in; it needs no catalogue.
SOURCE = "en-gb"
TRANSLATED = [code for code in LANGUAGES if code != SOURCE]
# `%(name)s`, `%d`, and the gaps that scripts fill: `{name}`.
_GAP = re.compile(r"%(?:\(\w+\))?[sdif%]|\{\w*\}")
_TAG = re.compile(r"</?\w+")


def place(language: str, folder: Path = FOLDER) -> Path:
    """Where its catalogue is."""
    return folder / to_locale(language) / "LC_MESSAGES" / "django.po"


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def update(language: str, found: Catalog) -> None:
    """Adds what is new, without a translation, and removes what is gone."""
    path = place(language)
    kept = read(path) if path.exists() else Catalog(locale=to_locale(language), fuzzy=False)
    # Otherwise each run would change the file.
    found.creation_date = kept.creation_date
    kept.update(found, no_fuzzy_matching=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(
            file, kept, width=98, sort_by_file=True, ignore_obsolete=True, include_lineno=False
        )


def compile_all() -> None:
    """Writes the form that is read at run time beside each catalogue."""
    for path in sorted(FOLDER.rglob("*.po")):
        with path.with_suffix(".mo").open("wb") as file:
            write_mo(file, read(path))


def faults(catalogue: Catalog) -> Iterator[str]:
    """What keeps it from being complete: texts without a translation, or with a doubtful one."""
    for message in catalogue:
        if not message.id:
            continue
        texts, translations = _forms(message.id), _forms(message.string)
        if message.fuzzy:
            yield f"marked as doubtful (fuzzy): {texts[0]!r}"
        elif not all(translations) or len(translations) < len(texts):
            yield f"not translated: {texts[0]!r}"
        elif not all(_fits(texts, translation) for translation in translations):
            yield f"other placeholders or tags than in the text: {texts[0]!r}"


def differences(catalogue: Catalog, found: Catalog) -> Iterator[str]:
    """Texts that one of the two lacks."""
    there, wanted = _keys(catalogue), _keys(found)
    yield from (f"missing: {text!r}" for text, _ in sorted(wanted - there, key=str))
    yield from (f"no longer used: {text!r}" for text, _ in sorted(there - wanted, key=str))


def _keys(catalogue: Catalog) -> set[tuple[object, str | None]]:
    return {(message.id, message.context) for message in catalogue if message.id}


def _forms(text: Message | str | list[str] | tuple[str, ...] | object) -> list[str]:
    return [text] if isinstance(text, str) else list(text)  # type: ignore[call-overload]


def _fits(texts: list[str], translation: str) -> bool:
    """Has the placeholders and tags of one form of the text: "one minute" may have no number."""
    return any(_parts(text) == _parts(translation) for text in texts)


def _parts(text: str) -> Counter[str]:
    return Counter(_GAP.findall(text) + _TAG.findall(text))
