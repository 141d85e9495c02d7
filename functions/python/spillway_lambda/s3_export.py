"""An S3 object as a streamed response: the export handler."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spillway_lambda import ranged, ranges
from spillway_lambda.invocation import Context, Event, headers, method
from spillway_lambda.ranges import Part, Verdict, Version
from spillway_lambda.streaming import HttpError, Response

READ = 1024 * 1024

# S3's own sentences name buckets, accounts and policies; these name the cause.
_SENTENCES = {
    "AccessDenied": "The function may not read the object.",
    "InvalidObjectState": "The object is archived and must be restored first.",
    "NoSuchBucket": "The bucket does not exist.",
    "NoSuchKey": "The object does not exist.",
    "PreconditionFailed": "The object is another version by now.",
    "SlowDown": "S3 asks to slow down. Try again later.",
}
# The answer to a HEAD has no body for S3 to name the error in; botocore gives its status instead.
_CODES = {"403": "AccessDenied", "404": "NoSuchKey", "412": "PreconditionFailed"}

# What S3 answers where it has judged a condition or a range itself.
JUDGED = {HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


class TruncatedError(Exception):
    """S3 sent fewer bytes than it announced."""


class S3Export:
    """A handler for one object. Made once, at init, so that its client is warm."""

    def __init__(self, *, bucket: str, key: str) -> None:
        self._where = {"Bucket": bucket, "Key": key}
        self._s3: Any = boto3.client(
            "s3",
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 3},
            ),
        )

    def __call__(self, event: Event, context: Context) -> Response:
        """Streams the object, or the part asked for. Errors of S3 keep their own status."""
        ranged.check_method(event)
        try:
            return self._answer(headers(event), method(event))
        except ClientError as exc:
            raise _translated(exc) from exc
        except BotoCoreError as exc:
            raise HttpError(502, "s3_unreachable", "S3 could not be asked.") from exc

    def _answer(self, fields: Mapping[str, str], method: str) -> Response:
        if method == "GET" and (response := self._in_one_call(fields)):
            return response
        found = self._s3.head_object(**self._where)
        version = _version(found)
        verdict = ranges.evaluate(fields, version, method=method)
        if verdict.status >= HTTPStatus.MULTIPLE_CHOICES:
            return ranged.without_body(verdict.status, version)
        if method == "HEAD":
            return Response(200, _fields(found, None))
        # Pinned to the version that was judged: one written since is a 412, and never spliced in.
        wanted = {"IfMatch": version.etag}
        if verdict.part:
            wanted["Range"] = f"bytes={verdict.part.first}-{verdict.part.last}"
        response = self._get(wanted, lambda got: verdict if got.etag == version.etag else None)
        if response is None:
            raise HttpError(502, "s3_answer_mismatch", "S3 answered with another part or version.")
        return response

    def _in_one_call(self, fields: Mapping[str, str]) -> Response | None:
        """The answer by GetObject alone; None where that cannot tell it.

        Most requests ask for everything, or for a range of the version that they know by its tag.
        S3 can judge these, and its answer has head and body of one version, so that a HeadObject
        would only add its latency to every segment of a parallel download. All that S3 refuses or
        does not judge as RFC 9110 wants it (lists of tags, dates, an `If-Range` that differs, the
        size that a 416 states) is left to the caller, who asks for the head first.
        """
        wanted = _wanted(fields)
        if wanted is None:
            return None
        try:
            return self._get(wanted, lambda got: ranges.evaluate(fields, got))
        except ClientError as exc:
            if _status(exc) in JUDGED:
                return None
            raise

    def _get(
        self, wanted: Mapping[str, str], expected: Callable[[Version], Verdict | None]
    ) -> Response | None:
        """GetObject's answer; None where it is not what is `expected` for the version it is of."""
        found = self._s3.get_object(**self._where, **wanted)
        with ExitStack() as unless_used:
            unless_used.callback(found["Body"].close)
            part = _part(found)
            answered = Verdict(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK, part)
            if expected(_version(found)) != answered:
                return None
            response = _response(found)
            unless_used.pop_all()
            return response


def from_environment() -> S3Export:
    """The object that EXPORT_BUCKET and EXPORT_KEY name. Raises `ValueError` without them."""
    for name in ("EXPORT_BUCKET", "EXPORT_KEY"):
        if not os.environ.get(name):
            raise ValueError(f"{name} is not set; it says which object of S3 is the export")
    return S3Export(bucket=os.environ["EXPORT_BUCKET"], key=os.environ["EXPORT_KEY"])


def _wanted(fields: Mapping[str, str]) -> dict[str, str] | None:
    """What GetObject must be told for S3 to judge the request; None where it could not."""
    if any(
        fields.get(f"if-{name}") for name in ("none-match", "modified-since", "unmodified-since")
    ):
        return None
    tags = {fields[name] for name in ("if-match", "if-range") if fields.get(name)}
    if len(tags) > 1 or not all(map(ranges.is_strong_tag, tags)):
        return None
    wanted = {"IfMatch": tags.pop()} if tags else {}
    if asked := ranges.parse(fields.get("range", "")):
        wanted["Range"] = str(asked)
    return wanted


def _part(found: Mapping[str, Any]) -> Part | None:
    """Which part of the object S3 answers with; None for all of it."""
    stated = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", found.get("ContentRange", ""))
    return Part(*map(int, stated.groups())) if stated else None


def _version(found: Mapping[str, Any]) -> Version:
    part = _part(found)
    size = part.size if part else found.get("ContentLength")
    if size is None or not found.get("ETag"):
        # A head that was cut, or something else than S3.
        raise HttpError(502, "s3_answer_incomplete", "S3's answer lacks its length or its tag.")
    return Version(size, found["ETag"], found.get("LastModified"))


def _response(found: Mapping[str, Any]) -> Response:
    part = _part(found)
    length = part.length if part else found["ContentLength"]
    return Response(206 if part else 200, _fields(found, part), body=_pieces(found["Body"], length))


def _fields(found: Mapping[str, Any], part: Part | None) -> dict[str, str]:
    fields = ranged.description(_version(found), part)
    fields["Content-Type"] = found.get("ContentType") or ranged.OCTETS
    if encoding := found.get("ContentEncoding"):
        fields["Content-Encoding"] = encoding
    return fields


def _pieces(body: Any, left: int) -> Iterator[bytes]:
    """`left` bytes of the body in reads of 1 MiB. Raises `TruncatedError` where it ends early."""
    try:
        while left:
            piece = body.read(min(READ, left))
            if not piece:
                raise TruncatedError(f"S3 ended {left} bytes too early")
            left -= len(piece)
            yield piece
    finally:
        body.close()


def _status(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translated(exc: ClientError) -> HttpError:
    """S3's error under its own status and code, without S3's words."""
    status = _status(exc)
    code = str(exc.response.get("Error", {}).get("Code", ""))
    code = _CODES.get(code, code)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,63}", code):
        code = "S3Error"
    # A redirect (a bucket of another region) would be one without a place to go.
    known = HTTPStatus.BAD_REQUEST <= status < 600
    return HttpError(
        status if known else 502, code, _SENTENCES.get(code, "S3 refused the request.")
    )
