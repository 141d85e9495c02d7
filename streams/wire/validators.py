"""Entity tags and the conditions that name them (RFC 9110 sections 8.8 and 13.1)."""

import re

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]{0,200}"')


def parse_etag(header: str | None) -> str | None:
    """The entity tag as it stands, weak or strong; None where it is absent or malformed."""
    tag = (header or "").strip()
    return tag if _ETAG.fullmatch(tag) else None


def is_strong(etag: str | None) -> bool:
    """Whether equal tags promise equal bytes. Only such a tag may join two pieces of a file."""
    return bool(etag) and not str(etag).startswith("W/")


def matches(header: str, etag: str | None) -> bool:
    """Whether `If-Match` names the version that there is (strong comparison)."""
    if header.strip() == "*":
        return True
    return is_strong(etag) and etag in _ETAG.findall(header)


def matches_none(header: str | None, etag: str | None) -> bool:
    """Whether `If-None-Match` says that the client has this version (weak comparison)."""
    if header is None or etag is None:
        return False
    if header.strip() == "*":
        return True
    return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in _ETAG.findall(header)}
