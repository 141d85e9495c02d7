"""The handlers that the tests run in the real runtime. LAMBDA_TASK_ROOT is this folder."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from spillway_lambda import Context, Event, Head, HttpError, Response, guarded, streamify
from spillway_lambda.logs import log

PIECE = bytes(range(256)) * 256
PIECES = 3200


@streamify
def greet(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(201, {"Content-Type": "text/plain"}, ["a=1; Path=/", "b=2"])
    yield b""
    yield b"hello "
    yield b""
    yield b"world"


@streamify
def empty(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(204 if event.get("no_content") else 200)


def whole(event: Event, context: Context) -> Response:
    pieces: list[Any] = [b"", bytearray(b"one,"), memoryview(b"two")]
    return Response(200, {"X-Pieces": "3"}, body=pieces)


@streamify
def invocation(event: Event, context: Context) -> Iterator[Head | bytes]:
    remaining = context.get_remaining_time_in_millis()
    yield Head(200, {"Content-Type": "application/json"})
    known: dict[str, Any] = {"trace": os.environ.get("_X_AMZN_TRACE_ID"), "remaining": remaining}
    known |= vars(context) | {"event": event}
    yield json.dumps(known).encode()


class ΣφάλμαError(Exception):  # noqa: PLC2401 - that is the point
    """A name that no header field can hold."""


@streamify
def fails(event: Event, context: Context) -> Iterator[Head | bytes]:
    """Raises where `event` says: before the head, before the first byte, or after `after` bytes."""
    if event["fails"] == "before the head":
        raise ΣφάλμαError("no head")
    yield Head(200, {"Content-Length": "1000000"})
    if event["fails"] == "before the first byte":
        raise ValueError("no byte")
    yield b"x" * event["after"]
    if event["fails"] == "with a status":
        raise HttpError(404, "too_late", "The head is out.")
    if event["fails"] == "by a str":
        yield "text"  # type: ignore[misc]  # the mistake under test
    raise ConnectionResetError("the source broke " + "off " * 5000)


@streamify
def refuses(event: Event, context: Context) -> Iterator[Head | bytes]:
    if event.get("late"):
        yield Head(200)
    raise HttpError(409, "not_ready", "The export is being made.", {"Retry-After": "30"})


def forgets_streamify(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(200)


@streamify
def forgets_head(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield b"bytes"


@streamify
def endless(event: Event, context: Context) -> Iterator[Head | bytes]:
    """Tells on standard error how much it made, and that it was closed."""
    made = 0
    try:
        yield Head(200)
        while True:
            made += len(PIECE)
            if made % (16 * len(PIECE)) == 0:
                log("made", bytes=made)
            yield PIECE
    finally:
        log("closed")
        if event.get("close_fails"):
            raise OSError("the source would not close")


@streamify
async def counts(event: Event, context: Context) -> AsyncIterator[Head | bytes]:
    """Has a time-out and a task that reach over its yields, and tells which loop it is on."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(_tick())
        yield Head(200, {"X-Loop": str(id(asyncio.get_running_loop()))})
        for number in range(event["pieces"]):
            await asyncio.sleep(0)
            yield b"%d," % number
        ticking.cancel()


async def _tick() -> None:
    while True:
        await asyncio.sleep(0.1)
        log("tick")


@streamify
async def endless_async(event: Event, context: Context) -> AsyncIterator[Head | bytes]:
    made = 0
    try:
        yield Head(200)
        while True:
            made += len(PIECE)
            if made % (16 * len(PIECE)) == 0:
                log("made", bytes=made)
            yield PIECE
    finally:
        # What a database or an HTTP client does here is awaited too.
        await asyncio.sleep(0.2)
        log("closed")
        if event.get("close_fails"):
            raise OSError("the source would not close")


@streamify
async def fails_async(event: Event, context: Context) -> AsyncIterator[Head | bytes]:
    if event["fails"] == "before the head":
        raise HttpError(503, "busy", "Later.")
    yield Head(200)
    if event["fails"] == "with an exit":
        sys.exit("a handler that leaves")
    await asyncio.sleep(0.01)
    if event["fails"] == "before the first byte":
        raise ValueError("no byte")
    yield b"x"
    await asyncio.wait_for(asyncio.Event().wait(), 0.01)


@streamify  # type: ignore[arg-type]  # the mistake under test
async def forgets_yield(event: Event, context: Context) -> None:
    await asyncio.sleep(0)


@streamify  # type: ignore[arg-type]  # likewise
def returns_nothing(event: Event, context: Context) -> None:
    pass


@streamify
def never_yields(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield from ()


@streamify
def sleeps_once(event: Event, context: Context) -> Iterator[Head | bytes]:
    """Ignores its deadline, the first time: before its head, or behind `after` bytes."""
    mark = Path(os.environ["MARK"]) / "slept"
    if event.get("after"):
        yield Head(200)
        yield b"x" * event["after"]
    if not mark.exists():
        mark.touch()
        time.sleep(600)
    if not event.get("after"):
        yield Head(200)
    yield b"in time"


@streamify
def two_hundred_megabytes(event: Event, context: Context) -> Iterator[Head | bytes]:
    """Waits behind its first piece, so that one can tell whether that came early."""
    yield Head(200)
    yield PIECE
    time.sleep(2)
    for _ in range(PIECES - 1):
        yield PIECE


@streamify
def large(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(200)
    for _ in range(event["pieces"]):
        yield PIECE


@streamify
async def large_async(event: Event, context: Context) -> AsyncIterator[Head | bytes]:
    yield Head(200)
    for _ in range(200):
        await asyncio.sleep(0)
        yield PIECE


@streamify
def breaks(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(200)
    yield b"so far"
    raise ValueError("and no further")


@streamify
def mislengthed(event: Event, context: Context) -> Iterator[Head | bytes]:
    yield Head(200, {"content-length": "5"})
    yield b"four"
    if event["rawPath"] == "/long":
        yield b"four"


@streamify
def splits(event: Event, context: Context) -> Iterator[Head | bytes]:
    try:
        yield Head(200, {"X-Name": "value\r\nX-Injected: yes"})
        yield b"x"
    finally:
        log("closed")


def leaves(event: Event, context: Context) -> Response:
    sys.exit("a handler that leaves")


secret = guarded(whole)
