"""The second attempts that are safe before the first byte, and those that are not made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from streams.delivery.opening import opened_source
from streams.delivery.watching import Watch
from streams.models import Figures
from streams.net import errors
from streams.origins import Body, Credential, Opened, Wanted
from streams.wire.ranges import Asked, ByteRange

WATCH = Watch(Figures(), "http")
CURRENT = Credential("x-secret-header", "current-value")
PREVIOUS = Credential("x-secret-header", "previous-value")


class Pieces:
    """A body of pieces; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.aborted = False

    async def read(self) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def abort(self) -> None:
        self.aborted = True


def opened(*pieces: bytes | Exception, **fields: Any) -> Opened:
    body = cast(Body, Pieces(*pieces))
    given: dict[str, Any] = {"status": 200, "headers": {}, "length": None, "body": body}
    return Opened(**(given | fields))


@dataclass
class Scripted:
    """An origin that gives one answer after the other, and remembers what it was asked."""

    answers: list[Opened | errors.OriginError]
    asked: list[tuple[Wanted, Credential | None]] = field(default_factory=list)

    async def checksum(self, opened: Opened) -> None:
        return None

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        self.asked.append((wanted, credential))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def first_byte(
    origin: Scripted, wanted: Wanted | None = None, credentials: Sequence[Credential] = (CURRENT,)
) -> bytes:
    _, first = await opened_source(
        origin, wanted or Wanted(), credentials, watch=WATCH, first_byte_timeout=1
    )
    return first


@pytest.mark.parametrize(
    "passing",
    [errors.UnreachableError(), errors.BrokenError(), errors.BusyServerError(503)],
)
async def test_a_passing_failure_gets_one_more_attempt(passing: errors.OriginError) -> None:
    assert await first_byte(Scripted([passing, opened(b"data")])) == b"data"

    origin = Scripted([passing, passing, opened(b"never")])
    with pytest.raises(type(passing)):
        await first_byte(origin)
    assert len(origin.asked) == 2


@pytest.mark.parametrize(
    "lasting",
    [
        errors.NotFoundError(),
        errors.ProtocolError(),
        errors.RedirectError(),
        errors.OriginTimeoutError(),
        errors.StatusError(504),
        errors.AddressForbiddenError(),
        errors.UrlPermissionError(),
        errors.UrlUnknownError(),
        errors.BufferedError(),
    ],
)
async def test_what_will_not_pass_is_asked_once(lasting: errors.OriginError) -> None:
    origin = Scripted([lasting, opened(b"never")])

    with pytest.raises(type(lasting)):
        await first_byte(origin, credentials=(CURRENT, PREVIOUS))

    assert len(origin.asked) == 1


async def test_a_refused_secret_is_tried_once_with_the_other_live_version() -> None:
    origin = Scripted([errors.ForbiddenError(), opened(b"data")])

    assert await first_byte(origin, credentials=(CURRENT, PREVIOUS)) == b"data"
    assert [credential for _, credential in origin.asked] == [CURRENT, PREVIOUS]

    origin = Scripted([errors.ForbiddenError(), errors.ForbiddenError(), opened(b"never")])
    with pytest.raises(errors.ForbiddenError):
        await first_byte(origin, credentials=(CURRENT, PREVIOUS, CURRENT))
    assert len(origin.asked) == 2


async def test_a_busy_origin_is_waited_for_only_within_reason() -> None:
    assert await first_byte(Scripted([errors.BusyError(0), opened(b"data")])) == b"data"

    origin = Scripted([errors.BusyError(60), opened(b"never")])
    with pytest.raises(errors.BusyError) as caught:
        await first_byte(origin)
    assert caught.value.retry_after == 60
    assert len(origin.asked) == 1


async def test_a_body_that_breaks_before_its_first_byte_is_an_error_and_is_aborted() -> None:
    broken = [opened(errors.TruncatedError()), opened(errors.TruncatedError())]
    origin = Scripted(list(broken))

    with pytest.raises(errors.BrokenError):
        await first_byte(origin)

    assert all(cast(Pieces, attempt.body).aborted for attempt in broken)


async def test_an_error_report_alone_is_no_file() -> None:
    report = b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
    origin = Scripted([opened(report[:10], report[10:], may_report_failure=True) for _ in range(2)])

    with pytest.raises(errors.BrokenError):
        await first_byte(origin)


async def test_a_part_of_another_version_is_dropped_for_the_whole() -> None:
    wanted = Wanted(range=Asked(5, None), if_range='"v1"')
    part = opened(b"old", status=206, range=ByteRange(5, 9), total=10, etag='"v2"')
    origin = Scripted([part, opened(b"everything", etag='"v2"')])

    assert await first_byte(origin, wanted) == b"everything"
    assert cast(Pieces, part.body).aborted
    assert origin.asked[1][0].range is None


def test_no_credential_shows_its_value() -> None:
    assert "current-value" not in repr(CURRENT)


async def test_a_refusal_is_held_while_a_rotation_goes_from_one_value_to_the_next() -> None:
    old, new = (Credential("x-secret-header", value, hold=5.0) for value in ("old", "new"))
    refused = [errors.ForbiddenError() for _ in range(5)]
    origin = Scripted([*refused, opened(b"data")])
    known = [[old], [old, new], [new, old]]

    async def reread() -> Sequence[Credential]:
        return known.pop(0) if len(known) > 1 else known[0]

    _, first = await opened_source(
        origin, Wanted(), [old], watch=WATCH, first_byte_timeout=1, reread=reread
    )

    assert first == b"data"
    assert [credential for _, credential in origin.asked] == [old, old, old, new, new, old]


async def test_a_refusal_is_not_held_for_longer_than_said() -> None:
    brief = Credential("x-secret-header", "old", hold=0.5)
    origin = Scripted([errors.ForbiddenError() for _ in range(50)])

    with pytest.raises(errors.ForbiddenError):
        await first_byte(origin, credentials=[brief])

    assert 2 < len(origin.asked) < 8
