"""Which downloads nginx may carry, and who is told how."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings

from streams.delivery import offload
from streams.delivery.conditions import Asked
from streams.delivery.offload import Elsewhere, Front, Version, Versions
from streams.models import Endpoint
from streams.origins import Opened
from streams.wire.checksums import Checksum
from streams.wire.ranges import ByteRange

ASKED = Asked("", None, None, None, None, head_only=False)
OPENED = Opened(
    200, {"Content-Type": "text/csv", "ETag": '"v1"'}, 1000, Elsewhere(), total=1000, etag='"v1"',
    accepts_ranges=True, dropped=frozenset({"set-cookie"}),
)  # fmt: skip


def test_what_the_portal_sent_nginx_may_send() -> None:
    assert Version.of(OPENED) == Version('"v1"', 1000, ranged=True, headers=OPENED.headers)


@pytest.mark.parametrize(
    "changed",
    [
        {"length": None},
        {"length": 0},
        {"etag": None},
        {"etag": 'W/"v1"'},
        {"headers": {"Content-Encoding": "gzip"}},
        {"gzipped": True},
        {"checksum": Checksum("sha256", b"x" * 32)},
        {"dropped": frozenset({"x-accel-redirect"})},
        {"dropped": frozenset({"x-unheard-of"})},
    ],
)
def test_what_it_could_not_tell_to_be_whole_it_does_not_get(changed: dict[str, Any]) -> None:
    assert Version.of(replace(OPENED, **changed)) is None


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ({}, None),
        ({"range": "bytes=0-0"}, ByteRange(0, 0)),
        ({"range": "bytes=-10"}, ByteRange(990, 999)),
        ({"range": "nonsense"}, None),
        ({"range": "bytes=0-1,5-6"}, None),
    ],
)
def test_what_it_will_open(asked: dict[str, Any], span: ByteRange | None) -> None:
    version = Version.of(OPENED)
    assert version is not None

    opened = version.opened(replace(ASKED, **asked))

    assert opened is not None
    assert (opened.status, opened.range) == ((206, span) if span else (200, None))
    assert opened.length == (span.length if span else 1000)


@pytest.mark.parametrize(
    "asked",
    [
        {"head_only": True},
        {"if_none_match": '"v1"'},
        {"if_match": '"v1"'},
        {"if_unmodified_since": "Fri, 27 Nov 2026 10:00:00 GMT"},
        {"range": "bytes=5-", "if_range": '"v1"'},
        {"range": "bytes=1000-"},
    ],
)
def test_what_the_portal_must_see(asked: dict[str, Any]) -> None:
    version = Version.of(OPENED)
    assert version is not None

    assert version.opened(replace(ASKED, **asked)) is None


def test_of_a_file_without_ranges_it_sends_no_part() -> None:
    version = Version.of(replace(OPENED, accepts_ranges=False))
    assert version is not None

    assert version.opened(replace(ASKED, range="bytes=0-0")) is None
    assert version.opened(ASKED) is not None


def test_what_was_given_back_is_not_handed_over_again_soon() -> None:
    versions = Versions()
    versions.learn("file", OPENED)
    assert versions.get("file")

    versions.given_back("file")
    versions.learn("file", OPENED)
    assert versions.get("file") is None

    # Another version may be had from the origin as the portal has it.
    versions.learn("file", replace(OPENED, etag='"v2"'))
    assert versions.get("file")


def test_the_latest_look_counts_and_few_are_kept() -> None:
    versions = Versions(most=2)
    for file in ("a", "b", "c"):
        versions.learn(file, OPENED)
    assert versions.get("a") is None

    versions.learn("c", replace(OPENED, length=None))
    assert versions.get("c") is None
    # An answer that tells nothing new.
    versions.learn("b", replace(OPENED, status=304, length=0))
    assert versions.get("b")


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, True),
        ({"delivery": "stream"}, False),
        ({"kind": "s3"}, False),
        ({"kind": "pages"}, False),
        ({"segments": {"size": 65536, "parallel": 2}}, False),
        ({"limits": {"bytes_per_second": 1000}}, False),
        ({"limits": {"daily_bytes": 1000}}, False),
        ({"limits": {"concurrent": 2}}, True),
    ],
)
def test_which_exports_it_may_send(changed: dict[str, Any], wanted: bool) -> None:
    fields: dict[str, Any] = {"kind": "http", "delivery": "offload", **changed}

    assert offload.is_wanted(Endpoint(**fields)) is wanted


def test_only_who_knows_the_key_is_in_front(settings: LazySettings) -> None:
    settings.OFFLOAD_KEY = "key"
    returned = uuid4()

    assert Front.of("key x-a,X-B", str(returned)) == Front(frozenset({"x-a", "x-b"}), returned)
    assert Front.of("key", "") == Front(frozenset())
    assert Front.of("ke\xff x-a", "") is None
    assert Front.of("", "") is None
    settings.OFFLOAD_KEY = ""
    assert Front.of("", "") is None
    assert Front.of(" x-a", "") is None
