"""How files come: each fault of a server on loopback, and what is no fault."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network

import pytest
from pytest_django.fixtures import Settings

from streams.doctor.facts import LATE, Answer, EndpointFacts, Sample
from streams.doctor.run import judged
from streams.models import Endpoint
from tests.doctor.conftest import examined
from tests.doctor.serving import Handler, send, serving

pytestmark = pytest.mark.django_db(transaction=True)
FILE = b"a,b\n1,2\n" * 100_000
SECONDS = 2.5


@pytest.fixture(autouse=True)
def loopback(settings: Settings) -> None:
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]


@contextmanager
def registered(answer: Callable[[Handler], None], **other: object) -> Iterator[str]:
    with serving(answer) as url:
        Endpoint.objects.create(slug="plain", title="Plain", kind="http", url=url, **other)
        yield url


def found() -> dict[str, dict[str, object]]:
    """By id, but for what is not about how files come."""
    _, told = examined()
    return {one["id"]: one for one in told["findings"] if one["id"] != "not-resumable"}


def _chunked(handler: Handler, pieces: Iterator[bytes], **fields: str) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    for name, value in {"Transfer-Encoding": "chunked", **fields}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for piece in pieces:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n")


def _makes_all_of_it_first(handler: Handler) -> None:
    time.sleep(SECONDS)
    send(handler, 200, FILE)


def _begins_late(handler: Handler) -> None:
    time.sleep(SECONDS)
    _chunked(handler, iter([FILE]))


def _compresses_whatever_is_asked(handler: Handler) -> None:
    send(handler, 200, gzip.compress(FILE), Content_Encoding="gzip")


def _keeps_nothing_gzipped(handler: Handler) -> None:
    send(handler, 200, FILE)


def _calls_it_gzip(handler: Handler) -> None:
    send(handler, 200, FILE, Content_Encoding="gzip")


SLOW: list[tuple[str, Callable[[Handler], None], str]] = [
    ("origin-buffers", _makes_all_of_it_first, f"Content-Length: {len(FILE)}"),
    ("first-byte-late", _begins_late, "first byte: after 2."),
]
QUICK: list[tuple[str, Callable[[Handler], None], bool, str]] = [
    ("gzip-unasked", _compresses_whatever_is_asked, False, "Accept-Encoding: identity"),
    ("gzip-stripped", _keeps_nothing_gzipped, True, "Content-Encoding: none"),
    ("gzip-mislabelled", _calls_it_gzip, True, "first bytes: not 1f 8b"),
]
FAULTS = [*SLOW, *QUICK]


def test_what_comes_late_and_then_at_once_is_found_by_how_sure_that_is() -> None:
    """One after the other they would take twice as long."""
    servers = [serving(answer) for _, answer, _ in SLOW]
    with servers[0] as first, servers[1] as second:
        for url, (identity, *_) in zip((first, second), SLOW, strict=True):
            Endpoint.objects.create(slug=identity, title="Slow", kind="http", url=url)
        _, told = examined()

    findings = [one for one in told["findings"] if one["id"] != "not-resumable"]
    assert [(one["id"], one["endpoint"]) for one in findings] == [
        (identity, identity) for identity, *_ in SLOW
    ]
    for finding, (*_, evidence) in zip(findings, SLOW, strict=True):
        assert any(one.startswith(evidence) for one in finding["evidence"])


@pytest.mark.parametrize(("identity", "answer", "keep_gzip", "evidence"), QUICK)
def test_exactly_that_fault_of_how_a_file_comes_is_found(
    identity: str, answer: Callable[[Handler], None], keep_gzip: bool, evidence: str
) -> None:
    with registered(answer, keep_gzip=keep_gzip):
        told = found()

    assert list(told) == [identity]
    assert evidence in str(told[identity]["evidence"])


def test_of_a_file_without_end_no_more_is_read_than_a_sample() -> None:
    sent = []

    def endless(handler: Handler) -> None:
        def pieces() -> Iterator[bytes]:
            while True:
                sent.append(1)
                yield bytes(64 * 1024)

        _chunked(handler, pieces())

    with registered(endless):
        began = time.monotonic()
        told = found()

    assert told == {}
    assert time.monotonic() - began < 10
    # The rest of them were in the kernel's buffers.
    assert 4 <= len(sent) < 200


def test_a_file_that_trickles_is_given_up_soon_and_is_no_fault() -> None:
    def trickling(handler: Handler) -> None:
        def pieces() -> Iterator[bytes]:
            while True:
                yield b"a,b\n"
                time.sleep(0.05)

        _chunked(handler, pieces())

    with registered(trickling):
        began = time.monotonic()
        told = found()

    assert told == {}
    assert time.monotonic() - began < 10


def test_one_that_sends_a_head_and_no_byte_does_not_open() -> None:
    def cut(handler: Handler) -> None:
        send(handler, 200, b"", Content_Length="1000")

    with registered(cut):
        told = found()

    assert list(told) == ["does-not-open"]
    assert told["does-not-open"]["evidence"] == ["code: origin_broken"]


def test_an_origin_that_keeps_silent_does_not_hold_a_run_beyond_its_time() -> None:
    over = threading.Event()

    def silent(_: Handler) -> None:
        over.wait(20)

    with registered(silent):
        began = time.monotonic()
        _, told = examined("--seconds", "1")
        took = time.monotonic() - began
        over.set()

    assert took < 10
    reasons = {one["reason"] for one in told["skipped"] if one["id"] == "does-not-open"}
    assert reasons == {LATE.reason}


@pytest.mark.parametrize("keep_gzip", [False, True])
def test_an_origin_that_compresses_where_it_is_asked_to_is_found_well(keep_gzip: bool) -> None:
    def heeds(handler: Handler) -> None:
        if "gzip" in handler.headers["Accept-Encoding"]:
            send(handler, 200, gzip.compress(FILE), Content_Encoding="gzip")
        else:
            send(handler, 200, FILE)

    with registered(heeds, keep_gzip=keep_gzip):
        assert found() == {}


AWAY = [
    ("https://cdn.example.com/file?token=hush-hush", "https://cdn.example.com", "address that"),
    (
        "https://exports.s3.eu-central-1.amazonaws.com/file?X-Amz-Signature=hush-hush",
        "https://exports.s3.eu-central-1.amazonaws.com",
        "follows: s3",
    ),
    ("http://[::1]:x/hush-hush", "a place that it does not name plainly", "address that"),
    ("//user:hush-hush@evil.example.com/", "http://evil.example.com", "address that"),
]


@pytest.mark.shows("redirects-elsewhere")
@pytest.mark.parametrize(("location", "told", "fix"), AWAY)
def test_a_redirect_is_told_by_its_host_and_without_its_query(
    location: str, told: str, fix: str
) -> None:
    def away(handler: Handler) -> None:
        send(handler, 302, Location=location)

    with registered(away):
        findings = found()

    assert list(findings) == ["redirects-elsewhere"]
    assert f"redirects to {told}, where" in str(findings["redirects-elsewhere"]["sentence"])
    assert fix in str(findings["redirects-elsewhere"]["fix"])
    assert "hush" not in str(findings)


def test_a_redirect_within_the_origin_is_followed_and_no_fault() -> None:
    def within(handler: Handler) -> None:
        if handler.path == "/":
            send(handler, 302, Location="/there")
        else:
            send(handler, 200, FILE)

    with registered(within):
        assert found() == {}


SURE = Sample(5.0, 0.05, 256 * 1024)


@pytest.mark.parametrize(
    ("sample", "size", "expected"),
    [
        (SURE, 10_000_000, ["origin-buffers"]),
        # It may merely begin late.
        (SURE, None, ["first-byte-late"]),
        # It is made while it is sent, at half a megabyte a second.
        (replace(SURE, rest=0.6), 10_000_000, ["first-byte-late"]),
        (replace(SURE, size=9000, ended=True), 9000, []),
        # A function started.
        (replace(SURE, warm=False), 10_000_000, []),
        (replace(SURE, first=1.9), 10_000_000, []),
        (None, 10_000_000, []),
    ],
)
def test_only_what_a_sample_proves_is_told(
    sample: Sample | None, size: int | None, expected: list[str]
) -> None:
    answer = Answer(etag='"v1"', size=size, sample=sample)
    name = "endpoint orders"
    endpoint = EndpointFacts(name=name, about=frozenset({name}), kind="http", right=answer)

    report = judged([endpoint])

    ids = [one.check.id for one in report.findings]
    assert [one for one in ids if one != "not-resumable"] == expected
