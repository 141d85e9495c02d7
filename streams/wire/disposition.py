"""`Content-Disposition` for a download (RFC 6266), from a name that anybody may have written."""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

# Reserved on one system or another, or meant to mislead: path separators, wild cards, quotes.
_RESERVED = re.compile(r'[/\\:*?"<>|%;]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
# RFC 8187 section 3.2.1: what need not be encoded.
_ATTR_CHARS = "!#$&+-.^_`|~"
LONGEST = 255


def safe_name(name: str, *, otherwise: str = "download") -> str:
    """A file name that is safe to save anywhere, of at most 255 bytes in UTF-8.

    Control, format (bidirectional) and unassigned characters go, reserved ones become `_`, and a
    name never begins or ends with a dot or a space.
    """
    text = unicodedata.normalize("NFC", name)
    text = "".join(char for char in text if unicodedata.category(char)[0] != "C")
    text = _RESERVED.sub("_", text)
    text = re.sub(r"\s+", " ", text).strip(". ")
    if not text or _DEVICES.fullmatch(text):
        text = f"{otherwise}_{text}".rstrip("_")
    return _shortened(text)


def _shortened(text: str) -> str:
    """Cuts the stem, not the ending: programs are chosen by the ending."""
    encoded = text.encode()
    if len(encoded) <= LONGEST:
        return text
    stem, dot, ending = text.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        return encoded[:LONGEST].decode(errors="ignore").strip(". ")
    room = LONGEST - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + ending


def attachment(name: str) -> str:
    """The field's value for a name from `safe_name`: one ASCII form, and one in full."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    if (left := plain.lstrip(" -_")).startswith("."):
        # Of a name in another script no more is left than its ending.
        plain = f"download{left}"
    plain = safe_name(plain.replace("'", "_"))
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def told_apart(names: Iterable[str], *, taken: Iterable[str] = ()) -> list[str]:
    """Names from `safe_name`, numbered where one stood before, or is `taken`.

    Also for file systems that take upper for lower case, or one form of a letter for another.
    """
    seen = {_folded(name) for name in taken}
    told = []
    for name in names:
        number, found = 1, name
        while _folded(found) in seen:
            number += 1
            found = _numbered(name, number)
        seen.add(_folded(found))
        told.append(found)
    return told


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _numbered(name: str, number: int) -> str:
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    mark = f" ({number}){dot}{ending}"
    room = LONGEST - len(mark.encode())
    return stem.encode()[: max(room, 1)].decode(errors="ignore").rstrip(". ") + mark
