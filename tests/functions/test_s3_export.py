"""The export handler, against a real S3 over HTTP, and against one by hand that dies and lies."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spillway_lambda.invocation import Context, Event
from spillway_lambda.s3_export import S3Export, TruncatedError, from_environment
from spillway_lambda.streaming import HttpError, Response

from tests.functions.conftest import FUNCTION, Function
from tests.functions.fake_runtime_api import FakeRuntimeApi
from tests.functions.fake_s3 import Asked, FakeS3, answer, error_answer, object_answer

CONTEXT = Context("request-1", "", 0, "", "", "")
MIB = 1024 * 1024
SOURCE = random.Random(1).randbytes(3 * MIB + 17)
POLICY = "User: arn:aws:iam::123456789012:role/export is not authorized by s3:GetObject on exports"


def request(method: str = "GET", **headers: str) -> Event:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"requestContext": {"http": {"method": method}}, "headers": fields}


@pytest.fixture
def stored(s3: Any) -> S3Export:
    """The handler for an object that holds SOURCE."""
    s3.put_object(Bucket="exports", Key="orders.csv", Body=SOURCE, ContentType="text/csv")
    return S3Export(bucket="exports", key="orders.csv")


@pytest.fixture
def export(lying_s3: FakeS3) -> S3Export:
    """The handler for an object of the S3 by hand."""
    return S3Export(bucket="exports", key="orders.csv")


def read(response: Response) -> bytes:
    return b"".join(response.body)


def test_an_object_is_streamed_with_its_metadata(stored: S3Export, s3: Any) -> None:
    response = stored(request(), CONTEXT)

    pieces = list(response.body)
    assert [len(piece) for piece in pieces] == [MIB, MIB, MIB, 17]
    assert b"".join(pieces) == SOURCE
    assert response.status == 200
    fields = dict(response.headers)
    assert fields.pop("Last-Modified").endswith(" GMT")
    assert fields == {
        "Content-Type": "text/csv",
        "Content-Length": str(len(SOURCE)),
        "ETag": s3.head_object(Bucket="exports", Key="orders.csv")["ETag"],
        "Accept-Ranges": "bytes",
    }


def test_a_coded_object_keeps_its_coding(s3: Any) -> None:
    s3.put_object(Bucket="exports", Key="coded", Body=b"\x1f\x8b..", ContentEncoding="gzip")

    response = S3Export(bucket="exports", key="coded")(request(), CONTEXT)

    assert response.headers["Content-Encoding"] == "gzip"
    assert read(response) == b"\x1f\x8b.."


def test_an_empty_object_is_an_empty_body(s3: Any) -> None:
    s3.put_object(Bucket="exports", Key="empty", Body=b"")
    export = S3Export(bucket="exports", key="empty")

    response = export(request(), CONTEXT)

    assert (response.status, response.headers["Content-Length"]) == (200, "0")
    assert read(response) == b""


def test_a_range_of_an_empty_object_cannot_be_satisfied(s3: Any) -> None:
    s3.put_object(Bucket="exports", Key="empty", Body=b"")

    with pytest.raises(HttpError) as caught:
        S3Export(bucket="exports", key="empty")(request(range="bytes=0-"), CONTEXT)

    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */0"})


def test_a_head_request_has_the_fields_and_no_body(stored: S3Export) -> None:
    complete = stored(request(), CONTEXT)
    complete_fields = complete.headers
    read(complete)

    response = stored(request("HEAD", range="bytes=0-4"), CONTEXT)

    assert response.status == 200
    assert response.headers == complete_fields
    assert read(response) == b""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.integers(0, len(SOURCE) - 1),
    length=st.integers(1, 2 * MIB),
    condition=st.sampled_from(["", "if_range", "if_match", "if_none_match"]),
)
def test_a_range_is_that_slice_of_the_object(
    stored: S3Export, first: int, length: int, condition: str
) -> None:
    etag = stored(request("HEAD"), CONTEXT).headers["ETag"]
    conditions = {condition: '"other"' if condition == "if_none_match" else etag}
    expected = SOURCE[first : first + length]
    conditions = conditions if condition else {}

    response = stored(request(range=f"bytes={first}-{first + length - 1}", **conditions), CONTEXT)

    assert response.status == 206
    assert read(response) == expected
    assert response.headers["Content-Length"] == str(len(expected))
    last = first + len(expected) - 1
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(SOURCE)}"
    assert response.headers["ETag"] == etag


def test_the_end_of_an_object_can_be_asked_for(stored: S3Export) -> None:
    response = stored(request(range="bytes=-17"), CONTEXT)

    assert response.status == 206
    assert read(response) == SOURCE[-17:]


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=5-2"},
        {"range": "bytes=0-1", "if_range": '"other"'},
        {"range": "bytes=0-1", "if_range": "Mon, 02 Nov 2026 10:00:00 GMT"},
        {"range": f"bytes={len(SOURCE)}-", "if_range": '"other"'},
        {"if_range": '"other"'},
        {"if_none_match": '"other"'},
    ],
)
def test_what_does_not_ask_for_a_part_of_this_version_gets_all_of_it(
    stored: S3Export, headers: dict[str, str]
) -> None:
    response = stored(request(**headers), CONTEXT)

    assert response.status == 200
    assert "Content-Range" not in response.headers
    assert read(response) == SOURCE


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": f"bytes={len(SOURCE)}-"}, 416),
        ({"if_match": '"other"'}, 412),
        ({"if_match": '"other"', "range": f"bytes={len(SOURCE)}-"}, 412),
        ({"if_match": 'W/"weak", "other"'}, 412),
        ({"if_unmodified_since": "Mon, 02 Nov 2020 10:00:00 GMT"}, 412),
    ],
)
def test_what_cannot_be_answered_has_its_own_status(
    stored: S3Export, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(HttpError) as caught:
        stored(request(**headers), CONTEXT)

    assert caught.value.status == status
    if status == 416:
        assert caught.value.headers == {"Content-Range": f"bytes */{len(SOURCE)}"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_known_version_is_not_sent_again(stored: S3Export, method: str) -> None:
    etag = stored(request("HEAD"), CONTEXT).headers["ETag"]

    response = stored(request(method, if_none_match=f"W/{etag}"), CONTEXT)

    assert response.status == 304
    assert response.headers["ETag"] == etag
    assert read(response) == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(stored: S3Export, method: str) -> None:
    with pytest.raises(HttpError) as caught:
        stored(request(method), CONTEXT)

    assert caught.value.status == 405
    assert caught.value.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("bucket", "method", "code"),
    [
        ("exports", "GET", "NoSuchKey"),
        ("exports", "HEAD", "NoSuchKey"),
        ("no-such-bucket", "GET", "NoSuchBucket"),
    ],
)
def test_what_does_not_exist_is_a_404(s3: Any, bucket: str, method: str, code: str) -> None:
    with pytest.raises(HttpError) as caught:
        S3Export(bucket=bucket, key="absent")(request(method), CONTEXT)

    assert (caught.value.status, caught.value.code) == (404, code)
    assert bucket not in caught.value.message


# What only an S3 by hand does.


@pytest.mark.parametrize(
    ("status", "code", "given"),
    [
        ("403 Forbidden", "AccessDenied", "AccessDenied"),
        ("403 Forbidden", "InvalidObjectState", "InvalidObjectState"),
        ("403 Forbidden", "ExpiredToken", "ExpiredToken"),
        ("400 Bad Request", "Invalid Something <b>", "S3Error"),
        ("404 Not Found", "NoSuchKey", "NoSuchKey"),
    ],
)
def test_an_error_of_s3_keeps_its_status_and_code_and_loses_its_words(
    lying_s3: FakeS3, export: S3Export, status: str, code: str, given: str
) -> None:
    escaped = code.replace("<", "&lt;")
    lying_s3.script = lambda asked: error_answer(status, escaped, POLICY)

    with pytest.raises(HttpError) as caught:
        export(request(), CONTEXT)

    body = json.loads(read(caught.value.response()))
    assert caught.value.status == int(status[:3])
    assert body["error"]["code"] == given
    assert body["error"]["message"].endswith(".")
    assert "arn:" not in repr(body)


def test_a_refused_head_request_is_named_by_its_status(lying_s3: FakeS3, export: S3Export) -> None:
    lying_s3.script = lambda asked: answer("403 Forbidden")

    with pytest.raises(HttpError) as caught:
        export(request("HEAD"), CONTEXT)

    assert (caught.value.status, caught.value.code) == (403, "AccessDenied")


def test_s3_that_is_overloaded_is_asked_three_times_and_then_a_503(
    lying_s3: FakeS3, export: S3Export
) -> None:
    lying_s3.script = lambda asked: error_answer("503 Slow Down", "SlowDown", POLICY)

    with pytest.raises(HttpError) as caught:
        export(request(), CONTEXT)

    assert (caught.value.status, caught.value.code) == (503, "SlowDown")
    assert len(lying_s3.asked) == 3


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"", "s3_unreachable"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "s3_unreachable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETa", "s3_answer_incomplete"),
        (answer("200 OK", b"a page", Content_Type="text/html"), "s3_answer_incomplete"),
    ],
    ids=["nothing", "another protocol", "half a head", "another server"],
)
def test_s3_that_does_not_speak_as_s3_does_is_a_502(
    lying_s3: FakeS3, export: S3Export, garbage: bytes, code: str
) -> None:
    lying_s3.script = lambda asked: garbage

    with pytest.raises(HttpError) as caught:
        export(request(), CONTEXT)

    assert (caught.value.status, caught.value.code) == (502, code)


@pytest.mark.parametrize("cut", [0, 1, MIB - 1, MIB, 2 * MIB + 5, len(SOURCE) - 1])
def test_a_body_that_ends_early_is_an_error_and_never_a_clean_end(
    lying_s3: FakeS3, export: S3Export, cut: int
) -> None:
    lying_s3.script = lambda asked: object_answer(
        SOURCE[:cut], etag='"v1"', Content_Length=str(len(SOURCE))
    )
    response = export(request(), CONTEXT)
    pieces: list[bytes] = []

    with pytest.raises((BotoCoreError, TruncatedError)):
        pieces.extend(response.body)

    got = b"".join(pieces)
    assert got == SOURCE[: len(got)]
    assert len(got) <= cut


def test_a_part_that_is_shorter_than_its_content_range_is_an_error(
    lying_s3: FakeS3, export: S3Export
) -> None:
    lying_s3.script = lambda asked: object_answer(
        b"abc", etag='"v1"', status="206 Partial Content", Content_Range="bytes 0-9/100"
    )

    response = export(request(range="bytes=0-9"), CONTEXT)

    assert response.headers["Content-Length"] == "10"
    with pytest.raises(TruncatedError, match="7 bytes too early"):
        read(response)


def test_an_object_replaced_between_head_and_body_is_never_spliced(
    lying_s3: FakeS3, export: S3Export
) -> None:
    def replaced(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return object_answer(b"", etag='"v1"', Content_Length="1000")
        if asked.headers.get("if-match") == '"v1"':
            return error_answer("412 Precondition Failed", "PreconditionFailed")
        return object_answer(b"2" * 1000, etag='"v2"')

    lying_s3.script = replaced

    with pytest.raises(HttpError) as caught:
        export(request(if_none_match='"v0"', range="bytes=10-19"), CONTEXT)

    assert (caught.value.status, caught.value.code) == (412, "PreconditionFailed")
    assert [asked.method for asked in lying_s3.asked] == ["HEAD", "GET"]
    assert lying_s3.asked[1].headers["range"] == "bytes=10-19"


@pytest.mark.parametrize(
    ("headers", "methods"),
    [
        ({}, ["GET"]),
        ({"range": "bytes=10-19"}, ["GET"]),
        ({"range": "bytes=10-19", "if_range": '"v1"'}, ["GET"]),
        ({"range": "bytes=10-19", "if_match": '"v1"'}, ["GET"]),
        ({"range": "bytes=10-19", "if_match": '"v1"', "if_range": '"v1"'}, ["GET"]),
        ({"range": "bytes=10-19", "if_match": '"v0", "v1"'}, ["HEAD", "GET"]),
        ({"if_none_match": '"v0"'}, ["HEAD", "GET"]),
        ({"if_none_match": '"v1"'}, ["HEAD"]),
    ],
)
def test_s3_is_asked_once_where_once_is_enough(
    lying_s3: FakeS3, export: S3Export, headers: dict[str, str], methods: list[str]
) -> None:
    source = bytes(range(100))

    def honest(asked: Asked) -> bytes:
        if asked.method == "HEAD":
            return object_answer(b"", etag='"v1"', Content_Length="100")
        if "range" in asked.headers:
            part = {"status": "206 Partial Content", "Content_Range": "bytes 10-19/100"}
            return object_answer(source[10:20], etag='"v1"', **part)
        return object_answer(source, etag='"v1"')

    lying_s3.script = honest

    response = export(request(**headers), CONTEXT)

    wanted = {200: source, 206: source[10:20], 304: b""}
    assert read(response) == wanted[response.status]
    assert [asked.method for asked in lying_s3.asked] == methods
    pinned = "if_match" in headers or "if_range" in headers or len(methods) == 2
    assert [asked.headers.get("if-match") for asked in lying_s3.asked if asked.method == "GET"] in (
        [],
        ['"v1"'] if pinned else [None],
    )


def test_an_s3_that_ignores_conditions_does_not_make_us_ignore_them(
    lying_s3: FakeS3, export: S3Export
) -> None:
    lying_s3.script = lambda asked: (
        object_answer(b"", etag='"v2"', Content_Length="100")
        if asked.method == "HEAD"
        else object_answer(b"2" * 100, etag='"v2"')
    )

    with pytest.raises(HttpError) as caught:
        export(request(if_match='"v1"'), CONTEXT)

    assert caught.value.status == 412


def test_a_replaced_object_is_not_spliced_by_an_s3_that_ignores_conditions(
    lying_s3: FakeS3, export: S3Export
) -> None:
    part = {"status": "206 Partial Content", "Content_Range": "bytes 10-19/100"}
    lying_s3.script = lambda asked: (
        object_answer(b"", etag='"v1"', Content_Length="100")
        if asked.method == "HEAD"
        else object_answer(b"2" * 10, etag='"v2"', **part)
    )

    with pytest.raises(HttpError) as caught:
        export(request(if_none_match='"v0"', range="bytes=10-19"), CONTEXT)

    assert (caught.value.status, caught.value.code) == (502, "s3_answer_mismatch")


def test_an_s3_that_answers_with_another_range_is_a_502(lying_s3: FakeS3, export: S3Export) -> None:
    other = {"status": "206 Partial Content", "Content_Range": "bytes 0-9/100"}
    lying_s3.script = lambda asked: (
        object_answer(b"", etag='"v1"', Content_Length="100")
        if asked.method == "HEAD"
        else object_answer(b"0" * 10, etag='"v1"', **other)
    )

    with pytest.raises(HttpError) as caught:
        export(request(range="bytes=10-19"), CONTEXT)

    assert (caught.value.status, caught.value.code) == (502, "s3_answer_mismatch")


@pytest.mark.parametrize("missing", ["EXPORT_BUCKET", "EXPORT_KEY"])
def test_the_object_must_be_named_by_the_environment(
    credentials: None, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("EXPORT_BUCKET", "exports")
    monkeypatch.setenv("EXPORT_KEY", "orders.csv")
    monkeypatch.setenv(missing, "")

    with pytest.raises(ValueError, match=f"{missing} is not set"):
        from_environment()


# The deployable handler in the real runtime.

DEPLOYED = {"SECRET_HEADER": "right", "EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv"}


def test_the_deployed_handler_streams_the_object_to_who_bears_the_secret(
    api: FakeRuntimeApi, run: Callable[..., Function], stored: S3Export, emulator: str
) -> None:
    run("app.handler", root=FUNCTION, AWS_ENDPOINT_URL_S3=emulator, **DEPLOYED)

    complete = api.answer_to(request(x_secret_header="right"))
    part = api.answer_to(request(x_secret_header="right", range="bytes=1000-1999"))
    refused = api.answer_to(request(x_secret_header="wrong"))

    assert complete.prelude["headers"]["Content-Length"] == str(len(SOURCE))
    assert complete.body == SOURCE
    assert part.prelude["statusCode"] == 206
    assert part.body == SOURCE[1000:2000]
    assert refused.prelude["statusCode"] == 403


def test_s3_dying_midway_is_told_by_the_trailers(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3
) -> None:
    lying_s3.script = lambda asked: object_answer(
        SOURCE[: 2 * MIB + 5], etag='"v1"', Content_Length=str(len(SOURCE))
    )
    run("app.handler", root=FUNCTION, AWS_ENDPOINT_URL_S3=lying_s3.url, **DEPLOYED)

    sent = api.answer_to(request(x_secret_header="right"))

    assert 2 * MIB <= len(sent.body) <= 2 * MIB + 5
    assert sent.body == SOURCE[: len(sent.body)]
    report = json.loads(base64.b64decode(sent.trailers["Lambda-Runtime-Function-Error-Body"]))
    assert report["errorType"] == sent.trailers["Lambda-Runtime-Function-Error-Type"]
    api.next()


def test_s3_dying_before_its_first_byte_fails_the_invocation(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3
) -> None:
    lying_s3.script = lambda asked: object_answer(b"", etag='"v1"', Content_Length="1000")
    run("app.handler", root=FUNCTION, AWS_ENDPOINT_URL_S3=lying_s3.url, **DEPLOYED)
    api.invoke(request(x_secret_header="right"))

    headers, _ = api.error("/invocation/request-1/error")

    assert headers["Lambda-Runtime-Function-Error-Type"]
    api.next()


def test_an_error_of_s3_is_streamed_as_json(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3
) -> None:
    lying_s3.script = lambda asked: error_answer("403 Forbidden", "AccessDenied", POLICY)
    function = run("app.handler", root=FUNCTION, AWS_ENDPOINT_URL_S3=lying_s3.url, **DEPLOYED)

    sent = api.answer_to(request(x_secret_header="right"))

    assert sent.prelude["statusCode"] == 403
    assert json.loads(sent.body) == {
        "error": {"code": "AccessDenied", "message": "The function may not read the object."}
    }
    assert function.wait_for("http_error")["cause"] == "AccessDenied"
