"""One table of what is asked and answered, for the handlers of both languages.

`app.handler` runs in its runtime, as a process: ours for Python, AWS's own for Node.js. Runtime API
and S3 are sockets of the test.
"""

import base64
import contextlib
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.functions import fake_runtime_api, fake_s3
from tests.functions.conftest import Function, runtimes
from tests.functions.fake_runtime_api import FakeRuntimeApi
from tests.functions.fake_s3 import Asked, FakeS3, answer, error_answer, object_answer
from tests.functions.languages import NODE, PYTHON, Language, needs_node

LANGUAGES = [pytest.param(PYTHON, id="python"), pytest.param(NODE, id="node", marks=needs_node)]
VALUES = {"SECRET_HEADER": "the-right-one", "SECRET_HEADER_NEXT": "the-next-one"}
OBJECT = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv"}

SOURCE = random.Random(5).randbytes(1024 * 1024 + 17)
SIZE = len(SOURCE)
TAG = '"v1"'
WRITTEN = "Mon, 02 Nov 2026 10:00:00 GMT"
WORDS = "User: arn:aws:iam::123456789012:role/export may not s3:GetObject on exports"

VALIDATORS = {"ETag": TAG, "Last-Modified": WRITTEN}
FIELDS = VALIDATORS | {
    "Content-Type": "text/csv",
    "Content-Length": str(SIZE),
    "Accept-Ranges": "bytes",
}
PART = FIELDS | {"Content-Length": "10", "Content-Range": f"bytes 5-14/{SIZE}"}


def honest(asked: Asked) -> bytes:
    """S3 with the object SOURCE."""
    named: dict[str, str] = {"Content_Type": "text/csv", "Content_Length": str(SIZE)}
    if asked.method == "HEAD":
        return object_answer(b"", etag=TAG, **named)
    if asked.headers.get("if-match", TAG) != TAG:
        return error_answer("412 Precondition Failed", "PreconditionFailed", WORDS)
    if asked.headers.get("range") == "bytes=5-14":
        part = {"Content_Range": f"bytes 5-14/{SIZE}", "Content_Length": "10"}
        body = SOURCE[5:15]
        return object_answer(body, etag=TAG, status="206 Partial Content", **named | part)
    if "range" in asked.headers:
        return error_answer("416 Requested Range Not Satisfiable", "InvalidRange", WORDS)
    return object_answer(SOURCE, etag=TAG, **named)


def refusing(status: str, code: str) -> Callable[[Asked], bytes]:
    return lambda asked: answer(status) if asked.method == "HEAD" else error_answer(status, code)


@dataclass(frozen=True)
class Row:
    """What is asked of a function in which environment, and what it must answer."""

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    # An error instead of a body.
    code: str = ""
    message: str = ""
    method: str = "GET"
    asked: Mapping[str, str] = field(default_factory=dict)
    presented: str | None = "the-right-one"
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"SECRET_HEADER": "the-right-one"}
    )
    s3: Callable[[Asked], bytes] = honest
    # The methods that S3 is asked with; None where each SDK has its own mind about asking again.
    calls: tuple[str, ...] | None = ("GET",)


def refused(**more: Any) -> Row:
    return Row(
        403, code="forbidden", message="The secret header is missing or wrong.", calls=(), **more
    )


ROWS = {
    "ok": Row(200, FIELDS, SOURCE),
    "next value": Row(200, FIELDS, SOURCE, presented="the-next-one", environment=VALUES),
    "value beside the next one": Row(200, FIELDS, SOURCE, environment=VALUES),
    "wrong secret": refused(presented="the-wrong-one"),
    "wrong secret in a rotation": refused(presented="the-wrong-one", environment=VALUES),
    "no header": refused(presented=None),
    "empty header": refused(presented=""),
    "empty header and empty next value": refused(
        presented="", environment=VALUES | {"SECRET_HEADER_NEXT": ""}
    ),
    "no secret variable": refused(presented="", environment={}),
    "empty secret variable": refused(presented="", environment={"SECRET_HEADER": ""}),
    "next value alone": refused(
        presented="the-next-one", environment={"SECRET_HEADER_NEXT": "the-next-one"}
    ),
    "wrong secret with HEAD": refused(presented="the-wrong-one", method="HEAD"),
    "S3 404": Row(
        404,
        code="NoSuchKey",
        message="The object does not exist.",
        s3=refusing("404 Not Found", "NoSuchKey"),
    ),
    "S3 404 with HEAD": Row(
        404,
        code="NoSuchKey",
        method="HEAD",
        s3=refusing("404 Not Found", "NoSuchKey"),
        calls=("HEAD",),
    ),
    "S3 denied": Row(
        403,
        code="AccessDenied",
        message="The function may not read the object.",
        s3=lambda asked: error_answer("403 Forbidden", "AccessDenied", WORDS),
    ),
    "S3 denied with HEAD": Row(
        403,
        code="AccessDenied",
        method="HEAD",
        s3=refusing("403 Forbidden", "AccessDenied"),
        calls=("HEAD",),
    ),
    "S3 with a code that is none": Row(
        400,
        code="S3Error",
        message="S3 refused the request.",
        s3=lambda asked: error_answer("400 Bad Request", "Invalid Something &lt;b&gt;", WORDS),
    ),
    "S3 overloaded": Row(
        503,
        code="SlowDown",
        message="S3 asks to slow down. Try again later.",
        s3=lambda asked: error_answer("503 Slow Down", "SlowDown", WORDS),
        calls=("GET",) * 3,
    ),
    "S3 with another protocol": Row(
        502,
        code="s3_unreachable",
        message="S3 could not be asked.",
        s3=lambda asked: b"SSH-2.0-OpenSSH_9.2\r\n",
        calls=None,
    ),
    "S3 without a tag": Row(
        502,
        code="s3_answer_incomplete",
        message="S3's answer lacks its length or its tag.",
        s3=lambda asked: answer("200 OK", b"a page", Content_Type="text/html"),
    ),
    "S3 with a version that was written between head and body": Row(
        412,
        code="PreconditionFailed",
        message="The object is another version by now.",
        asked={"if-none-match": '"v0"'},
        s3=lambda asked: honest(
            Asked(asked.method, asked.headers | {"if-match": '"v2"'})
            if asked.method == "GET"
            else asked
        ),
        calls=("HEAD", "GET"),
    ),
    "S3 with another part": Row(
        502,
        code="s3_answer_mismatch",
        message="S3 answered with another part or version.",
        asked={"range": "bytes=6-14"},
        s3=lambda asked: honest(Asked(asked.method, asked.headers | {"range": "bytes=5-14"})),
        calls=("GET", "HEAD", "GET"),
    ),
    "range": Row(206, PART, SOURCE[5:15], asked={"range": "bytes=5-14"}),
    "range and if-range": Row(
        206, PART, SOURCE[5:15], asked={"range": "bytes=5-14", "if-range": TAG}
    ),
    "if-range mismatch": Row(
        200,
        FIELDS,
        SOURCE,
        asked={"range": "bytes=5-14", "if-range": '"v0"'},
        calls=("GET", "HEAD", "GET"),
    ),
    "if-range with a date": Row(
        200,
        FIELDS,
        SOURCE,
        asked={"range": "bytes=5-14", "if-range": WRITTEN},
        calls=("HEAD", "GET"),
    ),
    "several ranges": Row(200, FIELDS, SOURCE, asked={"range": "bytes=0-1,5-14"}),
    "range beyond the end": Row(
        416,
        {"Content-Range": f"bytes */{SIZE}"},
        code="InvalidRange",
        message="The object has no such bytes.",
        asked={"range": f"bytes={SIZE}-"},
        calls=("GET", "HEAD"),
    ),
    "known version": Row(304, VALIDATORS, asked={"if-none-match": f"W/{TAG}"}, calls=("HEAD",)),
    "known date": Row(304, VALIDATORS, asked={"if-modified-since": WRITTEN}, calls=("HEAD",)),
    "other version wanted": Row(
        412,
        code="PreconditionFailed",
        message="The object is another version by now.",
        asked={"if-match": '"v0"'},
        calls=("GET", "HEAD"),
    ),
    "HEAD": Row(200, FIELDS, method="HEAD", calls=("HEAD",)),
    "HEAD with a range": Row(
        200, FIELDS, method="HEAD", asked={"range": "bytes=5-14"}, calls=("HEAD",)
    ),
    "POST": Row(
        405,
        {"Allow": "GET, HEAD"},
        code="method_not_allowed",
        message="Use GET or HEAD.",
        method="POST",
        calls=(),
    ),
    "empty object": Row(
        200,
        FIELDS | {"Content-Length": "0"},
        s3=lambda asked: object_answer(b"", etag=TAG, Content_Type="text/csv"),
    ),
}


def event(row: Row) -> Any:
    fields = dict(row.asked)
    if row.presented is not None:
        fields["x-secret-header"] = row.presented
    return {"requestContext": {"http": {"method": row.method}}, "headers": fields}


@dataclass
class Deployed:
    """A function in its runtime, with a Runtime API of its own."""

    api: FakeRuntimeApi
    function: Function


Deploy = Callable[..., Deployed]


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with fake_s3.listening() as listening:
        yield listening


@pytest.fixture(scope="module")
def deploy(s3: FakeS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Gives `app.handler` of a language in an environment, started once for all rows."""
    deployed: dict[tuple[Any, ...], Deployed] = {}
    with contextlib.ExitStack() as stack:
        start = stack.enter_context(runtimes(tmp_path_factory.mktemp("functions")))

        def given(language: Language, environment: Mapping[str, str]) -> Deployed:
            key = (language.root, *sorted(environment.items()))
            if key not in deployed:
                api = stack.enter_context(fake_runtime_api.listening())
                variables = {"AWS_ENDPOINT_URL_S3": s3.url} | OBJECT | language.environment
                function = start(
                    "app.handler",
                    api=api,
                    root=language.root,
                    command=language.command,
                    **variables | dict(environment),
                )
                deployed[key] = Deployed(api, function)
            return deployed[key]

        yield given


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
def test_both_languages_answer_what_the_table_says(
    s3: FakeS3, deploy: Deploy, row: Row, language: Language
) -> None:
    deployed = deploy(language, row.environment)
    s3.script = row.s3
    s3.asked.clear()

    request_id = str(uuid.uuid4())
    deployed.api.invoke(event(row), request_id=request_id)
    sent = deployed.api.response(request_id=request_id)

    fields = dict(sent.prelude["headers"])
    assert sent.prelude == {"statusCode": row.status, "headers": fields, "cookies": []}
    assert sent.trailers == {}
    if row.code:
        _check_error(row, fields, sent.body)
    else:
        assert (fields, sent.body) == (dict(row.fields), row.body)
    if row.calls is not None:
        assert tuple(asked.method for asked in s3.asked) == row.calls
    log = deployed.function.log
    assert not any(f"the-{which}-one" in log for which in ("right", "next", "wrong"))
    assert WORDS not in log


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("secret", ["", "the-right-one"])
def test_a_refusal_is_logged_without_any_value(
    deploy: Deploy, language: Language, secret: str
) -> None:
    deployed = deploy(language, {"SECRET_HEADER": secret})

    request_id = str(uuid.uuid4())
    deployed.api.invoke(event(ROWS["wrong secret"]), request_id=request_id)
    deployed.api.response(request_id=request_id)

    lines = [line for line in deployed.function.events if line["request_id"] == request_id]
    assert lines == [{"event": "refused", "request_id": request_id, "secret_set": bool(secret)}]


def _check_error(row: Row, fields: dict[str, str], body: bytes) -> None:
    length = int(fields.pop("Content-Length"))
    expected = {"Content-Type": "application/json", "Cache-Control": "no-store"} | dict(row.fields)
    assert fields == expected
    if row.method == "HEAD":
        assert body == b""
        return
    assert length == len(body)
    assert json.loads(body) == {"error": {"code": row.code, "message": row.message}}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sent_by_s3", [1, SIZE // 2, SIZE - 1])
def test_midway_failure_is_reported_by_the_trailers(
    s3: FakeS3, deploy: Deploy, language: Language, sent_by_s3: int
) -> None:
    deployed = deploy(language, ROWS["ok"].environment)
    s3.script = lambda asked: object_answer(SOURCE[:sent_by_s3], etag=TAG, Content_Length=str(SIZE))

    # Python's reads of 1 MiB fail before the first of them is whole.
    sent = deployed.api.answer_to(event(ROWS["ok"]))

    assert sent.prelude["headers"]["Content-Length"] == str(SIZE)
    assert len(sent.body) <= sent_by_s3
    assert sent.body == SOURCE[: len(sent.body)]
    report = json.loads(base64.b64decode(sent.trailers["Lambda-Runtime-Function-Error-Body"]))
    assert report["errorType"] == sent.trailers["Lambda-Runtime-Function-Error-Type"]
    # The process lives on, to answer the next one.
    s3.script = honest
    assert deployed.api.answer_to(event(ROWS["ok"])).body == SOURCE
    assert deployed.function.process.poll() is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("sent_by_s3", "got", "error"), [(3, 3, "TruncatedError"), (95, 10, None)])
def test_a_part_is_as_long_as_its_content_range_or_is_reported(
    s3: FakeS3,
    deploy: Deploy,
    language: Language,
    sent_by_s3: int,
    got: int,
    error: str | None,
) -> None:
    deployed = deploy(language, ROWS["ok"].environment)
    part = {"status": "206 Partial Content", "Content_Range": f"bytes 5-14/{SIZE}"}
    s3.script = lambda asked: object_answer(SOURCE[5 : 5 + sent_by_s3], etag=TAG, **part)

    sent = deployed.api.answer_to(event(ROWS["range"]))

    assert sent.prelude["headers"]["Content-Length"] == "10"
    assert sent.body == SOURCE[5 : 5 + got]
    assert sent.trailers.get("Lambda-Runtime-Function-Error-Type") == error


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("variable", list(OBJECT))
def test_without_an_object_the_function_does_not_start(
    deploy: Deploy, language: Language, variable: str
) -> None:
    deployed = deploy(language, {variable: ""})

    _, report = deployed.api.error("/init/error")

    assert report["errorMessage"].startswith(f"{variable} is not set")
    assert deployed.function.process.wait(10) == 1
