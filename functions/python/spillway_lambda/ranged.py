"""Answers from a source that has offsets: all of it, one part, or why neither is to be had."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from email.utils import format_datetime
from http import HTTPStatus

from spillway_lambda import ranges
from spillway_lambda.invocation import Event, headers, method
from spillway_lambda.ranges import Part, Version
from spillway_lambda.streaming import HttpError, Response

METHODS = {"GET", "HEAD"}
OCTETS = "application/octet-stream"

# Makes the body of a part. A body that has `close` is closed, also where nothing was read of it.
Read = Callable[[Part], Iterable[bytes]]


def answer(
    event: Event, version: Version, read: Read, *, fields: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request for this version, whose bytes `read` gives.

    `fields` are more header fields. Raises `HttpError`: 405, 412 or 416.
    """
    check_method(event)
    verdict = ranges.evaluate(headers(event), version, method=method(event))
    if verdict.status >= HTTPStatus.MULTIPLE_CHOICES:
        return without_body(verdict.status, version)
    part = verdict.part or Part(0, version.size - 1, version.size)
    described = description(version, verdict.part) | dict(fields or {})
    body = read(part) if part.length and method(event) == "GET" else ()
    return Response(verdict.status, described, body=body)


def check_method(event: Event) -> None:
    if method(event) not in METHODS:
        raise HttpError(405, "method_not_allowed", "Use GET or HEAD.", {"Allow": "GET, HEAD"})


def without_body(status: HTTPStatus, version: Version) -> Response:
    """The answer 304. Raises `HttpError` for 412 and 416."""
    if status == HTTPStatus.NOT_MODIFIED:
        return Response(status, validators(version))
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise HttpError(status, "PreconditionFailed", "The object is another version by now.")
    raise HttpError(
        status,
        "InvalidRange",
        "The object has no such bytes.",
        {"Content-Range": f"bytes */{version.size}"},
    )


def description(version: Version, part: Part | None) -> dict[str, str]:
    """The header fields of all of a version, or of a part; the media type is for others to tell."""
    fields = validators(version) | {
        "Content-Type": OCTETS,
        "Content-Length": str(part.length if part else version.size),
        "Accept-Ranges": "bytes",
    }
    return fields | ({"Content-Range": str(part)} if part else {})


def validators(version: Version) -> dict[str, str]:
    fields = {"ETag": version.etag}
    if version.last_modified:
        written = version.last_modified.astimezone(UTC)
        fields["Last-Modified"] = format_datetime(written, usegmt=True)
    return fields
