"""The portal's settings with one more language, made up: Hebrew letters, a third longer texts.

Whoever looks at a page in it sees what is not translated, what has no room, and what still runs
from left to right.
"""

import os
import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from portal.settings import *  # noqa: F403

LANGUAGES = [*LANGUAGES, ("he", "עברית")]  # noqa: F405
FOLDER = "SPILLWAY_TESTS_LOCALE"
# Where `make` has put the catalogue, of whoever starts such a portal.
LOCALE_PATHS = [Path(os.environ.get(FOLDER, ".")), *LOCALE_PATHS]  # noqa: F405

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_HEBREW = "אבגדהוזחטיכלמנסעפצקרשתםןףץ"
_LETTERS = str.maketrans(_LATIN + _LATIN.upper(), _HEBREW * 2)
# Stays as it is: placeholders, tags and what they hold.
_KEPT = re.compile(r"(%\(\w+\)[sd]|%[sd%]|\{\w*\}|<[^>]*>)")


def make(found: Catalog, folder: Path) -> None:
    """Puts the catalogue below `folder`, of the texts in `found`."""
    made = Catalog(locale="he", fuzzy=False)
    for message in found:
        if not message.id:
            continue
        forms = [message.id] if isinstance(message.id, str) else list(message.id)
        turned = [_turned(form) for form in forms]
        plural = (turned[0], *[turned[-1]] * (made.num_plurals - 1))
        made.add(message.id, plural if len(forms) > 1 else turned[0], context=message.context)
    place = folder / "he" / "LC_MESSAGES"
    place.mkdir(parents=True)
    with (place / "django.mo").open("wb") as file:
        write_mo(file, made)


def _turned(text: str) -> str:
    parts = _KEPT.split(text)
    letters = "".join(part for part in parts[::2])
    more = " ".join(letters.split()[: 1 + len(letters.split()) // 3])
    turned = [part if at % 2 else part.translate(_LETTERS) for at, part in enumerate(parts)]
    return f"{''.join(turned)} {more.translate(_LETTERS)}" if more else "".join(turned)
