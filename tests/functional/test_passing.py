"""What passes, in either direction, and what never does."""

import re

import pytest

from tests.functional.client import Exchange
from tests.functional.conftest import CURRENT, PREVIOUS, Portal
from tests.functional.origin import Connection, Request, head, length, replying

EITHER_FRONT = True


def test_of_an_origins_fields_only_those_about_the_bytes_pass(portal: Portal) -> None:
    hostile = length(
        b"<script>alert(1)</script>",
        "Content-Type: text/html",
        'ETag: "v1"',
        "Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT",
        "Set-Cookie: sessionid=stolen",
        "X-Accel-Redirect: /private",
        "Content-Security-Policy: default-src *",
        "Access-Control-Allow-Origin: *",
        "Refresh: 0; url=https://elsewhere.example/",
        'Content-Disposition: inline; filename="../../x"',
        "X-Powered-By: canary",
        "Strict-Transport-Security: max-age=0",
    )

    answer = portal.get(replying(hostile))

    names = {name.lower() for name, _ in answer.headers}
    assert not names & {
        "set-cookie", "x-accel-redirect", "access-control-allow-origin", "refresh", "x-powered-by",
        "strict-transport-security",
    }  # fmt: skip
    assert answer.value("content-type") == "text/html"
    assert answer.value("etag") == '"v1"'
    assert answer.value("content-security-policy") == "sandbox; default-src 'none'"
    assert answer.value("x-content-type-options") == "nosniff"
    assert answer.value("cache-control") == "private, no-store"
    assert (answer.value("content-disposition") or "").startswith('attachment; filename="plain')


def test_a_date_passes_as_a_date_whatever_stands_behind_it(portal: Portal) -> None:
    odd = b"Last-Modified: Mon, 23 Nov 2026 11:00:00 +0100 <b>\xff\x01"
    head, body = length(b"data").split(b"\r\n\r\n")

    answer = portal.get(replying(b"%s\r\n%s\r\n\r\n%s" % (head, odd, body)))

    assert (answer.status, answer.body) == (200, b"data")
    assert answer.value("last-modified") == "Mon, 23 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize("given", ["Range: bytes=1-2", 'If-None-Match: "v1"', "Accept: text/html"])
def test_a_file_bears_no_language_of_the_portals(portal: Portal, given: str) -> None:
    def script(request: Request, connection: Connection) -> None:
        if request.values("if-none-match"):
            connection.send(head('ETag: "v1"', status="304 Not Modified"))
        elif request.values("range"):
            partial = length(b"at", "Content-Range: bytes 1-2/4", status="206 Partial Content")
            connection.send(partial)
        else:
            connection.send(length(b"data", 'ETag: "v1"'))

    answer = portal.get(script, given, "Accept-Language: de")

    assert answer.status in {200, 206, 304}
    assert answer.value("content-language") is None
    assert "accept-language" not in (answer.value("vary") or "").lower()


def test_the_name_to_save_under_is_the_operators(portal: Portal) -> None:
    answer = portal.get(replying(length(b"x")), slug="named")

    disposition = answer.value("content-disposition") or ""
    assert 'filename="resume-20' in disposition
    assert "filename*=UTF-8''r%C3%A9sum%C3%A9-20" in disposition


def test_nothing_that_the_client_sends_reaches_the_origin_but_its_query(portal: Portal) -> None:
    case = portal.origin.on(replying(length(b"x")))

    portal.ask(
        case,
        "x-secret-header: forged",
        "Cookie: sessionid=1",
        "X-Forwarded-For: 1.2.3.4",
        "Connection: x-secret-header, keep-alive",
        "Referer: https://elsewhere.example/",
        slug="guarded",
        query="&from=2026-01-01&name=a%20b%2B",
    ).read()

    request = case.requests[0]
    assert request.target.endswith("&from=2026-01-01&name=a%20b%2B")
    assert request.values("x-secret-header") == [CURRENT]
    names = {name.lower() for name, _ in request.headers}
    assert names == {"host", "accept", "accept-encoding", "user-agent", "x-secret-header"}
    assert request.values("user-agent")[0].startswith("Spillway/")


@pytest.mark.parametrize("slug", ["plain", "open", "guarded", "parts"])
def test_a_query_arrives_byte_for_byte(portal: Portal, slug: str) -> None:
    odd = "&flag&a;b&x=%FF&y=1+2&&%zz=%&=&[]{}|^`\"'<>~*!(),/?:@$=="
    case = portal.origin.on(replying(length(b"x")))

    portal.ask(case, slug=slug, query=odd).read()

    assert case.requests[0].target == f"/file?case={case.name}{odd}"


@pytest.mark.parametrize(
    "hostile",
    ["&a=b#top", "&a=\\b", "&a=\x7f", "&é=ü", "&a=\xff", "&a=%0d%0aX-Evil:%201", "&a=b HTTP/1.1"],
)
def test_nothing_in_a_target_becomes_another_request(portal: Portal, hostile: str) -> None:
    case = portal.origin.on(replying(length(b"x")))

    answer = portal.ask(case, query=hostile).read()

    assert answer.status in {200, 400}
    for request in case.requests:
        assert re.fullmatch(r"/file\?[!-~]+", request.target)
        assert not set("#\\") & set(request.target)
        assert "x-evil" not in {name.lower() for name, _ in request.headers}
    assert len(case.requests) == (answer.status == 200)


def test_a_redirect_within_the_origin_is_followed(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if "moved" in request.target:
            connection.send(length(b"here"))
        else:
            place = f"Location: /elsewhere?case={case.name}&moved=1"
            connection.send(head(place, "Content-Length: 0", status="307 Temporary"))

    case = portal.origin.on(script)

    answer = portal.ask(case, slug="guarded").read()

    assert (answer.status, answer.body) == (200, b"here")


def test_a_loop_of_redirects_ends(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        place = f"Location: /round?case={case.name}"
        connection.send(head(place, "Content-Length: 0", status="302 Found"))

    case = portal.origin.on(script)

    answer = portal.ask(case).read()

    assert answer.status == 502
    assert len(case.requests) == 6


def test_a_redirect_to_another_port_is_not_followed_and_gets_no_secret(portal: Portal) -> None:
    def thief(_: Request, connection: Connection) -> None:
        connection.send(length(b"thanks"))

    other = portal.origin.on(thief)
    place = f"Location: http://127.0.0.1:{portal.port}/?case={other.name}"
    script = replying(head(place, "Content-Length: 0", status="302 Found"))

    answer = portal.get(script, slug="guarded")

    assert answer.status == 502
    assert other.requests == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Authorization: Bearer nonsense"], 401),
        (["Authorization: Bearer spw_000000000000_" + "x" * 43], 401),
        (["Authorization: Basic YTpi"], 401),
        ([], 401),
        (["Accept: text/html"], 302),
    ],
)
def test_who_is_not_signed_in_gets_nothing(portal: Portal, fields: list[str], status: int) -> None:
    answer = Exchange(portal.port, "/exports/plain/download", *fields).read()

    assert answer.status == status
    if status == 401:
        assert (answer.value("www-authenticate") or "").startswith("Bearer")
    else:
        assert (answer.value("location") or "").startswith("/accounts/login/?next=/exports/")


@pytest.mark.parametrize("slug", ["nobody", "unknown", "PLAIN", "..%2f"])
def test_what_one_may_not_have_does_not_exist(portal: Portal, slug: str) -> None:
    case = portal.origin.on(replying(length(b"x")))

    answer = portal.ask(case, slug=slug).read()

    assert answer.status == 404
    assert case.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/exports/plain%2fdownload",
        "/exports%2Fplain/download",
        "/exports/plain%2F",
        "/%2fmetrics",
        "/metrics%2f..",
    ],
)
def test_an_encoded_slash_parts_no_path(portal: Portal, path: str) -> None:
    case = portal.origin.on(replying(length(b"x")))
    fields = (f"Authorization: Bearer {portal.token}", "Accept: text/html")

    answer = Exchange(portal.port, f"{path}?case={case.name}", *fields).read()

    assert answer.status == 404
    assert case.requests == []


def test_neither_log_nor_answer_holds_a_secret(portal: Portal) -> None:
    def refusing(request: Request, connection: Connection) -> None:
        seen = request.values("x-secret-header")[0]
        connection.send(length(seen.encode(), f"X-Echo: {seen}", status="403 Forbidden"))

    def breaking(request: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 10") + b"hello")
        connection.reset()

    answers = [
        portal.get(script, slug="guarded", query="&password=query-canary")
        for script in (refusing, breaking, replying(b"nonsense"), replying(length(b"fine")))
    ]

    said = portal.log + repr(answers)
    assert [answer.status for answer in answers] == [502, 200, 502, 200]
    assert "download_ended" in said
    for secret in (CURRENT, PREVIOUS, portal.token, "query-canary"):
        assert secret not in said
