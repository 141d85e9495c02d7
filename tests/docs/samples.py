"""Whatever stands in the documentation as code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("functions/**/README.md"),
        *ROOT.glob("*/README.md"),
    }
)
PAGES = [path for path in PAGES if "node_modules" not in path.parts]


@dataclass(frozen=True)
class Sample:
    """A block of code. `page` is relative to the root, `line` where it begins."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def of_page(path: Path) -> Iterator[Sample]:
    name = str(path.relative_to(ROOT))
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        # What is only indented are commands, in this documentation.
        if token.type in {"fence", "code_block"} and token.map:
            language = token.info.strip() if token.type == "fence" else "sh"
            yield Sample(name, token.map[0] + 1, language, token.content)


def every() -> list[Sample]:
    return [sample for path in PAGES for sample in of_page(path)]


def commands(text: str, program: str = "manage.py") -> Iterator[list[str]]:
    """The words after each call of the program, in shell commands or in a line of prose."""
    joined = text.replace("\\\n", " ")
    for found in re.finditer(rf"(?<![\w-]){re.escape(program)} ", joined):
        if words := _words(joined[found.end() :]):
            yield words


def _words(rest: str) -> list[str]:
    """Up to where the line ends, or another command begins."""
    words: list[str] = []
    word, quote = "", ""
    for character in f"{rest}\n":
        if quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "'\"":
            quote = character
        elif character in "|&;>)`\n" or (character == "#" and not word):
            break
        elif character == " ":
            words += [word] if word else []
            word = ""
        else:
            word += character
    return [*words, word] if word else words
