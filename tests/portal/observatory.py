"""The grade of Mozilla's HTTP Observatory for one answer, by its published rules.

The rules are those of https://github.com/mdn/mdn-http-observatory (`src/grader/charts.js` and
`src/analyzer/tests/`): a score begins at 100, loses what is missing, and gains what is better than
needed, where 90 are left without that. 100 is A+. What only the network can show (the redirect from
http, a certificate, the browsers' preload list) is not in it.
"""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any

BROAD = {"ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"}
INLINE = {"'unsafe-inline'", "data:"}
PRIVATE_REFERRERS = {
    "no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin",
}  # fmt: skip
HALF_A_YEAR = 15_768_000
ENOUGH_FOR_MORE = 90


@dataclass(frozen=True)
class Answer:
    """What of an answer counts. `url` is https."""

    status: int
    headers: dict[str, str]
    cookies: SimpleCookie
    body: str


def score(answer: Answer) -> dict[str, int]:
    """What each item adds to 100 or takes away."""
    return {
        "content-security-policy": _policy(directives(answer)),
        "cookies": _cookies(answer),
        "cross-origin-resource-sharing": _sharing(answer.headers),
        "cross-origin-resource-policy": _resource_policy(answer.headers),
        "referrer-policy": _referrer(answer.headers),
        "strict-transport-security": _transport(answer.headers),
        "subresource-integrity": _integrity(answer.body),
        "x-content-type-options": 0
        if answer.headers.get("x-content-type-options", "").lower() == "nosniff"
        else -5,
        "x-frame-options": _frames(answer),
    }


def total(items: dict[str, int]) -> int:
    base = 100 + sum(one for one in items.values() if one < 0)
    more = sum(one for one in items.values() if one > 0)
    return base + more if base >= ENOUGH_FOR_MORE else base


def directives(answer: Answer) -> dict[str, set[str]]:
    policy = answer.headers.get("content-security-policy", "")
    parts = [part.split() for part in policy.split(";") if part.strip()]
    return {name.lower(): {one.lower() for one in sources} for name, *sources in parts}


def _policy(policy: dict[str, set[str]]) -> int:
    if not policy:
        return -25
    everything = {"*"}
    default = policy.get("default-src", everything)
    script, style = policy.get("script-src", default), policy.get("style-src", default)
    for sources in (script, style):
        if any(re.match(r"'(sha256|sha384|sha512|nonce)-", one) for one in sources):
            sources.discard("'unsafe-inline'")
    plain = {name: [one for one in sources if one.startswith(("http:", "ftp:"))]
             for name, sources in policy.items()}  # fmt: skip
    passive = plain.pop("img-src", []) + plain.pop("media-src", [])
    rules = (
        (script & (BROAD | INLINE) or policy.get("object-src", default) & BROAD, -20),
        (any(plain.values()), -20),
        ("'unsafe-eval'" in script | style, -10),
        (passive, -10),
        (style & (BROAD | INLINE), 0),
        (policy.get("default-src") == {"'none'"}, 10),
    )
    return next((points for found, points in rules if found), 5)


def _cookies(answer: Answer) -> int:
    worst = 5
    if not answer.cookies:
        return 0
    for name, cookie in answer.cookies.items():
        session = "sess" in name.lower() or "login" in name.lower()
        if session and not cookie["httponly"]:
            worst = min(worst, -30)
        if not cookie["secure"]:
            worst = min(worst, -10 if session else -5)
        if not cookie["samesite"]:
            worst = min(worst, -20 if "csrf" in name.lower() else 0)
        elif cookie["samesite"].lower() not in {"lax", "strict", "none"}:
            worst = min(worst, -20)
    return worst


def _sharing(headers: dict[str, str]) -> int:
    allowed = headers.get("access-control-allow-origin")
    return -50 if allowed and headers.get("access-control-allow-credentials") == "true" else 0


def _resource_policy(headers: dict[str, str]) -> int:
    told = headers.get("cross-origin-resource-policy")
    return {None: 0, "cross-origin": 0, "same-origin": 10, "same-site": 10}.get(told, -5)


def _referrer(headers: dict[str, str]) -> int:
    told = headers.get("referrer-policy")
    if told is None:
        return 0
    # Of several, a browser takes the last that it knows.
    return 5 if told.split(",")[-1].strip().lower() in PRIVATE_REFERRERS else -5


def _transport(headers: dict[str, str]) -> int:
    found = re.search(r"max-age=(\d+)", headers.get("strict-transport-security", ""))
    if found is None:
        return -20
    return 0 if int(found[1]) >= HALF_A_YEAR else -10


def _frames(answer: Answer) -> int:
    if "frame-ancestors" in directives(answer):
        return 5
    told = answer.headers.get("x-frame-options", "").lower()
    return 0 if told in {"deny", "sameorigin"} else -20


def _integrity(body: str) -> int:
    """Scripts of our own need none; of others, they are not loaded at all."""
    foreign = [one for one in sources(body) if re.match(r"(https?:)?//", one)]
    return -50 if foreign else 0


def sources(body: str) -> list[str]:
    """Where the scripts of a page come from."""
    return [dict(attributes).get("src") or "" for tag, attributes in _tags(body) if tag == "script"]


def inline(body: str) -> list[str]:
    """What a policy without 'unsafe-inline' would keep from running."""
    found = []
    for tag, attributes in _tags(body):
        told = dict(attributes)
        runs = told.get("type") in {None, "", "module", "text/javascript"}
        if tag == "script" and "src" not in told and runs:
            found.append("a script without src")
        found += [name for name in told if name.startswith("on")]
        found += [str(value) for value in told.values() if (value or "").startswith("javascript:")]
    return found


def _tags(body: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    found: list[Any] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, attrs))

    Tags().feed(body)
    return found
