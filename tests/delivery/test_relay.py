"""A relay that an operator ends, at the moments at which nothing is on its way."""

import asyncio
from typing import Any, cast

import pytest

from streams.delivery.proving import ProvingSource
from streams.delivery.relay import DownloadCutError, Patience, Relay, WideLane
from streams.models import Download, Proof
from streams.net.errors import BodyError


class Source:
    """Two pieces; once aborted, it looks finished, as one of segments does."""

    resumes = 1
    proof = Proof.NONE
    sha256 = b""
    parts = None

    def __init__(self) -> None:
        self.pieces = [b"some ", b"bytes"]

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def abort(self) -> None:
        self.pieces.clear()


class Silent(Source):
    """Sends nothing at all."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        return await self.failed

    def fail(self, exc: BodyError) -> None:
        self.failed.set_exception(exc)


def relay() -> Relay:
    source = cast(ProvingSource, cast(Any, Source()))
    return Relay(source, Download(slug="orders"), Patience(5, 5), lambda _: None, None, WideLane(0))


async def test_one_that_is_stopped_before_it_began_is_cut_and_not_empty() -> None:
    stopped = relay()

    stopped.stop("stopped")

    with pytest.raises(DownloadCutError):
        await anext(stopped)
    await stopped.aclose()
    assert (stopped.record.state, stopped.record.reason) == ("cut", "stopped")


async def test_an_origin_that_falls_silent_is_given_up_at_its_own_limit() -> None:
    source = Silent()
    held = cast(ProvingSource, cast(Any, source))
    silent = Relay(
        held, Download(slug="orders"), Patience(0.05, 60), lambda _: None, None, WideLane(0)
    )

    with pytest.raises(DownloadCutError):
        await asyncio.wait_for(anext(silent), 5)
    assert (silent.record.state, silent.record.reason) == ("cut", "stalled")


async def test_its_record_tells_while_it_runs_how_often_it_was_resumed() -> None:
    running = relay()

    await anext(running)
    await anext(running)

    assert (running.record.sent, running.record.resumes) == (5, 1)
    await running.aclose()


async def test_one_that_is_complete_stays_so() -> None:
    ended = relay()
    assert b"".join([chunk async for chunk in ended]) == b"some bytes"

    ended.stop("stopped")
    await ended.aclose()

    assert (ended.record.state, ended.record.reason) == ("complete", "")
