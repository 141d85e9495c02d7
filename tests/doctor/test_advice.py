"""Which way out fits: by table, for whatever is asked, and by the command."""

import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from streams.doctor.advice import (
    BUFFERED,
    MIB,
    OBJECT,
    STREAMED,
    Advice,
    Auth,
    Client,
    Fit,
    Runtime,
    Way,
    Wish,
    advise,
)
from tests.doctor.conftest import ROOT

GB = 10**9
HOUR = 3600.0

# What is wished, which way comes first, and which ones are ruled out.
WAYS: list[tuple[dict[str, Any], Way, set[Way]]] = [
    ({"size": 50 * MIB, "seconds": 20}, Way.STREAM, set()),
    ({"size": STREAMED, "seconds": 60}, Way.STREAM, set()),
    ({"size": STREAMED + 1, "seconds": 60}, Way.UPLOAD, {Way.STREAM}),
    ({"size": 20 * GB}, Way.UPLOAD, {Way.GZIP}),
    ({"size": 20 * GB, "seconds": 0}, Way.UPLOAD, {Way.GZIP}),
    # 97 s to send, and 900 s for one invocation.
    ({"size": STREAMED, "seconds": 800}, Way.STREAM, set()),
    ({"size": STREAMED, "seconds": 850}, Way.UPLOAD, {Way.STREAM}),
    ({"size": GB, "seconds": HOUR}, Way.UPLOAD, {Way.STREAM, Way.GZIP}),
    ({"size": 100 * MIB, "seconds": 60, "resumable": True}, Way.UPLOAD, {Way.PAGES, Way.GZIP}),
    ({"size": OBJECT + 1, "seconds": 0}, Way.STREAM, {Way.UPLOAD, Way.GZIP}),
    ({"size": OBJECT + 1, "seconds": HOUR}, Way.CONTAINER, {Way.STREAM, Way.UPLOAD, Way.GZIP}),
    ({"size": 20 * MIB, "seconds": 5, "runtime": Runtime.MANAGED}, Way.STREAM, set()),
]

BROWSER, SDK = frozenset({Client.BROWSER}), frozenset({Client.SDK})
PARTNER, GATEWAY = frozenset({Client.PARTNER}), frozenset({Client.GATEWAY})
AUTHS: list[tuple[dict[str, Any], Auth, set[Auth]]] = [
    # This portal signs for whomever it serves.
    ({"clients": BROWSER}, Auth.IAM, set()),
    ({"clients": PARTNER}, Auth.IAM, set()),
    ({"clients": SDK, "direct": True}, Auth.IAM, set()),
    ({"clients": BROWSER, "direct": True}, Auth.CLOUDFRONT, {Auth.IAM, Auth.HEADER}),
    ({"clients": PARTNER, "direct": True}, Auth.CLOUDFRONT, {Auth.IAM}),
    ({"clients": GATEWAY}, Auth.HEADER, {Auth.IAM, Auth.CLOUDFRONT}),
    ({"clients": BROWSER | GATEWAY}, Auth.HEADER, {Auth.IAM, Auth.CLOUDFRONT}),
    ({"clients": SDK | PARTNER, "direct": True}, Auth.CLOUDFRONT, {Auth.IAM}),
    # A wish moves what is possible, and makes nothing possible.
    ({"clients": GATEWAY, "auth": Auth.IAM}, Auth.HEADER, {Auth.IAM, Auth.CLOUDFRONT}),
    ({"clients": PARTNER, "auth": Auth.HEADER}, Auth.IAM, set()),
]


def ruled_out(verdicts: tuple[Any, ...]) -> set[Any]:
    return {one.what for one in verdicts if one.fit == Fit.NO}


@pytest.mark.parametrize(("wish", "first", "not_at_all"), WAYS)
def test_the_way_out(wish: dict[str, Any], first: Way, not_at_all: set[Way]) -> None:
    advice = advise(Wish(**wish))

    assert advice.ways[0].what == first
    assert ruled_out(advice.ways) == not_at_all


@pytest.mark.parametrize(("wish", "first", "not_at_all"), AUTHS)
def test_the_protection(wish: dict[str, Any], first: Auth, not_at_all: set[Auth]) -> None:
    advice = advise(Wish(size=50 * MIB, seconds=10, **wish))

    assert advice.auths[0].what == first
    assert ruled_out(advice.auths) == not_at_all


@pytest.mark.parametrize(
    ("size", "seconds", "plain"),
    [(0, 0, True), (BUFFERED, 1, True), (BUFFERED + 1, 1, False), (None, 0, False), (1, 30, False)],
)
def test_what_needs_no_way_out(size: int | None, seconds: float, plain: bool) -> None:
    assert advise(Wish(size=size, seconds=seconds)).plain == plain


def test_a_large_file_that_is_there_streams_in_segments() -> None:
    advice = advise(Wish(size=20 * GB, seconds=0))

    (stream,) = (one for one in advice.ways if one.what == Way.STREAM)
    assert stream.fit == Fit.IF
    assert any("3179 ranges of 6 MB" in reason.sentence for reason in stream.reasons)


def test_python_on_a_managed_runtime_is_told_that_it_does_not_stream() -> None:
    (stream, *_) = advise(Wish(size=20 * MIB, seconds=5, runtime=Runtime.MANAGED)).ways

    assert stream.fit == Fit.IF
    assert any("Node.js alone streams" in reason.sentence for reason in stream.reasons)


def test_a_gateway_that_buffers_is_told_of() -> None:
    def told(size: int) -> bool:
        advice = advise(Wish(size=size, seconds=1, clients=GATEWAY))
        return any("ends at 10 MB and 29 s" in one.sentence for one in advice.ways[0].reasons)

    assert told(11 * MIB)
    assert not told(9 * MIB)


@pytest.mark.parametrize(
    "wish",
    [{"size": -1}, {"seconds": -1}, {"seconds": float("nan")}, {"seconds": float("inf")},
     {"clients": frozenset()}],
)  # fmt: skip
def test_what_cannot_be_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z].*\.$|name at least one"):
        Wish(**wish)


@given(
    size=st.none() | st.integers(min_value=0, max_value=10**30),
    seconds=st.none() | st.floats(min_value=0, allow_infinity=False),
    clients=st.frozensets(st.sampled_from(Client), min_size=1),
    auth=st.none() | st.sampled_from(Auth),
    resumable=st.booleans(),
    runtime=st.sampled_from(Runtime),
    direct=st.booleans(),
)
def test_whatever_is_wished_each_verdict_has_its_reasons_and_each_limit_its_source(
    **wish: Any,
) -> None:
    advice: Advice = advise(Wish(**wish))

    assert {one.what for one in advice.ways} == set(Way)
    assert {one.what for one in advice.auths} == set(Auth)
    # Something always fits: a container has no limit.
    assert advice.ways[0].fit != Fit.NO
    for verdicts in (advice.ways, advice.auths):
        ranks = [(one.fit == Fit.NO, -one.score) for one in verdicts]
        assert ranks == sorted(ranks)
        for verdict in verdicts:
            assert verdict.reasons
            assert (verdict.fit == Fit.NO) == any(one.weight is None for one in verdict.reasons)
            for reason in verdict.reasons:
                if re.search(r"\d (MB|GB|TiB|s|days|minutes)\b", reason.sentence):
                    assert reason.source.startswith("https://docs.aws.amazon.com/"), reason


def told(*words: str) -> str:
    out = io.StringIO()
    call_command("advise", *words, stdout=out)
    return out.getvalue()


def test_the_command_tells_a_table_with_sources() -> None:
    text = " ".join(re.sub("[─-╿]", " ", told("--size", "20GB", "--clients", "browser")).split())

    assert "1 upload, and return the key" in text
    assert "200 MB at most" in text
    assert "[1] https://docs.aws.amazon.com/" in text


def test_the_command_tells_json() -> None:
    advice = json.loads(
        told("--size", "2 TiB", "--takes", "0", "--clients", "partner", "aws-sdk", "--direct",
             "--auth", "iam", "--resumable", "--runtime", "managed", "--json")
    )  # fmt: skip

    assert set(advice) == {"plain", "ways", "auths"}
    assert set(advice["ways"][0]) == {"what", "fit", "reasons", "more"}
    assert advice["ways"][0]["what"] == "upload, and return the key"
    assert set(advice["ways"][0]["reasons"][0]) == {"sentence", "source"}
    assert [one["what"] for one in advice["auths"]][-1] == "iam"


def test_six_megabytes_need_nothing_of_it() -> None:
    assert told("--size", "6MB").startswith("6 MB or less: an ordinary answer is enough")


@pytest.mark.parametrize(
    "words",
    [
        ("--size", "-5"), ("--size", "nan"), ("--size", "1e99"), ("--size", "٣GB"),
        ("--size", "1,5GB"), ("--size", "[red]"), ("--size", ""), ("--size", "9" * 40),
        ("--takes", "-1s"), ("--takes", "forever"), ("--takes", "1e9s"), ("--takes", "9" * 7 + "d"),
        ("--clients", "nobody"), ("--auth", "none"), ("--runtime", "python"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_with_what_was_expected(words: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=r"expected|invalid"):
        told(*words)


@pytest.mark.parametrize("words", [("--size", "unknown"), ("--takes", "unknown"), ()])
def test_what_is_not_known_is_no_fault(words: tuple[str, ...]) -> None:
    assert "Ways out" in told(*words)


def test_each_page_that_it_sends_people_to_is_there() -> None:
    advice = advise(Wish())

    assert all((ROOT / one.more).is_file() for one in (*advice.ways, *advice.auths))
