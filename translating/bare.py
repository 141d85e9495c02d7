"""Finds text in templates that is not marked for translation."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

# What reads the same in every language.
NAMES = frozenset({"Spillway", "SHA-256"})
# What is inside is no sentence: code, or the data of a script.
CODE = frozenset({"code", "script", "style", "svg", "kbd"})
# Those that people see or hear.
READ = frozenset({"alt", "aria-label", "aria-description", "placeholder", "title"})

# Pictures that a font draws by their names.
_SYMBOL = re.compile(r'<span class="material-symbols-outlined[^>]*>[^<]*</span>')
_COMMENT = re.compile(r"{#.*?#}|{% comment %}.*?{% endcomment %}", re.DOTALL)
_MARKED = re.compile(
    r"{%-?\s*blocktrans(?:late)?\b.*?{%-?\s*endblocktrans(?:late)?\s*%}"
    r"|{%\s*trans(?:late)?\b.*?%}",
    re.DOTALL,
)
_TAG = re.compile(r"{%.*?%}|{{.*?}}", re.DOTALL)
# In a tag: a sentence that it is given, and that `_()` does not mark.
_GIVEN = re.compile(r"""(?<!_\()(["'])([A-Z][a-z]+(?: [^"']*)?|[a-z]+ [^"']*[a-z]{2})\1""")
_WORD = re.compile(r"[^\W\d_]{2,}")


def of(template: str) -> list[str]:
    """Each such text. What blocks hold is read where they stand: a title, a class."""
    unmarked = _SYMBOL.sub("", _MARKED.sub("", _COMMENT.sub("", template)))
    reader = _Reader()
    reader.feed(_TAG.sub("", unmarked))
    reader.close()
    given = [text for tag in _TAG.findall(unmarked) for text in _given(tag)]
    return [text for text in reader.found + given if _is_text(text)]


def _given(tag: str) -> Iterator[str]:
    # How dates are written is no sentence, and languages have their own.
    if "|date:" not in tag and not tag.startswith(("{% url", "{% if", "{% elif")):
        yield from (text for _, text in _GIVEN.findall(tag))


def _is_text(text: str) -> bool:
    return any(word not in NAMES for word in re.findall(r"[\w-]+", text) if _WORD.search(word))


class _Reader(HTMLParser):
    """What people read of a page, and hear."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in CODE
        for name, value in attrs:
            sentence = name.startswith("data-") and " " in (value or "")
            if value and (name in READ or sentence):
                self.found.append(value.strip())

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._code:
            self.found.append(" ".join(data.split()))
